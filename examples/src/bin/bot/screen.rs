//! What the bot prints: lines that are drawn again in place on a terminal, plain lines in a pipe.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use flux_examples::books::Row;
use flux_examples::report::{Align, Latency, Table, bytes, grouped};

use crate::plan::Task;

/// The longest line on a terminal; a longer one would wrap and spoil the drawing.
const WIDTH: usize = 118;

/// The output.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: bool,
    /// Whether somebody still reads.
    open: bool,
    /// Lines that the next drawing replaces.
    drawn: usize,
    /// Messages of each row at the last drawing, for rates.
    before: Vec<u64>,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self {
            terminal: io::stdout().is_terminal(),
            open: true,
            drawn: 0,
            before: Vec::new(),
        }
    }

    /// Whether the output still goes anywhere; `bot | head` closes it.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Prints a line that stays.
    pub(crate) fn line(&mut self, text: &str) {
        let erase = self.erase();
        self.write(&format!("{erase}{text}\n"));
    }

    /// Prints one line per book, in place of those of the last time.
    pub(crate) fn live(&mut self, elapsed: Duration, since_last: Duration, tasks: &[Task]) {
        let mut text = self.erase();
        let mut row_number = 0;
        for task in tasks {
            let feed_messages = task.feed.counters.messages.get();
            let rows = task.feed.look(flux_examples::books::Books::rows);
            let alone = rows.len() == 1;
            let rows = if rows.is_empty() {
                vec![Row {
                    state: "waiting",
                    ..Row::default()
                }]
            } else {
                rows
            };
            for row in rows {
                let messages =
                    row.messages
                        .unwrap_or(if alone { feed_messages } else { row.updates });
                if self.before.len() == row_number {
                    self.before.push(0);
                }
                let new = messages.saturating_sub(self.before[row_number]);
                self.before[row_number] = messages;
                row_number += 1;
                let state = match () {
                    () if task.feed.is_finished() => "finished",
                    () if task.feed.is_connected() => row.state,
                    () => "offline",
                };
                let line = live_line(elapsed, &task.feed.name, state, &row, rate(new, since_last));
                text.push_str(&line);
                text.push('\n');
            }
        }
        if self.terminal {
            self.drawn = row_number;
        }
        self.write(&text);
    }

    /// What takes back the lines of the last drawing.
    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }

    fn write(&mut self, text: &str) {
        let mut out = io::stdout().lock();
        if self.open
            && out
                .write_all(text.as_bytes())
                .and_then(|()| out.flush())
                .is_err()
        {
            self.open = false;
        }
    }
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

fn live_line(elapsed: Duration, feed: &str, state: &str, row: &Row, rate: String) -> String {
    let name = format!("{feed} {}", row.name);
    let bid = row.bid.as_deref().unwrap_or("-");
    let ask = row.ask.as_deref().unwrap_or("-");
    let (bids, asks) = row.depth;
    let line = format!(
        "{:>5} s  {name:<32} {state:<11} {bid:>14} / {ask:<14} {bids:>5} x {asks:<5} {rate:>7} msg/s",
        elapsed.as_secs()
    );
    let mut line: String = line.chars().take(WIDTH - 24).collect();
    if row.gaps + row.resyncs > 0 {
        line.push_str(&format!("  gaps {}  resyncs {}", row.gaps, row.resyncs));
    }
    line
}

/// The report at the end: connections, books, latency.
pub(crate) fn report(screen: &mut Screen, elapsed: Duration, tasks: &[Task]) {
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
            rate(counters.messages.get(), elapsed),
            bytes(counters.bytes.get()),
            grouped(counters.connects.get()),
            grouped(counters.failures.get()),
            grouped(counters.refused.get()),
            grouped(counters.snapshots.get()),
        ]);
        for row in feed.look(flux_examples::books::Books::rows) {
            let messages = row.messages.unwrap_or(row.updates);
            books.row(vec![
                format!("{} {}", feed.name, row.name),
                row.state.to_owned(),
                grouped(messages),
                grouped(row.updates),
                rate(messages, elapsed),
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
    screen.line("");
}
