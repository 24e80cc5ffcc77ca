//! The one loop of the process.
//!
//! ```text
//! up    kernel ▸ engine.turn reaps ▸ op done ▸ ready queue ▸ fiber resumes ▸ net call returns ▸ handler
//! down  handler ▸ net call ▸ inline send, or Op in its own frame ▸ engine queue ▸ one kernel entry per turn
//! ```
//!
//! [`Reactor::turn`] is where both meet. Reaping never resumes a fiber and never calls user code: it fills
//! the ready queue, which the next turn runs.
//!
//! Owns the turn, the start and the end of fibers on their stacks, and cancelling. What a fiber may ask for
//! while it runs is in [`park`]; how a reactor is made is in [`init`]; how it is found again is in [`current`];
//! what the core does while nothing is ready is in [`idle`]; feeds that the kernel fills are in
//! [`feeds`], and those of datagrams in [`packets`]; timers of the kernel's clocks are in
//! [`kernel_timers`]; how the main fiber begins and everything ends is in [`main_fiber`]; who is named when a
//! stack overflows is in [`overflow`].

#![allow(
    unsafe_code,
    reason = "the loop resumes contexts, and hands ops of suspended frames to the engine"
)]

pub(crate) mod current;
#[cfg(unix)]
mod feeds;
mod idle;
mod init;
mod kernel_timers;
mod main_fiber;
mod overflow;
#[cfg(unix)]
mod packets;
pub(crate) mod park;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod refusal_tests;

pub use idle::{idle, set_idle};
pub use init::{init, pin_to_core, unpin_thread};

use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
#[cfg(unix)]
use std::rc::Rc;

use crate::callbacks::Callbacks;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::{CancelOutcome, Engine, Wait};
#[cfg(unix)]
use crate::feeds::Feeds;
use crate::fiber::block::{Block, NIL, State, Waiting};
use crate::op::Op;
use crate::sched::{CancelPath, Expired, Sched};
use crate::stack::Slab;
use crate::sys::errno;
use crate::sys::signal::FaultGuard;

/// The most fibers that a turn resumes before it looks at the kernel again.
const RUN_MAX: u32 = 256;
/// The most deadlines that a turn looks at.
const EXPIRE_MAX: u32 = 1024;
/// Inline successes (a send that the socket took at once) before a fiber lets the others run.
pub(crate) const BUDGET: u8 = 64;

/// The reactor of this process: made by [`Config::init`], used up by [`run`](Self::run).
///
/// There is one at a time. It lives on the thread that made it, and so does everything in it.
///
/// # Example
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let reactor = flux::init(flux::EventEngine::Auto)?;
/// let second = flux::init(flux::EventEngine::Auto);
/// assert!(second.is_err(), "one reactor a process");
/// assert_eq!(reactor.run(|| 6 * 7)?, 42);
/// # Ok(())
/// # }
/// ```
#[must_use = "a reactor does nothing until it is `run`"]
pub struct Reactor {
    pub(crate) sched: Sched,
    pub(crate) callbacks: Callbacks,
    kernel_timers: kernel_timers::KernelTimers,
    pub(crate) engine: RefCell<Engine>,
    /// The memory that feeds fill. Shared with those, which may outlive the reactor.
    #[cfg(unix)]
    pub(crate) feeds: Rc<Feeds>,
    /// Whether the kernel fills them by itself.
    #[cfg(unix)]
    pub(crate) feeds_by_kernel: bool,
    /// Why a better engine is not in use.
    pub(crate) refused: Option<&'static str>,
    pub(crate) slabs: RefCell<[Slab; 3]>,
    pub(crate) config: Config,
    /// How many fibers wait for each signal, by its number.
    #[cfg(unix)]
    pub(crate) signals_wanted: [Cell<u32>; crate::sys::interrupt::SIGNALS],
    /// Read once a turn, and whenever a fiber asks.
    pub(crate) clock: Clock,
    /// When the fibers that are left must have ended, once the main fiber has.
    grace_ends_ns: Cell<Option<u64>>,
    idling: idle::Idling,
    pub(crate) turns: Cell<u64>,
    pub(crate) switches: Cell<u64>,
    /// `None` where the system does not let a handler be installed: then an overflow is told less well.
    _fault_guard: Option<FaultGuard>,
    pinned: init::Pinned,
    _claim: current::Claim,
    _not_send: PhantomData<*mut ()>,
}

