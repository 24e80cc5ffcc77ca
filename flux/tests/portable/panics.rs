//! Panics: each ends what it should, and nothing else, on every stack.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use flux::time::sleep;
use flux::{Builder, StackClass, scope, spawn, yield_now};

use super::{Flag, SHORT, config, fibers, run};

#[test]
fn a_panic_ends_its_fiber_alone_on_each_class_and_its_destructors_run() {
    fibers(|| {
        let bystander = spawn(|| {
            sleep(SHORT).unwrap();
            "fine"
        });
        for class in StackClass::ALL {
            let dropped = Rc::new(Cell::new(false));
            let flag = Flag(Rc::clone(&dropped));
            let handle = Builder::new().stack(class).spawn(move || {
                let _flag = flag;
                yield_now().unwrap();
                panic!("no quotes on {class}");
            });
            let error = handle.join().unwrap_err();
            let message = format!("no quotes on {class}");
            assert_eq!(error.panic_message(), Some(message.as_str()));
            assert!(dropped.get(), "{class}");
        }
        assert_eq!(bystander.join().unwrap(), "fine");
        assert_eq!(flux::stats().fibers_in_use, 1);
    });
}

#[test]
fn a_panic_that_a_fiber_catches_itself_leaves_it_as_it_was() {
    fibers(|| {
        let handle = spawn(|| {
            let mut caught = 0;
            for round in 0..20 {
                let outcome = catch_unwind(|| {
                    yield_now().unwrap();
                    assert!(round % 2 == 0, "odd");
                    round
                });
                yield_now().unwrap();
                caught += u32::from(outcome.is_err());
            }
            caught
        });
        assert_eq!(handle.join().unwrap(), 10);
    });
}

#[test]
fn a_scope_whose_parent_panics_waits_for_its_children_first() {
    fibers(|| {
        let ended = Cell::new(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        sleep(SHORT).unwrap();
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
fn a_panic_of_the_main_fiber_is_the_panic_of_run() {
    let payload = catch_unwind(|| run(config(), || panic!("main is gone"))).unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"main is gone"));
    fibers(|| ());
}
