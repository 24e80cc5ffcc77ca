//! A TCP listener.

use std::io;
use std::iter::FusedIterator;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use crate::net::addr::{ToSocketAddrs, first_of};
use crate::net::descriptor::Descriptor;
use crate::net::io as socket_io;
use crate::net::stream::TcpStream;
use crate::net::traits::descriptor_traits;

/// A TCP socket that connections come to, with the methods of [`std::net::TcpListener`].
///
/// # Example
/// ```no_run
/// use flux::net::TcpListener;
/// use std::io::copy;
///
/// # fn serve() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:7777")?;
/// for stream in listener.incoming() {
///     let stream = stream?;
///     flux::spawn(move || copy(&mut &stream, &mut &stream).map(drop));
/// }
/// # Ok(())
/// # }
/// ```
pub struct TcpListener {
    inner: Descriptor<std::net::TcpListener>,
}

impl TcpListener {
    /// Binds to the first address that can be had, and listens there. Never waits.
    ///
    /// # Errors
    /// The last address's error, `AddrInUse` for example; `InvalidInput` for a host name.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<Self> {
        first_of(addresses, |address| {
            std::net::TcpListener::bind(address).map(Self::wrap)
        })
    }

    /// Waits for a connection, and returns it with the address of its other side.
    ///
    /// # Suspends
    /// Until a connection comes.
    ///
    /// # Errors
    /// What the system says, `EMFILE` when no file descriptor is left; `ECANCELED` and `TimedOut` as every
    /// call that waits: see [`TcpStream`].
    #[track_caller]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, address) = socket_io::accept(self.as_fd())?;
        let address = address.as_socket().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the peer of a TCP connection has an address that is not of the internet",
            )
        })?;
        Ok((TcpStream::wrap(socket.into()), address))
    }

    /// The connections that come, without end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Another handle of the same socket.
    ///
    /// # Errors
    /// When no file descriptor is left.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.inner.try_clone().map(Self::wrap)
    }

    /// How many hops a packet of its connections may take.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.inner.set_ttl(ttl)
    }

    /// How many hops a packet of its connections may take.
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

    /// Takes over a listener of std.
    ///
    /// # Errors
    /// When the socket cannot be set to blocking, which is how flux uses it: what waits is the kernel's
    /// request, not the thread.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(false)?;
        Ok(Self::wrap(listener))
    }

    /// Gives the listener to std, blocking.
    ///
    /// # Errors
    /// When the socket cannot be set to blocking, which an engine may have changed.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        self.inner.set_nonblocking(false)?;
        Ok(self.inner.into_inner())
    }

    fn wrap(inner: std::net::TcpListener) -> Self {
        Self {
            inner: Descriptor::new(inner),
        }
    }
}

/// The connections that come to a listener: see [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}

descriptor_traits!(TcpListener);
