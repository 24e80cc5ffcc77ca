//! Timers of both kinds: when they run, how often, how they end, and what they may not do.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use common::{config, fibers, pair, passes_alone, run};
use flux::time::{Instant, interval, interval_at, sleep};
use flux::timer::{self, Tick, Timer};
use flux::{Stopped, spawn, timeout, yield_now};

const MS: Duration = Duration::from_millis(1);

/// A count that a closure and its test share.
fn counter() -> (Rc<Cell<u32>>, Rc<Cell<u32>>) {
    let count = Rc::new(Cell::new(0));
    (Rc::clone(&count), count)
}

fn add(count: &Cell<u32>) {
    count.set(count.get() + 1);
}

#[test]
fn a_callback_runs_once_and_never_early() {
    fibers(|| {
        for time in [Duration::ZERO, Duration::from_nanos(1), MS / 3, 2 * MS] {
            let (count, seen) = counter();
            let due = flux::time::now() + time;
            let timer = timer::after(time)
                .callback(move |tick: Tick| {
                    assert!(Instant::now() >= due);
                    assert_eq!((tick.due, tick.missed), (due, 0));
                    add(&count);
                })
                .unwrap();
            assert!(!timer.is_finished(), "it runs on the loop, not here");
            while seen.get() == 0 {
                yield_now().unwrap();
            }
            sleep(MS).unwrap();
            assert!(timer.is_finished());
            assert_eq!(seen.get(), 1);
        }
        assert_eq!(
            (flux::stats().timers_in_use, flux::stats().deadlines),
            (0, 0)
        );
    });
}

#[test]
fn a_moment_that_has_passed_is_due_in_the_next_turn() {
    fibers(|| {
        let (count, seen) = counter();
        let long_ago = Instant::from_monotonic_nanos(1);
        let _timer = timer::at(long_ago).callback(move |_| add(&count)).unwrap();
        assert_eq!(seen.get(), 0);
        yield_now().unwrap();
        assert_eq!(seen.get(), 1);
        let ran = Rc::new(Cell::new(false));
        let told = Rc::clone(&ran);
        let _timer = timer::at(long_ago).fiber(move |_| told.set(true)).unwrap();
        yield_now().unwrap();
        yield_now().unwrap();
        assert!(ran.get());
    });
}

#[test]
fn times_of_for_ever_can_be_set_and_taken_back() {
    fibers(|| {
        let for_ever = [Duration::MAX, Duration::from_secs(u64::MAX / 2)];
        let timers: Vec<Timer> = for_ever
            .into_iter()
            .flat_map(|time| {
                [
                    timer::after(time).callback(|_| unreachable!()).unwrap(),
                    timer::every(time)
                        .callback(|_| -> () { unreachable!() })
                        .unwrap(),
                    timer::after(time).fiber(|_| unreachable!()).unwrap(),
                ]
            })
            .collect();
        sleep(MS).unwrap();
        assert_eq!(flux::stats().timers_in_use, 4);
        drop(timers);
        yield_now().unwrap();
        assert_eq!(
            (flux::stats().timers_in_use, flux::stats().deadlines),
            (0, 0)
        );
        assert_eq!(flux::stats().fibers_live, 1);
    });
}

#[test]
fn a_periodic_callback_does_not_drift_and_counts_what_it_missed() {
    fibers(|| {
        let ticks = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&ticks);
        let first = Instant::now() + 2 * MS;
        let timer = timer::every(2 * MS)
            .starting(first)
            .callback(move |tick| {
                seen.borrow_mut().push(tick);
                if seen.borrow().len() == 3 {
                    // Late on purpose: several periods pass by.
                    let until = Instant::now() + 9 * MS;
                    while Instant::now() < until {}
                }
            })
            .unwrap();
        while ticks.borrow().len() < 6 {
            sleep(MS / 2).unwrap();
        }
        timer.cancel();
        let mut due = first;
        for (number, tick) in ticks.borrow().iter().enumerate() {
            let missed = u32::try_from(tick.missed).unwrap();
            due += 2 * MS * missed;
            assert_eq!(tick.due, due, "tick {number}: {tick:?}");
            due += 2 * MS;
        }
        assert!(ticks.borrow()[3].missed >= 3, "{:?}", ticks.borrow());
    });
}

