//! Groups: any source, one source, several receivers, and the options around them.

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use flux::net::UdpSocket;

use crate::common::fibers;
use crate::{opened, packet, sender, what_is_there};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn sends_here(from: Ipv4Addr) -> std::net::UdpSocket {
    let sender = std::net::UdpSocket::bind((from, 0)).unwrap();
    socket2::SockRef::from(&sender)
        .set_multicast_if_v4(&HERE)
        .unwrap();
    sender
}

#[test]
fn a_feed_receives_of_a_group_until_it_leaves() {
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 195, 7, 41);
    fibers(|| {
        let (mut feed, at) = opened(UdpSocket::bind((GROUP, 0)).unwrap());
        let sender = sends_here(HERE);
        feed.socket().join_multicast_v4(&GROUP, &HERE).unwrap();
        sender.send_to(b"tick", at).unwrap();
        assert_eq!(packet(&mut feed), b"tick");
        feed.socket().leave_multicast_v4(&GROUP, &HERE).unwrap();
        sender.send_to(b"gone", at).unwrap();
        assert!(what_is_there(&mut feed).is_none());
    });
}

#[test]
fn who_has_joined_one_source_receives_nothing_of_another() {
    const GROUP: Ipv4Addr = Ipv4Addr::new(232, 195, 7, 42);
    fibers(|| {
        let (mut feed, at) = opened(UdpSocket::bind((GROUP, 0)).unwrap());
        let (wanted, other) = (sends_here(HERE), sends_here(OTHER));
        feed.socket().join_ssm_v4(&HERE, &GROUP, &HERE).unwrap();
        let twice = feed.socket().join_ssm_v4(&HERE, &GROUP, &HERE).unwrap_err();
        assert_eq!(twice.kind(), ErrorKind::AddrNotAvailable);
        other.send_to(b"other", at).unwrap();
        wanted.send_to(b"wanted", at).unwrap();
        assert_eq!(packet(&mut feed), b"wanted");
        assert!(what_is_there(&mut feed).is_none());
        feed.socket().join_ssm_v4(&OTHER, &GROUP, &HERE).unwrap();
        feed.socket().leave_ssm_v4(&HERE, &GROUP, &HERE).unwrap();
        wanted.send_to(b"wanted", at).unwrap();
        other.send_to(b"other", at).unwrap();
        assert_eq!(packet(&mut feed), b"other");
        let never = feed
            .socket()
            .leave_ssm_v4(&HERE, &GROUP, &HERE)
            .unwrap_err();
        assert_eq!(never.kind(), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn two_who_share_an_address_each_receive_all_of_a_group() {
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 195, 7, 43);
    fibers(|| {
        let (mut one, at) = opened(UdpSocket::bind_shared((GROUP, 0)).unwrap());
        let (mut other, same) = opened(UdpSocket::bind_shared(at).unwrap());
        assert_eq!(at, same);
        for feed in [&one, &other] {
            feed.socket().join_multicast_v4(&GROUP, &HERE).unwrap();
        }
        sends_here(HERE).send_to(b"tick", at).unwrap();
        assert_eq!(packet(&mut one), b"tick");
        assert_eq!(packet(&mut other), b"tick");
        let alone = UdpSocket::bind(at).unwrap_err();
        assert_eq!(alone.kind(), ErrorKind::AddrInUse);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_bound_to_no_address_receives_of_groups_that_others_have_joined_unless_told_not_to() {
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 195, 7, 44);
    fibers(|| {
        let (mut joined, at) = opened(UdpSocket::bind_shared((GROUP, 0)).unwrap());
        joined.socket().join_multicast_v4(&GROUP, &HERE).unwrap();
        let any = (Ipv4Addr::UNSPECIFIED, at.port());
        let (mut feed, _) = opened(UdpSocket::bind_shared(any).unwrap());
        let sender = sends_here(HERE);
        assert!(feed.socket().multicast_all_v4().unwrap());
        sender.send_to(b"tick", at).unwrap();
        assert_eq!(packet(&mut feed), b"tick");
        feed.socket().set_multicast_all_v4(false).unwrap();
        assert!(!feed.socket().multicast_all_v4().unwrap());
        sender.send_to(b"tock", at).unwrap();
        assert!(what_is_there(&mut feed).is_none());
        assert_eq!(packet(&mut joined), b"tick");
        assert_eq!(packet(&mut joined), b"tock");
    });
}

#[test]
fn options_of_senders_and_receivers_are_what_they_were_set_to() {
    fibers(|| {
        let socket = UdpSocket::bind((HERE, 0)).unwrap();
        socket.set_multicast_if_v4(&HERE).unwrap();
        assert_eq!(socket.multicast_if_v4().unwrap(), HERE);
        socket.set_recv_buffer_size(100_000).unwrap();
        // Linux doubles it, and lowers it to its limit.
        let size = socket.recv_buffer_size().unwrap();
        assert!((50_000..=200_000).contains(&size), "{size}");
        socket.set_send_buffer_size(60_000).unwrap();
        let size = socket.send_buffer_size().unwrap();
        assert!((50_000..=200_000).contains(&size), "{size}");
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        socket.set_multicast_hops_v6(3).unwrap();
        assert_eq!(socket.multicast_hops_v6().unwrap(), 3);
        socket.set_multicast_if_v6(1).unwrap();
        assert_eq!(socket.multicast_if_v6().unwrap(), 1);
        drop(sender());
    });
}
