//! Anonymous memory by whole pages: mapping, guarding, backing.
//!
//! Does not know what the memory is for.

#![allow(unsafe_code, reason = "calls into libc, and owns a mapping")]

use std::io;
use std::ptr::{self, NonNull};
use std::sync::LazyLock;

/// `MADV_GUARD_INSTALL`, Linux 6.13: a guard that is a page-table entry, not a mapping of its own.
#[cfg(target_os = "linux")]
const MADV_GUARD_INSTALL: libc::c_int = 102;
/// `MADV_POPULATE_WRITE`, Linux 5.14: faults pages in, writable.
#[cfg(target_os = "linux")]
const MADV_POPULATE_WRITE: libc::c_int = 23;

/// What a mapping is: nobody else's, and not paid for before it is touched.
#[cfg(target_os = "linux")]
const MAP_FLAGS: libc::c_int =
    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
/// What a mapping is. `MAP_STACK` is left out where it is known: on FreeBSD it means one that grows.
#[cfg(not(target_os = "linux"))]
const MAP_FLAGS: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

/// The size of a page, in bytes; a power of two.
pub(crate) fn page_size() -> usize {
    static PAGE: LazyLock<usize> = LazyLock::new(|| {
        // SAFETY: takes a plain number and has no other effect than its answer.
        let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(bytes).unwrap_or(4096)
    });
    *PAGE
}

/// `bytes` rounded up to whole pages, unless that overflows.
pub(crate) fn round_to_pages(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(page_size())
}

/// The most mappings that the kernel lets a process have; other systems than Linux state none.
#[cfg(not(target_os = "linux"))]
pub(crate) fn mappings_max() -> usize {
    usize::MAX
}

/// The most mappings that the kernel lets a process have.
#[cfg(target_os = "linux")]
pub(crate) fn mappings_max() -> usize {
    std::fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(65_530)
}

/// How many bytes this process could get now, as far as the system tells.
#[cfg(target_os = "linux")]
pub(crate) fn available() -> Option<u64> {
    let number = |path: &str| {
        std::fs::read_to_string(path)
            .ok()?
            .trim()
            .parse::<u64>()
            .ok()
    };
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()?
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.strip_suffix("kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok())?
        .saturating_mul(1024);
    // A container sees its own limit here; without one it is a word, or larger than the machine.
    let group = [
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ]
    .into_iter()
    .find_map(|(limit, used)| Some(number(limit)?.saturating_sub(number(used)?)));
    Some(group.map_or(machine, |group| group.min(machine)))
}

/// How many bytes this process could get now: nobody tells here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn available() -> Option<u64> {
    None
}

/// A private anonymous mapping of whole pages, readable and writable, unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes, which must be a multiple of the page size and more than none.
    ///
    /// Nothing is backed by memory yet, and huge pages are declined: a stack that touches one page
    /// should cost one.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        // SAFETY: a new private anonymous mapping at an address of the kernel's choice aliases nothing.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                MAP_FLAGS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Self { start, len };
        mapping.decline_huge_pages()?;
        Ok(mapping)
    }

    #[cfg(target_os = "linux")]
    fn decline_huge_pages(&self) -> io::Result<()> {
        match self.advise(0, self.len, libc::MADV_NOHUGEPAGE) {
            // A kernel without huge pages says EINVAL, and has none to decline.
            Err(error) if error.raw_os_error() != Some(libc::EINVAL) => Err(error),
            _ => Ok(()),
        }
    }

    /// There is no way to decline them here.
    #[cfg(not(target_os = "linux"))]
    #[allow(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "as on Linux, where it may fail"
    )]
    fn decline_huge_pages(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn start(&self) -> usize {
        self.start.as_ptr().addr()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes a range fault on any touch, without a mapping of its own. `Unsupported` where the kernel
    /// does not know how.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn guard(&self, offset: usize, len: usize) -> io::Result<()> {
        self.range(offset, len);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes a range fault on any touch, without a mapping of its own. `Unsupported` where the kernel
    /// does not know how.
    #[cfg(target_os = "linux")]
    pub(crate) fn guard(&self, offset: usize, len: usize) -> io::Result<()> {
        self.advise(offset, len, MADV_GUARD_INSTALL)
            .map_err(|error| match error.raw_os_error() {
                Some(libc::EINVAL) => io::ErrorKind::Unsupported.into(),
                _ => error,
            })
    }

    /// Makes a range fault on any touch by splitting the mapping, at two more mappings a range.
    pub(crate) fn protect(&self, offset: usize, len: usize) -> io::Result<()> {
        let start = self.range(offset, len);
        // SAFETY: the range lies in this mapping (checked by `range`), and nothing refers into it: the
        // caller hands out what lies outside its guards alone.
        let result = unsafe { libc::mprotect(start.cast(), len, libc::PROT_NONE) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Backs a range with memory now, so that its first touch is not a page fault later.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(clippy::unnecessary_wraps, reason = "fails on Linux alone")
    )]
    pub(crate) fn populate(&self, offset: usize, len: usize) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        #[cfg(target_os = "linux")]
        match self.advise(offset, len, MADV_POPULATE_WRITE) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            result => return result,
        }
        let start = self.range(offset, len);
        for page in (0..len).step_by(page_size()) {
            // SAFETY: `page` is below `len`, so the address lies in the range just checked.
            let address = unsafe { start.add(page) };
            // SAFETY: the address lies in this mapping, which is readable and writable there; the byte is
            // the one that a fresh page holds, and nothing else uses it yet.
            unsafe { address.write_volatile(0) };
        }
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn advise(&self, offset: usize, len: usize, advice: libc::c_int) -> io::Result<()> {
        let start = self.range(offset, len);
        loop {
            // SAFETY: the range lies in this mapping (checked by `range`); the advice used here either
            // keeps the contents or makes a guard of a range that nothing refers into.
            let result = unsafe { libc::madvise(start.cast(), len, advice) };
            if result == 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            // Both of the newer kinds of advice may stop for a signal and want to be asked again.
            if !matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN)) {
                return Err(error);
            }
        }
    }

    fn range(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(
            offset <= self.len && len <= self.len - offset,
            "a range of {len} bytes at {offset} leaves a mapping of {} bytes",
            self.len
        );
        // SAFETY: `offset` is at most the mapping's length, checked above.
        unsafe { self.start.as_ptr().add(offset) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and whoever lent out parts of it has ended.
        let result = unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert_eq!(result, 0, "a mapping of our own can be unmapped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_populated_range_is_zero_and_a_range_outside_is_refused() {
        let page = page_size();
        let mapping = Mapping::new(4 * page).unwrap();
        mapping.populate(page, 2 * page).unwrap();
        // SAFETY: the second page is mapped and was populated.
        let byte = unsafe { mapping.range(page, 1).read() };
        assert_eq!(byte, 0);
        let outside = std::panic::catch_unwind(|| mapping.range(3 * page, 2 * page));
        assert!(outside.is_err());
    }

    #[test]
    fn sizes_round_up_to_pages() {
        let page = page_size();
        assert_eq!(round_to_pages(1), Some(page));
        assert_eq!(round_to_pages(page), Some(page));
        assert_eq!(round_to_pages(usize::MAX), None);
    }
}