#[test]
fn a_periodic_timer_ends_when_it_says_so_or_is_dropped() {
    fibers(|| {
        let (count, seen) = counter();
        let ends = timer::every(MS / 4)
            .callback(move |_| {
                add(&count);
                if count.get() == 3 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap();
        let (fiber_count, fiber_seen) = counter();
        let fiber_ends = timer::every(MS / 4)
            .fiber(move |_| {
                sleep(MS / 8).unwrap();
                add(&fiber_count);
                if fiber_count.get() == 3 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap();
        while !(ends.is_finished() && fiber_ends.is_finished()) {
            sleep(MS / 4).unwrap();
        }
        assert_eq!((seen.get(), fiber_seen.get()), (3, 3));
        drop((ends, fiber_ends));
        let (count, seen) = counter();
        let (again, again_seen) = counter();
        let one = timer::every(MS / 4).callback(move |_| add(&count)).unwrap();
        let other = timer::every(MS / 4).fiber(move |_| add(&again)).unwrap();
        while seen.get() < 2 || again_seen.get() < 2 {
            sleep(MS / 4).unwrap();
        }
        drop((one, other));
        let before = (seen.get(), again_seen.get());
        sleep(2 * MS).unwrap();
        assert_eq!((seen.get(), again_seen.get()), before);
        assert_eq!(
            (flux::stats().timers_in_use, flux::stats().fibers_live),
            (0, 1)
        );
    });
}

#[test]
fn a_detached_timer_goes_on_and_ends_with_the_main_fiber() {
    let (count, seen) = counter();
    let (fiber_count, fiber_seen) = counter();
    let dropped = Rc::new(());
    let kept = Rc::clone(&dropped);
    run(config(), move || {
        timer::every(MS / 4)
            .callback(move |_| {
                assert_eq!(Rc::strong_count(&kept), 2);
                add(&count);
            })
            .unwrap()
            .detach();
        timer::every(MS / 4)
            .fiber(move |_| add(&fiber_count))
            .unwrap()
            .detach();
        while count_of(&seen) < 2 || count_of(&fiber_seen) < 2 {
            sleep(MS / 4).unwrap();
        }
    })
    .unwrap();
    assert_eq!(Rc::strong_count(&dropped), 1, "its closure was dropped");
}

fn count_of(count: &Cell<u32>) -> u32 {
    count.get()
}

#[test]
fn a_callback_may_do_all_that_does_not_wait() {
    fibers(|| {
        let (client, mut server) = pair();
        let (sender, receiver) = flux::sync::channel::<u32>(4);
        let spawned = Rc::new(Cell::new(0));
        let told = Rc::clone(&spawned);
        let asleep = spawn(|| sleep(Duration::from_hours(1)));
        let _timer = timer::after(MS / 4)
            .callback(Box::new(move |_: Tick| {
                sender.try_send(7).unwrap();
                drop(flux::spawn(move || told.set(told.get() + 1)));
                timer::after(Duration::ZERO)
                    .callback(|_| ())
                    .unwrap()
                    .detach();
                asleep.cancel();
                // Room is there, so that nothing has to wait.
                (&client).write_all(b"ping").unwrap();
                assert!(flux::stats().timers_in_use >= 1);
            }))
            .unwrap();
        assert_eq!(receiver.recv().unwrap(), 7);
        let mut ping = [0; 4];
        server.read_exact(&mut ping).unwrap();
        assert_eq!(&ping, b"ping");
        yield_now().unwrap();
        assert_eq!(spawned.get(), 1);
        assert_eq!(flux::stats().timers_panicked, 0);
    });
}

#[test]
fn a_callback_that_would_wait_panics_with_the_place_where_it_was_made() {
    let test = "a_callback_that_would_wait_panics_with_the_place_where_it_was_made";
    let output = common::alone(test, &[], || {
        fibers(|| {
            let attempts: [fn(); 6] = [
                || _ = sleep(MS),
                || _ = yield_now(),
                || drop(spawn(|| ()).join()),
                || drop(pair()),
                || _ = flux::sync::channel::<u8>(1).1.recv(),
                || flux::scope(|s| drop(s.spawn(|| ()))),
            ];
            for (number, attempt) in attempts.into_iter().enumerate() {
                let timer = timer::after(MS / 4).callback(move |_| attempt()).unwrap();
                while !timer.is_finished() {
                    sleep(MS / 4).unwrap();
                }
                assert_eq!(flux::stats().timers_panicked, number as u64 + 1);
            }
            // All else goes on.
            sleep(MS).unwrap();
        });
    });
    if let Some(output) = output {
        let said = common::text(&output);
        assert!(output.status.success(), "{said}");
        let sentences = said.matches("the callback of the timer made at ").count();
        assert!(sentences >= 4, "{said}");
        assert!(said.contains("tests/timers.rs:"), "{said}");
        assert!(said.contains("`.fiber(..)`"), "{said}");
    }
}

#[test]
fn when_all_places_are_taken_the_closure_comes_back() {
    run(config().timers(2), || {
        let one = timer::after(MS).callback(|_| ()).unwrap();
        let _two = timer::after(MS).callback(|_| ()).unwrap();
        let (count, seen) = counter();
        let full = timer::after(MS).callback(move |_| add(&count)).unwrap_err();
        assert_eq!(
            full.to_string(),
            "cannot set a timer: all 2 callback timers are in use; raise `timers` in `#[flux::main]`, or drop some"
        );
        drop(one);
        let timer = timer::after(MS).callback(full.into_inner()).unwrap();
        while !timer.is_finished() {
            sleep(MS / 4).unwrap();
        }
        assert_eq!(seen.get(), 1);
    })
    .unwrap();
    run(config().fibers(2), || {
        let _one = timer::after(MS).fiber(|_| ()).unwrap();
        let full = timer::after(MS).fiber(|_| ()).unwrap_err();
        assert!(full.to_string().contains("raise `fibers`"), "{full}");
    })
    .unwrap();
    run(config().timers(0), || {
        assert!(timer::after(MS).callback(|_| ()).is_err());
    })
    .unwrap();
}

#[test]
fn a_timer_may_end_itself_and_others_from_within() {
    fibers(|| {
        // Its own handle, from its closure.
        let own = Rc::new(RefCell::new(None::<Timer>));
        let (count, seen) = counter();
        let mine = Rc::clone(&own);
        let timer = timer::every(MS / 4)
            .callback(move |_| {
                add(&count);
                mine.borrow_mut().take();
            })
            .unwrap();
        own.borrow_mut().replace(timer);
        sleep(2 * MS).unwrap();
        assert_eq!(seen.get(), 1);
        // One whose closure owns the handle of another, which goes with it.
        let (count, seen) = counter();
        let inner = timer::every(MS / 4).callback(move |_| add(&count)).unwrap();
        let outer = timer::after(MS).callback(move |_| drop(inner)).unwrap();
        while !outer.is_finished() {
            sleep(MS / 4).unwrap();
        }
        let before = seen.get();
        sleep(2 * MS).unwrap();
        assert_eq!(seen.get(), before);
        drop(outer);
        assert_eq!(
            (flux::stats().timers_in_use, flux::stats().deadlines),
            (0, 0)
        );
    });
}

#[test]
fn a_closure_that_is_never_called_is_dropped_once() {
    struct Count(Rc<Cell<u32>>);
    impl Drop for Count {
        fn drop(&mut self) {
            add(&self.0);
        }
    }
    let (count, seen) = counter();
    run(config(), move || {
        for kind in 0..6 {
            let mark = Count(Rc::clone(&count));
            let long = Duration::from_hours(1);
            let timer = match kind {
                0 => timer::after(long).callback(move |_| drop(mark)).unwrap(),
                1 => timer::every(long).callback(move |_| _ = &mark).unwrap(),
                2 => timer::after(Duration::ZERO)
                    .callback(move |_| drop(mark))
                    .unwrap(),
                3 => timer::after(long).fiber(move |_| drop(mark)).unwrap(),
                4 => timer::every(long).fiber(move |_| _ = &mark).unwrap(),
                _ => timer::every(MS / 4).callback(move |_| _ = &mark).unwrap(),
            };
            if kind == 2 {
                yield_now().unwrap();
            }
            if kind == 5 {
                // Ended by the end of the main fiber.
                timer.detach();
            } else {
                drop(timer);
                yield_now().unwrap();
                assert_eq!(count.get(), kind + 1);
            }
        }
    })
    .unwrap();
    assert_eq!(seen.get(), 6);
}

#[test]
fn a_destructor_that_panics_is_heard_by_who_drops_the_timer_and_harms_no_other() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "bomb");
        }
    }
    fibers(|| {
        for _ in 0..3 {
            let bomb = Bomb;
            let timer = timer::after(Duration::from_hours(1)).callback(move |_| drop(bomb));
            let timer = timer.unwrap();
            let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(timer)));
            assert!(dropped.is_err());
            let stats = flux::stats();
            assert_eq!((stats.timers_in_use, stats.deadlines), (0, 0));
        }
        // On the loop nobody hears it.
        let bomb = Bomb;
        timer::after(MS)
            .callback(move |_| _ = &bomb)
            .unwrap()
            .detach();
        let (count, seen) = counter();
        let other = timer::after(2 * MS).callback(move |_| add(&count)).unwrap();
        while !other.is_finished() {
            sleep(MS).unwrap();
        }
        assert_eq!(seen.get(), 1);
    });
}

