//! What an engine for readiness knows of a descriptor: whether it is registered, what came of its edges, and the ops
//! that wait at it, in each direction in their order.
//!
//! How the kernel is asked is a [`Poller`]'s business, and how an op is tried that of
//! [`attempt`](super::attempt). Knows no other descriptor, and nothing of the line for registrations.

#![allow(unsafe_code, reason = "tries ops, which lie in suspended frames")]

use std::cell::Cell;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};

use super::attempt::{First, call};
use super::poller::{Added, Edge, Poller};
use crate::list::List;
use crate::op::{Op, Overflow};

/// Counts descriptors that were closed, or given away, where the engine could not be told: on another
/// thread. What is known of a registration from before may be of another file.
static CLOSED_UNSEEN: AtomicU32 = AtomicU32::new(0);

/// Tells every engine of this process that a descriptor may have been closed behind its back.
pub(crate) fn closed_unseen() {
    CLOSED_UNSEEN.fetch_add(1, Ordering::Release);
}

/// One direction of a descriptor.
pub(super) struct Direction {
    pub(super) waiting: List<Op, Overflow>,
    /// The last attempt found nothing, and no edge has come since.
    pub(super) idle: Cell<bool>,
}

/// What is known of a descriptor. All zeroes is a descriptor of which nothing is known.
pub(super) struct Slot {
    read: Direction,
    write: Direction,
    /// Registered, and as of which count of [`CLOSED_UNSEEN`] that is known.
    pub(super) registered: Cell<bool>,
    as_of: Cell<u32>,
    /// What an attempt found says nothing of what comes next, so that everything is tried.
    pub(super) ended: Cell<bool>,
}

/// Where an op stands after it was begun.
pub(super) enum Begun {
    Done(i32),
    Waits,
    /// Its descriptor is not registered, and there is no room to do so.
    NoRoom,
}

/// What is known of a descriptor, unless its number is beyond the table.
#[inline]
pub(super) fn slot_of(slots: &[Slot], fd: RawFd) -> Option<&Slot> {
    usize::try_from(fd).ok().and_then(|fd| slots.get(fd))
}

impl Slot {
    #[inline]
    pub(super) fn direction(&self, write: bool) -> &Direction {
        if write { &self.write } else { &self.read }
    }

    /// Asks the kernel to tell of the descriptor; what becomes of an op that needs it, if that fails.
    pub(super) fn register<P: Poller>(&self, fd: RawFd, poller: &mut P) -> Result<(), Begun> {
        // Read before: a close that comes in between is seen as one that came after.
        let as_of = CLOSED_UNSEEN.load(Ordering::Acquire);
        match poller.add(fd) {
            Ok(Added::Registered) => {}
            Ok(Added::Full) => return Err(Begun::NoRoom),
            Err(error) => {
                return Err(Begun::Done(-error.raw_os_error().unwrap_or(libc::EIO)));
            }
        }
        self.registered.set(true);
        self.as_of.set(as_of);
        Ok(())
    }

    /// Forgets what may be of another file, that has the number now.
    #[inline]
    pub(super) fn forget_if_in_doubt(&self) {
        if self.registered.get() && self.as_of.get() != CLOSED_UNSEEN.load(Ordering::Acquire) {
            self.forget();
        }
    }

    pub(super) fn forget(&self) {
        self.registered.set(false);
        self.ended.set(false);
        self.read.idle.set(false);
        self.write.idle.set(false);
    }

    /// Tries what waits, after an edge; the number of ops that are done.
    #[inline]
    pub(super) fn go_on<P: Poller>(
        &self,
        fd: RawFd,
        edge: Edge,
        done: &mut impl FnMut(&Op),
    ) -> usize {
        if edge.ended {
            self.ended.set(true);
        }
        if edge.refused != 0 {
            // The next op that has to wait asks once more: memory may have been short.
            self.registered.set(false);
        }
        let mut completed = 0;
        if edge.readable || edge.ended {
            completed += self.go_on_in::<P>(&self.read, fd, edge, done);
        }
        if edge.writable || edge.ended {
            completed += self.go_on_in::<P>(&self.write, fd, edge, done);
        }
        completed
    }

    /// Tries what waits in one direction, which has changed.
    #[inline]
    fn go_on_in<P: Poller>(
        &self,
        direction: &Direction,
        fd: RawFd,
        edge: Edge,
        done: &mut impl FnMut(&Op),
    ) -> usize {
        direction.idle.set(false);
        let mut completed = 0;
        while let Some(op) = direction.waiting.front() {
            let result = match edge.refused {
                0 => self.attempt::<P>(fd, op, First::No),
                code => Some(-code),
            };
            let Some(result) = result else {
                break;
            };
            direction.waiting.pop_front();
            op.complete(result);
            completed += 1;
            done(op);
            if direction.idle.get() {
                break;
            }
        }
        completed
    }

    /// Tries an op; `None` when it would have to wait.
    #[inline]
    pub(super) fn attempt<P: Poller>(&self, fd: RawFd, op: &Op, first: First) -> Option<i32> {
        let tried = loop {
            // SAFETY: the pointers of the request are good until the op is done, by the promise of its
            // submitter, and it is not done.
            let tried = unsafe { call(fd, op.request(), first) };
            if tried.result != -libc::EINTR {
                break tried;
            }
        };
        if tried.ended {
            self.ended.set(true);
        }
        let would_wait = tried.would_wait();
        let emptied = P::SHORT_MEANS_EMPTY && tried.short && !self.ended.get();
        self.direction(op.request().writes())
            .idle
            .set(would_wait || emptied);
        (!would_wait).then_some(tried.result)
    }
}
