//! Time: sleeps, deadlines, the clock; never early, and in order.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use flux::time::{Instant, cycles, now, now_precise, sleep, sleep_until};
use flux::{Stopped, spawn, timeout};

use super::{LONG, SHORT, config, fibers, run};

#[test]
fn sleeps_end_in_the_order_of_their_moments_and_never_early() {
    fibers(|| {
        let start = Instant::now();
        let order = Rc::new(RefCell::new(Vec::new()));
        // Set in the order in which they do not end; a late turn finds several due.
        let fibers: Vec<_> = (1..=20_u32)
            .rev()
            .map(|number| {
                let order = Rc::clone(&order);
                spawn(move || {
                    let moment = start + 2 * SHORT * number / 5;
                    sleep_until(moment).unwrap();
                    assert!(now_precise() >= moment, "{number} is early");
                    order.borrow_mut().push(number);
                })
            })
            .collect();
        for fiber in fibers {
            fiber.join().unwrap();
        }
        assert_eq!(*order.borrow(), (1..=20).collect::<Vec<_>>());
    });
}

#[test]
fn a_short_sleep_is_not_shorter_than_it_says() {
    fibers(|| {
        for micros in [0, 1, 10, 50, 100, 500, 1000, 2500] {
            let time = Duration::from_micros(micros);
            let start = std_now();
            sleep(time).unwrap();
            let took = std_now() - start;
            // Two clocks that are one to within the error of comparing them.
            assert!(
                took + Duration::from_micros(2) >= time,
                "{took:?} of {time:?}"
            );
        }
    });
}

#[allow(clippy::disallowed_methods, reason = "a clock that is not flux's own")]
fn std_now() -> std::time::Instant {
    std::time::Instant::now()
}

#[test]
fn a_wake_up_from_another_thread_ends_no_sleep_early() {
    fibers(|| {
        let reactor = std::thread::current();
        let remote = std::thread::spawn(move || {
            for _ in 0..200 {
                reactor.unpark();
                std::thread::yield_now();
            }
        });
        let moment = Instant::now() + 10 * SHORT;
        sleep_until(moment).unwrap();
        assert!(now_precise() >= moment);
        remote.join().unwrap();
    });
}

#[test]
fn every_way_to_idle_ends_a_sleep() {
    for idle in [
        flux::Idle::Block,
        flux::Idle::Spin,
        flux::Idle::SpinThenBlock(Duration::from_micros(50)),
    ] {
        let slept = run(config().idle(idle), || {
            let moment = Instant::now() + SHORT;
            sleep(SHORT).is_ok() && now_precise() >= moment
        });
        assert!(slept.unwrap(), "{idle:?}");
    }
}

#[test]
fn the_nearest_of_two_deadlines_wins_and_each_knows_its_own() {
    fibers(|| {
        let start = Instant::now();
        let inner = timeout(LONG, || timeout(SHORT, || sleep(LONG)));
        let elapsed = inner.expect("the outer one had time").unwrap_err();
        assert_eq!(elapsed.into_inner(), Err(Stopped::TimedOut));
        assert!(start.elapsed() >= SHORT);
        let outer = timeout(SHORT, || timeout(LONG, || sleep(LONG)));
        let inside = outer.unwrap_err().into_inner();
        assert_eq!(inside.unwrap(), Err(Stopped::TimedOut));
        assert!(start.elapsed() >= 2 * SHORT);
        assert_eq!(timeout(LONG, || 7).unwrap(), 7);
        assert_eq!(flux::stats().deadlines, 0);
    });
}

#[test]
fn the_clock_of_the_loop_stands_still_in_a_turn_and_never_goes_back() {
    fibers(|| {
        let turn = now();
        let mut last = now_precise();
        assert!(last >= turn);
        for _ in 0..10_000 {
            let next = now_precise();
            assert!(next >= last);
            last = next;
        }
        assert_eq!(now(), turn, "nothing has suspended");
        let counts = cycles();
        sleep(SHORT).unwrap();
        assert!(now() >= turn + SHORT);
        assert_ne!(cycles(), counts);
        assert!(["tsc", "cntvct_el0", "monotonic"].contains(&flux::stats().clock));
        // One scale, whatever reads it: to within what comparing them costs on a slow machine.
        let other = std::thread::spawn(Instant::now).join().unwrap();
        assert!(other + Duration::from_millis(1) >= last);
        assert_eq!(Instant::from_std(last.into_std()), last);
    });
}
