//! Where the bytes of a feed land: what has arrived, what was taken, and what the kernel has.
//!
//! ```text
//!            taken            arrived                  lent
//! ──given back─┤▒▒▒▒ unread ▒▒▒▒▒├──── the kernel's ──────┤      mapped twice: no seam at the end
//! ```
//!
//! Positions count bytes since the feed was opened, and never go back: `taken <= arrived <= lent <= taken + len`.
//! Memory is lent in parts, in their order, and a part comes back when its last byte was taken. A feed whose bytes
//! are received by a request of each call's own lends nothing.
//!
//! Owns the account alone; the memory is its maker's. Does not know who waits, or how an engine lends.

use std::cell::Cell;
use std::ptr::NonNull;

use crate::config::feeds::PARTS;
use crate::sys::errno;

/// How a feed has ended, if it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has not.
    Open,
    /// The other side sends nothing more.
    Finished,
    /// A receive has failed, with this error code.
    Failed(i32),
}

/// Where one feed stands.
#[derive(Debug)]
pub(crate) struct Landing {
    index: u32,
    memory: NonNull<u8>,
    len: usize,
    taken: Cell<u64>,
    arrived: Cell<u64>,
    lent: Cell<u64>,
    /// The part that the kernel fills, and how much of it is left.
    part: Cell<u16>,
    left: Cell<usize>,
    end: Cell<End>,
    /// Whoever opened it is gone; it is free once the request is done.
    closing: Cell<bool>,
}

impl Landing {
    /// For memory that is good for twice `len` bytes, the second half showing the first again.
    pub(crate) fn new(index: u32, memory: NonNull<u8>, len: usize) -> Self {
        Self {
            index,
            memory,
            len,
            taken: Cell::new(0),
            arrived: Cell::new(0),
            lent: Cell::new(0),
            part: Cell::new(0),
            left: Cell::new(len / usize::from(PARTS)),
            end: Cell::new(End::Open),
            closing: Cell::new(false),
        }
    }

    /// Begins anew, for another feed.
    pub(crate) fn renew(&self) {
        self.taken.set(0);
        self.arrived.set(0);
        self.lent.set(0);
        self.part.set(0);
        self.left.set(self.part_len());
        self.end.set(End::Open);
        self.closing.set(false);
    }

    #[inline]
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Where its memory begins: good for twice its length.
    #[inline]
    pub(crate) fn memory(&self) -> NonNull<u8> {
        self.memory
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address so many bytes behind the start.
    fn at(&self, offset: usize) -> NonNull<u8> {
        self.memory.map_addr(|start| start.saturating_add(offset))
    }

    /// How much is lent at a time.
    #[inline]
    pub(crate) fn part_len(&self) -> usize {
        self.len / usize::from(PARTS)
    }

    /// How many bytes have arrived since it was opened.
    #[inline]
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived.get()
    }

    /// Gives back the memory of so many bytes, which have arrived.
    #[inline]
    pub(crate) fn give_back(&self, count: usize) {
        let taken = self.taken.get() + count as u64;
        debug_assert!(
            taken <= self.arrived.get(),
            "what has not arrived is the kernel's"
        );
        self.taken.set(taken);
    }

    /// How many bytes have arrived and were not taken.
    #[inline]
    pub(crate) fn unread(&self) -> usize {
        // At most `len`.
        #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
        let unread = (self.arrived.get() - self.taken.get()) as usize;
        unread
    }

    #[inline]
    pub(crate) fn end(&self) -> End {
        self.end.get()
    }

    pub(crate) fn set_end(&self, end: End) {
        self.end.set(end);
    }

    pub(crate) fn close(&self) {
        self.closing.set(true);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Whether there is memory that could be lent.
    #[inline]
    pub(crate) fn owes(&self) -> bool {
        let part = self.part_len() as u64;
        self.lent.get() + part <= self.taken.get() + self.len as u64
    }

    /// The next part to lend: its number, and where it begins. It is the kernel's from now on.
    pub(crate) fn lend(&self) -> Option<(u16, NonNull<u8>)> {
        if !self.owes() {
            return None;
        }
        let part = self.part_len();
        let lent = self.lent.get();
        self.lent.set(lent + part as u64);
        // Below PARTS.
        #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
        let number = (lent / part as u64 % u64::from(PARTS)) as u16;
        Some((number, self.at(usize::from(number) * part)))
    }

    /// Whether the kernel has memory to receive into.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.lent.get() > self.arrived.get()
    }