/// What a turn came to.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Went,
    /// Fibers wait, and nothing that could wake one can happen any more.
    Stuck,
}

impl Reactor {
    /// Fires due deadlines, runs what is ready, enters the kernel, wakes whose requests are done.
    ///
    /// Waits in the kernel only if nothing is ready, and then until the nearest deadline.
    #[inline]
    fn turn(&self) -> io::Result<Turn> {
        self.turns.set(self.turns.get() + 1);
        self.clock.forget();
        self.fire_deadlines();
        self.run_ready();
        let Some(mut wait) = self.patience() else {
            return Ok(Turn::Stuck);
        };
        if self.idling.hot() > 0 && self.see_to_hot(wait) {
            wait = Wait::Poll;
        }
        self.engine.borrow_mut().turn(wait, |op| self.done(op))?;
        Ok(Turn::Went)
    }

    /// Wakes who waits for an op that is done, or that lasts and has brought something.
    #[inline]
    fn done(&self, op: &Op) {
        let waiter = op.fiber();
        if waiter < self.sched.arena.count() {
            self.sched.wake(waiter);
        } else {
            self.done_for_no_fiber(op);
        }
    }

    #[cold]
    fn done_for_no_fiber(&self, op: &Op) {
        #[cfg(unix)]
        if op.fiber() == NIL {
            return self.feed_done(op);
        }
        self.kernel_timer_done(op.fiber());
    }

    /// Ends the waits whose time is over, and calls what is due, but not without end. Reads the clock only if
    /// there is a deadline.
    #[inline]
    fn fire_deadlines(&self) {
        if self.sched.next_deadline().is_some() {
            let now_ns = self.clock.cached();
            let mut work = EXPIRE_MAX;
            while let Some(expired) = self.sched.expire_one(now_ns, &mut work) {
                match expired {
                    Expired::Fiber(path) => self.follow(&path),
                    Expired::Timer(timer) => self.call_back(timer, now_ns),
                }
            }
        }
    }

    /// Runs the closure of a timer that is due, on the loop's own stack and block.
    fn call_back(&self, timer: u32, now_ns: u64) {
        let own = self.sched.arena.loops_own();
        self.idling.over();
        self.sched
            .arena
            .set_made_at(own, self.callbacks.made_at(timer));
        let block = self.sched.arena.block(own);
        block.budget.set(BUDGET);
        // `shutdown` cancels its caller.
        block.cancelled.set(false);
        self.sched.set_current(own);
        let again = self.callbacks.run(timer, now_ns);
        if let Some(next_ns) = self.callbacks.finish(timer, again) {
            if self.callbacks.by_kernel(timer) {
                self.set_kernel_timer(timer, next_ns, None);
            } else {
                self.sched.set_timer(timer, next_ns);
            }
        }
        self.sched.set_current(NIL);
    }

    /// Runs the fibers that were ready when the turn began, but not without end.
    #[inline]
    fn run_ready(&self) {
        let count = self.sched.ready_len().min(RUN_MAX);
        if count > 0 {
            self.idling.over();
        }
        for _ in 0..count {
            let Some(index) = self.sched.pop_ready() else {
                break;
            };
            self.resume(index);
        }
    }

    // Fibers on their stacks.

    /// Runs a fiber until it suspends or ends, giving it a stack first if it has not started.
    #[inline]
    fn resume(&self, index: u32) {
        let block = self.sched.arena.block(index);
        if !block.started.get() && !self.start(index, block) {
            return;
        }
        self.switches.set(self.switches.get() + 1);
        block.state.set(State::Running);
        block.budget.set(BUDGET);
        self.sched.set_current(index);
        // SAFETY: started (above) and not ended, since a block stands in one queue at a time and its fiber
        // in none once it has ended; not running, since the loop does.
        let ended = unsafe { block.context.resume() };
        self.sched.set_current(NIL);
        if ended {
            self.end(index, block);
        }
    }

