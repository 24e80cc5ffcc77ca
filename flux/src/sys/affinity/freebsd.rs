//! FreeBSD: a thread runs on the cores of its cpuset.

#![allow(unsafe_code, reason = "calls into libc")]

use std::io;
use std::mem;

/// The calling thread, where a call wants a thread's number.
const MYSELF: libc::id_t = -1;
const CORES_MAX: usize = libc::CPU_SETSIZE as usize;

/// The cores that the calling thread may run on, ascending.
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    // SAFETY: all zeroes is a valid, empty `cpuset_t`: a plain array of integers.
    let mut set: libc::cpuset_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is as large as the size says, and the kernel writes no more than that.
    let result = unsafe {
        libc::cpuset_getaffinity(
            libc::CPU_LEVEL_WHICH,
            libc::CPU_WHICH_TID,
            MYSELF,
            mem::size_of::<libc::cpuset_t>(),
            &raw mut set,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((0..CORES_MAX)
        .filter(|core| {
            // SAFETY: `core` is below CPU_SETSIZE, the number of bits in the set.
            unsafe { libc::CPU_ISSET(*core, &set) }
        })
        .collect())
}

/// Lets the calling thread run on these cores alone, of those that the caller found in [`allowed`].
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    // SAFETY: all zeroes is a valid, empty `cpuset_t`: a plain array of integers.
    let mut set: libc::cpuset_t = unsafe { mem::zeroed() };
    for core in cores {
        if *core >= CORES_MAX {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // SAFETY: `core` is below CPU_SETSIZE, the number of bits in the set.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    // SAFETY: the calling thread is alive, and `set` is as large as the size says.
    let result = unsafe {
        libc::cpuset_setaffinity(
            libc::CPU_LEVEL_WHICH,
            libc::CPU_WHICH_TID,
            MYSELF,
            mem::size_of::<libc::cpuset_t>(),
            &raw const set,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The core that the calling thread runs on at this moment (FreeBSD 13.1).
pub(crate) fn current() -> Option<usize> {
    // SAFETY: takes no argument; answers -1 where the system cannot tell.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// The cores that the system keeps free of other work: it keeps none.
pub(crate) fn isolated() -> Vec<usize> {
    Vec::new()
}
