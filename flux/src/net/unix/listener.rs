//! A listener at a path.

use std::io;
use std::iter::FusedIterator;
use std::os::fd::AsFd;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use super::from_system;
use super::stream::UnixStream;
use crate::net::descriptor::Descriptor;
use crate::net::io as socket_io;
use crate::net::traits::descriptor_traits;

/// A socket at a path that connections of this machine come to, with the methods of
/// [`std::os::unix::net::UnixListener`].
///
/// As in std, the file stays when the listener ends, and is in the way of the next one: remove it.
///
/// # Example
/// ```no_run
/// use flux::net::UnixListener;
/// use std::io::copy;
///
/// # fn serve() -> std::io::Result<()> {
/// let listener = UnixListener::bind("/run/bot/control")?;
/// for stream in listener.incoming() {
///     let stream = stream?;
///     flux::spawn(move || copy(&mut &stream, &mut &stream).map(drop));
/// }
/// # Ok(())
/// # }
/// ```
pub struct UnixListener {
    inner: Descriptor<std::os::unix::net::UnixListener>,
}

impl UnixListener {
    /// Makes a socket at a path, and listens there. Never waits.
    ///
    /// # Errors
    /// `AddrInUse` when there is a file of that name, also one that an earlier listener has left;
    /// `InvalidInput` for a path that is too long (about 100 bytes) or holds a zero byte.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        std::os::unix::net::UnixListener::bind(path).map(Self::wrap)
    }

    /// Makes a socket at an address, on Linux an abstract one for example, and listens there. Never waits.
    ///
    /// # Errors
    /// `AddrInUse` when the address is taken.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        std::os::unix::net::UnixListener::bind_addr(address).map(Self::wrap)
    }

    /// Waits for a connection, and returns it with the address of its other side, which hardly ever has one.
    ///
    /// # Suspends
    /// Until a connection comes.
    ///
    /// # Errors
    /// What the system says, `EMFILE` when no file descriptor is left; `ECANCELED` and `TimedOut` as every
    /// call that waits: see [`UnixStream`].
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (socket, address) = socket_io::accept(self.as_fd())?;
        let stream = UnixStream::wrap(std::os::fd::OwnedFd::from(socket).into());
        let address = match from_system(&address) {
            Some(address) => address,
            // A path that fills the whole field: std alone can make an address of that.
            None => stream.peer_addr()?,
        };
        Ok((stream, address))
    }

    /// The connections that come, without end.
    pub fn incoming(&self) -> UnixIncoming<'_> {
        UnixIncoming { listener: self }
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
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(false)?;
        Ok(Self::wrap(listener))
    }

    /// Gives the listener to std, blocking.
    ///
    /// # Errors
    /// When the socket cannot be set to blocking, which an engine may have changed.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixListener> {
        self.inner.set_nonblocking(false)?;
        Ok(self.inner.into_inner())
    }

    fn wrap(inner: std::os::unix::net::UnixListener) -> Self {
        Self {
            inner: Descriptor::new(inner),
        }
    }
}

#[allow(
    clippy::into_iter_without_iter,
    reason = "std's listener has this, and calls the method `incoming`"
)]
impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = UnixIncoming<'a>;

    fn into_iter(self) -> UnixIncoming<'a> {
        self.incoming()
    }
}

/// The connections that come to a listener: see [`UnixListener::incoming`].
#[derive(Debug)]
pub struct UnixIncoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for UnixIncoming<'_> {
    type Item = io::Result<UnixStream>;

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for UnixIncoming<'_> {}

descriptor_traits!(UnixListener);
