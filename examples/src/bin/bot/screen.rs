//! What the bot prints: lines that are drawn again in place on a terminal, plain lines in a pipe.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use flux_examples::books::{Books, Row};
use flux_examples::report::{Align, Latency, Table, bytes, grouped, time};

use crate::plan::Task;
use crate::tally;

/// The most lines that are drawn in place: more would leave a small terminal at its top.
const LIVE_MAX: usize = 20;

/// The output.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: bool,
    /// Whether somebody still reads.
    open: bool,
    /// The lines that are to be replaced, as they stand on the terminal now.
    live: Vec<String>,
    /// Messages of each row at the last drawing, for rates.
    before: Vec<u64>,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self {
            terminal: io::stdout().is_terminal(),
            open: true,
            live: Vec::new(),
            before: Vec::new(),
        }
    }

    /// Whether the output still goes anywhere; `bot | head` closes it.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Prints a line that stays, above the live lines if there are any.
    pub(crate) fn line(&mut self, text: &str) {
        let live = std::mem::take(&mut self.live);
        let erase = erase(live.len());
        let again = draw(&live);
        self.live = live;
        self.write(&format!("{erase}{text}\n{again}"));
    }

    /// Prints one line per book, in place of those of the last time.
    pub(crate) fn live(&mut self, elapsed: Duration, since_last: Duration, tasks: &[Task]) {
        let lines = self.lines(elapsed, since_last, tasks);
        if self.terminal {
            let erase = erase(self.live.len());
            self.live = lines;
            if self.live.len() > LIVE_MAX {
                let more = self.live.split_off(LIVE_MAX - 1).len();
                self.live.push(format!("        and {more} more"));
            }
            self.write(&format!("{erase}{}", draw(&self.live)));
        } else {
            self.write(
                &lines
                    .into_iter()
                    .map(|line| line + "\n")
                    .collect::<String>(),
            );
        }
    }

    /// Takes the live lines away for good.
    pub(crate) fn settle(&mut self) {
        let lines = std::mem::take(&mut self.live).len();
        self.write(&erase(lines));
    }

    fn lines(&mut self, elapsed: Duration, since_last: Duration, tasks: &[Task]) -> Vec<String> {
        let mut lines = Vec::new();
        for task in tasks {
            let feed_messages = task.feed.counters.messages.get();
            let mut rows = task.feed.look(Books::rows);
            if rows.is_empty() {
                rows.push(Row {
                    state: "waiting",
                    ..Row::default()
                });
            }
            let alone = rows.len() == 1;
            for row in rows {
                let messages =
                    row.messages
                        .unwrap_or(if alone { feed_messages } else { row.updates });
                if self.before.len() == lines.len() {
                    self.before.push(0);
                }
                let before = std::mem::replace(&mut self.before[lines.len()], messages);
                let rate = rate(messages.saturating_sub(before), since_last);
                let state = match () {
                    () if task.feed.is_finished() => "finished",
                    () if task.feed.is_connected() => row.state,
                    () => "offline",
                };
                lines.push(live_line(elapsed, &task.feed.name, state, &row, &rate));
            }
        }
        lines
    }

    fn write(&mut self, text: &str) {
        if !self.open {
            return;
        }
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.open = false;
            // A reader that has left knows why; a full disk is news.
            if error.kind() != io::ErrorKind::BrokenPipe {
                let _ = writeln!(io::stderr(), "bot: the report cannot be written: {error}");
            }
        }
    }
}

/// Takes back so many lines.
fn erase(lines: usize) -> String {
    if lines == 0 {
        String::new()
    } else {
        format!("\x1b[{lines}A\x1b[J")
    }
}

/// Lines that don't wrap, however narrow the terminal: a wrapped one could not be taken back.
fn draw(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    format!("\x1b[?7l{}\n\x1b[?7h", lines.join("\n"))
}

fn rate(messages: u64, time: Duration) -> String {
    if time.is_zero() {
        return grouped(0);
    }
    // Messages a second; whoever has more than 2^53 of them has other worries.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people"
    )]
    let rate = (messages as f64 / time.as_secs_f64()).round() as u64;
    grouped(rate)
}

