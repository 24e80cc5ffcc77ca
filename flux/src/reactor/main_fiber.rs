//! The main fiber: from [`Reactor::run`] to the end of the last fiber, or of the grace period.
//!
//! Owns the frame that `run` and the main fiber share, and what is said of those that do not end. Does not know
//! what a turn does.

#![allow(
    unsafe_code,
    reason = "the main fiber reaches its frame, and the reactor is dropped or left behind"
)]

use std::any::Any;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use super::{Reactor, Turn, current};
use crate::config::StackClass;
use crate::error::RunError;
use crate::fiber::block::{Block, SlotFn, State};
use crate::sys::say;

/// The names printed of fibers that outlast the grace period.
const LEFT_MAX: usize = 32;

impl Reactor {
    /// Runs `main` as the main fiber, on a large stack, until it and all others have ended.
    ///
    /// When `main` returns the others are cancelled, and have [`Config::grace`](crate::Config::grace) to end; those that are left
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
            #[cfg(unix)]
            reactor.drain_feeds();
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
