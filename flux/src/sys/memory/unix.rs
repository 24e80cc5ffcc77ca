//! Unix: private anonymous mappings, and what Linux alone knows to do with them.

#![allow(unsafe_code, reason = "calls into libc")]

use std::io;
use std::ptr::{self, NonNull};
#[cfg(target_os = "linux")]
use std::sync::OnceLock;

/// `MADV_GUARD_INSTALL`, Linux 6.13: a guard that is a page-table entry, not a mapping of its own.
#[cfg(target_os = "linux")]
const MADV_GUARD_INSTALL: libc::c_int = 102;
/// `MADV_POPULATE_READ`, Linux 5.14: faults pages in, as they are.
#[cfg(target_os = "linux")]
const MADV_POPULATE_READ: libc::c_int = 22;
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

pub(super) fn page_size() -> usize {
    // SAFETY: takes a plain number and has no other effect than its answer.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
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

/// Maps `len` bytes, readable and writable, at an address of the kernel's choice.
pub(super) fn map(len: usize) -> io::Result<NonNull<u8>> {
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
    Ok(NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?)
}

/// Keeps huge pages out of a range.
///
/// # Safety
/// The range lies in a mapping of [`map`].
#[cfg(target_os = "linux")]
pub(super) unsafe fn decline_huge_pages(start: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's promise is passed on; this advice keeps the contents.
    match unsafe { advise(start, len, libc::MADV_NOHUGEPAGE) } {
        // A kernel without huge pages says EINVAL, and has none to decline.
        Err(error) if error.raw_os_error() != Some(libc::EINVAL) => Err(error),
        _ => Ok(()),
    }
}

/// There is no way to decline them here.
///
/// # Safety
/// None needed; Linux does.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps, reason = "as on Linux, where it may fail")]
pub(super) unsafe fn decline_huge_pages(_: *mut u8, _: usize) -> io::Result<()> {
    Ok(())
}

/// Makes a range fault on any touch, without a mapping of its own. `Unsupported` where the kernel
/// does not know how.
///
/// # Safety
/// None needed; Linux does.
#[cfg(not(target_os = "linux"))]
pub(super) unsafe fn guard(_: *mut u8, _: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes a range fault on any touch, without a mapping of its own. `Unsupported` where the kernel
/// does not know how.
///
/// # Safety
/// The range lies in a mapping of [`map`], and nothing refers into it.
#[cfg(target_os = "linux")]
pub(super) unsafe fn guard(start: *mut u8, len: usize) -> io::Result<()> {
    static HOLDS: OnceLock<bool> = OnceLock::new();
    // SAFETY: the caller's promise is passed on.
    let advised = unsafe { advise(start, len, MADV_GUARD_INSTALL) };
    advised.map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => io::ErrorKind::Unsupported.into(),
        _ => error,
    })?;
    // Emulators of Linux take advice that they do not know, and do nothing; so the first guard has to prove itself.
    let holds = HOLDS.get_or_init(|| {
        // SAFETY: the caller's promise is passed on; faulting a page in changes nothing that is in it.
        let reached = unsafe { advise(start, len, MADV_POPULATE_READ) };
        reached.is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT))
    });
    if *holds {
        Ok(())
    } else {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Makes a range fault on any touch by splitting the mapping.
///
/// # Safety
/// The range lies in a mapping of [`map`], and nothing refers into it.
pub(super) unsafe fn protect(start: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the caller's promise is passed on.
    let result = unsafe { libc::mprotect(start.cast(), len, libc::PROT_NONE) };
    done(result)
}

/// Backs a range with memory; false where it has to be touched for that.
///
/// # Safety
/// The range lies in a mapping of [`map`].
#[cfg(target_os = "linux")]
pub(super) unsafe fn populate(start: *mut u8, len: usize) -> io::Result<bool> {
    // SAFETY: the caller's promise is passed on; this advice keeps the contents.
    match unsafe { advise(start, len, MADV_POPULATE_WRITE) } {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        result => result.map(|()| true),
    }
}

/// Backs a range with memory; false where it has to be touched for that, as here.
///
/// # Safety
/// None needed; Linux does.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps, reason = "as on Linux, where it may fail")]
pub(super) unsafe fn populate(_: *mut u8, _: usize) -> io::Result<bool> {
    Ok(false)
}

/// Ends a mapping.
///
/// # Safety
/// It is one of [`map`], of this length, and nothing refers into it.
pub(super) unsafe fn unmap(start: NonNull<u8>, len: usize) -> io::Result<()> {
    // SAFETY: the caller's promise is passed on.
    let result = unsafe { libc::munmap(start.as_ptr().cast(), len) };
    done(result)
}

/// Tells the kernel what a range is for.
///
/// # Safety
/// The range lies in a mapping of [`map`]; if the advice makes a guard of it, nothing refers into it.
#[cfg(target_os = "linux")]
unsafe fn advise(start: *mut u8, len: usize, advice: libc::c_int) -> io::Result<()> {
    loop {
        // SAFETY: the caller's promise is passed on.
        let result = unsafe { libc::madvise(start.cast(), len, advice) };
        let Err(error) = done(result) else {
            return Ok(());
        };
        // Both of the newer kinds of advice may stop for a signal and want to be asked again.
        if !matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN)) {
            return Err(error);
        }
    }
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
