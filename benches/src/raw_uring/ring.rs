//! Memory that is mapped twice in a row, and lent to the kernel as a buffer ring that it fills without gaps.
//!
//! ```text
//! ┌ buffer 0 ┬ buffer 1 ┬ buffer 2 ┬ ... ┐┌ the same again                     ┐
//! │          │   ░░░░░░░│░░░░      │     ││                                     │
//! └──────────┴───head───┴───end────┴─────┘└─────────────────────────────────────┘
//! ```
//!
//! With `IOU_PBUF_RING_INC` the kernel goes on in a buffer where it stopped, so that what has come is one slice,
//! whatever the wrap. Does not know what the bytes are, nor who asks the kernel for them.

#![allow(
    unsafe_code,
    reason = "maps memory, and lends it to the kernel for as long as the ring lasts"
)]
#![allow(
    clippy::cast_possible_truncation,
    reason = "numbers of buffers are below 16, and the kernel counts them modulo 2^16"
)]

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// As many buffers, a power of two: as flux has it by default.
const BUFFERS: u16 = 16;
/// Of as many bytes, a multiple of every page size.
const BUFFER_BYTES: usize = 16 * 1024;
/// What can be unread at the most.
pub(crate) const RING_BYTES: usize = BUFFERS as usize * BUFFER_BYTES;
/// The kernel goes on in a buffer where it stopped (`linux/io_uring.h`).
const IOU_PBUF_RING_INC: u16 = 2;
/// Room for the entries: a page, aligned as the kernel wants it.
const ENTRIES_BYTES: usize = 4096;

/// A mapping of its own, gone with this value.
struct Mapped {
    start: NonNull<c_void>,
    length: usize,
}

impl Mapped {
    /// Fresh memory, or with `PROT_NONE` a place for others.
    fn new(length: usize, protection: i32) -> io::Result<Self> {
        const FLAGS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, wherever the system has room.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, protection, FLAGS, -1, 0) };
        Self::taken(start)?;
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    /// Puts the file's first `length` bytes in place of what is here from `offset` on.
    fn put(&self, file: &std::fs::File, offset: usize, length: usize) -> io::Result<()> {
        const FLAGS: i32 = libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_POPULATE;
        use std::os::fd::AsRawFd as _;
        assert!(offset + length <= self.length);
        let at = self.start.as_ptr().wrapping_byte_add(offset);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: what is replaced lies within this mapping, which nobody else has a pointer into yet.
        let start = unsafe { libc::mmap(at, length, protection, FLAGS, file.as_raw_fd(), 0) };
        Self::taken(start)
    }

    fn taken(start: *mut c_void) -> io::Result<()> {
        if start == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and whoever lent it has it no more.
        unsafe { libc::munmap(self.start.as_ptr(), self.length) };
    }
}

/// One connection's ring.
pub(crate) struct Ring {
    memory: Mapped,
    entries: Mapped,
    /// How many bytes were consumed, and how many have come, since the beginning.
    head: usize,
    end: usize,
    /// How often a buffer was lent.
    lent: usize,
}

impl Ring {
    /// A ring that the kernel does not know yet.
    pub(crate) fn new() -> io::Result<Self> {
        let memory = Mapped::new(2 * RING_BYTES, libc::PROT_NONE)?;
        let file = anonymous_file()?;
        file.set_len(RING_BYTES as u64)?;
        memory.put(&file, 0, RING_BYTES)?;
        memory.put(&file, RING_BYTES, RING_BYTES)?;
        Ok(Self {
            memory,
            entries: Mapped::new(ENTRIES_BYTES, libc::PROT_READ | libc::PROT_WRITE)?,
            head: 0,
            end: 0,
            lent: 0,
        })
    }

    /// Lends all buffers, as the group of that number.
    ///
    /// # Safety
    /// The ring outlives the kernel's use of it: until the `io_uring` instance is gone, or for ever.
    pub(crate) unsafe fn register(
        &mut self,
        submitter: &Submitter<'_>,
        group: u16,
    ) -> io::Result<()> {
        let entries = self.entries.start.as_ptr() as u64;
        // SAFETY: the entries have a page of their own, which lives as long as this ring: the caller's promise.
        unsafe {
            submitter.register_buf_ring_with_flags(entries, BUFFERS, group, IOU_PBUF_RING_INC)?;
        }
        for _ in 0..BUFFERS {
            self.lend();
        }
        Ok(())
    }

    /// Whether the kernel has anywhere to write to.
    pub(crate) fn has_room(&self) -> bool {
        self.end < self.lent * BUFFER_BYTES
    }

    /// `count` more bytes have come, behind those before.
    pub(crate) fn received(&mut self, count: usize) {
        self.end += count;
        debug_assert!(
            self.end <= self.lent * BUFFER_BYTES,
            "more came than was lent"
        );
    }

    /// All that has come and was not consumed.
    pub(crate) fn unread(&self) -> &[u8] {
        let start = self
            .memory
            .start
            .as_ptr()
            .wrapping_byte_add(self.head % RING_BYTES);
        // SAFETY: at most `RING_BYTES` bytes, which lie within the two mappings; the kernel has written them, and
        // does not again before they were consumed.
        unsafe { std::slice::from_raw_parts(start.cast(), self.end - self.head) }
    }

    /// Gives back the first `count` unread bytes; whole buffers go back to the kernel.
    pub(crate) fn consume(&mut self, count: usize) {
        assert!(count <= self.end - self.head, "more than is unread");
        self.head += count;
        while self.lent < usize::from(BUFFERS) + self.head / BUFFER_BYTES {
            self.lend();
        }
    }

    /// Lends the buffer whose turn it is. The kernel has changed the entry: it counts in it how far it got.
    fn lend(&mut self) {
        let number = self.lent % usize::from(BUFFERS);
        let start = self
            .memory
            .start
            .as_ptr()
            .wrapping_byte_add(number * BUFFER_BYTES);
        let entries = self.entries.start.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the page has room for as many entries; the kernel reads this one only behind the tail, which is
        // stored below; zeroed, or as it was before, it is a valid entry.
        let entry = unsafe { &mut *entries.wrapping_add(number) };
        entry.set_addr(start as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(number as u16);
        self.lent += 1;
        // SAFETY: the address is that of the first entry of a buffer ring.
        let tail = unsafe { BufRingEntry::tail(entries) };
        // SAFETY: aligned, inside of the page, and written through here alone; the kernel reads it.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.lent as u16, Ordering::Release);
    }
}

/// Memory with a descriptor, so that it can be mapped more than once.
fn anonymous_file() -> io::Result<std::fs::File> {
    use std::os::fd::FromRawFd as _;
    // SAFETY: the name is a C string.
    let descriptor = unsafe { libc::memfd_create(c"ring".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was made above, and is nobody else's.
    Ok(unsafe { std::fs::File::from_raw_fd(descriptor) })
}
