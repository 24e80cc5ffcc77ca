//! What a socket is told about latency, each with its price.
//!
//! Nothing here is on unless it is asked for. Linux alone has these options.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::net::{TcpStream, UdpSocket};

impl TcpStream {
    /// Whether the kernel acknowledges what arrives at once (true), or waits until it has data to send along,
    /// more to acknowledge, or 40 ms have passed (false). `TCP_QUICKACK`; as std's method of that name.
    ///
    /// False saves the packets, and the time that is spent on sending them while a message is being
    /// received: 6 to 14 % of the CPU time of a paced feed over loopback, to which nothing was answered, in the
    /// measurements that flux was designed by.
    ///
    /// # What it costs
    /// A sender that waits for acknowledgements waits longer: one with Nagle's algorithm on, or with a small
    /// congestion window, up to 40 ms for what it sends next. Leave it alone unless the other side is
    /// known to send without waiting.
    ///
    /// # It does not stay
    /// It puts the kernel into a state which the kernel leaves as it sees fit: tcp(7). On Linux 6.18 *false* was
    /// seen to
    /// - stay while messages come more often than every 40 ms;
    /// - end with a pause: 40 ms after a message that nothing has acknowledged, the timer does, and the kernel
    ///   acknowledges at once from then on;
    /// - end with a packet that is lost or comes out of order, by the kernel's sources (`tcp_enter_quickack_mode`).
    ///
    /// And a *true* ends with the first bytes that are sent in answer. For a feed that pauses, set it again
    /// after a receive that had to wait; that is a system call, and flux makes none on its own.
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux.
    ///
    /// # Example
    /// ```no_run
    /// use flux::net::TcpStream;
    ///
    /// # fn follow(exchange: std::net::SocketAddr) -> std::io::Result<()> {
    /// let feed = TcpStream::connect(exchange)?;
    /// feed.set_quickack(false)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        system::set_quickack(self.as_fd(), quickack)
    }

    /// Whether the kernel acknowledges what arrives at once, at this moment: see
    /// [`set_quickack`](Self::set_quickack).
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux.
    pub fn quickack(&self) -> io::Result<bool> {
        system::quickack(self.as_fd())
    }
}

/// The same for every socket that receives from a network.
macro_rules! busy_poll {
    ($socket:ty) => {
        impl $socket {
            /// Lets a receive that finds nothing look into the network card's queue itself, instead of waiting
            /// for the card's interrupt; `None` turns it off. `SO_BUSY_POLL`: socket(7).
            ///
            /// The time is for calls that block, and rounded up to microseconds. flux makes none: by the
            /// kernel's sources (`sk_busy_loop`) each attempt to receive looks once, whatever the time. For
            /// latency it therefore goes together with [`Idle::Spin`](crate::Idle::Spin).
            ///
            /// # What it costs
            /// The core does the card's work: a receive that finds nothing takes as long as the driver's poll
            /// function, and polls for every other socket of that queue too. The kernel's own figure for
            /// polling in general, by `io_uring` on cards that can (a UDP ping between two hosts), is 31.75
            /// instead of 42.05 us a round trip. flux has not been measured with it, since there is nothing to
            /// poll on loopback, nor with a card whose driver has no NAPI: there it changes nothing.
            ///
            /// # Errors
            /// - `PermissionDenied`: by socket(7), polling for longer than before takes CAP_NET_ADMIN (Linux 6.18
            ///   was seen to let everybody).
            /// - `InvalidInput`: a time of zero, which would be none, or one above 35 minutes.
            /// - `Unsupported` on systems other than Linux.
            ///
            /// # Example
            /// ```no_run
            /// use std::time::Duration;
            ///
            /// # fn tune(feed: &flux::net::TcpStream) -> std::io::Result<()> {
            /// if let Err(error) = feed.set_busy_poll(Some(Duration::from_micros(50))) {
            ///     println!("the feed waits for interrupts: {error}");
            /// }
            /// # Ok(())
            /// # }
            /// ```
            pub fn set_busy_poll(&self, time: Option<Duration>) -> io::Result<()> {
                system::set_busy_poll(self.as_fd(), microseconds(time)?)
            }

            /// How long a call that blocks would look into the network card's queue: see
            /// [`set_busy_poll`](Self::set_busy_poll).
            ///
            /// # Errors
            /// `Unsupported` on systems other than Linux.
            pub fn busy_poll(&self) -> io::Result<Option<Duration>> {
                let time = system::busy_poll(self.as_fd())?;
                Ok((time > 0).then(|| Duration::from_micros(time.into())))
            }
        }
    };
}

busy_poll!(TcpStream);
busy_poll!(UdpSocket);

/// A time as the option wants it; 0 is off.
fn microseconds(time: Option<Duration>) -> io::Result<u32> {
    let Some(time) = time else {
        return Ok(0);
    };
    // The option is an `int` of C.
    let rounded = i32::try_from(time.as_nanos().div_ceil(1000)).unwrap_or(i32::MAX);
    match rounded {
        0 => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "to poll for no time at all is not to poll: `None` turns it off",
        )),
        i32::MAX => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a socket can poll for 35 minutes at the most",
        )),
        time => Ok(time.unsigned_abs()),
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{BorrowedFd, io};
    use socket2::SockRef;

    pub(super) fn set_quickack(fd: BorrowedFd<'_>, quickack: bool) -> io::Result<()> {
        SockRef::from(&fd).set_tcp_quickack(quickack)
    }

    pub(super) fn quickack(fd: BorrowedFd<'_>) -> io::Result<bool> {
        SockRef::from(&fd).tcp_quickack()
    }

    pub(super) fn set_busy_poll(fd: BorrowedFd<'_>, microseconds: u32) -> io::Result<()> {
        SockRef::from(&fd).set_busy_poll(microseconds)
    }

    pub(super) fn busy_poll(fd: BorrowedFd<'_>) -> io::Result<u32> {
        SockRef::from(&fd).busy_poll()
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{BorrowedFd, io};

    fn unsupported(option: &str) -> io::Error {
        io::Error::new(
            io::ErrorKind::Unsupported,
            format!("sockets of this system have no `{option}`, which is Linux's alone"),
        )
    }

    pub(super) fn set_quickack(_: BorrowedFd<'_>, _: bool) -> io::Result<()> {
        Err(unsupported("TCP_QUICKACK"))
    }

    pub(super) fn quickack(_: BorrowedFd<'_>) -> io::Result<bool> {
        Err(unsupported("TCP_QUICKACK"))
    }

    pub(super) fn set_busy_poll(_: BorrowedFd<'_>, _: u32) -> io::Result<()> {
        Err(unsupported("SO_BUSY_POLL"))
    }

    pub(super) fn busy_poll(_: BorrowedFd<'_>) -> io::Result<u32> {
        Err(unsupported("SO_BUSY_POLL"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_microseconds_and_never_none() {
        assert_eq!(microseconds(None).unwrap(), 0);
        let of = |time| microseconds(Some(time));
        assert_eq!(of(Duration::from_nanos(1)).unwrap(), 1);
        assert_eq!(of(Duration::from_micros(50)).unwrap(), 50);
        assert_eq!(of(Duration::from_nanos(50_001)).unwrap(), 51);
        let zero = of(Duration::ZERO).unwrap_err();
        assert_eq!(zero.kind(), io::ErrorKind::InvalidInput);
        let long = of(Duration::MAX).unwrap_err();
        assert!(long.to_string().contains("35 minutes"), "{long}");
    }
}
