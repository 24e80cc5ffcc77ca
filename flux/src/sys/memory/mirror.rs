//! Memory that is mapped twice in a row, so that what runs over its end goes on at its start without a seam.
//!
//! Owns the mappings, and the object behind them, which has no name and ends with them. Does not know what the
//! memory is for.

#![allow(unsafe_code, reason = "calls into libc, and owns mappings")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

/// `count` pieces of memory of `len` bytes, each mapped twice in a row.
#[derive(Debug)]
pub(crate) struct Mirrors {
    start: NonNull<u8>,
    count: usize,
    len: usize,
}

impl Mirrors {
    /// Maps `count` pieces of `len` bytes, which must be whole pages, and backs them with memory.
    pub(crate) fn new(count: usize, len: usize) -> io::Result<Self> {
        let too_large = || io::Error::from(io::ErrorKind::OutOfMemory);
        let bytes = count.checked_mul(len).ok_or_else(too_large)?;
        let span = bytes.checked_mul(2).ok_or_else(too_large)?;
        if span == 0 {
            return Ok(Self {
                start: NonNull::dangling(),
                count: 0,
                len,
            });
        }
        let object = unnamed_object()?;
        let size = libc::off_t::try_from(bytes).map_err(|_| too_large())?;
        // SAFETY: takes a descriptor, which is ours, and a number.
        if unsafe { libc::ftruncate(object.as_raw_fd(), size) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new private mapping at an address of the kernel's choice aliases nothing; it reserves addresses.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                span,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANON,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // From here on dropping it unmaps what there is.
        let mirrors = Self {
            start: NonNull::new(start.cast()).ok_or_else(too_large)?,
            count,
            len,
        };
        for index in 0..count {
            for image in 0..2 {
                mirrors.map_image(&object, index, image)?;
            }
        }
        mirrors.back();
        Ok(mirrors)
    }

    /// Puts a piece of the object where it belongs, once before and once behind.
    fn map_image(&self, object: &OwnedFd, index: usize, image: usize) -> io::Result<()> {
        // Below the object's size, which is one.
        let offset = libc::off_t::try_from(index * self.len).unwrap_or(libc::off_t::MAX);
        let at = (2 * index + image) * self.len;
        // SAFETY: below the span that `new` has reserved.
        let address = unsafe { self.start.as_ptr().add(at) };
        // SAFETY: takes the place of reserved addresses, which nothing refers into.
        let mapped = unsafe {
            libc::mmap(
                address.cast(),
                self.len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED,
                object.as_raw_fd(),
                offset,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Touches every page by both of its addresses, so that none is a fault later.
    fn back(&self) {
        for at in (0..2 * self.count * self.len).step_by(super::page_size()) {
            // SAFETY: below the span, all of which is mapped.
            let address = unsafe { self.start.as_ptr().add(at) };
            // SAFETY: mapped and writable; a fresh page holds this byte, and nothing else uses it yet.
            unsafe { address.write_volatile(0) };
        }
    }

    /// How many pieces there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many bytes each has, of which the second mapping shows the same again.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where a piece begins: good for twice its length.
    pub(crate) fn piece(&self, index: usize) -> NonNull<u8> {
        assert!(index < self.count, "piece {index} of {}", self.count);
        // SAFETY: below the span, since the index is one.
        unsafe { self.start.add(2 * index * self.len) }
    }
}

impl Drop for Mirrors {
    fn drop(&mut self) {
        if self.count == 0 {
            return;
        }
        let span = 2 * self.count * self.len;
        // SAFETY: the mappings are this value's own, and whoever lent out parts of it has ended.
        let result = unsafe { libc::munmap(self.start.as_ptr().cast(), span) };
        debug_assert_eq!(result, 0, "mappings of our own can be unmapped");
    }
}

/// Makes a shared memory object that nobody else can find.
#[cfg(target_os = "linux")]
fn unnamed_object() -> io::Result<OwnedFd> {
    // SAFETY: takes a name that ends with a zero, and a flag.
    let fd = unsafe { libc::memfd_create(c"flux feeds".as_ptr(), libc::MFD_CLOEXEC) };
    owned(fd)
}

/// Makes a shared memory object that nobody else can find.
#[cfg(target_os = "freebsd")]
fn unnamed_object() -> io::Result<OwnedFd> {
    // SAFETY: takes the constant that stands for no name, and flags.
    let fd = unsafe { libc::shm_open(libc::SHM_ANON, libc::O_RDWR | libc::O_CLOEXEC, 0o600) };
    owned(fd)
}

/// Makes a shared memory object whose name is gone before anybody could use it.
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
fn unnamed_object() -> io::Result<OwnedFd> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("/flux-{}-{number}\0", std::process::id());
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    // SAFETY: the name ends with a zero, and is in this frame; the mode is what O_CREAT wants as a third argument.
    let fd = unsafe { libc::shm_open(name.as_ptr().cast(), flags, 0o600 as libc::c_uint) };
    let object = owned(fd)?;
    // SAFETY: as above.
    let unlinked = unsafe { libc::shm_unlink(name.as_ptr().cast()) };
    if unlinked != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(object)
}

fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: made just now, so that it is open and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory::page_size;

    #[test]
    fn what_is_written_over_the_end_stands_at_the_start_and_the_next_piece_is_another() {
        let len = 2 * page_size();
        let mirrors = Mirrors::new(3, len).unwrap();
        assert_eq!((mirrors.count(), mirrors.len()), (3, len));
        for (index, mark) in [(0, 1), (1, 2), (2, 3)] {
            // SAFETY: a piece is good for twice its length, and nobody else uses this one.
            let piece =
                unsafe { std::slice::from_raw_parts_mut(mirrors.piece(index).as_ptr(), len) };
            assert!(piece.iter().all(|byte| *byte == 0));
            // SAFETY: as above.
            let over_the_end = unsafe { mirrors.piece(index).add(len) };
            // SAFETY: as above; the slice is not used in between.
            unsafe { over_the_end.as_ptr().write(mark) };
            // SAFETY: as above.
            let first = unsafe { mirrors.piece(index).as_ptr().read_volatile() };
            assert_eq!(first, mark);
        }
    }

    #[test]
    fn no_pieces_take_no_memory() {
        assert_eq!(Mirrors::new(0, page_size()).unwrap().count(), 0);
        assert!(Mirrors::new(usize::MAX, page_size()).is_err());
    }
}
