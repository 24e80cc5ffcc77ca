//! `max` of a `#[flux::fiber]`: how many live at once, who waits for whom, what comes back where nobody may wait,
//! and what init says of a budget that cannot hold.
//!
//! The functions below are all that this program has, so that their sums are known.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{alone, config, run, text};
use flux::{RunError, StackClass};

const TWO: usize = 2;

/// How many of a kind live, and the most that did.
#[derive(Clone, Default)]
struct Count(Rc<(Cell<usize>, Cell<usize>)>);

impl Count {
    fn around(&self, body: impl FnOnce()) {
        let (live, most) = &*self.0;
        live.set(live.get() + 1);
        most.set(most.get().max(live.get()));
        body();
        live.set(live.get() - 1);
    }

    fn most(&self) -> usize {
        self.0.1.get()
    }
}

#[flux::fiber(stack = "small", max = TWO)]
fn pair(count: Count) {
    count.around(|| {
        for _ in 0..3 {
            flux::yield_now().expect("nobody cancels it");
        }
    });
}

#[flux::fiber(stack = "small", max = 1)]
fn panics() {
    panic!("on purpose");
}

#[flux::fiber(stack = "small", max = 1)]
fn spawns_itself(again: bool) {
    if again {
        drop(flux::spawn(spawns_itself(false)).join());
    }
}

#[flux::fiber(stack = "medium")]
fn unbounded() {}

#[test]
fn a_spawn_beyond_max_waits_until_one_of_that_function_ends() {
    let count = Count::default();
    let seen = count.clone();
    run(config(), move || {
        let handles: Vec<_> = (0..7).map(|_| flux::spawn(pair(count.clone()))).collect();
        // Others are not held up by it.
        flux::spawn(unbounded()).join().unwrap();
        for handle in handles {
            handle.join().unwrap();
        }
    })
    .unwrap();
    assert_eq!(seen.most(), TWO);
}

#[test]
fn children_of_a_scope_count_too() {
    let count = Count::default();
    let seen = count.clone();
    run(config(), move || {
        let outside = flux::spawn(pair(count.clone()));
        flux::scope(|s| {
            for _ in 0..5 {
                s.spawn_fiber(pair(count.clone()));
            }
        });
        outside.join().unwrap();
    })
    .unwrap();
    assert_eq!(seen.most(), TWO);
}

#[test]
fn try_spawn_beyond_max_hands_the_fiber_back() {
    run(config(), || {
        let count = Count::default();
        let first = flux::try_spawn(pair(count.clone())).unwrap();
        let second = flux::try_spawn(pair(count.clone())).unwrap();
        let full = flux::try_spawn(pair(count.clone())).unwrap_err();
        assert_eq!(
            full.to_string(),
            "cannot spawn fiber `pair`: all 2 that may live at once do; raise `max` in its `#[flux::fiber]` \
             or let some end"
        );
        first.join().unwrap();
        let third = flux::try_spawn(full.into_inner()).unwrap();
        second.join().unwrap();
        third.join().unwrap();
    }).unwrap();
}

#[test]
fn a_place_is_free_again_after_a_panic_and_where_no_block_was_free() {
    run(config().fibers(5), || {
        for _ in 0..3 {
            let panicked = flux::spawn(panics()).join().unwrap_err();
            assert_eq!(panicked.panic_message(), Some("on purpose"));
        }
        // All blocks are in use, so that the place that was taken first is given back.
        let idle: Vec<_> = (0..4).map(|_| flux::spawn(|| ())).collect();
        let full = flux::try_spawn(pair(Count::default())).unwrap_err();
        assert!(full.to_string().contains("all 5 control blocks"), "{full}");
        let refused = std::panic::catch_unwind(|| {
            flux::no_suspend(|| drop(flux::spawn(pair(Count::default()))));
        });
        assert!(refused.is_err(), "it would have to wait");
        for fiber in idle {
            fiber.join().unwrap();
        }
        let both = [
            flux::try_spawn(full.into_inner()),
            flux::try_spawn(pair(Count::default())),
        ];
        for fiber in both {
            fiber.unwrap().join().unwrap();
        }
    })
    .unwrap();
}

#[test]
fn the_places_of_a_reactor_that_ended_are_free_for_the_next() {
    for _ in 0..2 {
        run(config(), || {
            for _ in 0..TWO {
                drop(flux::spawn(pair(Count::default())));
            }
        })
        .unwrap();
    }
}

#[test]
fn who_waits_for_a_place_that_nobody_can_leave_is_named() {
    let error = run(config(), || flux::spawn(spawns_itself(true)).join().is_ok());
    let Err(RunError::Deadlock(report)) = error else {
        panic!("{error:?}");
    };
    let line =
        "fiber `spawns_itself`: all 1 (`max`) live, 1 spawns wait for one to end; raise `max`";
    assert!(report.contains(line), "{report}");
    assert!(
        report.contains("a place among the `max` of a function"),
        "{report}"
    );
}

#[test]
fn a_budget_that_cannot_hold_is_refused_before_anything_runs() {
    let small = run(config().stacks(StackClass::Small, 3), || ()).unwrap_err();
    assert_eq!(
        small.to_string(),
        "`pair` (2), `panics` (1) and `spawns_itself` (1) together may need 4 small stacks, and the pool has \
         3: raise `stacks(small = 4)` (or `FLUX_STACKS`), or lower a `max`"
    );
    let fibers = run(config().fibers(4), || ()).unwrap_err();
    assert!(
        fibers
            .to_string()
            .contains("may need 5 control blocks, and there are 4: raise `fibers = 5`"),
        "{fibers}"
    );
}

#[test]
fn auto_makes_as_many_stacks_as_the_functions_may_need() {
    let counts = run(config().stacks_auto().stacks(StackClass::Medium, 3), || {
        flux::stats().stacks.map(|pool| pool.count)
    });
    assert_eq!(counts.unwrap(), [4, 3, 1]);
    let error = run(config().stacks_auto(), || ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`stacks(auto)` finds no number of medium stacks, since `unbounded` has no `max`: give it one, or \
         write `stacks(auto, medium = n)`"
    );
}

#[test]
fn a_report_that_is_asked_for_is_printed_once() {
    let test = "a_report_that_is_asked_for_is_printed_once";
    let variables = [("FLUX_REPORT", "1"), ("FLUX_STACKS", "small=4")];
    let Some(output) = alone(test, &variables, || run(config(), || ()).unwrap()) else {
        return;
    };
    let said = text(&output);
    let table = "\
flux: budget
  fiber            stack       max
  pair             small         2
  panics           small         1
  spawns_itself    small         1
  unbounded       medium         -
  main             large         1
                     sum  there are
  small stacks         4         4
  medium stacks        0        32
  large stacks         1         8
  control blocks       5       256
";
    assert_eq!(said.matches("flux: budget").count(), 1, "{said}");
    assert!(said.contains(table), "{said}");
}
