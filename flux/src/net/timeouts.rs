//! The time-outs of a socket, and the methods around them that every socket of std has.
//!
//! They are flux's own: the kernel knows nothing of them, since no call waits there.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long reads and writes wait.
///
/// Nanoseconds; 0 is "for ever". Atomic because sockets are `Sync`, and relaxed since each stands alone.
#[derive(Default)]
pub(super) struct Timeouts {
    read_ns: AtomicU64,
    write_ns: AtomicU64,
}

impl Timeouts {
    #[inline]
    pub(super) fn read(&self) -> Option<Duration> {
        time(&self.read_ns)
    }

    #[inline]
    pub(super) fn write(&self) -> Option<Duration> {
        time(&self.write_ns)
    }

    pub(super) fn set_read(&self, timeout: Option<Duration>) {
        self.read_ns.store(nanoseconds(timeout), Ordering::Relaxed);
    }

    pub(super) fn set_write(&self, timeout: Option<Duration>) {
        self.write_ns.store(nanoseconds(timeout), Ordering::Relaxed);
    }

    /// Takes over the time-outs of another handle.
    pub(super) fn copy(&self, from: &Self) {
        self.set_read(from.read());
        self.set_write(from.write());
    }
}

/// Refuses what std refuses: a time-out of zero, which would be none.
pub(super) fn not_zero(timeout: Option<Duration>) -> io::Result<()> {
    if timeout == Some(Duration::ZERO) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a time-out of zero would end every wait before it began; `None` waits for ever",
        ));
    }
    Ok(())
}

fn nanoseconds(timeout: Option<Duration>) -> u64 {
    timeout.map_or(0, |timeout| {
        u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)
    })
}

#[inline]
fn time(nanoseconds: &AtomicU64) -> Option<Duration> {
    match nanoseconds.load(Ordering::Relaxed) {
        0 => None,
        ns => Some(Duration::from_nanos(ns)),
    }
}

/// The methods that every socket has which reads and writes: for one that holds a `Descriptor` as `inner` and
/// [`Timeouts`] as `timeouts`, and can `wrap` a socket of std.
macro_rules! timed_socket_methods {
    ($std:ty) => {
        /// Takes over a socket of std. Its time-outs come along.
        ///
        /// # Errors
        /// When the socket cannot be set to blocking, which is how flux uses it: what waits is the kernel's
        /// request, not the thread.
        pub fn from_std(socket: $std) -> std::io::Result<Self> {
            socket.set_nonblocking(false)?;
            let (read, write) = (socket.read_timeout()?, socket.write_timeout()?);
            let socket = Self::wrap(socket);
            socket.timeouts.set_read(read);
            socket.timeouts.set_write(write);
            Ok(socket)
        }

        /// Gives the socket to std, blocking, and with the time-outs that it has here.
        ///
        /// # Errors
        /// When the socket does not take its time-outs.
        pub fn into_std(self) -> std::io::Result<$std> {
            self.inner.set_read_timeout(self.timeouts.read())?;
            self.inner.set_write_timeout(self.timeouts.write())?;
            // An engine may have changed the mode.
            self.inner.set_nonblocking(false)?;
            Ok(self.inner.into_inner())
        }

        /// Another handle of the same socket. Time-outs are each handle's own.
        ///
        /// # Errors
        /// When no file descriptor is left.
        pub fn try_clone(&self) -> std::io::Result<Self> {
            let clone = Self::wrap(self.inner.try_clone()?);
            clone.timeouts.copy(&self.timeouts);
            Ok(clone)
        }

        /// How long a read waits; `None` for ever.
        ///
        /// # Errors
        /// `InvalidInput` for a time of zero, as in std.
        pub fn set_read_timeout(
            &self,
            timeout: Option<std::time::Duration>,
        ) -> std::io::Result<()> {
            crate::net::timeouts::not_zero(timeout)?;
            self.timeouts.set_read(timeout);
            Ok(())
        }

        /// How long a write waits; `None` for ever.
        ///
        /// # Errors
        /// `InvalidInput` for a time of zero, as in std.
        pub fn set_write_timeout(
            &self,
            timeout: Option<std::time::Duration>,
        ) -> std::io::Result<()> {
            crate::net::timeouts::not_zero(timeout)?;
            self.timeouts.set_write(timeout);
            Ok(())
        }

        /// How long a read waits.
        ///
        /// # Errors
        /// None; the type is std's.
        pub fn read_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
            Ok(self.timeouts.read())
        }

        /// How long a write waits.
        ///
        /// # Errors
        /// None; the type is std's.
        pub fn write_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
            Ok(self.timeouts.write())
        }

        /// The error that is pending on the socket, and none from then on.
        ///
        /// # Errors
        /// What the system says.
        pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
            self.inner.take_error()
        }
    };
}

pub(super) use timed_socket_methods;
