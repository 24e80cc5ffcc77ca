//! Lending the memory of feeds to the kernel: a buffer ring each, of buffers that are used up bit by bit
//! (`IOU_PBUF_RING_INC`), so that what arrives lands directly behind what arrived before.
//!
//! A buffer ring is registered under the number of its feed when that is opened, and is withdrawn when it has been
//! closed and its request is done. The rings' own memory is set aside at init.
//!
//! Owns that memory. Does not know what arrives, nor who waits for it.

#![allow(unsafe_code, reason = "writes entries that the kernel reads")]

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, IOU_PBUF_RING_INC};
use io_uring::{Submitter, cqueue};

use crate::config::feeds::PARTS;
use crate::landing::Landing;
use crate::op::{Op, Request};
use crate::sys::memory::{Mapping, page_size};

/// The entries of every ring, one for each part.
const _: () = assert!(PARTS.is_power_of_two());

/// The buffer rings' own memory: a page for each feed, since the kernel wants them to begin with one.
pub(super) struct BufferRings {
    pages: Option<Mapping>,
}

impl BufferRings {
    /// For so many feeds.
    pub(super) fn new(feeds: usize) -> io::Result<Self> {
        let bytes = feeds.checked_mul(page_size());
        let bytes = bytes.ok_or(io::ErrorKind::OutOfMemory)?;
        if bytes == 0 {
            return Ok(Self { pages: None });
        }
        let pages = Mapping::new(bytes)?;
        pages.populate(0, bytes)?;
        Ok(Self { pages: Some(pages) })
    }

    /// The first entry of a feed's ring.
    pub(super) fn entries(&self, landing: &Landing) -> *mut BufRingEntry {
        let pages = self.pages.as_ref();
        let pages = pages.expect("a feed has a number, so that there is a page for it");
        let at = landing.index() as usize * page_size();
        assert!(at < pages.len(), "feed {} has no page", landing.index());
        ptr::with_exposed_provenance_mut(pages.start() + at)
    }

    /// Registers a feed's ring, and lends all of its memory.
    pub(super) fn open(&self, submitter: &Submitter<'_>, landing: &Landing) -> io::Result<()> {
        let entries = self.entries(landing);
        // SAFETY: the page is in memory for as long as the ring (`Uring` drops that first), and larger than the
        // entries; the kernel reads the numbers in it as of now, so that it begins with the tail at 0.
        unsafe { tail(entries) }.store(0, Ordering::Release);
        // SAFETY: as above.
        unsafe {
            submitter.register_buf_ring_with_flags(
                entries.expose_provenance() as u64,
                PARTS,
                group(landing),
                incremental(),
            )
        }?;
        self.lend(landing);
        Ok(())
    }

    /// Lends again what has come back.
    pub(super) fn lend(&self, landing: &Landing) {
        let entries = self.entries(landing);
        // SAFETY: a feed's ring (`entries`).
        let tail = unsafe { tail(entries) };
        let mut next = tail.load(Ordering::Relaxed);
        while let Some((part, start)) = landing.lend() {
            let entry = entries.wrapping_add(usize::from(next % PARTS));
            // SAFETY: inside of the page, whose bits are those of a valid entry whatever they are; the kernel reads
            // it after the tail has passed it, and is done with what stood there, since that part has come back.
            let entry = unsafe { &mut *entry };
            entry.set_addr(start.as_ptr().expose_provenance() as u64);
            // A part is far below 4 GiB (`Config::feed_buffer`).
            entry.set_len(u32::try_from(landing.part_len()).unwrap_or(0));
            entry.set_bid(part);
            next = next.wrapping_add(1);
        }
        tail.store(next, Ordering::Release);
    }
}

/// Withdraws the ring of a feed whose request is done.
pub(super) fn close(submitter: &Submitter<'_>, landing: &Landing) {
    let withdrawn = submitter.unregister_buf_ring(group(landing));
    debug_assert!(withdrawn.is_ok(), "it was registered: {withdrawn:?}");
}

/// Notes down a completion of a feed's request.
#[inline]
pub(super) fn landed(op: &Op, result: i32, flags: u32) {
    let buffer = cqueue::buffer_select(flags);
    match *op.request() {
        Request::Stream { landing, .. } => {
            // SAFETY: alive: it lies beside its op, which is in flight.
            let landing = unsafe { &*landing };
            landing.landed(result, buffer, cqueue::buffer_more(flags));
        }
        Request::Datagrams { tray, .. } => {
            // SAFETY: as above.
            let tray = unsafe { &*tray };
            tray.landed(result, buffer);
        }
        _ => {}
    }
}

/// Withdraws the ring of a feed that has been closed, now that its request is done.
#[cold]
pub(super) fn ended(submitter: &Submitter<'_>, op: &Op) {
    if let Some(landing) = op.request().lasts() {
        // SAFETY: alive: it lies beside its op, and is nobody else's before `done` was told.
        let landing = unsafe { &*landing };
        if landing.is_closing() {
            close(submitter, landing);
        }
    }
}

/// The number that the kernel knows a feed's buffers by.
pub(super) fn group(landing: &Landing) -> u16 {
    // `Config::check` keeps feeds below.
    u16::try_from(landing.index()).unwrap_or(u16::MAX)
}

/// The flag that lets buffers be used up bit by bit.
pub(super) fn incremental() -> u16 {
    u16::try_from(IOU_PBUF_RING_INC).unwrap_or(0)
}

/// Where a ring says how many entries were written to it.
///
/// # Safety
/// It is the first entry of a ring, which stays for as long as the answer is used.
pub(super) unsafe fn tail<'a>(entries: *mut BufRingEntry) -> &'a AtomicU16 {
    // SAFETY: the address is that of the first entry of a buffer ring (caller).
    let tail = unsafe { BufRingEntry::tail(entries) };
    // SAFETY: aligned, inside of the ring (caller), and written through here alone; the kernel reads it.
    unsafe { AtomicU16::from_ptr(tail.cast_mut()) }
}
