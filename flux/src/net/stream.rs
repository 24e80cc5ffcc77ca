//! A TCP connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::net::addr::{ToSocketAddrs, first_of};
use crate::net::descriptor::{Descriptor, descriptor_traits};
use crate::net::io as socket_io;
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
    // Nanoseconds; 0 is "for ever". Atomic because sockets are `Sync`, and relaxed since each stands alone.
    read_timeout_ns: AtomicU64,
    write_timeout_ns: AtomicU64,
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
            read_timeout_ns: AtomicU64::new(0),
            write_timeout_ns: AtomicU64::new(0),
        }
    }

    /// Takes over a connection of std. Its time-outs come along.
    ///
    /// # Errors
    /// When the socket cannot be set to blocking, which is how flux uses it: what waits is the kernel's
    /// request, not the thread.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        let (read, write) = (stream.read_timeout()?, stream.write_timeout()?);
        let stream = Self::wrap(stream);
        stream
            .read_timeout_ns
            .store(nanoseconds(read), Ordering::Relaxed);
        stream
            .write_timeout_ns
            .store(nanoseconds(write), Ordering::Relaxed);
        Ok(stream)
    }

    /// Gives the connection to std, blocking, and with the time-outs that it has here.
    ///
    /// # Errors
    /// When the socket does not take its time-outs.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.inner.set_read_timeout(self.read_timeout()?)?;
        self.inner.set_write_timeout(self.write_timeout()?)?;
        // An engine may have changed the mode.
        self.inner.set_nonblocking(false)?;
        Ok(self.inner.into_inner())
    }

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

    /// Another handle of the same connection. Time-outs are each handle's own.
    ///
    /// # Errors
    /// When no file descriptor is left.
    pub fn try_clone(&self) -> io::Result<Self> {
        let clone = Self::wrap(self.inner.try_clone()?);
        for (from, to) in [
            (&self.read_timeout_ns, &clone.read_timeout_ns),
            (&self.write_timeout_ns, &clone.write_timeout_ns),
        ] {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        Ok(clone)
    }

    /// How long a read waits; `None` for ever.
    ///
    /// # Errors
    /// `InvalidInput` for a time of zero, as in std.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        not_zero(timeout)?;
        self.read_timeout_ns
            .store(nanoseconds(timeout), Ordering::Relaxed);
        Ok(())
    }

    /// How long a write waits; `None` for ever.
    ///
    /// # Errors
    /// `InvalidInput` for a time of zero, as in std.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        not_zero(timeout)?;
        self.write_timeout_ns
            .store(nanoseconds(timeout), Ordering::Relaxed);
        Ok(())
    }

    /// How long a read waits.
    ///
    /// # Errors
    /// None; the type is std's.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(time(&self.read_timeout_ns))
    }

    /// How long a write waits.
    ///
    /// # Errors
    /// None; the type is std's.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(time(&self.write_timeout_ns))
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
        socket_io::receive(self.as_fd(), buffer, true, time(&self.read_timeout_ns))
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

    /// The error that is pending on the socket, and none from then on.
    ///
    /// # Errors
    /// What the system says.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.take_error()
    }
}

impl Read for &TcpStream {
    #[inline]
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        socket_io::receive(self.as_fd(), buffer, false, time(&self.read_timeout_ns))
    }
}

impl Read for TcpStream {
    #[inline]
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for &TcpStream {
    #[inline]
    #[track_caller]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        socket_io::send(self.as_fd(), bytes, time(&self.write_timeout_ns))
    }

    /// Does nothing: nothing is held back here.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for TcpStream {
    #[inline]
    #[track_caller]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    /// Does nothing: nothing is held back here.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

descriptor_traits!(TcpStream);

/// Refuses what std refuses: a time-out of zero, which would be none.
fn not_zero(timeout: Option<Duration>) -> io::Result<()> {
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