    /// Gives a fiber its stack; false when it has to wait for one.
    #[inline]
    fn start(&self, index: u32, block: &Block) -> bool {
        let class = block.class.get().index();
        let mut slabs = self.slabs.borrow_mut();
        let slab = &mut slabs[class];
        if block.waiting.replace(Waiting::Nothing) == Waiting::Time {
            // It may have been cancelled before the moment that it was to start at.
            self.sched.clear_deadline(index);
            block.timed_out.set(false);
        }
        if block.stack.get() == NIL {
            let Some(slot) = slab.take() else {
                self.sched.queue_for_stack(index);
                return false;
            };
            block.stack.set(slot);
        }
        block.started.set(true);
        let stack = slab.stack(block.stack.get());
        // SAFETY:
        // - empty: the block's last fiber ended, which emptied the context, before the block was free;
        // - the stack was taken from its slab just now, or handed over by the fiber that had it;
        // - in place: blocks lie in the arena, which outlives the fibers that run;
        // - `run` is the function that was stored with the closure, for this block, and catches panics.
        unsafe {
            block
                .context
                .start(stack, block.run.get(), (&raw const *block).cast());
        };
        true
    }

    /// Takes back what an ended fiber had, and wakes who waited for its end, or for its stack.
    #[inline]
    fn end(&self, index: u32, block: &Block) {
        let class = block.class.get();
        let slot = block.stack.replace(NIL);
        if !self.sched.hand_over_stack(class, slot) {
            self.slabs.borrow_mut()[class.index()].give_back(slot);
        }
        let family = block.family.replace(std::ptr::null());
        if !family.is_null() {
            // SAFETY: alive: the frame of `scope` holds it, and does not return before `live` is 0.
            let family = unsafe { &*family };
            if block.panicked.get() {
                family.unheard_panics.set(family.unheard_panics.get() + 1);
            }
            family.live.set(family.live.get() - 1);
            if family.live.get() == 0 {
                self.sched.wake_from(family.parent, Waiting::Scope);
            }
        }
        self.sched.end(index);
    }

    // Cancelling and closing down.

    /// Cancels a fiber: its suspending calls fail from now on, the present one included.
    pub(crate) fn cancel(&self, index: u32) {
        let path = self.sched.cancel(index);
        self.follow(&path);
    }

    fn follow(&self, path: &CancelPath) {
        let CancelPath::Op(op) = *path else {
            return;
        };
        // SAFETY: alive: the scheduler names an op only while its fiber is parked in it.
        let op = unsafe { &*op };
        if self.withdraw_hot(op) {
            op.complete(-errno::ECANCELED);
            self.sched.wake(op.fiber());
            return;
        }
        // SAFETY: a fiber parks in an op after it was submitted to this engine (`Reactor::perform`).
        let outcome = unsafe { self.engine.borrow_mut().cancel(op) };
        if outcome == CancelOutcome::Done {
            self.sched.wake(op.fiber());
        }
    }

    /// Cancels all fibers but the calling one, and all callbacks, and starts the grace period.
    pub(crate) fn close(&self) {
        self.sched.close();
        let grace = u64::try_from(self.config.grace.as_nanos()).unwrap_or(u64::MAX);
        if self.grace_ends_ns.get().is_none() {
            self.grace_ends_ns
                .set(Some(self.clock.precise().saturating_add(grace)));
        }
        let all = self.sched.arena.used();
        for index in all.filter(|index| *index != self.sched.current()) {
            if self.sched.arena.block(index).state.get() != State::Done {
                self.cancel(index);
            }
        }
        // Last: the destructors of what they captured may wait.
        self.callbacks.remove_all(|timer| self.clear_timer(timer));
    }
}
