//! Signals that meet cancels, deadlines, and other fibers that wait for signals. There is one bell for all of
//! them: whoever silences it must not do so for another.

use std::rc::Rc;
use std::time::Duration;

use flux::signal::{self, Signal};
use flux::{JoinHandle, spawn, timeout, yield_now};

use crate::common::{fibers, settle};
use crate::contests::{Ended, ended};
use crate::race::expect_nothing_left;
use crate::{descriptors, on_each_engine, raise, until};

/// A fiber that waits for a signal.
fn waiter(signals: &'static [Signal]) -> JoinHandle<(Ended, Option<Signal>)> {
    spawn(move || ended(signal::wait(signals)))
}

/// Whether a signal has come that nobody has taken.
fn kept(signal: Signal) -> bool {
    timeout(Duration::ZERO, || signal::wait(&[signal])).is_ok()
}

const BOTH: [Signal; 2] = [Signal::USER1, Signal::USER2];

/// Runs `body` so many times, and looks each time at what is left.
fn rounds(count: u32, mut body: impl FnMut(u32) + 'static) {
    fibers(move || {
        assert!(BOTH.map(kept) == [false, false]);
        let open = descriptors();
        for round in 0..count {
            body(round);
            assert!(BOTH.map(kept) == [false, false], "taken once");
            expect_nothing_left(open);
        }
    });
}

#[test]
fn a_fiber_that_begins_to_wait_silences_the_bell_for_nobody_else() {
    on_each_engine(
        "signals::a_fiber_that_begins_to_wait_silences_the_bell_for_nobody_else",
        || {
            rounds(20, |round| {
                let first = waiter(&[Signal::USER1]);
                // Not at all: its request has not left for the kernel when the signal comes.
                for _ in 0..round % 4 {
                    yield_now().unwrap();
                }
                raise(Signal::USER1);
                let second = waiter(&[Signal::USER2]);
                assert!(!kept(Signal::USER2), "looked for in the same turn");
                until("the first gets its signal", || first.is_finished());
                assert_eq!(first.join().unwrap(), (Ended::Done, Some(Signal::USER1)));
                raise(Signal::USER2);
                until("the second gets its signal", || second.is_finished());
                assert_eq!(second.join().unwrap(), (Ended::Done, Some(Signal::USER2)));
            });
        },
    );
}

#[test]
fn a_signal_that_a_cancelled_fiber_waited_for_goes_to_another() {
    on_each_engine(
        "signals::a_signal_that_a_cancelled_fiber_waited_for_goes_to_another",
        || {
            rounds(100, |round| {
                let both = [waiter(&[Signal::USER1]), waiter(&BOTH)].map(Rc::new);
                if round % 3 > 0 {
                    settle();
                }
                let stopped = &both[round as usize % 2];
                if round % 5 < 3 {
                    raise(Signal::USER1);
                }
                for _ in 0..round % 4 {
                    yield_now().unwrap();
                }
                stopped.cancel();
                if round % 5 >= 3 {
                    raise(Signal::USER1);
                }
                let taken = || both.iter().any(|fiber| fiber.is_finished());
                until("one of them ends", taken);
                settle();
                // The cancelled one has the signal or none; then the other one has it.
                for fiber in &both {
                    fiber.cancel();
                }
                let took = both.map(|fiber| {
                    let fiber = Rc::into_inner(fiber).unwrap();
                    fiber.join().unwrap() == (Ended::Done, Some(Signal::USER1))
                });
                assert!(took[0] != took[1], "taken once: {took:?}");
            });
        },
    );
}

#[test]
fn a_fiber_that_was_stopped_takes_no_signal() {
    on_each_engine("signals::a_fiber_that_was_stopped_takes_no_signal", || {
        rounds(10, |_| {
            let stopped = waiter(&BOTH);
            stopped.cancel();
            raise(Signal::USER1);
            assert_eq!(stopped.join().unwrap(), (Ended::Cancelled, None));
            let late = timeout(Duration::ZERO, || {
                assert!(flux::time::sleep(crate::LONG).is_err());
                ended(signal::wait(&BOTH))
            });
            let late = late.expect_err("the time is over").into_inner();
            assert_eq!(late, (Ended::TimedOut, None));
            assert!(kept(Signal::USER1), "it stays for who goes on");
        });
    });
}

#[test]
fn many_fibers_that_wait_for_a_signal_each_get_theirs() {
    on_each_engine(
        "signals::many_fibers_that_wait_for_a_signal_each_get_theirs",
        || {
            /// Signals without a name, which nothing else in this process uses.
            const FIRST: i32 = 40;
            const COUNT: i32 = 20;
            /// A step through all of them that meets each once.
            const STEP: i32 = 7;
            fibers(|| {
                for number in FIRST..FIRST + COUNT {
                    assert!(!kept(Signal::from_raw(number)), "caught from now on");
                }
                let open = descriptors();
                for round in 0..100 {
                    let mut waiting = Vec::new();
                    for turn in 0..COUNT {
                        let signal = Signal::from_raw(FIRST + turn);
                        waiting.push(spawn(move || signal::wait(&[signal])));
                        if (turn + round) % 3 == 0 {
                            yield_now().unwrap();
                        }
                        // Some come before their fiber waits, some while it begins to, most after.
                        raise(Signal::from_raw(FIRST + (turn * STEP + round) % COUNT));
                        if (turn + round) % 5 == 0 {
                            yield_now().unwrap();
                        }
                    }
                    for (fiber, number) in waiting.into_iter().zip(FIRST..) {
                        until("each gets its signal", || fiber.is_finished());
                        let signal = fiber.join().unwrap().unwrap();
                        assert_eq!(signal.as_raw(), number);
                    }
                    expect_nothing_left(open);
                }
            });
        },
    );
}
