//! What a receiver of groups sets: which sources, through which interface, how much the kernel keeps for it, and who
//! else receives the same.
//!
//! Names are std's where std has them, and socket2's otherwise. Knows nothing of what is received.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::net::UdpSocket;
use crate::net::addr::{ToSocketAddrs, first_of};

impl UdpSocket {
    /// Binds to the first address that can be had, and lets others bind to the same one that let others too: so
    /// several sockets receive the same group, each a copy of its own. Never waits.
    ///
    /// `SO_REUSEADDR`, and on macOS and FreeBSD `SO_REUSEPORT`, which they want for this. What is sent to the address
    /// itself, rather than to a group, goes to one of the sockets alone.
    ///
    /// For a socket that needs another option before it is bound, make it with the crate `socket2` and take it over:
    /// `UdpSocket::from(OwnedFd::from(socket))`.
    ///
    /// # Errors
    /// The last address's error, `AddrInUse` when somebody has it who does not share; `InvalidInput` for a host name.
    ///
    /// # Example
    /// ```
    /// use std::net::Ipv4Addr;
    /// use flux::net::UdpSocket;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// flux::Config::new().run(|| -> std::io::Result<()> {
    ///     let one = UdpSocket::bind_shared((Ipv4Addr::UNSPECIFIED, 0))?;
    ///     let other = UdpSocket::bind_shared(one.local_addr()?)?;
    ///     assert_eq!(one.local_addr()?, other.local_addr()?);
    ///     Ok(())
    /// })??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind_shared(addresses: impl ToSocketAddrs) -> io::Result<Self> {
        first_of(addresses, |address: SocketAddr| {
            let domain = Domain::for_address(address);
            let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_reuse_address(true)?;
            #[cfg(not(target_os = "linux"))]
            socket.set_reuse_port(true)?;
            socket.bind(&address.into())?;
            Ok(Self::wrap(socket.into()))
        })
    }

    /// Receives what one source sends to a group, and nothing that others send there (source-specific multicast,
    /// RFC 4607), through the interface that has this address; `UNSPECIFIED` leaves the choice to the system.
    ///
    /// Once for each source. Groups of 232.0.0.0/8 can be joined in this way alone.
    ///
    /// # Errors
    /// What the system says: `ENODEV` (raw) when there is no such interface; `AddrNotAvailable` when it has joined
    /// already; `InvalidInput` after [`join_multicast_v4`](Self::join_multicast_v4) of the same group.
    ///
    /// # Example
    /// ```no_run
    /// use std::net::Ipv4Addr;
    /// use flux::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let (exchange, group) = (Ipv4Addr::new(10, 7, 0, 9), Ipv4Addr::new(232, 1, 2, 3));
    /// # let card = Ipv4Addr::new(10, 7, 0, 2);
    /// let socket = UdpSocket::bind((group, 10378))?;
    /// socket.join_ssm_v4(&exchange, &group, &card)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_ssm_v4(
        &self,
        source: &Ipv4Addr,
        group: &Ipv4Addr,
        interface: &Ipv4Addr,
    ) -> io::Result<()> {
        SockRef::from(self).join_ssm_v4(source, group, interface)
    }

    /// Takes back [`join_ssm_v4`](Self::join_ssm_v4).
    ///
    /// # Errors
    /// What the system says: `AddrNotAvailable` when it has not joined.
    pub fn leave_ssm_v4(
        &self,
        source: &Ipv4Addr,
        group: &Ipv4Addr,
        interface: &Ipv4Addr,
    ) -> io::Result<()> {
        SockRef::from(self).leave_ssm_v4(source, group, interface)
    }

    /// Whether a socket that is bound to no address of its own receives what is sent to any group that this machine
    /// has joined (true, and so at first), or to those that it has joined itself (false). `IP_MULTICAST_ALL`: ip(7).
    ///
    /// A socket that is bound to the group's own address needs it not.
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux, where a socket receives of its own groups alone.
    pub fn set_multicast_all_v4(&self, all: bool) -> io::Result<()> {
        system::set_multicast_all_v4(self, all)
    }

    /// Whether it receives of groups that others have joined: see
    /// [`set_multicast_all_v4`](Self::set_multicast_all_v4).
    ///
    /// # Errors
    /// `Unsupported` on systems other than Linux.
    pub fn multicast_all_v4(&self) -> io::Result<bool> {
        system::multicast_all_v4(self)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use super::{SockRef, UdpSocket, io};

    pub(super) fn set_multicast_all_v4(socket: &UdpSocket, all: bool) -> io::Result<()> {
        SockRef::from(socket).set_multicast_all_v4(all)
    }

    pub(super) fn multicast_all_v4(socket: &UdpSocket) -> io::Result<bool> {
        SockRef::from(socket).multicast_all_v4()
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{UdpSocket, io};

    fn unsupported() -> io::Error {
        io::Error::new(
            io::ErrorKind::Unsupported,
            "sockets of this system have no `IP_MULTICAST_ALL`, which is Linux's alone",
        )
    }

    pub(super) fn set_multicast_all_v4(_: &UdpSocket, _: bool) -> io::Result<()> {
        Err(unsupported())
    }

    pub(super) fn multicast_all_v4(_: &UdpSocket) -> io::Result<bool> {
        Err(unsupported())
    }
}

/// Options that socket2 has, passed on to it.
macro_rules! options {
    ($($text:literal, $set:ident($by:ident: $given:ty => $passed:expr), $get:ident: $value:ty;)*) => {
        impl UdpSocket {$(
            #[doc = $text]
            ///
            /// # Errors
            /// What the system says.
            pub fn $set(&self, $by: $given) -> io::Result<()> {
                SockRef::from(self).$set($passed)
            }

            #[doc = $text]
            ///
            /// # Errors
            /// What the system says.
            pub fn $get(&self) -> io::Result<$value> {
                SockRef::from(self).$get()
            }
        )*}
    };
}

options! {
    "How many bytes the kernel keeps of what has arrived and was not received yet, its own records included (they are \
     larger than a small datagram); it drops what is beyond. `SO_RCVBUF`: Linux takes twice what is asked for, and no \
     more than twice `net.core.rmem_max`, without a word: ask what has come of it.",
        set_recv_buffer_size(bytes: usize => bytes), recv_buffer_size: usize;
    "How many bytes the kernel keeps of what was sent and has not left yet. `SO_SNDBUF`, of which the same holds as of \
     [`set_recv_buffer_size`](Self::set_recv_buffer_size).",
        set_send_buffer_size(bytes: usize => bytes), send_buffer_size: usize;
    "The address of the interface through which datagrams to groups leave; `UNSPECIFIED` leaves the choice to the \
     system's routes.",
        set_multicast_if_v4(interface: &Ipv4Addr => interface), multicast_if_v4: Ipv4Addr;
    "The number of the interface through which datagrams to groups leave; 0 leaves the choice to the system's routes.",
        set_multicast_if_v6(interface: u32 => interface), multicast_if_v6: u32;
    "How many hops a datagram to a group may take; 1 at first, which stays in the network.",
        set_multicast_hops_v6(hops: u32 => hops), multicast_hops_v6: u32;
}
