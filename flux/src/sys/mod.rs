//! The operating system, one concern a file, or a folder with a file for each system; with the engines, the only
//! rooms that name libc, and the only one that names windows-sys.

pub(crate) mod affinity;
pub(crate) mod counter;
#[cfg(unix)]
pub(crate) mod datagram;
#[cfg(unix)]
pub(crate) mod interrupt;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod realtime;
pub(crate) mod resident;
pub(crate) mod signal;
#[cfg(unix)]
pub(crate) mod socket;

/// Writes a line to stderr if it can be written: a closed stderr is no reason to panic, least of all where the
/// next step is an abort.
pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    let _closed = writeln!(std::io::stderr(), "{line}");
}

/// The error codes that flux itself gives or tells apart.
#[cfg(unix)]
pub(crate) mod errno {
    pub(crate) use libc::{EAGAIN, ECANCELED, EINTR, ENOBUFS, EPROTO, ETIMEDOUT};
    #[cfg(test)]
    pub(crate) use libc::{ECONNREFUSED, ECONNRESET, ENOTSUP};
}

/// The error codes that flux itself gives, as Windows has them: std reads them as the kinds that they are on other
/// systems, and the first as none that a library would retry. (`ERROR_OPERATION_ABORTED` would be `TimedOut`.)
#[cfg(windows)]
pub(crate) mod errno {
    use windows_sys::Win32::Foundation;

    pub(crate) const ECANCELED: i32 = Foundation::ERROR_CANCELLED.cast_signed();
    pub(crate) const ENOTSUP: i32 = Foundation::ERROR_NOT_SUPPORTED.cast_signed();
    pub(crate) const ETIMEDOUT: i32 = Foundation::ERROR_TIMEOUT.cast_signed();
}
