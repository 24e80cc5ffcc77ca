//! Which core a thread runs on, as each system has it.
//!
//! Knows nothing of configuration: the reactor decides what "auto" means.

#[cfg_attr(target_os = "freebsd", path = "freebsd.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

pub(crate) use system::{allowed, current, isolated, pin};
