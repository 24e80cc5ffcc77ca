//! Signals and the orderly end: each case in a process of its own, since signals belong to processes.

mod common;

use std::cell::Cell;
use std::io;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use common::{config, fibers, passes_alone, run};
use flux::signal::{self, Signal};
use flux::time::sleep;
use flux::{RunError, Stopped, spawn, yield_now};

const LONG: Duration = Duration::from_hours(1);
const ENGINES: [&str; 2] = ["io_uring", "epoll"];

/// Sends this process a signal, as a terminal or a supervisor does.
fn raise(signal: Signal) {
    let status = Command::new("kill")
        .args([
            format!("-{}", signal.as_raw()),
            std::process::id().to_string(),
        ])
        .status()
        .expect("`kill` is everywhere");
    assert!(status.success());
}

/// Runs the body in a process of its own, for each engine.
fn on_each_engine(test: &str, body: fn()) {
    for engine in ENGINES {
        passes_alone(test, &[("FLUX_ENGINE", engine)], body);
    }
}

#[test]
fn a_signal_wakes_the_fiber_that_waits_for_it_and_ends_nothing() {
    on_each_engine(
        "a_signal_wakes_the_fiber_that_waits_for_it_and_ends_nothing",
        || {
            fibers(|| {
                let both = [Signal::INTERRUPT, Signal::TERMINATE];
                for signal in [Signal::INTERRUPT, Signal::TERMINATE, Signal::INTERRUPT] {
                    let waiting = spawn(move || signal::wait(&both).unwrap());
                    yield_now().unwrap();
                    raise(signal);
                    assert_eq!(waiting.join().unwrap(), signal);
                }
            });
        },
    );
}

#[test]
fn a_signal_that_came_before_the_wait_is_kept_once() {
    on_each_engine("a_signal_that_came_before_the_wait_is_kept_once", || {
        fibers(|| {
            let none = flux::timeout(Duration::from_millis(1), || signal::wait(&[Signal::USER1]));
            assert_eq!(
                none.unwrap_err().into_inner().unwrap_err().kind(),
                io::ErrorKind::TimedOut
            );
            raise(Signal::USER1);
            raise(Signal::USER1);
            // The handler has run: `kill` has ended, and this thread was signalled or another was.
            sleep(Duration::from_millis(20)).unwrap();
            assert_eq!(signal::wait(&[Signal::USER1]).unwrap(), Signal::USER1);
            let again = flux::timeout(Duration::from_millis(1), || signal::wait(&[Signal::USER1]));
            assert!(again.is_err());
        });
    });
}

#[test]
fn fibers_that_wait_for_different_signals_get_their_own() {
    on_each_engine(
        "fibers_that_wait_for_different_signals_get_their_own",
        || {
            fibers(|| {
                let one = spawn(|| signal::wait(&[Signal::USER1]).unwrap());
                let two = spawn(|| signal::wait(&[Signal::USER2]).unwrap());
                yield_now().unwrap();
                raise(Signal::USER2);
                assert_eq!(two.join().unwrap(), Signal::USER2);
                assert!(!one.is_finished());
                raise(Signal::USER1);
                assert_eq!(one.join().unwrap(), Signal::USER1);
            });
        },
    );
}

#[test]
fn what_cannot_be_caught_is_refused_and_a_wait_can_be_cancelled() {
    on_each_engine(
        "what_cannot_be_caught_is_refused_and_a_wait_can_be_cancelled",
        || {
            fibers(|| {
                for number in [9, 19, -1, 65, 1000] {
                    let error = signal::wait(&[Signal::from_raw(number)]).unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{number}");
                }
                let waiting =
                    spawn(|| signal::wait(&[Signal::HANGUP]).map_err(|e| e.raw_os_error()));
                yield_now().unwrap();
                waiting.cancel();
                assert_eq!(waiting.join().unwrap(), Err(Some(125)));
            });
        },
    );
}

#[test]
fn shutdown_ends_everybody_and_shielded_work_is_finished() {
    on_each_engine(
        "shutdown_ends_everybody_and_shielded_work_is_finished",
        || {
            let finished = Rc::new(Cell::new(0));
            let orders = Rc::clone(&finished);
            let main = run(config(), move || {
                for _ in 0..10 {
                    let orders = Rc::clone(&orders);
                    drop(spawn(move || {
                        assert_eq!(sleep(LONG), Err(Stopped::Cancelled));
                        flux::shielded(|| sleep(Duration::from_millis(2))).unwrap();
                        orders.set(orders.get() + 1);
                    }));
                }
                drop(spawn(|| {
                    yield_now().unwrap();
                    flux::shutdown();
                    assert_eq!(yield_now(), Err(Stopped::Cancelled));
                }));
                sleep(LONG)
            });
            assert_eq!(main.unwrap(), Err(Stopped::Cancelled));
            assert_eq!(finished.get(), 10);
        },
    );
}

#[test]
fn a_main_that_does_not_end_after_shutdown_is_an_error_of_run() {
    on_each_engine(
        "a_main_that_does_not_end_after_shutdown_is_an_error_of_run",
        || {
            let config = config().grace(Duration::from_millis(20));
            let outcome = run(config, || {
                flux::shutdown();
                flux::shielded(|| sleep(LONG))
            });
            assert!(matches!(outcome, Err(RunError::MainLeft)), "{outcome:?}");
        },
    );
}
