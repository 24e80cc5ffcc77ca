//! `max` of a fiber function: the linker's list of them, which each system makes in its own way.

use flux::{StackClass, yield_now};

use super::{config, fibers, run};

#[flux::fiber(stack = "small", max = 1)]
fn single(value: u32) -> u32 {
    yield_now().unwrap();
    value
}

#[test]
fn no_more_than_max_of_a_function_live_at_once() {
    fibers(|| {
        let first = flux::spawn(single(1));
        let full = flux::try_spawn(single(2)).unwrap_err();
        assert!(full.to_string().contains("raise `max`"), "{full}");
        // Waits for the end of the first.
        let second = flux::spawn(full.into_inner());
        assert!(first.is_finished());
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (1, 2));
    });
}

#[test]
fn a_budget_that_cannot_hold_names_the_function() {
    let error = run(config().stacks(StackClass::Small, 0), || ()).unwrap_err();
    let sentence = "`single` may need 1 small stacks, and there are none";
    assert!(error.to_string().contains(sentence), "{error}");
    let counts = run(
        config().stacks_auto().stacks(StackClass::Small, 4),
        flux::stats,
    );
    // Nothing but the main fiber has a large one.
    assert_eq!(counts.unwrap().stacks[2].count, 1);
}
