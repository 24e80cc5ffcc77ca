//! Spawning, joining, scopes, panics, limits: what a fiber may do with fibers.

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use common::{config, fibers, run};
use flux::{Builder, Fiber, JoinError, RunError, StackClass, Stopped, spawn, try_spawn, yield_now};

#[test]
fn a_spawned_fiber_runs_when_its_parent_suspends_and_not_before() {
    fibers(|| {
        let trace = Rc::new(RefCell::new(Vec::new()));
        let child = {
            let trace = Rc::clone(&trace);
            spawn(move || trace.borrow_mut().push("child"))
        };
        trace.borrow_mut().push("parent");
        child.join().unwrap();
        assert_eq!(*trace.borrow(), ["parent", "child"]);
    });
}

#[test]
fn fibers_that_yield_take_turns() {
    fibers(|| {
        let trace = RefCell::new(String::new());
        flux::scope(|s| {
            for name in ['a', 'b', 'c'] {
                let trace = &trace;
                s.spawn(move || {
                    for _ in 0..3 {
                        trace.borrow_mut().push(name);
                        yield_now().unwrap();
                    }
                });
            }
        });
        assert_eq!(*trace.borrow(), "abcabcabc");
    });
}

#[test]
fn results_of_every_size_up_to_the_slot_come_back() {
    fibers(|| {
        spawn(|| ()).join().unwrap();
        assert_eq!(spawn(|| [9_u8; 128]).join().unwrap(), [9; 128]);
        let text = spawn(|| String::from("61659.70")).join().unwrap();
        assert_eq!(text, "61659.70");
        let large = [7_u64; 16];
        assert_eq!(
            spawn(move || large.iter().sum::<u64>()).join().unwrap(),
            112
        );
    });
}

/// Adds one when dropped.
#[derive(Clone)]
struct Counted(Rc<Cell<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn closures_and_results_are_dropped_once_whoever_takes_them() {
    fibers(|| {
        let drops = Rc::new(Cell::new(0));
        let counted = || Counted(Rc::clone(&drops));
        // Joined: the caller drops it.
        let value = counted();
        drop(spawn(move || value).join());
        assert_eq!(drops.take(), 1);
        // Detached before its end: its own fiber does.
        let value = counted();
        drop(spawn(move || value));
        yield_now().unwrap();
        assert_eq!(drops.take(), 1);
        // Detached after its end: the handle does.
        let value = counted();
        let handle = spawn(move || value);
        yield_now().unwrap();
        assert_eq!(drops.get(), 0);
        assert!(handle.is_finished());
        drop(handle);
        assert_eq!(drops.take(), 1);
        assert_eq!(flux::stats().fibers_in_use, 1);
    });
}

#[test]
fn a_panic_ends_its_fiber_alone_and_join_hands_it_on() {
    fibers(|| {
        let bystander = spawn(|| {
            yield_now().unwrap();
            "fine"
        });
        let panicking = spawn(|| panic!("no quotes"));
        let error = panicking.join().unwrap_err();
        assert_eq!(error.panic_message(), Some("no quotes"));
        assert_eq!(bystander.join().unwrap(), "fine");
        drop(spawn(|| panic!("nobody hears this")));
        yield_now().unwrap();
        assert_eq!(flux::stats().fibers_in_use, 1);
    });
}

#[test]
fn a_panic_of_the_main_fiber_is_the_panic_of_run() {
    let payload = catch_unwind(|| run(config(), || panic!("main is gone"))).unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"main is gone"));
    fibers(|| ());
}

#[test]
fn a_destructor_that_panics_harms_nobody_else() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("bad destructor");
        }
    }
    fibers(|| {
        drop(spawn(|| Bad));
        yield_now().unwrap();
        let handle = spawn(|| Bad);
        yield_now().unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(handle))).is_err());
        assert_eq!(flux::stats().fibers_in_use, 1);
    });
}

#[test]
fn names_and_classes_are_those_asked_for() {
    #[flux::fiber(stack = "small")]
    fn quoter(price: u64) -> u64 {
        price + 1
    }
    fibers(|| {
        assert_eq!(quoter(1).name(), "quoter");
        assert_eq!(quoter(1).class(), StackClass::Small);
        let handle = spawn(quoter(41));
        assert_eq!(handle.name(), "quoter");
        yield_now().unwrap();
        assert_eq!(handle.join().unwrap(), 42);
        let high = flux::stats().stacks.map(|stacks| stacks.high_water);
        assert_eq!(high, [1, 0, 1]);
        let handle = Builder::new()
            .name("x")
            .stack(StackClass::Large)
            .spawn(|| ());
        assert_eq!(handle.name(), "x");
        handle.join().unwrap();
        assert_eq!(flux::stats().stacks[2].high_water, 2);
    });
}

