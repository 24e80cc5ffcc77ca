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
#[path = "tcp/values.rs"]
mod values;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use flux::net::{TcpListener, TcpStream};
use flux::{spawn, yield_now};
use socket2::{Domain, SockRef, Socket, Type};

const SHORT: Duration = Duration::from_millis(5);
const MIB: usize = 1 << 20;
const LOCALHOST: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A connection of two ends on loopback.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let address = listener.local_addr().unwrap();
    let client = spawn(move || TcpStream::connect(address).unwrap());
    let (server, peer) = listener.accept().unwrap();
    let client = client.join().unwrap();
    assert_eq!(client.local_addr().unwrap(), peer);
    (client, server)
}

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

/// Bytes of which no two neighbourhoods look alike: what is lost, doubled or swapped shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13).to_le_bytes()[0])
        .collect()
}

/// Lets all others run until they wait.
fn settle() {
    for _ in 0..3 {
        yield_now().unwrap();
    }
}

/// Ends a connection by a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

/// An address of this host that refuses connections for as long as the socket lives.
fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(LOCALHOST).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}
