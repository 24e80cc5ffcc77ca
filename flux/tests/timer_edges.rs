//! Timers at the edges: closures that use flux while they are dropped, handles that outlive their reactor, periods
//! that nobody keeps up with, and an end that comes in the middle. Each was found by an adversary, and failed once.

#![allow(
    clippy::disallowed_methods,
    reason = "a test of the grace period reads std's clock"
)]
#![allow(unsafe_code, reason = "raises a signal")]

mod common;

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use common::{config, descriptors, engines, fibers, passes_alone, run, settle};
use flux::StackClass;
use flux::signal::{self, Signal};
use flux::time::sleep;
use flux::timer::{self, Timer};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

thread_local! {
    static SEEN: Cell<u64> = const { Cell::new(0) };
    static KEPT: RefCell<Option<Timer>> = const { RefCell::new(None) };
}

// a closure that owns its own handle, and is overwritten while it is dropped

struct SetsTimer;
impl Drop for SetsTimer {
    fn drop(&mut self) {
        let pattern = [0x4141_4141_4141_4141_u64; 8];
        let timer = timer::after(HOUR).callback(move |_| assert!(pattern[0] != 0));
        timer.unwrap().detach();
    }
}
struct Magic(u64);
impl Drop for Magic {
    fn drop(&mut self) {
        SEEN.set(self.0);
    }
}
struct Captured {
    _own: Rc<RefCell<Option<Timer>>>,
    _sets: SetsTimer,
    _magic: Magic,
}

fn own_handle() {
    fibers(|| {
        let own = Rc::new(RefCell::new(None));
        let captured = Captured {
            _own: Rc::clone(&own),
            _sets: SetsTimer,
            _magic: Magic(7),
        };
        let timer = timer::every(MS)
            .callback(move |_| {
                let _captured = &captured;
                ControlFlow::Break(())
            })
            .unwrap();
        *own.borrow_mut() = Some(timer);
        drop(own);
        sleep(5 * MS).unwrap();
        assert_eq!(SEEN.get(), 7, "{:x}", SEEN.get());
    });
}

#[test]
fn a_closure_is_not_overwritten_while_it_is_dropped() {
    passes_alone(
        "a_closure_is_not_overwritten_while_it_is_dropped",
        &[],
        own_handle,
    );
}

// ---- 1b. the same by a destructor that suspends at the end of main

struct Sleeps;
impl Drop for Sleeps {
    fn drop(&mut self) {
        let _slept = sleep(20 * MS);
    }
}
struct Suspending {
    _sleeps: Sleeps,
    _magic: Magic,
}

fn suspended() {
    fibers(|| {
        let suspending = Suspending {
            _sleeps: Sleeps,
            _magic: Magic(7),
        };
        let timer = timer::after(HOUR)
            .callback(move |_| {
                let _captured = &suspending;
            })
            .unwrap();
        drop(flux::spawn(move || {
            let _slept = sleep(5 * MS);
            drop(timer);
            drop(SetsTimer);
        }));
        settle();
    });
    assert_eq!(SEEN.get(), 7, "{:x}", SEEN.get());
}

#[test]
fn a_closure_is_not_overwritten_while_its_destructor_is_suspended() {
    passes_alone(
        "a_closure_is_not_overwritten_while_its_destructor_is_suspended",
        &[],
        suspended,
    );
}

// a deadline that stays behind its fiber

#[test]
fn a_timers_fiber_leaves_no_deadline_to_the_next_fiber_of_its_block() {
    let config = config().stacks(StackClass::Small, 1);
    run(config, || {
        let (release, released) = flux::sync::channel::<()>(1);
        // Holds the one small stack.
        let holder = flux::Builder::new()
            .stack(StackClass::Small)
            .spawn(move || released.recv());
        settle();
        // Cancelled before its time, when there is no stack for it.
        let timer = timer::after(20 * MS).fiber(|_| ()).unwrap();
        drop(timer);
        settle();
        release.send(()).unwrap();
        holder.join().unwrap().unwrap();
        settle();
        // Never given a deadline of its own.
        let later: Vec<_> = (0..3)
            .map(|_| {
                let (later, waited) = flux::sync::channel::<u32>(1);
                (later, flux::spawn(move || waited.recv()))
            })
            .collect();
        sleep(40 * MS).unwrap();
        for (later, fiber) in later {
            let _sent = later.send(1);
            assert_eq!(fiber.join().unwrap(), Ok(1));
        }
    })
    .unwrap();
}

