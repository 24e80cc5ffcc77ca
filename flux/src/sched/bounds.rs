//! How many fibers of each function live, where the function has a `max`, and who waits to spawn one.
//!
//! Owns the counts and a queue for each function; first come, first served, as with control blocks. Costs
//! nothing to fibers of functions without `max`, which never come here.

use std::cell::Cell;

use super::{Queue, Sched};
use crate::budget::FiberFn;

/// One function with a `max`.
struct Bound {
    max: u32,
    name: &'static str,
    live: Cell<u32>,
    /// Places that were left to a fiber in `waiting`, which has been woken and not yet run.
    reserved: Cell<u32>,
    waiting: Queue,
}

/// All functions, by their place.
#[derive(Default)]
pub(crate) struct Bounds {
    bounds: Box<[Bound]>,
    /// The place of the function that the fiber in a control block is one of.
    of_block: Box<[Cell<u32>]>,
}

impl Bounds {
    /// Gives every function its place.
    pub(crate) fn new(functions: &'static [FiberFn], fibers_max: usize) -> Self {
        let bounds = functions.iter().zip(0..).map(|(function, place)| {
            function.set_place(place);
            Bound {
                max: function.max().unwrap_or(u32::MAX),
                name: function.name(),
                live: Cell::new(0),
                reserved: Cell::new(0),
                waiting: Queue::new(),
            }
        });
        Self {
            bounds: bounds.collect(),
            of_block: (0..fibers_max).map(|_| Cell::new(0)).collect(),
        }
    }

    #[track_caller]
    fn of(&self, function: &FiberFn) -> &Bound {
        let place = function.place();
        let bound = place.and_then(|place| self.bounds.get(place as usize));
        bound.unwrap_or_else(|| unlisted(function))
    }
}

#[cold]
#[track_caller]
fn unlisted(function: &FiberFn) -> ! {
    panic!(
        "cannot spawn fiber `{}`: it has a `max`, and the list of fibers that the linker made does not have it; \
         link it into the program itself, not into a shared library",
        function.name()
    );
}

impl Sched {
    /// Counts one more fiber of a function, unless as many live as may, or were promised to those that have
    /// waited longer.
    #[track_caller]
    pub(crate) fn take_place(&self, function: &FiberFn) -> bool {
        let bound = self.bounds.of(function);
        let free = bound.max - bound.live.get() > bound.reserved.get();
        if free {
            bound.live.set(bound.live.get() + 1);
        }
        free
    }

    /// Lines the current fiber up for a place. When it runs again, one is reserved for it.
    pub(crate) fn queue_for_place(&self, function: &FiberFn) {
        let waiting = &self.bounds.of(function).waiting;
        waiting.push(&self.arena, self.current());
    }

    /// Takes the place that waking from `queue_for_place` brought.
    pub(crate) fn use_reserved_place(&self, function: &FiberFn) {
        let bound = self.bounds.of(function);
        bound.reserved.set(bound.reserved.get() - 1);
        bound.live.set(bound.live.get() + 1);
    }

    /// Remembers which function a block's fiber is of.
    pub(crate) fn set_function(&self, index: u32, function: &FiberFn) {
        if let (Some(of_block), Some(place)) =
            (self.bounds.of_block.get(index as usize), function.place())
        {
            of_block.set(place);
        }
    }

    /// Counts one fiber less of the function that a block's fiber was of.
    pub(crate) fn leave_place_of(&self, index: u32) {
        if let Some(place) = self.bounds.of_block.get(index as usize) {
            self.leave_place(place.get());
        }
    }

    /// Counts one fiber less of a function, and wakes who waited longest for that.
    pub(crate) fn leave_place(&self, place: u32) {
        let Some(bound) = self.bounds.bounds.get(place as usize) else {
            return;
        };
        bound.live.set(bound.live.get() - 1);
        if let Some(waiter) = bound.waiting.pop(&self.arena) {
            bound.reserved.set(bound.reserved.get() + 1);
            self.wake(waiter);
        }
    }

    /// For the report of a deadlock: name, `max`, and how many wait, of each function for which some do.
    pub(super) fn waiting_for_place(&self) -> impl Iterator<Item = (&'static str, u32, u32)> + '_ {
        let bounds = self.bounds.bounds.iter();
        bounds
            .map(|bound| (bound.name, bound.max, bound.waiting.len.get()))
            .filter(|(.., waiting)| *waiting > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StackClass;
    use crate::fiber::block::{State, Waiting};
    use std::panic::Location;

    /// A scheduler whose only function may have two fibers, and fibers 0 to 3, which run.
    fn scheduler() -> (Sched, &'static FiberFn) {
        let functions: &'static [FiberFn] =
            vec![FiberFn::new("two", StackClass::Small, Some(2))].leak();
        let mut sched = Sched::new(4, 0);
        sched.bounds = Bounds::new(functions, 4);
        for _ in 0..4 {
            let index = sched.take_block("test", Location::caller()).unwrap();
            sched.arena.block(index).state.set(State::Running);
        }
        (sched, &functions[0])
    }

    fn waits(sched: &Sched, function: &FiberFn, index: u32) {
        sched.set_current(index);
        sched.queue_for_place(function);
        let block = sched.arena.block(index);
        block.state.set(State::Parked);
        block.waiting.set(Waiting::Place);
    }

    #[test]
    fn no_more_than_max_and_a_place_goes_to_who_waited_longest() {
        let (sched, two) = scheduler();
        assert!(sched.take_place(two) && sched.take_place(two));
        assert!(!sched.take_place(two));
        waits(&sched, two, 0);
        waits(&sched, two, 1);
        sched.leave_place(0);
        // Whoever comes now is behind those that wait.
        assert!(!sched.take_place(two));
        assert_eq!(sched.pop_ready(), Some(0));
        sched.use_reserved_place(two);
        assert!(!sched.take_place(two));
        sched.leave_place(0);
        assert_eq!(sched.pop_ready(), Some(1));
        sched.use_reserved_place(two);
        sched.leave_place(0);
        assert!(sched.take_place(two) && !sched.take_place(two));
    }

    #[test]
    fn a_place_is_left_by_the_fiber_that_took_it() {
        let (sched, two) = scheduler();
        assert!(sched.take_place(two) && sched.take_place(two));
        sched.set_function(3, two);
        sched.leave_place_of(3);
        assert!(sched.take_place(two));
    }
}
