//! The operating system, one concern a file; with the engines, the only rooms that name libc.

pub(crate) mod affinity;
pub(crate) mod interrupt;
pub(crate) mod memory;
pub(crate) mod signal;
pub(crate) mod socket;

/// The error codes that flux itself gives or tells apart.
pub(crate) mod errno {
    pub(crate) use libc::{EAGAIN, ECANCELED, EINTR, ETIMEDOUT};
}
