//! Stopping what is about to happen: cancels, deadlines, shutdowns and signals that meet the completion of an op,
//! in either order, in the same turn or a turn apart, on every engine.
//!
//! Whatever comes first, an op ends in one of two ways, and the books balance: what it brought is delivered, or
//! it is still where it was; the fiber is told once, and goes on to be told; the reactor holds nothing of it.
//! Each test says on stderr how often what happened, since who wins is the kernel's choice in some of it.

#![cfg(target_os = "linux")]
#![allow(
    unsafe_code,
    reason = "signals are raised on a thread that is known, or sent to this process"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the other sides are std's sockets; each call is answered without a fiber"
)]

mod common;

#[path = "races/connect.rs"]
mod connect;
#[path = "races/contests.rs"]
mod contests;
#[path = "races/crowd.rs"]
mod crowd;
#[path = "races/ending.rs"]
mod ending;
#[path = "races/many.rs"]
mod many;
#[path = "races/parallel.rs"]
mod parallel;
#[path = "races/race.rs"]
mod race;
#[path = "races/signals.rs"]
mod signals;
#[path = "races/sockets.rs"]
mod sockets;

use std::time::Duration;

use flux::signal::Signal;
use flux::time::Instant;

use common::{alone, descriptors, engines, fibers, text};
use contests::{KINDS, Maker};
use race::{Moment, Stop, Tally, race};

const ECANCELED: i32 = 125;
const LONG: Duration = Duration::from_hours(1);
/// The longest that anything here may take to settle.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `body` on each engine, in a process of its own, and passes on what it says.
fn on_each_engine(test: &str, body: fn()) {
    on_each_engine_saying(test, body, "");
}

/// The same, and expects that it says `words`.
fn on_each_engine_saying(test: &str, body: fn(), words: &str) {
    for engine in engines() {
        let Some(output) = alone(test, &[("FLUX_ENGINE", engine)], body) else {
            return;
        };
        let text = text(&output);
        let passed = text.contains("1 passed") && text.contains(words);
        assert!(passed, "{engine}: {text}");
        eprint!(
            "{engine}, {test}:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Raises a signal on this thread: its handler has run when this returns.
fn raise(signal: Signal) {
    // SAFETY: takes a number; its handler is flux's, which may interrupt anything.
    let failed = unsafe { libc::raise(signal.as_raw()) };
    assert_eq!(failed, 0);
}

/// Has the signal that races are about caught, from now on and in every reactor to come.
fn catch() {
    fibers(|| {
        flux::timeout(Duration::ZERO, || flux::signal::wait(&[Signal::USER1]))
            .expect_err("no signal has come");
    });
}

/// Keeps the core until a moment has come, as a fiber that computes does.
fn spin_until(moment: Instant) {
    while Instant::now() <= moment {
        std::hint::spin_loop();
    }
}

/// Lets the others run until something holds, though this fiber may have been cancelled.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    flux::shielded(|| {
        while !holds() {
            assert!(start.elapsed() < PATIENCE, "hangs: {what}");
            flux::yield_now().unwrap();
        }
    });
}

/// Races of one kind of op against one kind of stop at all moments, until both ends have been seen, and the
/// moment at which the op was done and its fiber had not run.
fn sweep(name: &str, maker: Maker, stop: Stop) {
    const ROUNDS: u32 = 3;
    let start = Instant::now();
    let mut tally = Tally::default();
    let mut rounds = 0;
    loop {
        for moment in Moment::ALL {
            race(maker, stop, moment, &mut tally);
        }
        rounds += 1;
        let stopped = tally.cancelled + tally.late > 0 || !stop.ends_the_op();
        if rounds >= ROUNDS && tally.done > 0 && stopped && tally.met > 0 {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{name}, {stop:?}: {tally}");
    }
    eprintln!("  {name}, {stop:?}: {tally}");
}

/// The ops that have a time-out of their own.
const WITH_OWN: [&str; 3] = ["read", "peek", "write"];

fn sweep_all(stops: &[Stop]) {
    let stops = stops.to_vec();
    catch();
    fibers(move || {
        for stop in stops {
            for (name, maker) in KINDS {
                if WITH_OWN.contains(&name) || !stop.is_own() {
                    sweep(name, maker, stop);
                }
            }
        }
    });
}

#[test]
fn a_cancel_that_meets_a_completion() {
    on_each_engine("a_cancel_that_meets_a_completion", || {
        sweep_all(&[Stop::Cancel, Stop::Shielded]);
    });
}

#[test]
fn a_deadline_that_meets_a_completion() {
    on_each_engine("a_deadline_that_meets_a_completion", || {
        sweep_all(&[Stop::Timeout, Stop::Own, Stop::OwnThenOuter]);
    });
}

#[test]
fn nested_deadlines_that_meet_a_completion() {
    on_each_engine("nested_deadlines_that_meet_a_completion", || {
        sweep_all(&[
            Stop::Inner,
            Stop::Outer,
            Stop::InnerThenOuter,
            Stop::OuterThenInner,
        ]);
    });
}

#[test]
fn a_cancel_and_a_deadline_that_meet_a_completion() {
    on_each_engine("a_cancel_and_a_deadline_that_meet_a_completion", || {
        sweep_all(&[Stop::TimeoutThenCancel, Stop::ShieldedTimeout]);
    });
}