// numbers of timers come again after 64 reactors

fn numbers() {
    config()
        .run(|| KEPT.set(Some(timer::after(HOUR).callback(|_| ()).unwrap())))
        .unwrap();
    for _ in 0..200 {
        config()
            .run(|| {
                let timer = timer::after(HOUR).callback(|_| ()).unwrap();
                let kept = KEPT.take().unwrap();
                assert!(kept.is_finished(), "it fits a timer of another reactor");
                KEPT.set(Some(kept));
                assert!(!timer.is_finished());
            })
            .unwrap();
    }
}

#[test]
fn a_handle_never_fits_a_timer_of_another_reactor() {
    passes_alone(
        "a_handle_never_fits_a_timer_of_another_reactor",
        &[],
        numbers,
    );
}

// a panic in a callback ends the timer, and nothing else

struct TriesToWait;
impl Drop for TriesToWait {
    fn drop(&mut self) {
        let _stopped = flux::yield_now();
    }
}

fn unwinds() {
    fibers(|| {
        let timer = timer::after(Duration::ZERO)
            .callback(|_| {
                let _guard = TriesToWait;
                panic!("on purpose");
            })
            .unwrap();
        sleep(5 * MS).unwrap();
        assert!(timer.is_finished());
    });
}

#[test]
fn a_callback_that_panics_over_a_destructor_that_would_wait_ends_alone() {
    passes_alone(
        "a_callback_that_panics_over_a_destructor_that_would_wait_ends_alone",
        &[],
        unwinds,
    );
}

// a timer's fiber that is always late lets nobody else run

