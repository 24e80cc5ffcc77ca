//! The operating system, one concern a file; with the engines, the only rooms that name libc.

pub(crate) mod affinity;
pub(crate) mod counter;
pub(crate) mod interrupt;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod realtime;
pub(crate) mod resident;
pub(crate) mod signal;
pub(crate) mod socket;

/// Writes a line to stderr if it can be written: a closed stderr is no reason to panic, least of all where the
/// next step is an abort.
pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    let _closed = writeln!(std::io::stderr(), "{line}");
}

/// The error codes that flux itself gives or tells apart.
pub(crate) mod errno {
    pub(crate) use libc::{EAGAIN, ECANCELED, EINTR, ETIMEDOUT};
}
