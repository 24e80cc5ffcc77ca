//! Lending whole buffers to the kernel, one for each datagram: a buffer ring as those of [`feed`](super::feed), of
//! buffers that are used up at once.
//!
//! Not bit by bit: a receive of a message takes more of such a buffer than it says (seen on Linux 6.18: the second
//! datagram lands behind a hole).
//!
//! Does not know what is in a buffer, nor who waits for it.

#![allow(unsafe_code, reason = "writes entries that the kernel reads")]

use std::io;
use std::sync::atomic::Ordering;

use io_uring::types::BufRingEntry;

use super::Uring;
use super::feed::{BufferRings, group, tail};
use crate::landing::Landing;
use crate::tray::Tray;

impl Uring {
    /// Registers the ring of a feed of datagrams, and lends all of its buffers.
    pub(crate) fn open_packets(&mut self, landing: &Landing, tray: &Tray) -> io::Result<()> {
        let rings = self.feeds.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let entries = rings.entries(landing);
        // SAFETY: the page is in memory for as long as the ring (`Uring` drops that first), and as large as the most
        // entries; the kernel reads the numbers in it as of now, so that it begins with the tail at 0.
        unsafe { tail(entries) }.store(0, Ordering::Release);
        // SAFETY: as above.
        unsafe {
            self.submitter.register_buf_ring_with_flags(
                entries.expose_provenance() as u64,
                tray.ring_places(),
                group(landing),
                0,
            )
        }?;
        lend(rings, landing, tray);
        Ok(())
    }

    /// Lends the buffers that are free.
    #[inline]
    pub(crate) fn lend_packets(&mut self, landing: &Landing, tray: &Tray) {
        if let Some(rings) = &self.feeds {
            lend(rings, landing, tray);
        }
    }
}

#[inline]
fn lend(rings: &BufferRings, landing: &Landing, tray: &Tray) {
    let entries = rings.entries(landing);
    let places = tray.ring_places();
    // SAFETY: a feed's ring (`entries`).
    let tail = unsafe { tail(entries) };
    let mut next = tail.load(Ordering::Relaxed);
    while let Some(number) = tray.lend() {
        let entry = entries.wrapping_add(usize::from(next & (places - 1)));
        // SAFETY: inside of the page, whose bits are those of a valid entry whatever they are; the kernel reads it
        // after the tail has passed it, and is done with what stood there: there are as many entries as buffers.
        let entry = unsafe { &mut *entry };
        entry.set_addr(tray.buffer(number).as_ptr().expose_provenance() as u64);
        // A buffer holds a datagram, and so is far below 4 GiB.
        entry.set_len(u32::try_from(tray.buffer_bytes()).unwrap_or(0));
        entry.set_bid(number);
        next = next.wrapping_add(1);
    }
    tail.store(next, Ordering::Release);
}

/// A page holds as many entries as there can be buffers.
const _: () = assert!(crate::tray::BUFFERS_MAX * size_of::<BufRingEntry>() <= 4096);
