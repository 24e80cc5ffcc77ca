//! How the system's scheduler treats the calling thread.
//!
//! Does not know why a thread should go first.

#![allow(unsafe_code, reason = "calls into libc")]

pub(crate) use system::{Policy, enter, restore};

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::mem;

    /// `SCHED_FLAG_RESET_ON_FORK`: what the thread starts is ordinary again.
    const RESET_ON_FORK: u64 = 1;
    /// The first version of the structure: every kernel that has the calls takes it.
    const SIZE: u32 = 48;
    const _: () = assert!(mem::size_of::<libc::sched_attr>() >= SIZE as usize);
    /// The calling thread, where a call wants a thread's number.
    const MYSELF: libc::pid_t = 0;

    /// All that the scheduler knows of a thread: policy, priority, niceness.
    #[derive(Clone, Copy)]
    pub(crate) struct Policy(libc::sched_attr);

    /// Puts the calling thread under `SCHED_FIFO` with this priority, and returns what it was under before.
    ///
    /// Threads that it starts from then on are ordinary ones: they would inherit the core too, and keep it from
    /// each other.
    pub(crate) fn enter(priority: u8) -> io::Result<Policy> {
        let before = current()?;
        // SAFETY: all zeroes is a valid `sched_attr`: integers alone.
        let mut wanted: libc::sched_attr = unsafe { mem::zeroed() };
        wanted.sched_policy = libc::SCHED_FIFO.unsigned_abs();
        wanted.sched_priority = priority.into();
        wanted.sched_flags = RESET_ON_FORK;
        set(wanted)?;
        Ok(before)
    }

    /// Puts the calling thread under what it was under before.
    pub(crate) fn restore(before: Policy) -> io::Result<()> {
        let Policy(mut wanted) = before;
        set(wanted).or_else(|_| {
            // Without CAP_SYS_NICE the one thing that cannot be taken back is that children are ordinary, which
            // those of an ordinary thread are anyway.
            wanted.sched_flags |= RESET_ON_FORK;
            set(wanted)
        })
    }

    fn current() -> io::Result<Policy> {
        // SAFETY: all zeroes is a valid `sched_attr`: integers alone.
        let mut found: libc::sched_attr = unsafe { mem::zeroed() };
        // SAFETY: the kernel writes no more than the size that it is told, which `found` has.
        let result =
            unsafe { libc::syscall(libc::SYS_sched_getattr, MYSELF, &raw mut found, SIZE, 0) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Policy(found))
    }

    fn set(mut wanted: libc::sched_attr) -> io::Result<()> {
        wanted.size = SIZE;
        // SAFETY: the kernel reads as much as `size` says, which `wanted` has.
        let result =
            unsafe { libc::syscall(libc::SYS_sched_setattr, MYSELF, &raw const wanted, 0) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    /// There is none to come back to.
    #[derive(Clone, Copy)]
    pub(crate) enum Policy {}

    /// Refuses: priorities of other systems have other ranges and meanings.
    pub(crate) fn enter(_priority: u8) -> io::Result<Policy> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "flux sets real-time priorities on Linux alone",
        ))
    }

    /// Never called: there is no policy that [`enter`] has returned.
    pub(crate) fn restore(before: Policy) -> io::Result<()> {
        match before {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_priority_beyond_the_systems_range_changes_nothing() {
        std::thread::spawn(|| {
            // SAFETY: asks about the calling thread, and takes no pointer.
            let policy = || unsafe { libc::sched_getscheduler(0) };
            let before = policy();
            assert!(enter(0).is_err());
            assert!(enter(100).is_err());
            assert_eq!(policy(), before);
            if let Ok(left) = enter(1) {
                assert_eq!(policy(), libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK);
                restore(left).unwrap();
                assert_eq!(policy(), before);
            } else {
                println!("SKIPPED: this user may take no real-time priority");
            }
        })
        .join()
        .unwrap();
    }
}
