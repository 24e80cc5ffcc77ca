//! The bot: follows order books over WebSockets on one pinned core, and checks that they are right.
//!
//! `cargo run --release --bin bot` needs nothing else: an exchange with made-up markets runs in the
//! same program, on threads of its own. `--help` shows what else there is: recordings, a real
//! endpoint, and faults.
//!
//! [`follow`] is the part to copy, and [`foreign`] is the same with other libraries. The rest is what a program that people run needs around it:
//! [`options`], a [`plan`] made from them, the [`screen`], the [`tally`] of what it costs, and the
//! comparison in [`outcome`].

mod broken;
mod feed;
mod follow;
mod foreign;
mod options;
mod outcome;
mod plan;
mod screen;
mod snapshots;
mod tally;
mod trust;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use feed::Client;
use flux::time::{Instant, sleep};
use flux::{JoinHandle, Stopped};
use flux_examples::exchange::{Exchange, Speed};
use options::{Options, Request};
use outcome::Outcome;
use plan::Task;
use screen::{Cost, Screen};
use signal_hook::consts::{SIGINT, SIGTERM};

/// How often the main fiber looks at signals and at what has happened.
const TICK: Duration = Duration::from_millis(100);

/// How often the live lines are drawn.
const LIVE: Duration = Duration::from_secs(1);

/// How long feeds may take to end once everything is over.
const GRACE: Duration = Duration::from_secs(3);

/// Exit status of a run whose books are wrong, or that got nothing.
const WRONG: u8 = 1;

/// Exit status of a request that makes no sense.
const REFUSED: u8 = 2;

#[flux::main]
fn main() -> ExitCode {
    let options = match options::parse(std::env::args_os().skip(1)) {
        Ok(Request::Run(options)) => options,
        Ok(Request::Help) => {
            Screen::new().line(options::help().trim_end());
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(&error.to_string()),
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(WRONG),
        Err(sentence) => refuse(&sentence),
    }
}

fn refuse(sentence: &str) -> ExitCode {
    eprintln!("bot: {sentence}");
    ExitCode::from(REFUSED)
}

/// Runs as asked, and says whether everything that could be compared is right.
fn run(options: &Options) -> Result<bool, String> {
    let stop = catch_signals()?;
    if let Some(core) = options.core {
        flux::pin_to_core(core).map_err(|error| error.to_string())?;
    }
    let (exchange, tasks) = plan::prepare(options)?;
    let mut screen = Screen::new();
    greet(&mut screen, options, exchange.as_ref(), &tasks);

    let (began, on_the_core) = (Instant::now(), tally::on_the_core());
    let fibers: Vec<_> = tasks
        .iter()
        .map(|task| flux::spawn(follow::follow(task.feed.clone())))
        .collect();
    watch(&mut screen, options, &stop, began, &tasks, &fibers);
    let stopped = stop.load(Ordering::Relaxed);
    end(exchange.as_ref(), &tasks, &fibers);
    let cost = Cost {
        elapsed: began.elapsed(),
        on_the_core: tally::on_the_core()
            .zip(on_the_core)
            .map(|(now, then)| now.saturating_sub(then)),
        flat_out: options.speed == Speed::Max,
    };
    screen.settle();
    print_news(&mut screen, &tasks);

    let mut sound = true;
    for (task, fiber) in tasks.iter().zip(fibers) {
        fiber.cancel();
        if let Err(error) = fiber.join()
            && !matches!(error, flux::JoinError::Stopped(_))
        {
            sound = false;
            screen.line(&format!(
                "{}: its fiber ended by itself: {error}",
                task.feed.name
            ));
        }
    }
    screen::report(&mut screen, &cost, &tasks);
    let outcome = outcome::compare(&mut screen, exchange.as_ref(), &tasks);
    Ok(sound & conclude(&mut screen, stopped, exchange.as_ref(), &tasks, &outcome))
}

/// The first SIGINT or SIGTERM sets a flag; the second one ends the program at once.
fn catch_signals() -> Result<Arc<AtomicBool>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the flag that the first one sets is what arms the second one.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| format!("signals cannot be caught: {error}"))?;
    }
    Ok(stop)
}

