//! The scheduler by script: no kernel, no clock, no stack.

use super::*;

fn spawn(sched: &Sched, class: StackClass) -> Option<u32> {
    let index = sched.take_block("test", Location::caller())?;
    sched.arena.block(index).class.set(class);
    sched.arena.block(index).has_handle.set(true);
    sched.admit(index);
    Some(index)
}

fn park(sched: &Sched, index: u32, waiting: Waiting) {
    let block = sched.arena.block(index);
    block.state.set(State::Parked);
    block.waiting.set(waiting);
}

fn ready(sched: &Sched) -> Vec<u32> {
    std::iter::from_fn(|| sched.pop_ready()).collect()
}

#[test]
fn fibers_run_in_the_order_in_which_they_became_ready() {
    let sched = Sched::new(4, 2);
    let all: Vec<u32> = (0..4)
        .map(|_| spawn(&sched, StackClass::Small).unwrap())
        .collect();
    assert_eq!(ready(&sched), all);
    for index in &all {
        park(&sched, *index, Waiting::Time);
    }
    sched.wake(all[2]);
    sched.wake(all[0]);
    sched.wake(all[2]);
    assert_eq!(ready(&sched), [all[2], all[0]]);
}

#[test]
fn a_stack_goes_to_the_fiber_of_its_class_that_waited_longest() {
    let sched = Sched::new(4, 2);
    let small: Vec<u32> = (0..2)
        .map(|_| spawn(&sched, StackClass::Small).unwrap())
        .collect();
    let large = spawn(&sched, StackClass::Large).unwrap();
    ready(&sched);
    for index in [small[0], large, small[1]] {
        sched.queue_for_stack(index);
    }
    assert!(sched.hand_over_stack(StackClass::Small, 7));
    assert!(!sched.hand_over_stack(StackClass::Medium, 9));
    assert_eq!(ready(&sched), [small[0]]);
    assert_eq!(sched.arena.block(small[0]).stack.get(), 7);
    assert_eq!(sched.waiting_for_stack(StackClass::Small), 1);
}

#[test]
fn a_freed_block_is_kept_for_the_spawn_that_waited() {
    let sched = Sched::new(2, 2);
    let (waiter, other) = (
        spawn(&sched, StackClass::Small).unwrap(),
        spawn(&sched, StackClass::Small).unwrap(),
    );
    ready(&sched);
    sched.set_current(waiter);
    sched.queue_for_block();
    park(&sched, waiter, Waiting::ControlBlock);
    sched.arena.block(other).has_handle.set(false);
    sched.end(other);
    assert_eq!(ready(&sched), [waiter]);
    assert_eq!(spawn(&sched, StackClass::Small), None, "it is spoken for");
    sched.use_reservation();
    assert!(spawn(&sched, StackClass::Small).is_some());
}

#[test]
fn a_cancel_wakes_those_whose_wait_can_end_early_and_flags_the_others() {
    let sched = Sched::new(1, 2);
    let index = spawn(&sched, StackClass::Small).unwrap();
    for (waiting, woken) in [
        (Waiting::Time, true),
        (Waiting::Join, true),
        (Waiting::Channel, true),
        (Waiting::Scope, false),
        (Waiting::ControlBlock, false),
        (Waiting::Stack, false),
    ] {
        ready(&sched);
        park(&sched, index, waiting);
        assert_eq!(sched.cancel(index), CancelPath::Flag);
        assert_eq!(ready(&sched).len(), usize::from(woken), "{waiting:?}");
        assert!(sched.arena.block(index).hears_cancel());
    }
    let op = std::ptr::without_provenance(64);
    park(&sched, index, Waiting::Op);
    sched.arena.block(index).op.set(op);
    assert_eq!(sched.cancel(index), CancelPath::Op(op));
    assert!(ready(&sched).is_empty(), "the op's completion wakes");
}

#[test]
fn a_shield_hides_the_flag_and_keeps_the_wait() {
    let sched = Sched::new(1, 2);
    let index = spawn(&sched, StackClass::Small).unwrap();
    ready(&sched);
    sched.arena.block(index).shields.set(1);
    park(&sched, index, Waiting::Time);
    assert_eq!(sched.cancel(index), CancelPath::Flag);
    assert!(ready(&sched).is_empty());
    assert!(!sched.arena.block(index).hears_cancel());
    sched.arena.block(index).shields.set(0);
    assert!(sched.arena.block(index).hears_cancel());
}

#[test]
fn deadlines_end_waits_in_their_order_and_no_others() {
    let sched = Sched::new(3, 2);
    let all: Vec<u32> = (0..3)
        .map(|_| spawn(&sched, StackClass::Small).unwrap())
        .collect();
    ready(&sched);
    for (index, at) in all.iter().zip([30, 10, 20]) {
        park(&sched, *index, Waiting::Time);
        sched.set_deadline(*index, at);
    }
    assert_eq!(sched.next_deadline(), Some(10));
    while sched.expire_one(25, &mut 100).is_some() {}
    assert_eq!(ready(&sched), [all[1], all[2]]);
    sched.clear_deadline(all[0]);
    assert_eq!(sched.next_deadline(), None);
}

#[test]
fn a_fiber_that_is_spawned_while_closing_is_born_cancelled() {
    let sched = Sched::new(1, 2);
    sched.close();
    let index = spawn(&sched, StackClass::Small).unwrap();
    assert!(sched.arena.block(index).hears_cancel());
}

#[test]
fn a_deadlock_report_names_limits_and_waiters() {
    let sched = Sched::new(2, 2);
    let (holder, unstarted) = (
        spawn(&sched, StackClass::Small).unwrap(),
        spawn(&sched, StackClass::Small).unwrap(),
    );
    ready(&sched);
    park(&sched, holder, Waiting::Join);
    sched.queue_for_stack(unstarted);
    let report = sched.deadlock_report(&[
        (StackClass::Small, 1, 1),
        (StackClass::Medium, 0, 4),
        (StackClass::Large, 0, 4),
    ]);
    for part in [
        "2 fibers wait",
        "small: 1 of 1 stacks in use, 1 fibers wait for one",
        "waits for another fiber, in `join`",
        "waits for a stack",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
}