#[test]
fn thousands_of_timers_of_one_moment_all_run_and_others_get_their_turn_between() {
    const COUNT: u32 = 20_000;
    run(config().timers(COUNT as usize), || {
        let (count, seen) = counter();
        let moment = Instant::now() + 5 * MS;
        for _ in 0..COUNT {
            let count = Rc::clone(&count);
            timer::at(moment)
                .callback(move |_| add(&count))
                .unwrap()
                .detach();
        }
        let turns_before = flux::stats().turns;
        let mut looks_between = 0;
        while seen.get() < COUNT {
            yield_now().unwrap();
            looks_between += u32::from(seen.get() > 0 && seen.get() < COUNT);
        }
        assert!(flux::stats().turns > turns_before);
        assert!(
            looks_between >= COUNT / 1024,
            "{looks_between}: a turn did it all"
        );
        assert_eq!(flux::stats().timers_high_water, COUNT as usize);
        assert_eq!(flux::stats().timers_in_use, 0);
    })
    .unwrap();
}

#[test]
fn a_timers_fiber_is_cancelled_in_the_middle_of_its_work() {
    fibers(|| {
        let heard = Rc::new(Cell::new(None));
        let told = Rc::clone(&heard);
        let timer = timer::after(Duration::ZERO)
            .fiber(move |_| told.set(Some(sleep(Duration::from_hours(1)))))
            .unwrap();
        sleep(MS).unwrap();
        drop(timer);
        yield_now().unwrap();
        assert_eq!(heard.get(), Some(Err(Stopped::Cancelled)));
        // One that waits for its time has no stack.
        let before = flux::stats().stacks[0].in_use;
        let waits = timer::after(Duration::from_hours(1)).fiber(|_| ()).unwrap();
        yield_now().unwrap();
        assert_eq!(flux::stats().stacks[0].in_use, before);
        assert!(!waits.is_finished());
        drop(waits);
        yield_now().unwrap();
        assert_eq!(flux::stats().fibers_in_use, 1);
    });
}

