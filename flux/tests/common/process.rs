//! What a process may do less from here on: another user, lower limits. For tests that have a process of their own.

#![allow(
    unsafe_code,
    reason = "std neither changes a process's user nor its limits"
)]

/// The first of the user numbers that these tests take, each process another: what a user has locked is
/// given back some time after the process has ended.
const USERS: libc::uid_t = 1_700_000_000;

/// Whether the process is root's.
pub(crate) fn is_root() -> bool {
    // SAFETY: has no conditions.
    unsafe { libc::geteuid() == 0 }
}

/// Makes the process, which is root's, one of an ordinary user; false, and a line that says so, if that cannot be.
#[must_use]
pub(crate) fn becomes_ordinary() -> bool {
    let user = USERS + std::process::id();
    // SAFETY: takes integers alone, and no other thread of this process cares who it is.
    if unsafe { libc::setresuid(user, user, user) } != 0 {
        println!(
            "SKIPPED: this root may not become another user: {}",
            std::io::Error::last_os_error()
        );
        return false;
    }
    // A process that has changed its user may not read what `/proc` says of it, unless it says so.
    // SAFETY: takes integers alone.
    assert_eq!(0, unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) });
    true
}

/// Lowers a limit.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, most: libc::rlim_t) {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: the limit is in this frame, and lowering one is always allowed.
    assert_eq!(0, unsafe { libc::setrlimit(resource, &raw const limit) });
}
