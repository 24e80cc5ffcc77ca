//! Keeping the pages of the process in memory.
//!
//! Does not know whose pages they are.

#![allow(unsafe_code, reason = "calls into libc")]

pub(crate) use system::{Locked, lock, unlock};

#[cfg(target_os = "linux")]
mod system {
    use std::fs;
    use std::io;
    use std::ptr;

    /// `MADV_POPULATE_READ`, Linux 5.14: faults pages in, as they are.
    const MADV_POPULATE_READ: libc::c_int = 22;

    /// What [`lock`] has changed.
    #[derive(Clone, Copy)]
    pub(crate) struct Locked {
        /// Somebody had locked pages before: theirs cannot be told from ours.
        before: bool,
    }

    /// Keeps in memory what is there, and from now on whatever is touched; brings the program's code in.
    ///
    /// What nobody has touched costs nothing (`MCL_ONFAULT`): a stack is larger than what is used of it.
    pub(crate) fn lock() -> io::Result<Locked> {
        let before = anything_locked();
        // SAFETY: takes flags alone, and changes where pages are kept, not what is in them.
        let result =
            unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        bring_code_in();
        Ok(Locked { before })
    }

    /// Lets the system take pages away again, unless some were locked before [`lock`] was called.
    pub(crate) fn unlock(locked: Locked) {
        if !locked.before {
            // SAFETY: takes nothing, and changes where pages are kept, not what is in them.
            let _always_allowed = unsafe { libc::munlockall() };
        }
    }

    fn anything_locked() -> bool {
        fs::read_to_string("/proc/self/status").is_ok_and(|status| locked_kib(&status) > 0)
    }

    /// The `VmLck` of `/proc/self/status`.
    fn locked_kib(status: &str) -> u64 {
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmLck:")?.trim().strip_suffix("kB"))
            .and_then(|kib| kib.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Faults in what can be executed: code that runs for the first time in mid-trading would wait for a disk.
    ///
    /// A kernel that cannot, and a mapping that has gone meanwhile, leave things as they were.
    fn bring_code_in() {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        for (start, len) in maps.lines().filter_map(executable) {
            let address = ptr::without_provenance_mut(start);
            // SAFETY: faults in what is mapped there, whatever it is, and neither reads nor changes it.
            let _as_it_was = unsafe { libc::madvise(address, len, MADV_POPULATE_READ) };
        }
    }

    /// Address and length of a mapping that can be executed, by a line of `/proc/self/maps`.
    fn executable(line: &str) -> Option<(usize, usize)> {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let may_run = words.next()?.contains('x');
        let start = usize::from_str_radix(start, 16).ok()?;
        let len = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
        may_run.then_some((start, len))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn code_is_found_in_the_kernels_list_of_mappings() {
            let found = |line| executable(line);
            assert_eq!(
                found("5581a000-5581b000 r-xp 00001000 fe:00 12 /usr/bin/bot"),
                Some((0x5581_a000, 0x1000))
            );
            assert_eq!(found("5581a000-5581b000 rw-p 00001000 fe:00 12 /x"), None);
            assert_eq!(found("5581b000-5581a000 r-xp"), None);
            assert_eq!(found(""), None);
        }

        #[test]
        fn what_is_locked_is_read() {
            assert_eq!(locked_kib("VmPeak:\t 9 kB\nVmLck:\t    24 kB\n"), 24);
            assert_eq!(locked_kib("VmLck:\t     0 kB\n"), 0);
            assert_eq!(locked_kib(""), 0);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    /// There is nothing to take back.
    #[derive(Clone, Copy)]
    pub(crate) enum Locked {}

    /// Refuses: only Linux locks what is touched and leaves the rest alone.
    pub(crate) fn lock() -> io::Result<Locked> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "flux locks memory on Linux alone",
        ))
    }

    /// Never called: there is nothing that [`lock`] has returned.
    pub(crate) fn unlock(locked: Locked) {
        match locked {}
    }
}