#[test]
fn an_interval_keeps_to_its_moments_however_late_it_is_asked() {
    fibers(|| {
        let first = Instant::now() + MS;
        let mut moments = interval_at(first, 2 * MS);
        let mut due = first;
        for round in 0..6 {
            let moment = moments.tick().unwrap();
            assert!(Instant::now() >= moment.due);
            due += 2 * MS * u32::try_from(moment.missed).unwrap();
            assert_eq!(moment.due, due, "round {round}");
            due += 2 * MS;
            if round == 2 {
                sleep(7 * MS).unwrap();
            }
            if round == 3 {
                assert!(moment.missed >= 2, "{moment:?}");
            }
        }
        // A wait that ends early loses nothing.
        let mut slow = interval(Duration::from_hours(1));
        let begun = slow.tick().unwrap().due;
        assert!(timeout(MS, || slow.tick()).is_err());
        slow.reset();
        assert!(slow.period() == Duration::from_hours(1) && Instant::now() >= begun);
    });
}

#[test]
fn a_period_of_zero_is_refused() {
    fibers(|| {
        for attempt in [
            (|| drop(timer::every(Duration::ZERO).callback(|_| ()))) as fn(),
            || _ = interval(Duration::ZERO),
        ] {
            let panic = std::panic::catch_unwind(attempt).unwrap_err();
            let sentence = panic.downcast_ref::<&str>().unwrap();
            assert!(sentence.starts_with("a period of zero"), "{sentence}");
        }
    });
}

#[test]
fn shutting_down_from_a_callback_ends_everything() {
    passes_alone("shutting_down_from_a_callback_ends_everything", &[], || {
        let ended = run(config().grace(Duration::from_secs(30)), || {
            drop(spawn(|| sleep(Duration::from_hours(1))));
            timer::after(MS)
                .callback(|_| flux::shutdown())
                .unwrap()
                .detach();
            timer::every(MS / 4).callback(|_| ()).unwrap().detach();
            sleep(Duration::from_hours(1))
        });
        assert_eq!(ended.unwrap(), Err(Stopped::Cancelled));
    });
}
