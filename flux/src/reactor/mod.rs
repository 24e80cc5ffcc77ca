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
//! Owns the turn, the start and the end of fibers on their stacks, and the closing down. What a fiber may
//! ask for while it runs is in [`park`]; how a reactor is made is in [`init`]; how it is found again is in
//! [`current`]; who is named when a stack overflows is in [`overflow`].

#![allow(
    unsafe_code,
    reason = "the loop resumes contexts, and hands ops of suspended frames to the engine"
)]

pub(crate) mod current;
mod init;
mod overflow;
pub(crate) mod park;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod refusal_tests;

pub use init::{init, pin_to_core, unpin_thread};

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::time::Duration;

use crate::clock::Clock;
use crate::config::{Config, Idle, StackClass};
use crate::engine::{CancelOutcome, Engine, Wait};
use crate::error::RunError;
use crate::fiber::block::{Block, NIL, SlotFn, State, Waiting};
use crate::sched::{CancelPath, Sched};
use crate::stack::Slab;
use crate::sys::say;
use crate::sys::signal::FaultGuard;

/// The most fibers that a turn resumes before it looks at the kernel again.
const RUN_MAX: u32 = 256;
/// Inline successes (a send that the socket took at once) before a fiber lets the others run.
pub(crate) const BUDGET: u8 = 64;
/// The names printed of fibers that outlast the grace period.
const LEFT_MAX: usize = 32;

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
    pub(crate) engine: RefCell<Engine>,
    /// Why a better engine is not in use.
    pub(crate) refused: Option<&'static str>,
    pub(crate) slabs: RefCell<[Slab; 3]>,
    pub(crate) config: Config,
    /// Read once a turn, and whenever a fiber asks.
    pub(crate) clock: Clock,
    /// When the fibers that are left must have ended, once the main fiber has.
    grace_ends_ns: Cell<Option<u64>>,
    /// Since when nothing was ready, while spinning for a limited time.
    idle_since_ns: Cell<Option<u64>>,
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
        let Some(wait) = self.patience() else {
            return Ok(Turn::Stuck);
        };
        self.engine
            .borrow_mut()
            .turn(wait, |op| self.sched.wake(op.fiber()))?;
        Ok(Turn::Went)
    }

    /// Ends the waits whose time is over. Reads the clock only if there is one to end.
    #[inline]
    fn fire_deadlines(&self) {
        if self.sched.next_deadline().is_some() {
            let now = self.clock.cached();
            while let Some(path) = self.sched.expire_one(now) {
                self.follow(&path);
            }
        }
    }

    /// Runs the fibers that were ready when the turn began, but not without end.
    #[inline]
    fn run_ready(&self) {
        let count = self.sched.ready_len().min(RUN_MAX);
        if count > 0 {
            self.idle_since_ns.set(None);
        }
        for _ in 0..count {
            let Some(index) = self.sched.pop_ready() else {
                break;
            };
            self.resume(index);
        }
    }

    /// How long to wait in the kernel; `None` when that would be for ever and for nothing.
    #[inline]
    fn patience(&self) -> Option<Wait> {
        if self.sched.ready_len() > 0 {
            return Some(Wait::Poll);
        }
        let deadline = self.sched.next_deadline();
        if deadline.is_none() && self.engine.borrow().in_flight() == 0 {
            return None;
        }
        let spin = match self.config.idle {
            Idle::Block => false,
            Idle::Spin => true,
            Idle::SpinThenBlock(time) => self.still_spinning(time),
        };
        if spin {
            std::hint::spin_loop();
            return Some(Wait::Poll);
        }
        let deadline = match (deadline, self.grace_ends_ns.get()) {
            (Some(deadline), Some(grace)) => Some(deadline.min(grace)),
            (deadline, grace) => deadline.or(grace),
        };
        Some(deadline.map_or(
            Wait::Forever,
            |at| match at.saturating_sub(self.clock.precise()) {
                0 => Wait::Poll,
                ns => Wait::AtMost(Duration::from_nanos(ns)),
            },
        ))
    }

    fn still_spinning(&self, time: Duration) -> bool {
        let now = self.clock.precise();
        let since = self.idle_since_ns.get().unwrap_or(now);
        self.idle_since_ns.set(Some(since));
        u128::from(now - since) < time.as_nanos()
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
        if block.stack.get() == NIL {
            let Some(slot) = slab.take() else {
                self.sched.queue_for_stack(index);
                return false;
            };
            block.stack.set(slot);
        }
        block.waiting.set(Waiting::Nothing);
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
        // SAFETY: a fiber parks in an op after it was submitted to this engine (`Reactor::perform`).
        let outcome = unsafe { self.engine.borrow_mut().cancel(op) };
        if outcome == CancelOutcome::Done {
            self.sched.wake(op.fiber());
        }
    }

    /// Cancels all fibers but the calling one, and starts the grace period.
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
    }

    /// Runs `main` as the main fiber, on a large stack, until it and all others have ended.
    ///
    /// When `main` returns the others are cancelled, and have [`Config::grace`] to end; those that are left
    /// then are named on stderr, and their memory is never used again.
    ///
    /// # Errors
    /// - [`RunError::Deadlock`]: every fiber waited for another one. They were cancelled, as at the end.
    /// - [`RunError::MainLeft`]: `main` itself did not end within the grace period after
    ///   [`shutdown`](crate::shutdown).
    /// - [`RunError::Engine`]: the kernel refused to go on.
    ///
    /// # Panics
    /// With what `main` panicked with.
    // `'static`, since a main fiber that does not end is left behind, with all that it captured.
    #[track_caller]
    pub fn run<T>(self, main: impl FnOnce() -> T + 'static) -> Result<T, RunError> {
        let frame = MainFrame {
            body: Cell::new(Some(main)),
            outcome: Cell::new(None),
        };
        // Not dropped unless every fiber has ended, and with it every op: what is left may be known to the
        // kernel.
        let mut reactor = ManuallyDrop::new(self);
        let verdict = {
            let _current = current::Entered::new(&reactor);
            reactor.admit_main(&frame, Location::caller());
            let unwinding = AbortOnDrop;
            let verdict = reactor.drive();
            std::mem::forget(unwinding);
            verdict
        };
        if reactor.sched.live() == 0 {
            // SAFETY: dropped once, here, and not used again.
            unsafe { ManuallyDrop::drop(&mut reactor) };
        } else {
            reactor.pinned.give_up();
            current::Claim::give_up();
        }
        verdict?;
        match frame.outcome.take() {
            Some(Ok(value)) => Ok(value),
            Some(Err(payload)) => resume_unwind(payload),
            None => Err(RunError::MainLeft),
        }
    }

    fn admit_main<F: FnOnce() -> T, T>(
        &self,
        frame: &MainFrame<F, T>,
        at: &'static Location<'static>,
    ) {
        let index = self
            .sched
            .take_block("main", at)
            .expect("a new reactor has a free control block: `Config::check` wants one");
        let block = self.sched.arena.block(index);
        block.class.set(StackClass::Large);
        block.has_handle.set(false);
        block.write_slot(std::ptr::from_ref(frame));
        let run: SlotFn = run_main::<F, T>;
        block.run.set(run);
        self.sched.admit(index);
    }

    /// Turns until every fiber has ended, or is given up.
    fn drive(&self) -> Result<(), RunError> {
        let mut verdict = Ok(());
        loop {
            let turn = self.turn().map_err(RunError::Engine)?;
            if self.sched.live() == 0 {
                break;
            }
            match (turn, self.grace_ends_ns.get()) {
                (Turn::Went, None) => {}
                (Turn::Went, Some(end)) if self.clock.precise() < end => {}
                (Turn::Stuck, None) => {
                    verdict = Err(RunError::Deadlock(self.deadlock_report()));
                    self.close();
                }
                (_, Some(_)) => {
                    self.name_those_left();
                    break;
                }
            }
        }
        verdict
    }

    fn deadlock_report(&self) -> String {
        let slabs = self.slabs.borrow();
        self.sched.deadlock_report(&StackClass::ALL.map(|class| {
            let slab = &slabs[class.index()];
            (class, slab.in_use(), slab.count())
        }))
    }

    #[cold]
    fn name_those_left(&self) {
        let arena = &self.sched.arena;
        say(format_args!(
            "flux: {} fibers were cancelled and have not ended (`grace` is {:?}):",
            self.sched.live(),
            self.config.grace
        ));
        let left = arena
            .used()
            .filter(|index| arena.block(*index).state.get() != State::Done);
        for index in left.take(LEFT_MAX) {
            say(format_args!(
                "  fiber `{}`, spawned at {}, waits for {}",
                arena.name(index),
                arena.spawned_at(index),
                arena.block(index).waiting.get().describe()
            ));
        }
    }
}