fn live_line(elapsed: Duration, feed: &str, state: &str, row: &Row, rate: &str) -> String {
    let name = format!("{feed} {}", row.name);
    let bid = row.bid.as_deref().unwrap_or("-");
    let ask = row.ask.as_deref().unwrap_or("-");
    let (bids, asks) = row.depth;
    let mut line = format!(
        "{:>4} s  {name:<28} {state:<11} {bid:>14} / {ask:<14} {:>13}  {rate:>7} msg/s",
        elapsed.as_secs(),
        format!("{bids} x {asks}"),
    );
    if row.gaps + row.resyncs > 0 {
        // A string takes any text.
        let _ = write!(line, "  gaps {}  resyncs {}", row.gaps, row.resyncs);
    }
    line
}

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) elapsed: Duration,
    /// The time of the core that the reactor's thread has had; none where the system does not say.
    pub(crate) on_the_core: Option<Duration>,
    /// Whether messages came as fast as they were read.
    pub(crate) flat_out: bool,
}

/// The report at the end: connections, books, latency, and what it all has cost.
pub(crate) fn report(screen: &mut Screen, cost: &Cost, tasks: &[Task]) {
    use Align::{Left, Right};
    let mut connections = Table::new(&[
        ("connection", Left),
        ("messages", Right),
        ("msg/s", Right),
        ("received", Right),
        ("connects", Right),
        ("failures", Right),
        ("refused", Right),
        ("snapshots", Right),
    ]);
    let mut books = Table::new(&[
        ("book", Left),
        ("state", Left),
        ("messages", Right),
        ("updates", Right),
        ("dropped", Right),
        ("msg/s", Right),
        ("best bid", Right),
        ("best ask", Right),
        ("bids", Right),
        ("asks", Right),
        ("gaps", Right),
        ("resyncs", Right),
    ]);
    let mut latency = Latency::default();
    for Task { feed, .. } in tasks {
        let counters = &feed.counters;
        connections.row(vec![
            feed.name.clone(),
            grouped(counters.messages.get()),
            rate(counters.messages.get(), cost.elapsed),
            bytes(counters.bytes.get()),
            grouped(counters.connects.get()),
            grouped(counters.failures.get()),
            grouped(counters.refused.get()),
            grouped(counters.snapshots.get()),
        ]);
        for row in feed.look(Books::rows) {
            let messages = row.messages.unwrap_or(row.updates);
            books.row(vec![
                format!("{} {}", feed.name, row.name),
                row.state.to_owned(),
                grouped(messages),
                grouped(row.updates),
                grouped(row.dropped),
                rate(messages, cost.elapsed),
                row.bid.unwrap_or_else(|| "-".to_owned()),
                row.ask.unwrap_or_else(|| "-".to_owned()),
                grouped(row.depth.0 as u64),
                grouped(row.depth.1 as u64),
                grouped(row.gaps),
                grouped(row.resyncs),
            ]);
        }
        feed.add_latency(&mut latency);
    }
    screen.line("");
    screen.line(connections.to_string().trim_end());
    if !books.is_empty() {
        screen.line("");
        screen.line(books.to_string().trim_end());
    }
    screen.line("");
    screen.line(&format!(
        "latency from bytes received to book updated, over {} updates:",
        grouped(latency.count())
    ));
    screen.line(&format!("  {latency}"));
    if cost.flat_out {
        screen.line(
            "  flat out, what arrives together waits for each other: compare the time on the core",
        );
    }
    if let Some(spent) = cost.on_the_core {
        let messages: u64 = tasks
            .iter()
            .map(|task| task.feed.counters.messages.get())
            .sum();
        let share = match u32::try_from(messages) {
            // Otherwise most of it goes into waiting, and into spinning if that was asked for.
            Ok(messages @ 1..) if cost.flat_out => {
                format!(", {} a message", time(spent / messages))
            }
            _ => format!(" of {}", time(cost.elapsed)),
        };
        screen.line(&format!("on the core for {}{share}", time(spent)));
    }
    screen.line(&tally::sentence());
    screen.line("");
}
