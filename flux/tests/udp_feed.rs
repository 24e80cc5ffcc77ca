//! Feeds of datagrams on real loopback sockets: nothing is lost without a word, nor told twice, nor out of order.

#![allow(
    clippy::disallowed_methods,
    reason = "std's sockets and threads are what flux meets here; each call is answered without a fiber"
)]

mod common;

#[path = "udp_feed/groups.rs"]
mod groups;
#[path = "udp_feed/lives.rs"]
mod lives;
#[path = "udp_feed/losses.rs"]
mod losses;
#[path = "udp_feed/packets.rs"]
mod packets;
#[path = "udp_feed/waits.rs"]
mod waits;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdSocket};
use std::time::Duration;

use flux::net::{UdpEvent, UdpFeed, UdpSocket};

const SHORT: Duration = Duration::from_millis(5);
const LOCALHOST: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A feed on loopback, and where it receives.
fn feed() -> (UdpFeed, SocketAddr) {
    opened(UdpSocket::bind(LOCALHOST).unwrap())
}

fn opened(socket: UdpSocket) -> (UdpFeed, SocketAddr) {
    let at = socket.local_addr().unwrap();
    (socket.into_feed().unwrap(), at)
}

/// A socket of std that sends: what it sends has arrived when the call returns.
fn sender() -> StdSocket {
    StdSocket::bind(LOCALHOST).unwrap()
}

/// The bytes of the next packet, which is what comes next.
#[track_caller]
fn packet(feed: &mut UdpFeed) -> Vec<u8> {
    match feed.recv().unwrap() {
        UdpEvent::Packet(packet) => packet.to_vec(),
        other => panic!("no packet, but {other:?}"),
    }
}

/// What there is without waiting, after a turn in which an engine may look.
fn what_is_there(feed: &mut UdpFeed) -> Option<Vec<u8>> {
    common::settle();
    match feed.try_recv().unwrap()? {
        UdpEvent::Packet(packet) => Some(packet.to_vec()),
        other => panic!("no packet, but {other:?}"),
    }
}

/// A packet that tells its number, and of a length that follows from it.
fn numbered(number: u32) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(4 + number as usize * 37 % 1400, number.to_le_bytes()[0]);
    bytes
}

/// The number of a packet, whose bytes are all right.
#[track_caller]
fn number(bytes: &[u8]) -> u32 {
    let number = u32::from_le_bytes(bytes[..4].try_into().unwrap());
    assert_eq!(bytes, numbered(number));
    number
}
