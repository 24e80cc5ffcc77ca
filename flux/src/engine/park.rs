//! The engine of a system that flux asks nothing of but the time: the thread sleeps until the nearest deadline.
//!
//! A wait is std's `park`, so that whoever has the [`Thread`](std::thread::Thread) of the reactor's thread ends it
//! by `unpark`, from any other; one that comes before the wait is kept for it. A wait that ends early is a turn of
//! the loop and no more: what is due is the loop's to say, by the clock.
//!
//! No request waits here: what one can ask for, without a descriptor, is nothing, which is done when it is submitted,
//! or the time by one of the system's clocks, which is refused. Fibers sleep by the loop's deadlines.

use std::thread;

use super::{CancelOutcome, Counters, Wait};
use crate::op::{Op, Request};
use crate::sys::errno;

/// The name of this engine: nobody asks for it by name, `auto` takes it where there is no other.
#[cfg(windows)]
pub(crate) const NAME: &str = "park";

pub(crate) struct Park {
    waits: u64,
    completions: u64,
}

impl Park {
    pub(crate) fn new() -> Self {
        Self {
            waits: 0,
            completions: 0,
        }
    }

    /// What comes of a request.
    pub(crate) fn answer(op: &Op) -> i32 {
        if matches!(op.request(), Request::Nothing) {
            0
        } else {
            -errno::ENOTSUP
        }
    }

    /// Completes an op.
    pub(crate) fn submit(&mut self, op: &Op) {
        op.complete(Self::answer(op));
        self.completions += 1;
    }

    /// An op that was submitted is done.
    pub(crate) fn cancel(_: &Op) -> CancelOutcome {
        CancelOutcome::Done
    }

    /// Waits if told to; may come back early, and late by what the system's timer takes.
    pub(crate) fn turn(&mut self, wait: Wait) {
        match wait {
            Wait::Poll => return,
            Wait::AtMost(time) => thread::park_timeout(time),
            Wait::Forever => thread::park(),
        }
        self.waits += 1;
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            enters: self.waits,
            completions: self.completions,
            ..Counters::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic_ns;
    use crate::op::{Moment, State};
    use std::time::Duration;

    #[test]
    fn a_poll_does_not_wait_and_a_wait_is_counted() {
        let mut park = Park::new();
        park.turn(Wait::Poll);
        assert_eq!(park.counters().enters, 0);
        park.turn(Wait::AtMost(Duration::from_millis(1)));
        assert_eq!(park.counters().enters, 1);
    }

    #[test]
    fn a_wait_comes_to_its_end_by_the_clock() {
        let mut park = Park::new();
        let end = monotonic_ns() + 5_000_000;
        while let Some(left @ 1..) = end.checked_sub(monotonic_ns()) {
            park.turn(Wait::AtMost(Duration::from_nanos(left)));
        }
        assert!(monotonic_ns() >= end && park.counters().enters >= 1);
    }

    #[test]
    fn another_thread_ends_a_wait_that_has_no_end_of_its_own() {
        let mut park = Park::new();
        let reactor = thread::current();
        let remote = thread::spawn(move || reactor.unpark());
        // Whichever comes first: a wake-up before the wait is kept for it.
        park.turn(Wait::Forever);
        assert_eq!(park.counters().enters, 1);
        remote.join().unwrap();
    }

    #[test]
    fn an_op_is_done_when_it_has_been_submitted() {
        let mut park = Park::new();
        let at = Moment::new(Duration::ZERO);
        for (request, result) in [
            (Request::Nothing, 0),
            (Request::Timeout { at, wall: true }, -errno::ENOTSUP),
        ] {
            let op = Op::new(request, 0);
            park.submit(&op);
            assert_eq!((op.state(), op.result()), (State::Done, result));
            assert_eq!(Park::cancel(&op), CancelOutcome::Done);
        }
        assert_eq!(park.counters().completions, 2);
    }
}
