//! The peer: a plain thread on the other core that drives a server and checks its answers.
//!
//! It never sleeps: a sleeping peer on another core of a virtual machine costs tens of microseconds to wake,
//! and that would be what is measured.

mod echo;
mod feed;
mod poll;
mod rally;

pub use echo::{ECHO_BYTES, EchoLoad};
pub use feed::{FeedLoad, Pace};
pub use rally::Rally;

use std::thread::{Builder, JoinHandle};

use crate::Fault;
use crate::harness::LOAD_CORE;
use crate::sys;

/// Starts `work` on a thread of its own on the load's core.
///
/// # Errors
/// If the system refuses a thread.
pub fn start<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<Load<T>, Fault> {
    let thread = Builder::new().name("load".into()).spawn(|| {
        if sys::pin_to_core(LOAD_CORE).is_err() {
            // One core, or not this one: then the two sides share, which the bench's first line warned of.
            std::thread::yield_now();
        }
        work()
    })?;
    Ok(Load(thread))
}

/// A load that is running.
#[derive(Debug)]
pub struct Load<T>(JoinHandle<Result<T, Fault>>);

impl<T> Load<T> {
    /// Waits for its end, and returns what it has to tell.
    ///
    /// # Errors
    /// What it found wrong with the server's answers.
    pub fn finish(self) -> Result<T, Fault> {
        self.0
            .join()
            .map_err(|_| Fault::from("the load's thread panicked"))?
    }
}
