//! Windows: memory is committed when it is mapped, so that what init got is there for good; no page of it is taken
//! before it is touched.
//!
//! A guard is made as the system makes that of a thread's stack which cannot grow any more:
//!
//! ```text
//! │ closed for good, a page │ closed until it is touched │ stack ..    low to high
//! ```
//!
//! A touch of the second part is an overflow. The system opens that part then, so that what handles the overflow
//! has a stack to run on, if the thread's block says that so many bytes are kept for it: see [`HANDLER_BYTES`].

#![allow(unsafe_code, reason = "calls into the system")]

use std::io;
use std::mem;
use std::ptr::{self, NonNull};

use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_GUARD, PAGE_NOACCESS, PAGE_PROTECTION_FLAGS,
    PAGE_READWRITE, VirtualAlloc, VirtualFree, VirtualProtect,
};
use windows_sys::Win32::System::SystemInformation::{
    GetSystemInfo, GlobalMemoryStatusEx, MEMORYSTATUSEX, SYSTEM_INFO,
};

/// The bytes of a guard that are kept for whoever handles an overflow: as many as std keeps on its threads.
pub(crate) const HANDLER_BYTES: usize = 20 * 1024;

pub(super) fn page_size() -> usize {
    let mut info = SYSTEM_INFO::default();
    // SAFETY: `info` is a whole `SYSTEM_INFO`, which the call fills.
    unsafe { GetSystemInfo(&raw mut info) };
    info.dwPageSize as usize
}

/// The most mappings that the kernel lets a process have: it states none.
pub(crate) fn mappings_max() -> usize {
    usize::MAX
}

/// How many bytes this process could get now, as far as the system tells.
pub(crate) fn available() -> Option<u64> {
    let mut status = MEMORYSTATUSEX {
        dwLength: u32::try_from(mem::size_of::<MEMORYSTATUSEX>()).ok()?,
        ..Default::default()
    };
    // SAFETY: `status` is as long as it says, and the call fills it.
    let told = unsafe { GlobalMemoryStatusEx(&raw mut status) } != 0;
    // What is in use can be moved to the page file, as far as that has room.
    told.then_some(status.ullAvailPageFile)
}

/// Maps `len` bytes, readable and writable, at an address of the system's choice.
pub(super) fn map(len: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: new memory at an address of the system's choice aliases nothing.
    let start = unsafe { VirtualAlloc(ptr::null(), len, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) };
    NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)
}

/// Nothing to decline: huge pages are for those that ask for them.
///
/// # Safety
/// None needed; other systems do.
#[allow(
    clippy::unnecessary_wraps,
    reason = "as on other systems, where it may fail"
)]
pub(super) unsafe fn decline_huge_pages(_: *mut u8, _: usize) -> io::Result<()> {
    Ok(())
}

/// Makes a range fault on any touch, and the first touch of all but its lowest page an overflow of the stack above.
///
/// # Safety
/// The range lies in memory of [`map`], and nothing refers into it.
pub(super) unsafe fn guard(start: *mut u8, len: usize) -> io::Result<()> {
    let closed = super::page_size().min(len);
    // SAFETY: the caller's promise is passed on.
    unsafe { change(start, closed, PAGE_NOACCESS) }?;
    if closed == len {
        return Ok(());
    }
    // SAFETY: `closed` is less than the range's length.
    let rest = unsafe { start.add(closed) };
    // SAFETY: the caller's promise is passed on, for the rest of the range.
    unsafe { change(rest, len - closed, PAGE_READWRITE | PAGE_GUARD) }
}

/// Says what may be done with a range.
///
/// # Safety
/// As [`guard`].
unsafe fn change(start: *mut u8, len: usize, to: PAGE_PROTECTION_FLAGS) -> io::Result<()> {
    let mut before = 0;
    // SAFETY: the caller's promise is passed on; `before` is in this frame.
    let result = unsafe { VirtualProtect(start.cast(), len, to, &raw mut before) };
    done(result)
}

/// As [`guard`], which costs no mapping here.
///
/// # Safety
/// As [`guard`].
pub(super) unsafe fn protect(start: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's promise is passed on.
    unsafe { guard(start, len) }
}

/// Backs a range with memory; false where it has to be touched for that, as here.
///
/// # Safety
/// None needed; other systems do.
#[allow(
    clippy::unnecessary_wraps,
    reason = "as on other systems, where it may fail"
)]
pub(super) unsafe fn populate(_: *mut u8, _: usize) -> io::Result<bool> {
    Ok(false)
}

/// Gives memory back, as a whole.
///
/// # Safety
/// It came from [`map`], and nothing refers to it.
pub(super) unsafe fn unmap(start: NonNull<u8>, _len: usize) -> io::Result<()> {
    // SAFETY: the caller's promise is passed on; a length of 0 means all of what was mapped there.
    let result = unsafe { VirtualFree(start.as_ptr().cast(), 0, MEM_RELEASE) };
    done(result)
}

fn done(result: windows_sys::core::BOOL) -> io::Result<()> {
    if result == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
