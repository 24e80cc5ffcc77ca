//! Passing things between fibers of one core: no atomics, no locks, no allocation after creation.

mod channel;
mod error;

pub use channel::{Iter, Receiver, Sender, channel};
pub use error::{RecvError, SendError, TryRecvError, TrySendError};