    /// Takes note of a completion of the request that lasts: bytes, in a part that may go on (`more`); an end; or
    /// nothing but that it was refused.
    #[inline]
    pub(crate) fn landed(&self, result: i32, part: Option<u16>, more: bool) {
        if matches!(self.end.get(), End::Failed(_)) {
            // What is missing would be missing in front of it.
            return;
        }
        let Ok(count) = usize::try_from(result) else {
            return self.refused(-result);
        };
        if count == 0 {
            return self.end.set(End::Finished);
        }
        let left = self.left.get();
        let in_order = part == Some(self.part.get()) && count <= left && more == (count < left);
        if !in_order {
            // It would be delivered at the wrong place: better not at all.
            return self.end.set(End::Failed(errno::EPROTO));
        }
        if count == left {
            self.part.set((self.part.get() + 1) % PARTS);
            self.left.set(self.part_len());
        } else {
            self.left.set(left - count);
        }
        self.arrived.set(self.arrived.get() + count as u64);
    }

    #[cold]
    fn refused(&self, code: i32) {
        match code {
            // No memory is lent; asked for by us; a signal; a descriptor that does not wait: none says anything of
            // the stream.
            errno::ENOBUFS | errno::ECANCELED | errno::EINTR | errno::EAGAIN => {}
            code => self.end.set(End::Failed(code)),
        }
    }

    // Without a request that lasts.

    /// The memory behind what has arrived, and how much there is.
    pub(crate) fn room(&self) -> (NonNull<u8>, usize) {
        // Below the length.
        #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
        let at = (self.arrived.get() % self.len as u64) as usize;
        (self.at(at), self.len - self.unread())
    }

    /// Takes note of so many bytes, received into [`room`](Self::room).
    #[inline]
    pub(crate) fn received(&self, count: usize) {
        debug_assert!(count <= self.len - self.unread());
        self.arrived.set(self.arrived.get() + count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that nobody writes to: the account alone.
    fn landing() -> Landing {
        Landing::new(0, NonNull::dangling(), usize::from(PARTS) * 4096)
    }

    fn lend_all(landing: &Landing) -> u32 {
        std::iter::from_fn(|| landing.lend()).map(|_| 1).sum()
    }

    #[test]
    fn a_part_is_lent_again_once_its_last_byte_was_taken() {
        let landing = landing();
        let part = landing.part_len();
        assert_eq!(lend_all(&landing), u32::from(PARTS));
        for number in 0..PARTS {
            assert!(landing.has_room());
            landing.landed(i32::try_from(part).unwrap(), Some(number), false);
        }
        assert!(!landing.has_room());
        landing.give_back(part - 1);
        assert_eq!(landing.lend(), None);
        landing.give_back(1);
        assert_eq!(landing.lend(), Some((0, landing.memory())));
        assert_eq!(landing.lend(), None);
        assert!(landing.has_room());
        landing.landed(1, Some(0), true);
        assert_eq!(landing.unread(), landing.len() - part + 1);
    }

    #[test]
    fn bytes_that_did_not_land_where_the_last_ended_are_not_delivered() {
        for (first, second) in [
            // Another part; one that is not ended when full; one that is ended before.
            ((10, 0, true), (10, 1, true)),
            ((0, 0, true), (0, 0, true)),
            ((10, 0, true), (10, 0, false)),
        ] {
            let landing = landing();
            lend_all(&landing);
            let whole = i32::try_from(landing.part_len()).unwrap();
            for (count, part, more) in [first, second] {
                let count = if count == 0 { whole } else { count };
                landing.landed(count, Some(part), more);
            }
            assert_eq!(landing.end(), End::Failed(errno::EPROTO));
            let unread = landing.unread();
            assert!(unread <= 10);
            // Nor is what the request brings after that, which goes on until it is asked to end.
            for (part, count) in [(0, 10), (1, 10)] {
                landing.landed(count, Some(part), true);
            }
            landing.landed(0, None, false);
            assert_eq!(
                (landing.unread(), landing.end()),
                (unread, End::Failed(errno::EPROTO))
            );
        }
    }

    #[test]
    fn a_refusal_ends_a_feed_only_if_it_says_something_of_the_stream() {
        let landing = landing();
        for code in [errno::ENOBUFS, errno::ECANCELED, errno::EINTR] {
            landing.landed(-code, None, false);
            assert_eq!(landing.end(), End::Open);
        }
        landing.landed(-errno::ECONNRESET, None, false);
        assert_eq!(landing.end(), End::Failed(errno::ECONNRESET));
    }
}
