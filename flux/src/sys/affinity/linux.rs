//! Linux: a thread runs on the cores of its mask, and some cores may be kept free of all but those pinned to
//! them.

#![allow(unsafe_code, reason = "calls into libc")]

use std::fs;
use std::io;
use std::mem;

/// The cores that the calling thread may run on, ascending.
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    // SAFETY: all zeroes is a valid, empty `cpu_set_t`: a plain array of integers.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is as large as the size says, and the kernel writes no more than that.
    let result =
        unsafe { libc::sched_getaffinity(0, mem::size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((0..libc::CPU_SETSIZE as usize)
        .filter(|core| {
            // SAFETY: `core` is below CPU_SETSIZE, the number of bits in the set.
            unsafe { libc::CPU_ISSET(*core, &set) }
        })
        .collect())
}

/// Lets the calling thread run on these cores alone, of those that the caller found in [`allowed`].
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    // SAFETY: all zeroes is a valid, empty `cpu_set_t`: a plain array of integers.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    for core in cores {
        if *core >= libc::CPU_SETSIZE as usize {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // SAFETY: `core` is below CPU_SETSIZE, the number of bits in the set.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    // SAFETY: takes no argument and cannot fail.
    let thread = unsafe { libc::pthread_self() };
    // SAFETY: `thread` is the calling thread, which is alive, and `set` is as large as the size says.
    let result = unsafe {
        libc::pthread_setaffinity_np(thread, mem::size_of::<libc::cpu_set_t>(), &raw const set)
    };
    match result {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// The core that the calling thread runs on at this moment.
pub(crate) fn current() -> Option<usize> {
    // SAFETY: takes no argument; answers -1 where the system cannot tell.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// The cores that the system keeps free of other work (`isolcpus`), ascending; none if it does not say.
pub(crate) fn isolated() -> Vec<usize> {
    fs::read_to_string("/sys/devices/system/cpu/isolated")
        .ok()
        .and_then(|list| parse_cpu_list(&list))
        .unwrap_or_default()
}

/// Reads the kernel's list format: `2-5,8`.
fn parse_cpu_list(list: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= libc::CPU_SETSIZE as usize {
            return None;
        }
        cores.extend(first..=last);
    }
    Some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_core_list_is_read() {
        assert_eq!(parse_cpu_list("2-5,8\n"), Some(vec![2, 3, 4, 5, 8]));
        assert_eq!(parse_cpu_list("\n"), Some(vec![]));
        assert_eq!(parse_cpu_list("5-2"), None);
        assert_eq!(parse_cpu_list("0-99999999999"), None);
    }

    #[test]
    fn a_pinned_thread_runs_where_it_was_told() {
        std::thread::spawn(|| {
            let all = allowed().unwrap();
            pin(&all[..1]).unwrap();
            assert_eq!(current(), Some(all[0]));
            assert_eq!(allowed().unwrap(), all[..1]);
            pin(&all).unwrap();
            assert_eq!(allowed().unwrap(), all);
            assert!(pin(&[usize::MAX]).is_err());
            assert!(pin(&[]).is_err());
        })
        .join()
        .unwrap();
    }
}