#[test]
fn a_timers_fiber_that_is_always_late_lets_others_run() {
    fibers(|| {
        let others = Rc::new(Cell::new(false));
        let ran = Rc::clone(&others);
        let ticks = Rc::new(Cell::new(0));
        let count = Rc::clone(&ticks);
        let timer = timer::every(Duration::from_nanos(1))
            .fiber(move |_| {
                count.set(count.get() + 1);
                if ran.get() || count.get() == 1_000_000 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap();
        sleep(MS).unwrap();
        others.set(true);
        sleep(MS).unwrap();
        drop(timer);
        assert!(ticks.get() < 1_000_000, "{} ticks in a row", ticks.get());
    });
}

#[test]
fn an_interval_that_is_always_late_lets_others_run() {
    fibers(|| {
        let others = Rc::new(Cell::new(false));
        let ran = Rc::clone(&others);
        let ticking = flux::spawn(move || {
            let mut interval = flux::time::interval(Duration::from_nanos(1));
            let mut ticks = 0;
            while !ran.get() && ticks < 1_000_000 {
                interval.tick().unwrap();
                ticks += 1;
            }
            ticks
        });
        sleep(MS).unwrap();
        others.set(true);
        assert!(ticking.join().unwrap() < 1_000_000);
    });
}

// Waiting for a signal where nobody can.

/// A fiber waits for a signal that comes, while a thread that is no reactor's asks for `asked`.
fn a_thread_asks_for(asked: Signal) {
    fibers(move || {
        let waits = flux::spawn(|| {
            flux::timeout(Duration::from_secs(2), || signal::wait(&[Signal::USER1]))
        });
        settle();
        std::thread::spawn(move || {
            // SAFETY: takes a number; the signal is caught.
            assert_eq!(unsafe { libc::raise(Signal::USER1.as_raw()) }, 0);
            let refused = signal::wait(&[asked]);
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
        })
        .join()
        .unwrap();
        let came = waits.join().unwrap();
        assert!(came.is_ok(), "lost: {came:?}");
    });
}

#[test]
fn a_wait_outside_of_a_fiber_takes_no_wake_up() {
    for engine in engines() {
        passes_alone(
            "a_wait_outside_of_a_fiber_takes_no_wake_up",
            &[("FLUX_ENGINE", engine)],
            || a_thread_asks_for(Signal::USER2),
        );
    }
}

#[test]
fn a_wait_outside_of_a_fiber_takes_no_signal() {
    for engine in engines() {
        passes_alone(
            "a_wait_outside_of_a_fiber_takes_no_signal",
            &[("FLUX_ENGINE", engine)],
            || a_thread_asks_for(Signal::USER1),
        );
    }
}

// timers set while the reactor ends

fn set_late() {
    use flux::timer::TimerSource;
    let before = descriptors();
    for _ in 0..10 {
        run(config(), || {
            drop(flux::spawn(|| {
                let _cancelled = sleep(HOUR);
                let late = timer::after(HOUR).source(TimerSource::Kernel);
                late.callback(|_| ()).unwrap().detach();
            }));
            settle();
        })
        .unwrap();
    }
    assert_eq!(descriptors(), before, "descriptors are left");
}

#[test]
fn a_timer_that_is_set_late_leaves_no_descriptor() {
    passes_alone(
        "a_timer_that_is_set_late_leaves_no_descriptor",
        &[("FLUX_ENGINE", "epoll")],
        set_late,
    );
}

#[test]
fn no_timer_runs_once_the_main_fiber_has_ended() {
    let seen = Rc::new(Cell::new(0));
    let count = Rc::clone(&seen);
    run_local(move || {
        drop(flux::spawn(move || {
            let _cancelled = sleep(HOUR);
            let late = timer::every(MS).callback(move |_| count.set(count.get() + 1));
            late.unwrap().detach();
            let _ = flux::shielded(|| sleep(20 * MS));
        }));
        settle();
    });
    assert_eq!(seen.get(), 0, "\"when the main fiber ends all timers do\"");
}

fn run_local(main: impl FnOnce() + 'static) {
    run(config(), main).unwrap();
}

// `Duration::ZERO` is "in the next turn"

#[test]
fn a_callback_that_sets_itself_anew_for_at_once_is_called_once_a_turn() {
    fn again(count: Rc<Cell<u32>>, source: timer::TimerSource) {
        timer::after(Duration::ZERO)
            .source(source)
            .callback(move |_| {
                count.set(count.get() + 1);
                if count.get() < 5000 {
                    again(count, source);
                }
            })
            .unwrap()
            .detach();
    }
    fibers(|| {
        for source in [timer::TimerSource::Wheel, timer::TimerSource::Kernel] {
            let count = Rc::new(Cell::new(0));
            again(Rc::clone(&count), source);
            flux::yield_now().unwrap();
            flux::yield_now().unwrap();
            assert!(count.get() <= 3, "{} in two turns", count.get());
        }
    });
}

// a destructor that waits at the end keeps grace from starting

struct WaitsForLong;
impl Drop for WaitsForLong {
    fn drop(&mut self) {
        let _slept = sleep(Duration::from_secs(8));
    }
}

#[test]
fn the_grace_period_starts_when_main_ends() {
    let ended = Rc::new(Cell::new(None));
    let begun = std::time::Instant::now();
    let set = Rc::clone(&ended);
    let _ = run(config().grace(100 * MS), move || {
        let waits = WaitsForLong;
        timer::after(HOUR)
            .callback(move |_| {
                let _captured = &waits;
            })
            .unwrap()
            .detach();
        drop(flux::spawn(move || {
            let _cancelled = sleep(HOUR);
            set.set(Some(std::time::Instant::now()));
        }));
        settle();
    });
    let ended = ended.get().unwrap();
    assert!(
        ended - begun < Duration::from_secs(4),
        "{:?}",
        ended - begun
    );
}