#[test]
fn a_full_arena_gives_the_fiber_back_and_spawn_waits() {
    run(config().fibers(2), || {
        let first = spawn(yield_now);
        let full = try_spawn(|| "unstarted").unwrap_err();
        assert!(full.to_string().contains("all 2 control blocks are in use"));
        assert_eq!(full.into_inner()(), "unstarted");
        let full = try_spawn(Fiber::new(StackClass::Small, "quoter", || 7)).unwrap_err();
        assert!(full.to_string().contains("`quoter`"));
        assert_eq!(full.into_inner().name(), "quoter");
        drop(first);
        // Nothing is free until the first, detached now, has ended: this suspends.
        assert_eq!(spawn(|| 3).join().unwrap(), 3);
        assert!(try_spawn(|| ()).is_ok());
    })
    .unwrap();
}

#[test]
fn spawns_that_wait_for_a_block_get_one_in_their_order() {
    run(config().fibers(5), || {
        let order = RefCell::new(Vec::new());
        flux::scope(|s| {
            for number in 0..3 {
                let order = &order;
                s.spawn(move || {
                    let child = spawn(yield_now);
                    order.borrow_mut().push(number);
                    child.join().unwrap().unwrap();
                });
            }
        });
        assert_eq!(*order.borrow(), [0, 1, 2]);
    })
    .unwrap();
}

#[test]
fn fibers_wait_for_a_stack_in_their_order() {
    run(config().stacks(StackClass::Small, 1), || {
        let order = RefCell::new(Vec::new());
        flux::scope(|s| {
            for number in 0..5 {
                let order = &order;
                s.spawn_fiber(Fiber::new(StackClass::Small, "waits", move || {
                    yield_now().unwrap();
                    order.borrow_mut().push(number);
                }));
            }
            yield_now().unwrap();
            let small = flux::stats().stacks[0];
            assert_eq!((small.in_use, small.waiting), (1, 4));
        });
        assert_eq!(*order.borrow(), [0, 1, 2, 3, 4]);
    })
    .unwrap();
}

#[test]
fn a_deadlock_is_an_error_that_names_who_waits_for_what() {
    let config = config().stacks(StackClass::Medium, 1);
    let error = run(config, || {
        Builder::new()
            .name("parent")
            .spawn(|| {
                let child = Builder::new().name("child").spawn(|| ());
                // The only medium stack is this fiber's own.
                child.join().map_err(|_| ())
            })
            .join()
            .map_err(|_| ())
    })
    .unwrap_err();
    let RunError::Deadlock(report) = error else {
        panic!("{error}");
    };
    for part in [
        "medium: 1 of 1 stacks in use, 1 fibers wait for one",
        "fiber `parent`",
        "fiber `child`",
        "fiber `main`",
        "waits for another fiber, in `join`",
        "tests/fibers.rs",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    fibers(|| ());
}

#[test]
fn a_channel_that_nobody_sends_into_is_a_deadlock_too() {
    let error = run(config(), || {
        let (_sender, receiver) = flux::sync::channel::<u8>(1);
        receiver.recv().ok()
    })
    .unwrap_err();
    assert!(error.to_string().contains("waits for a channel"), "{error}");
}

#[test]
fn children_of_a_scope_borrow_from_their_parent() {
    fibers(|| {
        let mut prices = vec![3, 1, 2];
        let best = Cell::new(0);
        let sum = flux::scope(|s| {
            let sum = s.spawn(|| prices.iter().sum::<i32>());
            s.spawn(|| best.set(*prices.iter().max().unwrap()));
            sum.join().unwrap()
        });
        prices.push(sum);
        assert_eq!((prices.len(), best.get()), (4, 3));
    });
}

#[test]
fn a_scope_whose_parent_panics_waits_for_its_children_first() {
    fibers(|| {
        let ended = Cell::new(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            flux::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        for _ in 0..10 {
                            yield_now().unwrap();
                        }
                        ended.set(ended.get() + 1);
                    });
                }
                panic!("parent");
            })
        }));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"parent"));
        assert_eq!(ended.get(), 4);
    });
}

#[test]
fn a_scope_says_that_a_child_panicked_unless_somebody_heard_it() {
    fibers(|| {
        let heard = flux::scope(|s| s.spawn(|| panic!("child")).join());
        assert!(matches!(heard, Err(JoinError::Panicked(_))));
        let unheard = catch_unwind(|| {
            flux::scope(|s| {
                s.spawn(|| panic!("child"));
            });
        });
        let payload = unheard.unwrap_err();
        let message = payload.downcast_ref::<&str>().unwrap();
        assert!(
            message.contains("a fiber of this scope panicked"),
            "{message}"
        );
    });
}

