//! Where the datagrams of a feed land: whole buffers, those that the kernel has, those that are filled, and the one
//! that is being read.
//!
//! ```text
//! free ──lend──▶ the kernel's ──landed──▶ filled ──take──▶ being read ──give_back──▶ free
//! ```
//!
//! What is filled stands in a line, in the order in which it came, and so do the ends of the request that fills
//! buffers: each is told after what came before it. A packet always has its place in that line, since there are more
//! places than buffers.
//!
//! Owns the account alone; the memory is its maker's. Does not know who waits, how an engine lends, or what is in a
//! buffer.

use std::cell::Cell;
use std::ptr::NonNull;

use crate::sys::datagram;
use crate::sys::errno;
use crate::sys::socket::MessageHeader;

/// The most buffers of a feed: as many as an engine can name in one page.
pub(crate) const BUFFERS_MAX: usize = 256;
/// The places of the line: each buffer once, and as many ends of requests.
const PLACES: usize = 2 * BUFFERS_MAX;
/// The part of the buffers that has to be free before the request is made again after it found none: then it lasts.
const FREE_BEFORE_AGAIN: u16 = 2;

/// What stands next in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Landed {
    /// A buffer, by its number, and how many bytes of it the kernel says that it has filled.
    Buffer(u16, u32),
    /// No buffer was left.
    Starved,
    /// A receive has failed, with this error code.
    Failed(i32),
}

/// How the request that fills buffers stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// Nothing keeps it from being made (again).
    None,
    /// It found no buffer.
    Starved,
    /// It has failed, which was not told yet.
    Failed,
}

/// Where the datagrams of one feed stand.
#[derive(Debug)]
pub(crate) struct Tray {
    memory: NonNull<u8>,
    len: usize,
    buffer_bytes: Cell<usize>,
    buffers: Cell<u16>,
    /// The numbers of those that are free: as many as the count says, from the start.
    free: Box<[Cell<u16>]>,
    free_count: Cell<u16>,
    /// How many the kernel has.
    lent: Cell<u16>,
    line: Box<[Cell<Landed>]>,
    /// How many have come into the line, and how many have left it; both begin again after 2^32.
    came: Cell<u32>,
    left: Cell<u32>,
    /// How many ends of requests stand in line.
    ends: Cell<u16>,
    pause: Cell<Pause>,
    /// What the request is told of the buffers: how much of each is for the sender, and for control messages.
    outline: MessageHeader,
}

impl Tray {
    /// For memory of so many bytes.
    pub(crate) fn new(memory: NonNull<u8>, len: usize) -> Self {
        Self {
            memory,
            len,
            buffer_bytes: Cell::new(len),
            buffers: Cell::new(0),
            free: (0..BUFFERS_MAX).map(|_| Cell::new(0)).collect(),
            free_count: Cell::new(0),
            lent: Cell::new(0),
            line: (0..PLACES).map(|_| Cell::new(Landed::Starved)).collect(),
            came: Cell::new(0),
            left: Cell::new(0),
            ends: Cell::new(0),
            pause: Cell::new(Pause::None),
            outline: datagram::outline(),
        }
    }

    /// Begins anew, for another feed, with buffers of so many bytes each; how many there are.
    pub(crate) fn renew(&self, buffer_bytes: usize) -> u16 {
        let buffers = (self.len / buffer_bytes).min(BUFFERS_MAX);
        // At most BUFFERS_MAX.
        let buffers = u16::try_from(buffers).unwrap_or(0);
        self.buffer_bytes.set(buffer_bytes);
        self.buffers.set(buffers);
        // The lowest is lent first.
        for (place, number) in self.free.iter().zip((0..buffers).rev()) {
            place.set(number);
        }
        self.free_count.set(buffers);
        self.lent.set(0);
        self.came.set(0);
        self.left.set(0);
        self.ends.set(0);
        self.pause.set(Pause::None);
        buffers
    }

