//! Catching a memory fault, as each system has it.
//!
//! Does not know what a fault means.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

pub(crate) use system::{FaultGuard, write_stderr};

/// What looks at the address of a fault. Returns if the fault is not its business.
///
/// Runs in a signal handler: it may call nothing that is not async-signal-safe.
pub(crate) type FaultHandler = fn(usize);
