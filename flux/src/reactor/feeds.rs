//! Feeds that the kernel fills: opening one, waiting for what lands, closing it, and the end of all.
//!
//! A fiber waits for bytes, not for the request that brings them: being cancelled, or late, ends the wait alone, and
//! nothing is lost. Closing asks for the request's end; the slot is free once the kernel has answered.
//!
//! Does not know what a feed is read for.

#![allow(
    unsafe_code,
    reason = "hands the engine requests that lie in the slots of feeds"
)]

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use super::Reactor;
use super::park::end_of;
use crate::engine::{CancelOutcome, Wait};
use crate::feeds::{Feeds, NOBODY, Slot};
use crate::fiber::block::{NIL, Waiting};
use crate::landing::End;
use crate::op::{Op, State};

/// How often the end of the requests that last is waited for when the reactor ends, and how long each time.
const DRAINS_MAX: usize = 50;
const DRAIN_PAUSE: Duration = Duration::from_millis(100);

const _: () = assert!(NOBODY == NIL);

impl Reactor {
    /// A slot for a new feed, lent to the kernel if it is to fill it by itself: the slot's number, and whether it
    /// does.
    ///
    /// # Errors
    /// `QuotaExceeded` when all are in use; what the kernel says.
    pub(crate) fn open_feed(&self, by_kernel: bool) -> io::Result<(u32, bool)> {
        let slot = self.free_slot()?;
        let by_kernel = by_kernel && self.feeds_by_kernel;
        if by_kernel && let Err(error) = self.engine.borrow_mut().open_feed(slot.landing()) {
            self.feeds.release(slot);
            return Err(error);
        }
        Ok((slot.landing().index(), by_kernel))
    }

    /// A slot that nobody uses.
    pub(super) fn free_slot(&self) -> io::Result<&Slot> {
        self.feeds.take().ok_or_else(|| {
            let which = match self.feeds.count() {
                0 => "there are no feeds".into(),
                1 => "the one feed is in use".into(),
                count => format!("all {count} feeds are in use"),
            };
            io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("{which}; raise `feeds` in `#[flux::main]` (or `FLUX_FEEDS`), or drop one"),
            )
        })
    }

    /// Waits until more than `seen` bytes have arrived in a feed that the kernel fills, or it has ended.
    ///
    /// # Errors
    /// `StorageFull` when all of its memory is unread; `TimedOut` and `ECANCELED` as everywhere; nothing of the
    /// stream's own, which [`Landing::end`](crate::landing::Landing::end) tells.
    #[inline]
    #[track_caller]
    pub(crate) fn wait_for_feed(
        &self,
        slot: u32,
        fd: RawFd,
        seen: u64,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let slot = self.feeds.slot(slot);
        let landing = slot.landing();
        // What is there without a wait landed during another one, so that the others have had their turn.
        self.may_go_on()?;
        let own_end = timeout.map(|timeout| end_of(self.clock.precise(), timeout));
        while landing.arrived() == seen && landing.end() == End::Open {
            self.may_wait()?;
            if landing.owes() {
                self.engine.borrow_mut().lend(landing);
            }
            // Said at once: a request that is still armed could only find that out.
            if !landing.has_room() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if !slot.is_armed() {
                let op = slot.prepare(fd, NOBODY);
                // SAFETY: the op stays in its slot, and what it points to beside it, until it is done: `prepare`
                // writes no other one before, and `drain_feeds` waits for it before the slots go.
                unsafe { self.engine.borrow_mut().submit(op) };
                self.feeds.nobody_waits();
            }
            self.wait_at(slot, own_end, || {
                landing.arrived() > seen || landing.end() != End::Open || !slot.is_armed()
            })?;
        }
        Ok(())
    }

    /// Waits once at the request of a slot, which is in flight, until `done` or until the wait is ended early.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "for the reason that `wait` gives")]
    #[track_caller]
    pub(super) fn wait_at(
        &self,
        slot: &Slot,
        own_end_ns: Option<u64>,
        done: impl FnMut() -> bool,
    ) -> io::Result<()> {
        let op = slot.op();
        op.set_fiber(self.sched.current());
        self.feeds.somebody_waits();
        let waited = self.wait(Waiting::Feed, own_end_ns, done);
        op.set_fiber(NOBODY);
        if slot.is_armed() {
            self.feeds.nobody_waits();
        }
        Ok(waited?)
    }

    /// Lets a feed go that somebody opened, and its socket: the slot is free, and the socket closed, as soon as the
    /// kernel is done with them.
    pub(crate) fn close_feed(&self, slot: u32, by_kernel: bool, socket: OwnedFd) {
        let slot = self.feeds.slot(slot);
        slot.keep(socket);
        slot.landing().close();
        if slot.is_armed() {
            // SAFETY: armed, so that it was submitted to this engine.
            let outcome = unsafe { self.engine.borrow_mut().cancel(slot.op()) };
            if outcome == CancelOutcome::Pending {
                return;
            }
            self.feeds.somebody_waits();
        }
        if by_kernel {
            self.engine.borrow_mut().close_feed(slot.landing());
        }
        self.feeds.release(slot);
    }

    /// A request that lasts has brought something, and nobody waits for it.
    #[cold]
    pub(super) fn feed_done(&self, op: &Op) {
        if op.state() != State::Done {
            return;
        }
        self.feeds.somebody_waits();
        if let Some(landing) = op.request().lasts() {
            // SAFETY: alive: it lies beside its op, in a slot.
            let landing = unsafe { &*landing };
            if landing.is_closing() {
                self.feeds.release(self.feeds.slot(landing.index()));
            }
        }
    }

    /// Ends the requests of feeds that were never closed, before their memory goes.
    pub(super) fn drain_feeds(&self) {
        for slot in self.feeds.armed() {
            slot.landing().close();
            // SAFETY: armed, so that it was submitted to this engine.
            unsafe { self.engine.borrow_mut().cancel(slot.op()) };
        }
        for _ in 0..DRAINS_MAX {
            if self.feeds.armed().next().is_none() {
                return;
            }
            let turned = self
                .engine
                .borrow_mut()
                .turn(Wait::AtMost(DRAIN_PAUSE), |op| self.done(op));
            if turned.is_err() {
                break;
            }
        }
        // The kernel has not answered: it gets to keep what it may write to.
        std::mem::forget(Rc::clone(&self.feeds));
    }

    /// Whether a slot belongs to this reactor.
    #[inline]
    pub(crate) fn has_feed_of(&self, feeds: &Rc<Feeds>) -> bool {
        Rc::ptr_eq(&self.feeds, feeds)
    }
}
