//! Completions that come from another thread, while this one cancels, or waits in the kernel for a deadline: who is
//! first is decided there, within microseconds around the same moment.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use flux::signal::{self, Signal};
use flux::time::Instant;

use crate::common::{descriptors, fibers, settle};
use crate::contests::{Completer, KINDS, Maker};
use crate::race::{Race, Stop, Tally, expect_nothing_left};
use crate::{PATIENCE, WITH_OWN, catch, on_each_engine, spin_until, until};

/// A thread that completes what it is given, at the moment that it is told.
struct Other {
    jobs: mpsc::Sender<(Instant, Completer, Arc<AtomicBool>)>,
}

impl Other {
    fn start() -> Self {
        let (jobs, given) = mpsc::channel::<(Instant, Completer, Arc<AtomicBool>)>();
        thread::spawn(move || {
            for (at, complete, done) in given {
                spin_until(at);
                // What it holds is gone when this returns.
                complete();
                done.store(true, Ordering::Release);
            }
        });
        Self { jobs }
    }

    /// Has `complete` called at `at`; answers whether it was.
    fn give(&self, at: Instant, complete: Completer) -> Arc<AtomicBool> {
        let done = Arc::new(AtomicBool::new(false));
        self.jobs.send((at, complete, Arc::clone(&done))).unwrap();
        done
    }
}

/// How the reactor's thread comes to the moment at which it stops the fiber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Computing: the completion is seen by nobody before.
    Spinning,
    /// Turning.
    Turning,
    /// In the kernel, for a deadline.
    Waiting,
}

const ROUNDS: u32 = 100;
/// The completion comes from so long before to so long after.
const SWEEP: Duration = Duration::from_micros(80);
/// What it takes to begin, at the most, mostly.
const LEAD: Duration = Duration::from_micros(150);

fn sweep(other: &Other, maker: Maker, stop: Stop, way: Way) -> Tally {
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let open = descriptors();
        let contest = maker();
        let complete = contest.completer().expect("another thread can");
        let end = Instant::now() + LEAD;
        let race = Race::begin(contest, stop, LEAD);
        settle();
        let at = end - SWEEP + 2 * SWEEP * round / ROUNDS;
        let done = other.give(at, complete);
        match way {
            Way::Spinning => spin_until(end),
            Way::Turning => until("time passes", || Instant::now() > end),
            Way::Waiting => {
                flux::time::sleep_until(end + 2 * SWEEP).unwrap();
            }
        }
        race.cancel();
        until("the other thread has been", || done.load(Ordering::Acquire));
        tally.count(race.settle_up());
        expect_nothing_left(open);
    }
    tally
}

#[test]
fn completions_from_another_thread_that_meet_a_stop() {
    on_each_engine(
        "parallel::completions_from_another_thread_that_meet_a_stop",
        || {
            catch();
            fibers(|| {
                let other = Other::start();
                let ways = [
                    (Stop::Cancel, Way::Spinning),
                    (Stop::Cancel, Way::Turning),
                    (Stop::Timeout, Way::Waiting),
                    (Stop::InnerThenOuter, Way::Waiting),
                    (Stop::OuterThenInner, Way::Spinning),
                    (Stop::Own, Way::Waiting),
                    (Stop::TimeoutThenCancel, Way::Turning),
                    (Stop::Shielded, Way::Turning),
                ];
                for (stop, way) in ways {
                    for (name, maker) in &KINDS[..5] {
                        if stop.is_own() && !WITH_OWN.contains(name) {
                            continue;
                        }
                        let tally = sweep(&other, *maker, stop, way);
                        eprintln!("  {name}, {stop:?}, {way:?}: {tally}");
                        // A cancel in the very turn of the completion comes first, whoever is asked.
                        let both = tally.done > 0 && tally.cancelled + tally.late > 0;
                        if !both && stop.ends_the_op() && way != Way::Spinning {
                            eprintln!("  ONE-SIDED: {name}, {stop:?}, {way:?}");
                        }
                    }
                }
            });
        },
    );
}

#[test]
fn a_signal_that_comes_as_its_fiber_looks_for_it() {
    on_each_engine(
        "parallel::a_signal_that_comes_as_its_fiber_looks_for_it",
        || {
            const SIGNALS: usize = 20_000;
            catch();
            let taken = Arc::new(AtomicUsize::new(0));
            let seen = Arc::clone(&taken);
            let raiser = thread::spawn(move || {
                for number in 0..SIGNALS {
                    // The last one is taken, and its fiber is on its way to wait for the next.
                    while seen.load(Ordering::Acquire) < number {
                        std::hint::spin_loop();
                    }
                    spin_until(Instant::now() + Duration::from_nanos(number as u64 % 64 * 50));
                    crate::raise(Signal::USER1);
                }
            });
            fibers(move || {
                let open = descriptors();
                for number in 1..=SIGNALS {
                    let came = flux::timeout(PATIENCE, || signal::wait(&[Signal::USER1]));
                    came.expect("a signal is not lost").unwrap();
                    taken.store(number, Ordering::Release);
                }
                until("the other thread has ended", || raiser.is_finished());
                expect_nothing_left(open);
                raiser.join().unwrap();
            });
        },
    );
}