#[test]
fn scopes_nest_and_children_spawn_siblings() {
    fibers(|| {
        let total = Cell::new(0);
        let add = |n: u32| total.set(total.get() + n);
        flux::scope(|s| {
            s.spawn(|| {
                s.spawn(|| {
                    yield_now().unwrap();
                    add(1);
                });
                flux::scope(|inner| {
                    inner.spawn(|| add(10));
                });
                add(100);
            });
        });
        assert_eq!(total.get(), 111);
    });
}

#[test]
fn a_scope_with_a_full_arena_and_a_stranger_that_ends_waits_as_it_should() {
    // The parent is woken as the waiter for a block, never as that for its children meanwhile.
    run(config().fibers(3), || {
        let ended = Cell::new(0);
        flux::scope(|s| {
            for _ in 0..20 {
                s.spawn(|| {
                    yield_now().unwrap();
                    ended.set(ended.get() + 1);
                });
                drop(spawn(|| ()));
            }
        });
        assert_eq!(ended.get(), 20);
    })
    .unwrap();
}

#[test]
fn a_second_reactor_is_an_error_that_says_where_the_first_was_made() {
    fibers(|| {
        let error = flux::init(flux::EventEngine::Auto).map(drop).unwrap_err();
        let sentence = error.to_string();
        assert!(sentence.contains("tests/common/mod.rs"), "{sentence}");
        let elsewhere = std::thread::spawn(|| config().run(|| ()).unwrap_err().to_string());
        assert!(elsewhere.join().unwrap().contains("there is a reactor"));
    });
}

#[test]
fn calls_outside_of_a_fiber_say_so() {
    for call in [
        || drop(spawn(|| ())),
        || assert!(yield_now().is_ok()),
        || assert!(flux::time::sleep(Duration::ZERO).is_ok()),
    ] {
        let payload = catch_unwind(call).unwrap_err();
        let message = payload.downcast_ref::<&str>().unwrap();
        assert!(message.contains("inside a fiber"), "{message}");
    }
}

#[test]
fn a_handle_that_outlives_its_reactor_fits_no_fiber_of_the_next() {
    let handle = fibers(|| {
        let handle = spawn(|| vec![1_u64; 4]);
        yield_now().unwrap();
        handle
    });
    assert!(handle.is_finished());
    assert_eq!(handle.name(), "");
    fibers(move || {
        let other = spawn(|| 7_u8);
        yield_now().unwrap();
        assert!(handle.is_finished());
        handle.cancel();
        drop(handle);
        assert_eq!(other.join().unwrap(), 7);
    });
}

#[test]
fn a_forgotten_handle_costs_its_block_and_nothing_else() {
    run(config().fibers(3), || {
        let ran = Rc::new(Cell::new(false));
        let flag = Rc::clone(&ran);
        std::mem::forget(spawn(move || flag.set(true)));
        yield_now().unwrap();
        assert!(ran.get());
        let _second = try_spawn(yield_now).unwrap();
        assert!(
            try_spawn(|| ()).is_err(),
            "the third block is lost, and bounded"
        );
    })
    .unwrap();
}

#[test]
fn no_suspend_panics_at_the_call_that_would_and_lets_others_pass() {
    fibers(|| {
        assert_eq!(flux::no_suspend(|| 1 + 1), 2);
        let outcome = catch_unwind(|| flux::no_suspend(yield_now));
        let payload = outcome.unwrap_err();
        let message = payload.downcast_ref::<&str>().unwrap();
        assert!(message.contains("no_suspend"), "{message}");
        yield_now().unwrap();
    });
}

#[test]
fn joining_what_has_ended_does_not_suspend() {
    fibers(|| {
        let handle = spawn(|| 5);
        yield_now().unwrap();
        assert_eq!(flux::no_suspend(|| handle.join().unwrap()), 5);
    });
}

#[test]
fn a_join_that_is_stopped_leaves_the_other_fiber_running() {
    fibers(|| {
        let ran = Rc::new(Cell::new(false));
        let flag = Rc::clone(&ran);
        let slow = spawn(move || {
            flux::time::sleep(Duration::from_millis(20)).unwrap();
            flag.set(true);
        });
        let outcome = flux::timeout(Duration::from_millis(1), || slow.join());
        let inner = outcome.unwrap_err().into_inner();
        assert!(matches!(inner, Err(JoinError::Stopped(Stopped::TimedOut))));
        flux::time::sleep(Duration::from_millis(40)).unwrap();
        assert!(ran.get());
        assert_eq!(flux::stats().fibers_in_use, 1);
    });
}