/// Ends the process when the loop itself panics: fibers would be left with frames that nobody keeps.
struct AbortOnDrop;

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        say(format_args!(
            "flux: the reactor itself panicked, which is a bug of flux; aborting"
        ));
        std::process::abort();
    }
}

/// What [`Reactor::run`] and the main fiber share, in the frame of the former.
struct MainFrame<F, T> {
    body: Cell<Option<F>>,
    outcome: Cell<Option<Result<T, Box<dyn Any + Send>>>>,
}

/// The main fiber, from its first to its last moment.
///
/// # Safety
/// The block's slot holds the address of a `MainFrame<F, T>` that is alive.
unsafe fn run_main<F: FnOnce() -> T, T>(block: *const ()) {
    // SAFETY: the reactor starts a context with the address of its own block, which is alive.
    let block = unsafe { &*block.cast::<Block>() };
    // SAFETY: the slot holds this pointer (caller), and is read once.
    let frame: *const MainFrame<F, T> = unsafe { block.take_slot() };
    // SAFETY: alive: `run` holds it, and drives the loop that this fiber runs in. Once `run` gives the fiber
    // up it is not resumed again, so that it does not come back to use the reference.
    let frame = unsafe { &*frame };
    if let Some(body) = frame.body.take() {
        let outcome = catch_unwind(AssertUnwindSafe(body));
        frame.outcome.set(Some(outcome));
    }
    current::with(Reactor::close);
}
