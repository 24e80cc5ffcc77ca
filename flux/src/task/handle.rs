//! Handles: the right to a fiber's result.

#![allow(
    unsafe_code,
    reason = "results leave the untyped slot of a control block here"
)]

use std::fmt;
use std::marker::PhantomData;
use std::ptr;

use crate::error::JoinError;
use crate::fiber::block::{Block, NIL, Payload, State, Waiting};
use crate::reactor::{Reactor, current};

/// The right to join a fiber: to wait for its end and take its result.
///
/// Dropping it detaches the fiber, which runs on. A handle stays with its reactor: it is not [`Send`], and
/// once that has ended it does nothing any more.
#[must_use = "dropping the handle detaches the fiber; `join` it, or say so with `drop`"]
pub struct JoinHandle<T> {
    index: u32,
    id: u64,
    // Neither `Send` nor `Sync`; owns a `T` in the block.
    result: PhantomData<(T, *mut ())>,
}

impl<T> JoinHandle<T> {
    pub(super) fn new(index: u32, id: u64) -> Self {
        Self {
            index,
            id,
            result: PhantomData,
        }
    }

    /// Waits until the fiber has ended, and returns what it returned.
    ///
    /// # Suspends
    /// Until the fiber has ended, the calling fiber is cancelled, or the deadline of an enclosing
    /// [`timeout`](crate::timeout) passes. Not at all when the fiber has ended already.
    ///
    /// # Errors
    /// - [`JoinError::Panicked`]: the fiber panicked, alone; this is what it panicked with.
    /// - [`JoinError::Stopped`]: the *calling* fiber was cancelled, or out of time. The other one runs on,
    ///   detached.
    ///
    /// # Panics
    /// Outside of a fiber, and inside [`no_suspend`](crate::no_suspend) when it would have to wait.
    // Inlined into the fiber's own code, for the reason that `Reactor::wait` gives. As a closure passed to
    // `current::with` it would not be, where a program joins in several places.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "see the comment above")]
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        let reactor: *const Reactor = current::with(ptr::from_ref);
        // SAFETY: alive: the calling fiber runs in it, and a reactor outlives the frames of its fibers, or is
        // left behind with them.
        let reactor = unsafe { &*reactor };
        let block = self
            .block(reactor)
            .expect("a handle of a reactor that has ended has nothing to join");
        if block.state.get() == State::Done {
            reactor.spend();
        } else {
            // Refused before anything is noted: where the wait would panic, nobody is the joiner.
            reactor.may_wait().map_err(JoinError::Stopped)?;
            block.joiner.set(reactor.sched.current());
            let waited = reactor.wait(Waiting::Join, None, || block.state.get() == State::Done);
            block.joiner.set(NIL);
            waited.map_err(JoinError::Stopped)?;
        }
        self.take(reactor, block)
    }

    /// Takes the result of a fiber that is done, and frees its block.
    #[inline]
    pub(super) fn take(self, reactor: &Reactor, block: &Block) -> Result<T, JoinError> {
        debug_assert_eq!(block.state.get(), State::Done);
        let panicked = block.panicked.get();
        let index = self.index;
        // The block is freed here, once: the handle's own drop must not do it again.
        std::mem::forget(self);
        block.has_handle.set(false);
        // A way out for each, rather than one `Result` for both: that is copied in overlapping pieces, which
        // stalls the processor for longer than the rest takes.
        if panicked {
            // SAFETY: a fiber that panicked left its payload, and the handle was the one right to it.
            let payload = unsafe { block.take_slot::<Payload>() };
            reactor.sched.release(index);
            return Err(JoinError::Panicked(payload));
        }
        // SAFETY: a fiber that returned left a `T`: the handle was made with the block's closure, and
        // numbers of fibers do not come again (`Arena::take`); it was the one right to it.
        let value = unsafe { block.take_slot::<T>() };
        reactor.sched.release(index);
        Ok(value)
    }

    /// Asks the fiber to end: the call that it is suspended in fails, and every later one that suspends.
    ///
    /// I/O fails with `ECANCELED`, everything else with [`Stopped::Cancelled`](crate::Stopped::Cancelled).
    /// The fiber leaves by its own `?`, so that its destructors run; `join` says when it has. Cancelling one
    /// that has ended does nothing.
    ///
    /// # Panics
    /// Outside of a fiber.
    #[track_caller]
    pub fn cancel(&self) {
        current::with(|reactor| self.cancel_on(reactor));
    }

    /// As [`cancel`](Self::cancel), also where there is no reactor any more.
    pub(crate) fn cancel_if_there(&self) {
        current::try_with(|reactor| self.cancel_on(reactor));
    }

    fn cancel_on(&self, reactor: &Reactor) {
        if let Some(block) = self.block(reactor)
            && block.state.get() != State::Done
        {
            reactor.cancel(self.index);
        }
    }

    /// Whether the fiber has ended, so that [`join`](Self::join) would not wait.
    pub fn is_finished(&self) -> bool {
        current::try_with(|reactor| {
            self.block(reactor)
                .is_none_or(|block| block.state.get() == State::Done)
        })
        .unwrap_or(true)
    }

    /// The fiber's name: that of its function, or of [`Builder::name`](crate::Builder::name).
    ///
    /// Empty once the reactor has ended.
    pub fn name(&self) -> &'static str {
        current::try_with(|reactor| {
            self.block(reactor)
                .map_or("", |_| reactor.sched.arena.name(self.index))
        })
        .unwrap_or("")
    }

    pub(super) fn block<'a>(&self, reactor: &'a Reactor) -> Option<&'a Block> {
        reactor.sched.arena.find(self.index, self.id)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        // Off the reactor there is no block any more that this could be the handle of.
        current::try_with(|reactor| {
            let Some(block) = self.block(reactor) else {
                return;
            };
            block.has_handle.set(false);
            if block.state.get() == State::Done {
                // Freed also when the destructor panics.
                let _release = Release(reactor, self.index);
                // SAFETY: a fiber that is done left what this function drops, and nobody has taken it.
                unsafe { (block.run.get())((&raw const *block).cast()) };
            }
        });
    }
}

struct Release<'a>(&'a Reactor, u32);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.sched.release(self.1);
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