fn greet(screen: &mut Screen, options: &Options, exchange: Option<&Exchange>, tasks: &[Task]) {
    let what = match exchange {
        None => "a real endpoint".to_owned(),
        Some(exchange) if options.replay.is_empty() => format!(
            "made-up markets, seed {}, at {}",
            options.seed,
            exchange.address()
        ),
        Some(exchange) => format!("recordings, replayed at {}", exchange.address()),
    };
    let tls = tasks
        .iter()
        .any(|task| task.feed.endpoint.stream.trust.is_some());
    screen.line(&format!(
        "following {what} over {}{}{}",
        plural(tasks.len(), "connection"),
        if tls { " with TLS" } else { "" },
        match options.client {
            Client::Flux => "",
            Client::Tungstenite if tls => ", with tungstenite and rustls for comparison",
            Client::Tungstenite => ", with tungstenite for comparison",
        }
    ));
    if exchange.is_some() {
        screen.line(
            "all of it on this machine: latencies here are those of loopback, not of an exchange",
        );
    }
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Shows what happens until the feeds have ended, the time is up, or somebody says stop.
fn watch(
    screen: &mut Screen,
    options: &Options,
    stop: &AtomicBool,
    began: Instant,
    tasks: &[Task],
    fibers: &[JoinHandle<Result<(), Stopped>>],
) {
    let mut drawn = began;
    // The embedded exchange closes its markets by itself, from the first connection on; made-up and
    // real time differ by what connecting takes, and a fault may take longer.
    let slack = if options.url.is_some() {
        Duration::ZERO
    } else {
        options.patience * 2 + GRACE
    };
    let limit = options.time.map(|time| time + slack);
    while !stop.load(Ordering::Relaxed)
        && screen.is_open()
        && limit.is_none_or(|limit| began.elapsed() < limit)
        && !fibers.iter().all(JoinHandle::is_finished)
    {
        if tally::waiting(|| sleep(TICK)).is_err() {
            return;
        }
        print_news(screen, tasks);
        if drawn.elapsed() >= LIVE {
            screen.live(began.elapsed(), drawn.elapsed(), tasks);
            drawn = Instant::now();
        }
    }
}

fn print_news(screen: &mut Screen, tasks: &[Task]) {
    for Task { feed, .. } in tasks {
        for sentence in feed.take_news() {
            screen.line(&format!("{}: {sentence}", feed.name));
        }
    }
}

/// Asks everybody to come to an end, and waits a little for the close frames.
fn end(exchange: Option<&Exchange>, tasks: &[Task], fibers: &[JoinHandle<Result<(), Stopped>>]) {
    for task in tasks {
        task.feed.stop();
    }
    let Some(exchange) = exchange else {
        // A real endpoint is not asked: the connection just ends.
        return;
    };
    exchange.finish();
    let deadline = Instant::now();
    while deadline.elapsed() < GRACE && !fibers.iter().all(JoinHandle::is_finished) {
        if sleep(TICK / 10).is_err() {
            return;
        }
    }
}

/// Says in a few words how it went, and whether that is a success.
fn conclude(
    screen: &mut Screen,
    stopped: bool,
    exchange: Option<&Exchange>,
    tasks: &[Task],
    outcome: &Outcome,
) -> bool {
    let Outcome {
        matching,
        differing,
    } = *outcome;
    let failures = exchange.map(Exchange::failures).unwrap_or_default();
    for sentence in &failures {
        screen.line(&format!("the exchange failed: {sentence}"));
    }
    if let Some(exchange) = exchange {
        let (pings, pongs) = exchange.pings_and_pongs();
        screen.line(&format!("{pongs} of {pings} pings answered"));
    }
    let silent: Vec<&Task> = tasks
        .iter()
        .filter(|task| task.feed.counters.messages.get() == 0)
        .collect();
    for task in &silent {
        screen.line(&format!("{}: nothing was received", task.feed.name));
    }
    if differing > 0 {
        screen.line(&format!(
            "books differ: {differing} of {}",
            matching + differing
        ));
    } else if matching > 0 {
        screen.line(&format!("books match: {matching} of {matching}"));
    }
    if stopped {
        screen.line("stopped by a signal");
    }
    differing == 0 && failures.is_empty() && (silent.is_empty() || stopped)
}
