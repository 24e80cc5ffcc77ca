//! The slots of feeds: a landing each, and the request that lasts.
//!
//! A feed's request outlives the call that made it, so that it lies here and not in a frame.
//!
//! **Invariant:** a slot is somebody else's only after the last completion that names it, and its memory is unmapped
//! after that.
//!
//! Does not know what a socket is, or how an engine lends.

#![allow(
    unsafe_code,
    reason = "requests lie here that engines and the kernel point to"
)]

use std::cell::{Cell, UnsafeCell};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::ptr;

use crate::landing::Landing;
use crate::op::{Op, Request, State};
use crate::sys::memory::Mirrors;
use crate::tray::Tray;

/// No slot, and nobody who waits: no fiber has this index.
pub(crate) const NOBODY: u32 = u32::MAX;

/// The memory of all feeds, and where each of them stands.
pub(crate) struct Feeds {
    slots: Box<[Slot]>,
    memory: Mirrors,
    free: Cell<u32>,
    in_use: Cell<u32>,
    high_water: Cell<u32>,
    /// Requests that last and that no fiber waits for at the moment.
    unheard: Cell<u32>,
}

/// One feed.
pub(crate) struct Slot {
    landing: Landing,
    tray: Tray,
    /// Written over while it is not in flight alone.
    op: UnsafeCell<Op>,
    next_free: Cell<u32>,
    /// A socket that stays open until the slot is free.
    kept: Cell<Option<OwnedFd>>,
}

impl Feeds {
    /// For `count` feeds of `len` bytes each, as `Config::check` has let them pass.
    pub(crate) fn new(count: usize, len: usize) -> io::Result<Self> {
        let memory = Mirrors::new(count, len)?;
        let last = u32::try_from(count).unwrap_or(NOBODY);
        let slots = (0..last)
            .map(|index| Slot {
                landing: Landing::new(index, memory.piece(index as usize), memory.len()),
                tray: Tray::new(memory.piece(index as usize), memory.len()),
                op: UnsafeCell::new(Op::new(Request::Nothing, NOBODY)),
                next_free: Cell::new(if index + 1 == last { NOBODY } else { index + 1 }),
                kept: Cell::new(None),
            })
            .collect();
        Ok(Self {
            slots,
            memory,
            free: Cell::new(if count == 0 { NOBODY } else { 0 }),
            in_use: Cell::new(0),
            high_water: Cell::new(0),
            unheard: Cell::new(0),
        })
    }

    #[inline]
    pub(crate) fn slot(&self, index: u32) -> &Slot {
        &self.slots[index as usize]
    }

    /// A slot that nobody uses, as new; `None` if there is none.
    pub(crate) fn take(&self) -> Option<&Slot> {
        let slot = self.slots.get(self.free.get() as usize)?;
        self.free.set(slot.next_free.get());
        self.in_use.set(self.in_use.get() + 1);
        self.high_water
            .set(self.high_water.get().max(self.in_use.get()));
        slot.landing.renew();
        Some(slot)
    }

    /// Takes a slot back, whose request is not in flight.
    pub(crate) fn release(&self, slot: &Slot) {
        debug_assert!(!slot.is_armed(), "the kernel would write into it");
        drop(slot.kept.take());
        slot.next_free.set(self.free.replace(slot.landing.index()));
        self.in_use.set(self.in_use.get() - 1);
    }

    /// The slots whose request is in flight.
    pub(crate) fn armed(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.is_armed())
    }

    pub(crate) fn count(&self) -> usize {
        self.memory.count()
    }

    pub(crate) fn in_use(&self) -> usize {
        self.in_use.get() as usize
    }

    pub(crate) fn high_water(&self) -> usize {
        self.high_water.get() as usize
    }

    /// How many requests last though nobody waits for them.
    #[inline]
    pub(crate) fn unheard(&self) -> usize {
        self.unheard.get() as usize
    }

    /// One more of those.
    #[inline]
    pub(crate) fn nobody_waits(&self) {
        self.unheard.set(self.unheard.get() + 1);
    }

    /// One less.
    #[inline]
    pub(crate) fn somebody_waits(&self) {
        self.unheard.set(self.unheard.get() - 1);
    }
}

impl Slot {
    #[inline]
    pub(crate) fn landing(&self) -> &Landing {
        &self.landing
    }

    /// Its account of datagrams, where it is a feed of those.
    #[inline]
    pub(crate) fn tray(&self) -> &Tray {
        &self.tray
    }

    /// Keeps a socket open until the slot is free. A request that has not left for the kernel names it by its
    /// number, and the next socket could have that number by then.
    pub(crate) fn keep(&self, socket: OwnedFd) {
        self.kept.set(Some(socket));
    }

    /// The request that lasts.
    #[inline]
    pub(crate) fn op(&self) -> &Op {
        // SAFETY: written by `prepare` alone, which nobody calls while a reference is used: those of the engine end
        // with the request, before that, and all others with the call that wanted them.
        unsafe { &*self.op.get() }
    }

    /// Whether the request is on its way or in the kernel.
    #[inline]
    pub(crate) fn is_armed(&self) -> bool {
        matches!(self.op().state(), State::Queued | State::InKernel)
    }

    /// Writes a new request, to receive what comes from a descriptor.
    ///
    /// # Panics
    /// When the last one is not done.
    pub(crate) fn prepare(&self, fd: RawFd, fiber: u32) -> &Op {
        self.write(
            Request::Stream {
                fd,
                landing: ptr::from_ref(&self.landing),
            },
            fiber,
        )
    }

    /// As [`prepare`](Self::prepare), for datagrams.
    ///
    /// # Panics
    /// As there.
    pub(crate) fn prepare_datagrams(&self, fd: RawFd, fiber: u32) -> &Op {
        self.write(
            Request::Datagrams {
                fd,
                landing: ptr::from_ref(&self.landing),
                tray: ptr::from_ref(&self.tray),
            },
            fiber,
        )
    }

    fn write(&self, request: Request, fiber: u32) -> &Op {
        assert!(!self.is_armed(), "a feed has one request at a time");
        // SAFETY: not in flight, so that no engine refers to it; no reference outlives the call that wanted it.
        unsafe { *self.op.get() = Op::new(request, fiber) };
        self.op()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::feeds::PARTS;
    use crate::sys::memory::page_size;

    fn feeds(count: usize) -> Feeds {
        Feeds::new(count, usize::from(PARTS) * page_size()).unwrap()
    }

    #[test]
    fn slots_are_given_out_once_and_again_after_they_came_back() {
        let feeds = feeds(2);
        let first = feeds.take().unwrap();
        let second = feeds.take().unwrap();
        assert_ne!(first.landing().index(), second.landing().index());
        assert!(feeds.take().is_none());
        feeds.release(first);
        assert_eq!(
            feeds.take().unwrap().landing().index(),
            first.landing().index()
        );
        assert_eq!((feeds.in_use(), feeds.high_water()), (2, 2));
    }
}
