//! Windows: a thread runs on the processors of its mask, within one group of at most 64.
//!
//! A core's number is its bit in that mask. On a machine with more than 64 logical processors, those of the other
//! groups are neither listed nor to be had: a thread is in one group, and the reactor's stays in the one that the
//! system has put it into.
//!
//! Unlike on other systems, a new thread has the mask of its process, and not that of the thread that starts it.

#![allow(unsafe_code, reason = "calls into the system")]

use std::io;

use windows_sys::Win32::System::SystemInformation::GROUP_AFFINITY;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcessorNumber, GetCurrentThread, GetThreadGroupAffinity, SetThreadAffinityMask,
};

/// The cores that the calling thread may run on, ascending.
// The mask of the process (`GetProcessAffinityMask`) would be those that it may be given; and it is 0 for a process
// whose threads are in several groups.
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    let mut affinity = GROUP_AFFINITY::default();
    // SAFETY: takes nothing, and answers with a handle that needs no closing.
    let thread = unsafe { GetCurrentThread() };
    // SAFETY: the handle is good for the calling thread, and `affinity` is whole, which the call fills.
    if unsafe { GetThreadGroupAffinity(thread, &raw mut affinity) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let bits = 0..usize::BITS as usize;
    Ok(bits
        .filter(|core| affinity.Mask & (1 << core) != 0)
        .collect())
}

/// Lets the calling thread run on these cores alone, of those that the caller found in [`allowed`].
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    let mut mask = 0;
    for core in cores {
        let bit = u32::try_from(*core)
            .ok()
            .and_then(|core| 1_usize.checked_shl(core));
        mask |= bit.ok_or(io::ErrorKind::InvalidInput)?;
    }
    // SAFETY: takes nothing, and answers with a handle that needs no closing.
    let thread = unsafe { GetCurrentThread() };
    // SAFETY: the handle is good for the calling thread; a mask is a number, and one that does not fit is refused.
    if unsafe { SetThreadAffinityMask(thread, mask) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The core that the calling thread runs on at this moment.
#[allow(
    clippy::unnecessary_wraps,
    reason = "as on other systems, which may not tell"
)]
pub(crate) fn current() -> Option<usize> {
    // SAFETY: takes nothing, and answers with a number within the thread's group.
    Some(unsafe { GetCurrentProcessorNumber() } as usize)
}

/// The cores that the system keeps free of other work: it keeps none.
pub(crate) fn isolated() -> Vec<usize> {
    Vec::new()
}
