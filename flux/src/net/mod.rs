//! Sockets for fibers, under std's names: what blocks a thread there suspends a fiber here.
//!
//! TCP ([`TcpListener`], [`TcpStream`], and [`Feed`], which is read where it arrives), UDP ([`UdpSocket`]), and the sockets of this machine
//! ([`UnixListener`], [`UnixStream`]).
//!
//! Sockets are plain descriptors that look the reactor up when they are used, so that they are [`Send`],
//! [`Sync`] and [`Debug`](std::fmt::Debug) as libraries demand. Used off the reactor's thread they fail with
//! a clear error; dropping one there is fine.

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
