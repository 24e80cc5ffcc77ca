//! A descriptor whose end the engine hears of: closed or given away, what is known of it is forgotten.
//!
//! Descriptors are numbers that come again. An engine that took the next file of that number for this one
//! would wait for an edge that never comes.

use std::ops::Deref;
use std::os::fd::{AsRawFd, RawFd};

use crate::engine::readiness;
use crate::reactor::current;

/// A socket of std that flux waits at.
pub(super) struct Descriptor<T: AsRawFd>(Option<T>);

impl<T: AsRawFd> Descriptor<T> {
    pub(super) fn new(socket: T) -> Self {
        Self(Some(socket))
    }

    /// The socket, which flux does not wait at any more.
    pub(super) fn into_inner(mut self) -> T {
        forget(self.as_raw_fd());
        self.0
            .take()
            .expect("a socket is taken out once, at the end")
    }
}

impl<T: AsRawFd> Deref for Descriptor<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0
            .as_ref()
            .expect("a socket is taken out at the end alone")
    }
}

impl<T: AsRawFd> Drop for Descriptor<T> {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            forget(socket.as_raw_fd());
        }
    }
}

fn forget(fd: RawFd) {
    let told = current::try_with(|reactor| {
        let mut engine = reactor.engine.try_borrow_mut().ok()?;
        engine.detach(fd);
        Some(())
    });
    if told.flatten().is_none() {
        readiness::closed_unseen();
    }
}
