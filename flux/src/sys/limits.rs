//! What this process is allowed, by number: for sentences that say which limit was met.
//!
//! Does not know who met it.

#![allow(unsafe_code, reason = "calls into libc")]

#[cfg(unix)]
use std::mem;

/// A limit of the process, as `ulimit` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Open descriptors (`ulimit -n`).
    #[cfg_attr(windows, allow(dead_code, reason = "an engine there has none"))]
    Descriptors,
    /// Bytes of memory that may be locked (`ulimit -l`).
    LockedMemory,
    /// The highest real-time priority that a thread may take (`ulimit -r`).
    #[cfg(target_os = "linux")]
    Priority,
}

/// What is allowed now, and what the process may raise that to; `None` where the system does not tell, or
/// has no limit.
#[cfg(unix)]
pub(crate) fn soft_and_hard(limit: Limit) -> (Option<u64>, Option<u64>) {
    let resource = match limit {
        Limit::Descriptors => libc::RLIMIT_NOFILE,
        Limit::LockedMemory => libc::RLIMIT_MEMLOCK,
        #[cfg(target_os = "linux")]
        Limit::Priority => libc::RLIMIT_RTPRIO,
    };
    // SAFETY: all zeroes is a valid `rlimit`.
    let mut found: libc::rlimit = unsafe { mem::zeroed() };
    // SAFETY: the limit is in this frame.
    if unsafe { libc::getrlimit(resource, &raw mut found) } != 0 {
        return (None, None);
    }
    let known = |value| (value != libc::RLIM_INFINITY).then_some(value);
    #[allow(clippy::useless_conversion, reason = "signed on FreeBSD")]
    let number = |value| known(value).and_then(|value| u64::try_from(value).ok());
    (number(found.rlim_cur), number(found.rlim_max))
}

/// What is allowed now, and what the process may raise that to: there are no such limits here.
#[cfg(windows)]
pub(crate) fn soft_and_hard(_: Limit) -> (Option<u64>, Option<u64>) {
    (None, None)
}

/// What is allowed now, in words.
pub(crate) fn in_words(limit: Limit) -> String {
    match (soft_and_hard(limit).0, limit) {
        (None, _) => "unlimited".into(),
        (Some(bytes), Limit::LockedMemory) => format!("{} KiB", bytes / 1024),
        (Some(count), _) => count.to_string(),
    }
}
