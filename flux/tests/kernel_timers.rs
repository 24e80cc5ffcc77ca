//! Timers that wait by the kernel's clocks: as those of the wheel, and by the wall clock.

#![allow(
    clippy::disallowed_methods,
    reason = "a test of the wall clock reads it"
)]

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use common::{config, descriptors, fibers, passes_alone, run};
use flux::time::{Instant, sleep};
use flux::timer::{self, Timer, TimerSource};
use flux::yield_now;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

fn wait_for(timer: &Timer) {
    while !timer.is_finished() {
        sleep(MS / 4).unwrap();
    }
}

/// Expects that neither the reactor nor the process holds anything of timers that are gone.
fn expect_nothing_left(descriptors_before: usize) {
    // A request that was cancelled has an end of its own.
    while flux::stats().ops_in_flight > 0 || flux::stats().fibers_live > 1 {
        sleep(MS / 4).unwrap();
    }
    let stats = flux::stats();
    assert_eq!(
        (stats.timers_in_use, stats.deadlines, stats.fibers_live),
        (0, 0, 1)
    );
    assert_eq!(descriptors(), descriptors_before);
}

#[test]
fn a_callback_runs_once_and_never_early() {
    // In a process of its own, whose descriptors are counted.
    passes_alone("a_callback_runs_once_and_never_early", &[], || {
        fibers(|| {
            let before = descriptors();
            for time in [Duration::ZERO, MS / 3, 2 * MS] {
                let ran = Rc::new(Cell::new(0));
                let told = Rc::clone(&ran);
                let due = flux::time::now() + time;
                let timer = timer::at(due)
                    .source(TimerSource::Kernel)
                    .callback(move |tick| {
                        assert!(Instant::now() >= due && tick.due == due);
                        told.set(told.get() + 1);
                    })
                    .unwrap();
                wait_for(&timer);
                sleep(MS).unwrap();
                assert_eq!(ran.get(), 1);
            }
            expect_nothing_left(before);
        });
    });
}

#[test]
fn a_periodic_one_does_not_drift_in_either_form() {
    // In a process of its own, whose descriptors are counted.
    passes_alone("a_periodic_one_does_not_drift_in_either_form", &[], || {
        fibers(|| {
            let before = descriptors();
            for fiber in [false, true] {
                let ticks = Rc::new(RefCell::new(Vec::new()));
                let seen = Rc::clone(&ticks);
                let first = Instant::now() + 2 * MS;
                let every = timer::every(2 * MS)
                    .starting(first)
                    .source(TimerSource::Kernel);
                let note = move |tick| seen.borrow_mut().push(tick);
                let timer = if fiber {
                    every.fiber(note).unwrap()
                } else {
                    every.callback(note).unwrap()
                };
                while ticks.borrow().len() < 5 {
                    sleep(MS / 2).unwrap();
                }
                drop(timer);
                let mut due = first;
                for tick in ticks.borrow().iter() {
                    due += 2 * MS * u32::try_from(tick.missed).unwrap();
                    assert_eq!(tick.due, due, "fiber: {fiber}, {tick:?}");
                    due += 2 * MS;
                }
                yield_now().unwrap();
            }
            expect_nothing_left(before);
        });
    });
}

#[test]
fn hundreds_are_cancelled_and_leave_nothing() {
    // In a process of its own, whose descriptors are counted.
    passes_alone("hundreds_are_cancelled_and_leave_nothing", &[], || {
        fibers(|| {
            let before = descriptors();
            for _ in 0..3 {
                let timers: Vec<Timer> = (0..200)
                    .map(|number| {
                        let once = timer::after(HOUR + number * MS).source(TimerSource::Kernel);
                        once.callback(|_| unreachable!()).unwrap()
                    })
                    .collect();
                yield_now().unwrap();
                assert!(flux::stats().ops_in_flight >= 200);
                drop(timers);
                expect_nothing_left(before);
            }
            // One that comes while it is being cancelled.
            for number in 0..200_u32 {
                let time = Duration::from_micros(u64::from(number % 40) * 5);
                let timer = timer::after(time).source(TimerSource::Kernel);
                let timer = timer.callback(|_| ()).unwrap();
                sleep(Duration::from_micros(100)).unwrap();
                drop(timer);
            }
            expect_nothing_left(before);
        });
    });
}

#[test]
fn the_wall_clock_tells_in_both_forms() {
    // In a process of its own, whose descriptors are counted.
    passes_alone("the_wall_clock_tells_in_both_forms", &[], || {
        fibers(|| {
            let before = descriptors();
            for fiber in [false, true] {
                let ran = Rc::new(Cell::new(false));
                let told = Rc::clone(&ran);
                let open = SystemTime::now() + 3 * MS;
                let once = timer::at_wall(open).source(TimerSource::Wheel);
                let ring = move |_| {
                    assert!(SystemTime::now() >= open, "early");
                    told.set(true);
                };
                let timer = if fiber {
                    once.fiber(ring).unwrap()
                } else {
                    once.callback(ring).unwrap()
                };
                wait_for(&timer);
                assert!(ran.get());
            }
            let ran = Rc::new(Cell::new(false));
            let told = Rc::clone(&ran);
            let long_ago = SystemTime::UNIX_EPOCH - HOUR;
            let timer = timer::at_wall(long_ago)
                .callback(move |_| told.set(true))
                .unwrap();
            wait_for(&timer);
            assert!(ran.get());
            drop(timer);
            expect_nothing_left(before);
        });
    });
}

#[test]
fn the_reactor_ends_with_timers_still_set() {
    passes_alone("the_reactor_ends_with_timers_still_set", &[], || {
        let before = descriptors();
        for _ in 0..3 {
            run(config(), || {
                for _ in 0..20 {
                    let once = timer::after(HOUR).source(TimerSource::Kernel);
                    once.callback(|_| ()).unwrap().detach();
                    let once = timer::after(HOUR).source(TimerSource::Kernel);
                    once.fiber(|_| ()).unwrap().detach();
                }
                sleep(MS).unwrap();
            })
            .unwrap();
        }
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_timer_that_the_kernel_refuses_is_kept_by_the_wheel() {
    passes_alone(
        "a_timer_that_the_kernel_refuses_is_kept_by_the_wheel",
        &[("FLUX_ENGINE", "epoll")],
        || {
            fibers(|| {
                // All descriptors that the process may have; each timer would want one.
                let mut taken = Vec::new();
                while let Ok(file) = std::fs::File::open("/dev/null") {
                    taken.push(file);
                }
                let ran = Rc::new(Cell::new(0));
                let count = |ran: &Rc<Cell<u32>>| {
                    let ran = Rc::clone(ran);
                    move |_| ran.set(ran.get() + 1)
                };
                let soon = SystemTime::now() + 2 * MS;
                let timers = [
                    timer::after(MS)
                        .source(TimerSource::Kernel)
                        .callback(count(&ran))
                        .unwrap(),
                    timer::after(MS)
                        .source(TimerSource::Kernel)
                        .fiber(count(&ran))
                        .unwrap(),
                    timer::at_wall(soon).callback(count(&ran)).unwrap(),
                    timer::at_wall(soon).fiber(count(&ran)).unwrap(),
                ];
                for timer in &timers {
                    wait_for(timer);
                }
                assert_eq!(ran.get(), 4);
                assert!(SystemTime::now() >= soon);
            });
        },
    );
}
