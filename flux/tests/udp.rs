//! UDP on real loopback sockets: datagrams keep their bounds, and what std promises of these calls holds.

#![allow(
    clippy::disallowed_methods,
    reason = "std's sockets and threads are what flux meets here; each call is answered without a fiber"
)]

mod common;

#[path = "udp/datagrams.rs"]
mod datagrams;
#[path = "common/sockets.rs"]
mod sockets;
#[path = "udp/values.rs"]
mod values;
#[path = "udp/waits.rs"]
mod waits;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use flux::net::UdpSocket;

/// What `sockets` is about here.
type Socket = UdpSocket;

const SHORT: Duration = Duration::from_millis(5);
const LOCALHOST: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A socket on loopback.
fn socket() -> UdpSocket {
    UdpSocket::bind(LOCALHOST).unwrap()
}

/// Two sockets on loopback that are connected to each other.
fn connected() -> (UdpSocket, UdpSocket) {
    let (a, b) = (socket(), socket());
    a.connect(b.local_addr().unwrap()).unwrap();
    b.connect(a.local_addr().unwrap()).unwrap();
    (a, b)
}
