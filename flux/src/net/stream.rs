//! A TCP connection.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::net::addr::{ToSocketAddrs, first_of};
use crate::net::descriptor::Descriptor;
use crate::net::io::{self as socket_io, Kind};
use crate::net::timeouts::{Timeouts, not_zero, timed_socket_methods};
use crate::net::traits::{descriptor_traits, stream_traits};
use crate::sys::socket;

/// A TCP connection, with the methods of [`std::net::TcpStream`]: what blocks there suspends here.
///
/// Reading and writing works on `&TcpStream` too, so that two fibers can share one: put it into an
/// [`Rc`](std::rc::Rc), or borrow it in a [`scope`](crate::scope).
///
/// A write goes to the kernel at once, and what it does not take is waited for. A read is one request to
/// the kernel, straight into the caller's buffer.
///
/// # Errors
/// Beside what the network brings, every call that waits fails with
/// - `ECANCELED` (as [`raw_os_error`](io::Error::raw_os_error)) once the fiber was cancelled;
/// - [`TimedOut`](io::ErrorKind::TimedOut) when the socket's own time-out, or the deadline of an enclosing
///   [`timeout`](crate::timeout), has passed;
/// - [`Unsupported`](io::ErrorKind::Unsupported) outside of a fiber.
///
/// It never fails with `WouldBlock`.
///
/// # Example
/// ```
/// use flux::net::{TcpListener, TcpStream};
/// use std::io::{Read, Write};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// flux::Config::new().run(|| -> std::io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     let server = flux::spawn(move || -> std::io::Result<()> {
///         let (mut stream, _) = listener.accept()?;
///         stream.write_all(b"61659.70")
///     });
///     let mut price = String::new();
///     TcpStream::connect(address)?.read_to_string(&mut price)?;
///     assert_eq!(price, "61659.70");
///     server.join()?
/// })??;
/// # Ok(())
/// # }
/// ```
pub struct TcpStream {
    inner: Descriptor<std::net::TcpStream>,
    timeouts: Timeouts,
    /// The core itself asks this socket while it spins.
    hot: AtomicBool,
}

impl TcpStream {
    /// Connects to the first address that answers.
    ///
    /// # Suspends
    /// Until the other side has answered, for each address in turn.
    ///
    /// # Errors
    /// The last address's error, `ConnectionRefused` for example; `InvalidInput` for a host name, since
    /// looking it up would block the core, or for no address at all.
    #[track_caller]
    pub fn connect(addresses: impl ToSocketAddrs) -> io::Result<Self> {
        first_of(addresses, |address| Self::connect_one(address, None))
    }

    /// Connects to one address, for so long at the most.
    ///
    /// # Suspends
    /// Until the other side has answered.
    ///
    /// # Errors
    /// `TimedOut` when it has not in time; `InvalidInput` for a time of zero, as in std.
    #[track_caller]
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        not_zero(Some(timeout))?;
        Self::connect_one(*address, Some(timeout))
    }

    #[track_caller]
    fn connect_one(address: SocketAddr, timeout: Option<Duration>) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // Wrapped first: also a socket that does not get connected is forgotten when it ends.
        let stream = Self::wrap(socket.into());
        socket_io::connect(stream.as_fd(), &SockAddr::from(address), timeout)?;
        Ok(stream)
    }

    pub(super) fn wrap(inner: std::net::TcpStream) -> Self {
        socket::adopt(inner.as_fd());
        Self {
            inner: Descriptor::new(inner),
            timeouts: Timeouts::default(),
            hot: AtomicBool::new(false),
        }
    }

    #[inline]
    fn kind(&self) -> Kind {
        if self.hot.load(Ordering::Relaxed) {
            Kind::HotStream
        } else {
            Kind::Stream
        }
    }

    /// Lets the core itself ask this socket for bytes in every idle turn while it spins, instead of being told of
    /// them by the kernel.
    ///
    /// For the one to four feeds that must not lose a microsecond: beyond four, and while the core sleeps when idle
    /// ([`Idle::Block`](crate::Idle)), a read is the same as without. What it costs is a system call for each such
    /// socket in every idle turn; what it gains depends on the machine, and `benches/README.md` has a figure of
    /// one. One fiber at a time should read a hot socket: among several the order in which they get bytes is not
    /// that in which they asked.
    ///
    /// This handle's own: a clone of the socket is not hot.
    pub fn set_hot(&self, hot: bool) {
        self.hot.store(hot, Ordering::Relaxed);
    }

    /// Whether the core asks this socket itself.
    pub fn hot(&self) -> bool {
        self.hot.load(Ordering::Relaxed)
    }

    /// How long a read of this handle waits.
    #[inline]
    pub(super) fn read_timeout_now(&self) -> Option<Duration> {
        self.timeouts.read()
    }

    timed_socket_methods!(std::net::TcpStream);

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

    /// Receives without taking: the next read gives the same bytes again.
    ///
    /// # Suspends
    /// Until there is at least one byte, or the end of the stream.
    ///
    /// # Errors
    /// As a read.
    #[track_caller]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = self.timeouts.read();
        socket_io::receive(self.as_fd(), self.kind(), buffer, true, timeout)
    }

    /// Sends small writes at once (on), or lets the system gather them (off, the default).
    ///
    /// # Errors
    /// What the system says.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.inner.set_nodelay(nodelay)
    }

    /// Whether small writes leave at once.
    ///
    /// # Errors
    /// What the system says.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.inner.nodelay()
    }

    /// How many hops a packet may take.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.inner.set_ttl(ttl)
    }

    /// How many hops a packet may take.
    ///
    /// # Errors
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.inner.ttl()
    }
}

descriptor_traits!(TcpStream);
stream_traits!(TcpStream);
