//! The right to end a timer.
//!
//! Knows the two forms that a timer has, a place among the callbacks and a fiber, and how each is made and ended.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;

use super::{TimerSource, When};
use crate::callbacks::Call;
use crate::config::StackClass;
use crate::error::Full;
use crate::reactor::current;
use crate::task::{JoinHandle, try_spawn_at};

/// The name of a timer's fiber in reports.
const FIBER: &str = "timer";

/// A timer that is set; it is cancelled when this is dropped, which panics if a destructor of what its closure
/// captured does.
///
/// Stays with its reactor: it is not [`Send`], and once that has ended it does nothing any more.
#[must_use = "a timer that is dropped is cancelled; `detach` lets it go on"]
pub struct Timer {
    form: Form,
    // Neither `Send` nor `Sync`.
    here: PhantomData<*mut ()>,
}

enum Form {
    Callback {
        place: u32,
        id: u64,
    },
    Fiber(JoinHandle<()>),
    /// Ended, or on its own.
    Gone,
}

/// What became of a callback.
enum Set {
    At(u32, u64),
    /// All of so many places are taken.
    Full(usize),
    Closing,
}

impl Timer {
    /// Sets a timer that is called on the loop.
    #[inline]
    #[track_caller]
    pub(super) fn call<C: Call + 'static>(
        shape: C,
        due: When,
        period_ns: u64,
    ) -> Result<Self, TimersFull<C>> {
        let made_at = Location::caller();
        // Out of the look at the reactor comes a number alone: a result that holds the closure would be copied on
        // each of its ways out.
        let mut shape = Some(shape);
        let set = current::with(|reactor| {
            if reactor.sched.is_closing() {
                return Set::Closing;
            }
            let Some((place, id)) = reactor
                .callbacks
                .add(&mut shape, due.ns, period_ns, made_at)
            else {
                return Set::Full(reactor.config.timers);
            };
            if due.source == TimerSource::Wheel {
                reactor.set_timer(place, due.ns);
            } else {
                reactor.callbacks.set_by_kernel(place);
                reactor.set_kernel_timer(place, due.ns, due.wall);
            }
            Set::At(place, id)
        });
        match (set, shape) {
            (Set::At(place, id), _) => Ok(Self::of(Form::Callback { place, id })),
            (Set::Full(timers_max), Some(closure)) => Err(TimersFull {
                closure,
                timers_max,
            }),
            // Nothing runs any more; the closure is dropped here.
            (Set::Closing | Set::Full(_), _) => Ok(Self::of(Form::Gone)),
        }
    }

    /// Spawns the fiber of a timer, whose body is made of the closure.
    #[track_caller]
    pub(super) fn spawn<F, B: FnOnce() + 'static>(
        due: When,
        made_at: &'static Location<'static>,
        closure: F,
        body: impl FnOnce(F) -> B,
    ) -> Result<Self, Full<F>> {
        let what = (StackClass::Small, FIBER);
        // The kernel is asked by the fiber itself, which so has to run.
        let start_ns = if due.source == TimerSource::Wheel {
            due.ns
        } else {
            0
        };
        let fiber = try_spawn_at(start_ns, what, made_at, closure, body)?;
        Ok(Self::of(Form::Fiber(fiber)))
    }

    #[inline]
    fn of(form: Form) -> Self {
        Self {
            form,
            here: PhantomData,
        }
    }

    /// Lets the timer go on by itself, until it ends by itself or the main fiber ends.
    pub fn detach(mut self) {
        match std::mem::replace(&mut self.form, Form::Gone) {
            Form::Callback { place, id } => {
                current::try_with(|reactor| reactor.callbacks.detach(place, id));
            }
            // Its handle does nothing more than be dropped.
            Form::Fiber(handle) => drop(handle),
            Form::Gone => {}
        }
    }

    /// Ends the timer: it is not called any more. What dropping it does, said aloud.
    ///
    /// The closure of a callback is dropped now; one that runs right now, and cancels itself, at its end. A
    /// timer's fiber that is in the middle of its work is cancelled as every fiber is.
    pub fn cancel(self) {}

    /// Whether it will not be called any more, nor run: its last tick is over.
    pub fn is_finished(&self) -> bool {
        match &self.form {
            Form::Callback { place, id } => {
                current::try_with(|reactor| reactor.callbacks.is_done(*place, *id)).unwrap_or(true)
            }
            Form::Fiber(handle) => handle.is_finished(),
            Form::Gone => true,
        }
    }
}

impl Drop for Timer {
    #[inline]
    fn drop(&mut self) {
        match &self.form {
            Form::Callback { place, id } => {
                current::try_with(|reactor| {
                    let callbacks = &reactor.callbacks;
                    callbacks.remove(*place, *id, |place| reactor.clear_timer(place));
                });
            }
            Form::Fiber(handle) => handle.cancel_if_there(),
            Form::Gone => {}
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.form {
            Form::Callback { .. } => "callback",
            Form::Fiber(_) => "fiber",
            Form::Gone => "gone",
        };
        f.debug_struct("Timer")
            .field("form", &form)
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// No place was free for a callback: the closure comes back in [`into_inner`](TimersFull::into_inner).
pub struct TimersFull<F> {
    closure: F,
    timers_max: usize,
}

impl<F> TimersFull<F> {
    /// The closure that could not be set.
    pub fn into_inner(self) -> F {
        self.closure
    }

    pub(super) fn map<G>(self, f: impl FnOnce(F) -> G) -> TimersFull<G> {
        TimersFull {
            closure: f(self.closure),
            timers_max: self.timers_max,
        }
    }
}

impl<F> fmt::Debug for TimersFull<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimersFull")
            .field("timers_max", &self.timers_max)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Display for TimersFull<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot set a timer: all {} callback timers are in use; raise `timers` in `#[flux::main]`, or drop \
             some",
            self.timers_max
        )
    }
}

impl<F> std::error::Error for TimersFull<F> {}
