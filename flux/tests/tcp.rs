//! TCP on real loopback sockets: what std promises of these calls holds here too, and nothing leaks.

#![allow(
    unsafe_code,
    reason = "two tests change what their own process may do: its limit of descriptors, its SIGPIPE"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "std's sockets and threads are what flux meets here; each call is answered without a fiber"
)]

mod common;

#[path = "tcp/bytes.rs"]
mod bytes;
#[path = "tcp/limits.rs"]
mod limits;
#[path = "tcp/peers.rs"]
mod peers;
#[path = "common/sockets.rs"]
mod sockets;
#[path = "common/streams.rs"]
mod streams;
#[path = "tcp/values.rs"]
mod values;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use flux::net::TcpStream;
use socket2::{Domain, SockRef, Type};

use common::pair;

/// What `sockets` and `streams` are about here, and its likeness in std.
type Socket = TcpStream;
type StdSocket = std::net::TcpStream;

const SHORT: Duration = Duration::from_millis(5);
const LOCALHOST: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A connection whose sockets hold far less than a megabyte, so that a large write has to wait.
fn narrow_pair() -> (TcpStream, TcpStream) {
    let (a, b) = pair();
    for stream in [&a, &b] {
        SockRef::from(stream)
            .set_send_buffer_size(16 * 1024)
            .unwrap();
        SockRef::from(stream)
            .set_recv_buffer_size(16 * 1024)
            .unwrap();
    }
    (a, b)
}

/// Ends a connection by a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

/// An address of this host that refuses connections for as long as the socket lives.
fn refusing() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(LOCALHOST).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}