    /// How many buffers there are.
    pub(crate) fn buffers(&self) -> usize {
        self.buffers.get().into()
    }

    /// How many bytes a buffer has.
    #[inline]
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.buffer_bytes.get()
    }

    /// Where a buffer begins.
    #[inline]
    pub(crate) fn buffer(&self, number: u16) -> NonNull<u8> {
        debug_assert!(number < self.buffers.get());
        let offset = usize::from(number) * self.buffer_bytes.get();
        self.memory.map_addr(|start| start.saturating_add(offset))
    }

    /// What the request is told; it stays where it is.
    pub(crate) fn outline(&self) -> *const MessageHeader {
        &raw const self.outline
    }

    /// How many places a ring of all the buffers has: a power of two.
    pub(crate) fn ring_places(&self) -> u16 {
        self.buffers.get().next_power_of_two()
    }

    /// A buffer that is free, by its number; it is the kernel's from now on.
    #[inline]
    pub(crate) fn lend(&self) -> Option<u16> {
        let count = self.free_count.get().checked_sub(1)?;
        self.free_count.set(count);
        self.lent.set(self.lent.get() + 1);
        Some(self.free[usize::from(count)].get())
    }

    /// Takes a buffer back that was read.
    #[inline]
    pub(crate) fn give_back(&self, number: u16) {
        let count = self.free_count.get();
        debug_assert!(count < self.buffers.get(), "a buffer comes back once");
        self.free[usize::from(count)].set(number);
        self.free_count.set(count + 1);
    }

    /// Whether the request may be made, if it is not in flight: buffers are free for it, and its last end was told if
    /// that was a failure.
    pub(crate) fn may_ask(&self) -> bool {
        match self.pause.get() {
            Pause::None => true,
            // Some may have been lent after the kernel had looked for one.
            Pause::Starved => {
                let wanted = (self.buffers.get() / FREE_BEFORE_AGAIN).max(1);
                self.free_count.get() + self.lent.get() >= wanted
            }
            Pause::Failed => false,
        }
    }

    /// The request is being made.
    pub(crate) fn asks(&self) {
        self.pause.set(Pause::None);
    }

    /// Takes note of a completion of the request that lasts: a buffer that it has filled so far, or its end.
    #[inline]
    pub(crate) fn landed(&self, result: i32, buffer: Option<u16>) {
        match (u32::try_from(result), buffer) {
            (Ok(bytes), Some(number)) if number < self.buffers.get() => {
                self.lent.set(self.lent.get() - 1);
                self.stand_in_line(Landed::Buffer(number, bytes));
            }
            (Ok(_), _) => self.refused(errno::EPROTO),
            (Err(_), _) => self.refused(-result),
        }
    }

    #[cold]
    fn refused(&self, code: i32) {
        match code {
            errno::ENOBUFS => {
                self.pause.set(Pause::Starved);
                self.tell_of_end(Landed::Starved);
            }
            // Asked for by us; a signal; a descriptor that does not wait: the request is made again.
            errno::ECANCELED | errno::EINTR | errno::EAGAIN => {}
            code => {
                self.pause.set(Pause::Failed);
                self.tell_of_end(Landed::Failed(code));
            }
        }
    }

    #[cold]
    fn tell_of_end(&self, end: Landed) {
        if usize::from(self.ends.get()) == BUFFERS_MAX {
            // One more that says the same: a failure is told before there is another.
            return;
        }
        self.ends.set(self.ends.get() + 1);
        self.stand_in_line(end);
    }

    /// There is a place: buffers stand in line once each, and of ends there are no more.
    #[inline]
    fn stand_in_line(&self, landed: Landed) {
        let came = self.came.get();
        self.line[came as usize % PLACES].set(landed);
        self.came.set(came.wrapping_add(1));
    }

    /// Whether something stands in line.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        self.came.get() != self.left.get()
    }

    /// What stands next in line.
    #[inline]
    pub(crate) fn take(&self) -> Option<Landed> {
        if !self.has_more() {
            return None;
        }
        let left = self.left.get();
        self.left.set(left.wrapping_add(1));
        let landed = self.line[left as usize % PLACES].get();
        match landed {
            Landed::Buffer(..) => return Some(landed),
            Landed::Starved => {}
            Landed::Failed(_) => self.pause.set(Pause::None),
        }
        self.ends.set(self.ends.get() - 1);
        Some(landed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that nobody writes to: the account alone.
    fn tray(buffers: usize) -> Tray {
        let tray = Tray::new(NonNull::dangling(), buffers * 2048);
        assert_eq!(usize::from(tray.renew(2048)), buffers.min(BUFFERS_MAX));
        tray
    }

    fn lend_all(tray: &Tray) -> Vec<u16> {
        std::iter::from_fn(|| tray.lend()).collect()
    }

    #[test]
    fn a_buffer_goes_round_and_is_at_one_place_at_a_time() {
        let tray = tray(3);
        assert_eq!(lend_all(&tray), [0, 1, 2]);
        tray.landed(300, Some(0));
        tray.landed(200, Some(1));
        assert_eq!(tray.take(), Some(Landed::Buffer(0, 300)));
        assert_eq!(tray.lend(), None);
        tray.give_back(0);
        assert_eq!(lend_all(&tray), [0]);
        assert_eq!(tray.take(), Some(Landed::Buffer(1, 200)));
        assert_eq!(tray.take(), None);
    }

    #[test]
    fn an_end_is_told_after_what_came_before_it() {
        let tray = tray(4);
        lend_all(&tray);
        tray.landed(1, Some(0));
        tray.landed(-errno::ECONNREFUSED, None);
        assert!(!tray.may_ask(), "not before it was told");
        assert_eq!(tray.take(), Some(Landed::Buffer(0, 1)));
        assert_eq!(tray.take(), Some(Landed::Failed(errno::ECONNREFUSED)));
        assert!(tray.may_ask());
        for passing in [errno::ECANCELED, errno::EINTR, errno::EAGAIN] {
            tray.landed(-passing, None);
            assert!(tray.may_ask() && !tray.has_more());
        }
    }

    #[test]
    fn a_request_that_found_no_buffer_is_made_again_when_half_of_them_are_free() {
        let tray = tray(4);
        lend_all(&tray);
        for number in 0..4 {
            tray.landed(1, Some(number));
        }
        tray.landed(-errno::ENOBUFS, None);
        for number in 0..2 {
            assert!(!tray.may_ask());
            tray.take();
            tray.give_back(number);
        }
        assert!(tray.may_ask());
        tray.asks();
        tray.take();
        tray.take();
        assert_eq!(tray.take(), Some(Landed::Starved));
    }

    #[test]
    fn a_buffer_that_there_is_not_is_an_error_and_no_packet() {
        let tray = tray(2);
        for number in [Some(2), Some(u16::MAX), None] {
            tray.landed(5, number);
            assert_eq!(tray.take(), Some(Landed::Failed(errno::EPROTO)));
        }
    }

    #[test]
    fn ends_that_are_not_told_never_take_the_place_of_a_packet() {
        let tray = tray(BUFFERS_MAX);
        for _ in 0..3 * PLACES {
            tray.landed(-errno::ENOBUFS, None);
        }
        for number in lend_all(&tray) {
            tray.landed(7, Some(number));
        }
        let line: Vec<_> = std::iter::from_fn(|| tray.take()).collect();
        assert_eq!(line.len(), PLACES);
        for (number, landed) in (0..).zip(&line[PLACES - BUFFERS_MAX..]) {
            assert_eq!(*landed, Landed::Buffer(number, 7));
        }
        assert_eq!(tray.ring_places(), 256);
        assert_eq!(Tray::new(NonNull::dangling(), 1 << 20).renew(2048), 256);
        assert_eq!(Tray::new(NonNull::dangling(), 1 << 18).renew(9216), 28);
    }
}
