//! Anonymous memory by whole pages: mapping, guarding, backing.
//!
//! Owns what is the same on every system: a mapping's bounds, its ranges, its end. Does not know what the memory
//! is for.

#![allow(unsafe_code, reason = "owns a mapping")]

#[cfg(unix)]
mod mirror;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

use std::io;
use std::ptr::NonNull;
use std::sync::LazyLock;

#[cfg(unix)]
pub(crate) use mirror::Mirrors;
#[cfg(windows)]
pub(crate) use system::HANDLER_BYTES;
pub(crate) use system::{available, mappings_max};

/// The size of a page, in bytes; a power of two.
pub(crate) fn page_size() -> usize {
    static PAGE: LazyLock<usize> = LazyLock::new(system::page_size);
    *PAGE
}

/// `bytes` rounded up to whole pages, unless that overflows.
pub(crate) fn round_to_pages(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(page_size())
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
        let mapping = Self {
            start: system::map(len)?,
            len,
        };
        // SAFETY: the whole mapping, in which nothing lies yet.
        unsafe { system::decline_huge_pages(mapping.range(0, len), len) }?;
        Ok(mapping)
    }

    pub(crate) fn start(&self) -> usize {
        self.start.as_ptr().addr()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes a range fault on any touch, without a mapping of its own. `Unsupported` where the kernel
    /// does not know how.
    pub(crate) fn guard(&self, offset: usize, len: usize) -> io::Result<()> {
        let start = self.range(offset, len);
        // SAFETY: the range lies in this mapping (checked by `range`), and nothing refers into it: the
        // caller hands out what lies outside its guards alone.
        unsafe { system::guard(start, len) }
    }

    /// Makes a range fault on any touch by splitting the mapping, at two more mappings a range.
    pub(crate) fn protect(&self, offset: usize, len: usize) -> io::Result<()> {
        let start = self.range(offset, len);
        // SAFETY: as in `guard`.
        unsafe { system::protect(start, len) }
    }

    /// Backs a range with memory now, so that its first touch is not a page fault later.
    pub(crate) fn populate(&self, offset: usize, len: usize) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let start = self.range(offset, len);
        // SAFETY: the range lies in this mapping (checked by `range`).
        if unsafe { system::populate(start, len) }? {
            return Ok(());
        }
        for page in (0..len).step_by(page_size()) {
            // SAFETY: `page` is below `len`, so the address lies in the range just checked.
            let address = unsafe { start.add(page) };
            // SAFETY: the address lies in this mapping, which is readable and writable there; the byte is
            // the one that a fresh page holds, and nothing else uses it yet.
            unsafe { address.write_volatile(0) };
        }
        Ok(())
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
        let result = unsafe { system::unmap(self.start, self.len) };
        debug_assert!(result.is_ok(), "a mapping of our own can be unmapped");
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
