//! Sockets for fibers, under std's names: what blocks a thread there suspends a fiber here.
//!
//! TCP ([`TcpListener`], [`TcpStream`]), UDP ([`UdpSocket`]), and the sockets of this machine
//! ([`UnixListener`], [`UnixStream`]).
//!
//! A stream or a UDP socket becomes a feed, which is read where it arrives: a [`Feed`] of bytes, a [`UdpFeed`] of
//! packets. What reads in place, `flux::ws` and `flux::tls` (features `ws` and `tls`), takes any [`Wire`]; a feed is
//! one.
//!
//! Sockets are plain descriptors that look the reactor up when they are used, so that they are [`Send`],
//! [`Sync`] and [`Debug`](std::fmt::Debug) as libraries demand. Used off the reactor's thread they fail with
//! a clear error; dropping one there is fine. Feeds are not [`Send`]: their memory is the reactor's.

mod addr;
mod descriptor;
mod feed;
mod io;
mod listener;
mod message;
mod multicast;
mod stream;
mod timeouts;
mod traits;
mod tuning;
mod udp;
mod udp_feed;
mod unix;
mod wire;

pub use addr::ToSocketAddrs;
pub use feed::Feed;
pub use listener::{Incoming, TcpListener};
pub use std::net::Shutdown;
pub use stream::TcpStream;
pub use udp::UdpSocket;
pub use udp_feed::{Packet, UdpEvent, UdpFeed};
pub use unix::listener::{UnixIncoming, UnixListener};
pub use unix::stream::UnixStream;
pub use wire::Wire;
