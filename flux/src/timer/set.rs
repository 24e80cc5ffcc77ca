//! What a timer is to do when its time has come, before it is set.
//!
//! Knows the shapes that closures take in a callback's place and in a fiber; neither when they are called, nor
//! what becomes of their handle.

use std::panic::Location;

use super::{Outcome, Tick, Timer, TimerSource, TimersFull, When};
use crate::callbacks::{Call, Due, assert_fits, latest_due};
use crate::clock;
use crate::error::Full;
use crate::reactor::{current, park};
use crate::sys::errno;
use crate::time::Instant;

/// A timer that will run once: see [`after`](super::after) and [`at`](super::at).
#[derive(Clone, Copy, Debug)]
#[must_use = "a timer is set by `.callback(..)` or `.fiber(..)`"]
pub struct Once {
    due: When,
}

/// A timer that will run again and again: see [`every`](super::every).
#[derive(Clone, Copy, Debug)]
#[must_use = "a timer is set by `.callback(..)` or `.fiber(..)`"]
pub struct Every {
    due: When,
    period_ns: u64,
}

impl Once {
    #[inline]
    pub(super) fn at(due: When) -> Self {
        Self { due }
    }

    /// Who tells when the time has come: see [`TimerSource`]. Of a timer of the wall clock it is always the kernel.
    pub fn source(mut self, source: TimerSource) -> Self {
        if self.due.wall.is_none() {
            self.due.source = source;
        }
        self
    }

    /// Runs the closure on the loop when the time has come.
    ///
    /// It must not suspend: an attempt is a panic that says where the timer was made. A panic ends the timer, and
    /// nothing else; it is counted in [`stats`](crate::stats). What the closure captures is at most 64 bytes.
    ///
    /// # Errors
    /// [`TimersFull`], which holds the closure: all `timers` are in use.
    ///
    /// # Panics
    /// Outside of a fiber and of a callback.
    #[inline]
    #[track_caller]
    pub fn callback<F>(self, closure: F) -> Result<Timer, TimersFull<F>>
    where
        F: FnOnce(Tick) + 'static,
    {
        const { assert_fits::<F>() };
        Timer::call(CalledOnce(Some(closure)), self.due, 0)
            .map_err(|full| full.map(|shape| shape.0.expect("nobody has called it")))
    }

    /// Runs the closure as a fiber of class small when the time has come.
    ///
    /// It takes a control block now, and a stack when its time has come.
    ///
    /// # Errors
    /// [`Full`], which holds the closure: all control blocks (`fibers`) are in use.
    ///
    /// # Panics
    /// Outside of a fiber and of a callback; and if there are no small stacks.
    #[track_caller]
    pub fn fiber<F>(self, closure: F) -> Result<Timer, Full<F>>
    where
        F: FnOnce(Tick) + 'static,
    {
        let due = self.due;
        Timer::spawn(due, Location::caller(), closure, move |closure: F| {
            move || {
                if let Some(due) = wait_for(due, 0) {
                    closure(due.into());
                }
            }
        })
    }
}

impl Every {
    #[inline]
    pub(super) fn from(due: When, period_ns: u64) -> Self {
        Self { due, period_ns }
    }

    /// Who tells when the time has come: see [`TimerSource`].
    pub fn source(mut self, source: TimerSource) -> Self {
        self.due.source = source;
        self
    }

    /// Is due first at a moment of one's own, rather than after one period.
    pub fn starting(mut self, first: Instant) -> Self {
        self.due.ns = first.as_monotonic_nanos();
        self
    }

    /// Runs the closure on the loop each time, for as long as it returns `()` or
    /// [`Continue`](std::ops::ControlFlow::Continue): see [`Once::callback`].
    ///
    /// # Errors
    /// [`TimersFull`], which holds the closure: all `timers` are in use.
    ///
    /// # Panics
    /// Outside of a fiber and of a callback.
    #[inline]
    #[track_caller]
    pub fn callback<F, R>(self, closure: F) -> Result<Timer, TimersFull<F>>
    where
        F: FnMut(Tick) -> R + 'static,
        R: Outcome + 'static,
    {
        const { assert_fits::<F>() };
        Timer::call(Called(closure), self.due, self.period_ns)
            .map_err(|full| full.map(|shape| shape.0))
    }

    /// Runs the closure each time in a fiber of class small, one and the same, for as long as it returns `()` or
    /// [`Continue`](std::ops::ControlFlow::Continue).
    ///
    /// While it runs its next time may come: that tick then follows at once, and later ones are passed over and
    /// counted. A closure that is cancelled in the middle of its work hears of it as every fiber does.
    ///
    /// # Errors
    /// [`Full`], which holds the closure: all control blocks (`fibers`) are in use.
    ///
    /// # Panics
    /// Outside of a fiber and of a callback; and if there are no small stacks.
    #[track_caller]
    pub fn fiber<F, R>(self, closure: F) -> Result<Timer, Full<F>>
    where
        F: FnMut(Tick) -> R + 'static,
        R: Outcome + 'static,
    {
        let Self { mut due, period_ns } = self;
        Timer::spawn(due, Location::caller(), closure, move |mut closure: F| {
            move || {
                while let Some(come) = wait_for(due, period_ns) {
                    if !closure(come.into()).goes_on() {
                        break;
                    }
                    due.ns = come.at_ns.saturating_add(period_ns);
                }
            }
        })
    }
}

/// Waits in a timer's fiber for its time; `None` when it is to end.
fn wait_for(due: When, period_ns: u64) -> Option<Due> {
    current::with(|reactor| {
        let mut due_ns = due.ns;
        if due.source == TimerSource::Kernel {
            let outcome = reactor.wait_by_kernel(due_ns, due.wall);
            if let Some(moment) = due.wall {
                // A kernel that refused is followed by the wheel, for what is left.
                let left = moment.saturating_sub(clock::wall());
                due_ns = park::end_of(reactor.clock.precise(), left);
            }
            if outcome.is_err_and(|error| error.raw_os_error() == Some(errno::ECANCELED)) {
                return None;
            }
        }
        let now_ns = reactor.clock.precise();
        if now_ns < due_ns {
            reactor.wait_until(due_ns).ok()?;
            return Some(latest_due(due_ns, period_ns, reactor.clock.precise()));
        }
        reactor.may_wait().ok()?;
        // One that is always late lets the others run all the same.
        reactor.spend();
        Some(latest_due(due_ns, period_ns, now_ns))
    })
}

/// A closure that can be called once, where one is wanted that may be called again.
struct CalledOnce<F>(Option<F>);

impl<F: FnOnce(Tick)> Call for CalledOnce<F> {
    #[inline]
    fn call(&mut self, due: Due) -> bool {
        if let Some(closure) = self.0.take() {
            closure(due.into());
        }
        false
    }
}

struct Called<F>(F);

impl<F: FnMut(Tick) -> R, R: Outcome> Call for Called<F> {
    #[inline]
    fn call(&mut self, due: Due) -> bool {
        (self.0)(due.into()).goes_on()
    }
}
