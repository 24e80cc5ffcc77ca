//! Passing things between fibers of one core: no atomics, no locks, no allocation after creation.

mod channel;

pub use channel::{
    Iter, Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError, channel,
};
