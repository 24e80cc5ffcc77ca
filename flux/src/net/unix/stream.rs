//! A connection within this machine.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;

use socket2::{Domain, Socket, Type};

use super::to_system;
use crate::net::descriptor::Descriptor;
use crate::net::io::{self as socket_io, Kind};
use crate::net::timeouts::{Timeouts, timed_socket_methods};
use crate::net::traits::{descriptor_traits, stream_traits};
use crate::sys::socket;

/// A connection to another process of this machine, with the methods of [`std::os::unix::net::UnixStream`]:
/// what blocks there suspends here.
///
/// Reading and writing works on `&UnixStream` too, and goes to the kernel as with
/// [`TcpStream`](super::super::TcpStream).
///
/// # Errors
/// Beside what the other side brings, every call that waits fails with
/// - `ECANCELED` (as [`raw_os_error`](io::Error::raw_os_error)) once the fiber was cancelled;
/// - [`TimedOut`](io::ErrorKind::TimedOut) when the socket's own time-out, or the deadline of an enclosing
///   [`timeout`](crate::timeout), has passed;
/// - [`Unsupported`](io::ErrorKind::Unsupported) outside of a fiber.
///
/// It never fails with `WouldBlock`.
///
/// # Example
/// ```
/// use flux::net::UnixStream;
/// use std::io::{Read, Write};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// flux::Config::new().run(|| -> std::io::Result<()> {
///     let (mut near, mut far) = UnixStream::pair()?;
///     let server = flux::spawn(move || far.write_all(b"61659.70"));
///     let mut price = String::new();
///     near.read_to_string(&mut price)?;
///     assert_eq!(price, "61659.70");
///     server.join()?
/// })??;
/// # Ok(())
/// # }
/// ```
pub struct UnixStream {
    inner: Descriptor<std::os::unix::net::UnixStream>,
    timeouts: Timeouts,
}

impl UnixStream {
    #[inline]
    #[allow(
        clippy::unused_self,
        reason = "as that of a TCP stream, which can change"
    )]
    fn kind(&self) -> Kind {
        Kind::LocalStream
    }

    /// Connects to the listener at a path.
    ///
    /// # Suspends
    /// While the listener's queue is full: the other side answers at once otherwise. No system tells when there
    /// is room again, so that this asks after a pause that grows up to 5 ms. (The BSDs refuse instead.)
    ///
    /// # Errors
    /// `NotFound` when there is no such file; `ConnectionRefused` when nobody listens there any more;
    /// `InvalidInput` for a path that is too long (about 100 bytes) or holds a zero byte.
    #[track_caller]
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// Connects to the listener at an address, on Linux an abstract one for example.
    ///
    /// # Suspends
    /// As [`connect`](Self::connect).
    ///
    /// # Errors
    /// `ConnectionRefused` when nobody listens there.
    #[track_caller]
    pub fn connect_addr(address: &SocketAddr) -> io::Result<Self> {
        let address = to_system(address)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket_io::connect_local(&socket, &address)?;
        socket.set_nonblocking(false)?;
        Ok(Self::wrap(OwnedFd::from(socket).into()))
    }

    /// Two ends of a connection that has no address.
    ///
    /// # Errors
    /// When no file descriptor is left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (near, far) = std::os::unix::net::UnixStream::pair()?;
        Ok((Self::wrap(near), Self::wrap(far)))
    }

    pub(super) fn wrap(inner: std::os::unix::net::UnixStream) -> Self {
        socket::adopt(inner.as_fd());
        Self {
            inner: Descriptor::new(inner),
            timeouts: Timeouts::default(),
        }
    }

    timed_socket_methods!(std::os::unix::net::UnixStream);

    /// The address of the other side.
    ///
    /// # Errors
    /// When the socket is not connected any more.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }

    /// The address of this side.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Ends one direction, or both. A fiber that waits in a read of this socket gets 0 bytes.
    ///
    /// # Errors
    /// `NotConnected` when the other side has gone already.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }
}

descriptor_traits!(UnixStream);
stream_traits!(UnixStream);
