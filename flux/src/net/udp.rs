//! Datagrams over the internet's addresses.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use crate::net::addr::{ToSocketAddrs, first_of};
use crate::net::descriptor::Descriptor;
use crate::net::io::{self as socket_io, Kind};
use crate::net::message;
use crate::net::timeouts::{Timeouts, timed_socket_methods};
use crate::net::traits::descriptor_traits;
use crate::sys::socket;

/// A UDP socket, with the methods of [`std::net::UdpSocket`]: what blocks there suspends here.
///
/// All works on `&UdpSocket`, so that several fibers can share one: put it into an [`Rc`](std::rc::Rc), or
/// borrow it in a [`scope`](crate::scope).
///
/// A send goes to the kernel at once; only where the socket has no room for a datagram it is waited for. A
/// receive is one request to the kernel, straight into the caller's buffer. A datagram that is longer than
/// the buffer is cut, as in std, and one without bytes is received as 0.
///
/// # Errors
/// Beside what the network brings, every call that waits fails with
/// - `ECANCELED` (as [`raw_os_error`](io::Error::raw_os_error)) once the fiber was cancelled;
/// - [`TimedOut`](io::ErrorKind::TimedOut) when the socket's own time-out, or the deadline of an enclosing
///   [`timeout`](crate::timeout), has passed;
/// - [`Unsupported`](io::ErrorKind::Unsupported) outside of a fiber.
///
/// It never fails with `WouldBlock`. On a connected socket a send or a receive fails with
/// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) once the other side has said that nobody receives
/// there what was sent earlier.
///
/// # Example
/// ```
/// use flux::net::UdpSocket;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// flux::Config::new().run(|| -> std::io::Result<()> {
///     let exchange = UdpSocket::bind("127.0.0.1:0")?;
///     let bot = UdpSocket::bind("127.0.0.1:0")?;
///     exchange.send_to(b"61659.70", bot.local_addr()?)?;
///     let mut price = [0; 64];
///     let (len, from) = bot.recv_from(&mut price)?;
///     assert_eq!(&price[..len], b"61659.70");
///     assert_eq!(from, exchange.local_addr()?);
///     Ok(())
/// })??;
/// # Ok(())
/// # }
/// ```
pub struct UdpSocket {
    inner: Descriptor<std::net::UdpSocket>,
    timeouts: Timeouts,
}

impl UdpSocket {
    /// Binds to the first address that can be had. Never waits.
    ///
    /// # Errors
    /// The last address's error, `AddrInUse` for example; `InvalidInput` for a host name.
    pub fn bind(addresses: impl ToSocketAddrs) -> io::Result<Self> {
        first_of(addresses, |address| {
            std::net::UdpSocket::bind(address).map(Self::wrap)
        })
    }

    pub(super) fn wrap(inner: std::net::UdpSocket) -> Self {
        socket::adopt(inner.as_fd());
        Self {
            inner: Descriptor::new(inner),
            timeouts: Timeouts::default(),
        }
    }

    /// How long a read waits, for what reads on the socket's behalf.
    #[inline]
    pub(super) fn read_timeout_now(&self) -> Option<std::time::Duration> {
        self.timeouts.read()
    }

    /// Settles for the first address that the system takes: [`send`](Self::send) sends there, and what comes
    /// from elsewhere is not received. Never waits, since nobody is asked.
    ///
    /// # Errors
    /// The last address's error; `InvalidInput` for a host name.
    pub fn connect(&self, addresses: impl ToSocketAddrs) -> io::Result<()> {
        first_of(addresses, |address| self.inner.connect(address))
    }

