//! macOS: a program does not choose its core. (Affinity tags only ask for threads to share a cache, and are
//! not there on Apple's own processors.)

use std::io;
use std::thread;

/// The cores of the machine: a thread may run on each.
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    thread::available_parallelism().map(|count| (0..count.get()).collect())
}

/// Every core is what a thread has; fewer cannot be had.
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    if cores == allowed()? {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "macOS lets no program choose its core",
    ))
}

/// The core that the calling thread runs on at this moment: it may be another one at the next.
pub(crate) fn current() -> Option<usize> {
    None
}

/// The cores that the system keeps free of other work: it keeps none.
pub(crate) fn isolated() -> Vec<usize> {
    Vec::new()
}