    /// Sends a datagram to the first of the addresses, and returns how many bytes it had.
    ///
    /// # Suspends
    /// While the socket has no room for it.
    ///
    /// # Errors
    /// `EMSGSIZE` (raw) for one that is too long; `InvalidInput` for a host name, or for no address at all.
    #[track_caller]
    pub fn send_to(&self, datagram: &[u8], addresses: impl ToSocketAddrs) -> io::Result<usize> {
        let Some(address) = addresses.to_socket_addrs()?.next() else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "there is no address to send to",
            ));
        };
        message::send_to(self.as_fd(), datagram, address, self.timeouts.write())
    }

    /// Receives a datagram, and returns how many bytes of it there are in the buffer and who sent it.
    ///
    /// What does not fit into the buffer is lost.
    ///
    /// # Suspends
    /// Until a datagram comes.
    ///
    /// # Errors
    /// What the type says.
    #[track_caller]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        message::receive_from(self.as_fd(), buffer, false, self.timeouts.read())
    }

    /// As [`recv_from`](Self::recv_from) without taking: the next receive gives the same datagram again.
    ///
    /// # Suspends
    /// Until a datagram comes.
    ///
    /// # Errors
    /// What the type says.
    #[track_caller]
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        message::receive_from(self.as_fd(), buffer, true, self.timeouts.read())
    }

    /// Sends a datagram to where the socket is connected, and returns how many bytes it had.
    ///
    /// # Suspends
    /// While the socket has no room for it.
    ///
    /// # Errors
    /// `EDESTADDRREQ` (raw) when it is not connected; `EMSGSIZE` (raw) for one that is too long;
    /// `ConnectionRefused` when nobody received an earlier one.
    #[track_caller]
    pub fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        let timeout = self.timeouts.write();
        socket_io::send(self.as_fd(), Kind::Datagrams, datagram, timeout)
    }

    /// Receives a datagram, and returns how many bytes of it there are in the buffer.
    ///
    /// What does not fit into the buffer is lost.
    ///
    /// # Suspends
    /// Until a datagram comes.
    ///
    /// # Errors
    /// `ConnectionRefused` when nobody received what was sent earlier.
    #[track_caller]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = self.timeouts.read();
        socket_io::receive(self.as_fd(), Kind::Datagrams, buffer, false, timeout)
    }

    /// As [`recv`](Self::recv) without taking: the next receive gives the same datagram again.
    ///
    /// # Suspends
    /// Until a datagram comes.
    ///
    /// # Errors
    /// As a receive.
    #[track_caller]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout = self.timeouts.read();
        socket_io::receive(self.as_fd(), Kind::Datagrams, buffer, true, timeout)
    }

    timed_socket_methods!(std::net::UdpSocket);

    /// The address that it is connected to.
    ///
    /// # Errors
    /// `NotConnected` when it is not.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Receives what is sent to a group, through the interface that has this address; `UNSPECIFIED` leaves
    /// the choice to the system.
    ///
    /// # Errors
    /// What the system says: `ENODEV` (raw) when there is no such interface.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.inner.join_multicast_v4(group, interface)
    }

    /// Takes back [`join_multicast_v4`](Self::join_multicast_v4).
    ///
    /// # Errors
    /// What the system says: `AddrNotAvailable` when it has not joined.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.inner.leave_multicast_v4(group, interface)
    }

    /// Receives what is sent to a group, through the interface of this number; 0 leaves the choice to the
    /// system.
    ///
    /// # Errors
    /// What the system says: `ENODEV` (raw) when there is no such interface.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.inner.join_multicast_v6(group, interface)
    }

    /// Takes back [`join_multicast_v6`](Self::join_multicast_v6).
    ///
    /// # Errors
    /// What the system says: `AddrNotAvailable` when it has not joined.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.inner.leave_multicast_v6(group, interface)
    }
}

/// The options that std's socket has, passed on to it.
macro_rules! options {
    ($($text:literal, $set:ident, $get:ident: $value:ty;)*) => {
        impl UdpSocket {$(
            #[doc = $text]
            ///
            /// # Errors
            /// What the system says.
            pub fn $set(&self, value: $value) -> io::Result<()> {
                self.inner.$set(value)
            }

            #[doc = $text]
            ///
            /// # Errors
            /// What the system says.
            pub fn $get(&self) -> io::Result<$value> {
                self.inner.$get()
            }
        )*}
    };
}

options! {
    "Whether datagrams may be sent to all hosts of a network at once.", set_broadcast, broadcast: bool;
    "How many hops a datagram may take.", set_ttl, ttl: u32;
    "How many hops a datagram to a group may take; 1 at first, which stays in the network.",
        set_multicast_ttl_v4, multicast_ttl_v4: u32;
    "Whether what is sent to a group comes back to this host.",
        set_multicast_loop_v4, multicast_loop_v4: bool;
    "Whether what is sent to a group comes back to this host.",
        set_multicast_loop_v6, multicast_loop_v6: bool;
}

descriptor_traits!(UdpSocket);
