//! What a packet is: whole or cut and said to be, with its sender and its time, also when it is empty.

use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use flux::net::{UdpEvent, UdpSocket};

use crate::common::fibers;
use crate::{feed, number, numbered, opened, packet, sender, what_is_there};

#[test]
fn packets_come_whole_and_in_order_with_their_sender_and_their_time() {
    fibers(|| {
        let (mut feed, at) = feed();
        let (a, b) = (sender(), sender());
        let before = SystemTime::now();
        for round in 0..1000_u32 {
            let from = if round % 2 == 0 { &a } else { &b };
            from.send_to(&numbered(round), at).unwrap();
            match feed.recv().unwrap() {
                UdpEvent::Packet(packet) => {
                    assert_eq!(number(&packet), round);
                    assert_eq!(packet.sender(), Some(from.local_addr().unwrap()));
                    assert!(!packet.is_truncated());
                    assert_eq!(packet.bytes(), packet.as_ref());
                    let at = packet.received_at().expect("this system tells");
                    // The wall clock, which somebody may be setting.
                    let hour = Duration::from_hours(1);
                    assert!(at > before - hour && at < before + hour);
                    let text = format!("{packet:?}");
                    assert!(text.contains("truncated: false"), "{text}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(what_is_there(&mut feed).is_none());
        let text = format!("{feed:?}");
        assert!(text.contains(&at.to_string()), "{text}");
    });
}

#[test]
fn many_that_wait_are_given_one_after_the_other() {
    fibers(|| {
        let (mut feed, at) = feed();
        let sender = sender();
        for round in 0..50 {
            for one in 0..60 {
                sender.send_to(&numbered(round * 60 + one), at).unwrap();
            }
            for one in 0..60 {
                assert_eq!(number(&packet(&mut feed)), round * 60 + one);
            }
        }
        assert!(what_is_there(&mut feed).is_none());
    });
}

#[test]
fn what_arrived_before_a_socket_became_a_feed_is_its_first_packets() {
    fibers(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = socket.local_addr().unwrap();
        let sender = sender();
        for one in 0..5 {
            sender.send_to(&numbered(one), at).unwrap();
        }
        let (mut feed, _) = opened(socket);
        for one in 0..5 {
            assert_eq!(number(&packet(&mut feed)), one);
        }
    });
}

#[test]
fn packets_without_bytes_are_packets() {
    fibers(|| {
        let (mut feed, at) = feed();
        let sender = sender();
        for round in 0..100_u32 {
            for bytes in [&b""[..], b"one", b"", b"", b"another", b""] {
                sender.send_to(bytes, at).unwrap();
            }
            for bytes in [&b""[..], b"one", b"", b"", b"another", b""] {
                assert_eq!(packet(&mut feed), bytes, "round {round}");
            }
        }
        assert!(what_is_there(&mut feed).is_none());
    });
}

#[test]
fn a_packet_that_is_too_long_is_cut_and_says_so_and_the_next_is_whole() {
    fibers(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = socket.local_addr().unwrap();
        let mut feed = socket.into_feed_with(100).unwrap();
        let most = feed.packet_bytes();
        assert!((100..200).contains(&most), "{most}");
        let (sender, mut bytes) = (sender(), vec![0; 60_000]);
        for len in [most - 1, most, most + 1, 2 * most, 60_000, 0, 1] {
            bytes.fill(len.to_le_bytes()[0]);
            sender.send_to(&bytes[..len], at).unwrap();
            match feed.recv().unwrap() {
                UdpEvent::Packet(packet) => {
                    assert_eq!(packet.len(), len.min(most));
                    assert_eq!(packet.is_truncated(), len > most, "{len}");
                    assert!(packet.iter().all(|byte| *byte == len.to_le_bytes()[0]));
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn the_longest_datagram_comes_whole_where_room_was_asked_for() {
    fibers(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = socket.local_addr().unwrap();
        let mut feed = socket.into_feed_with(65_507).unwrap();
        let (sender, long) = (sender(), vec![7; 65_507]);
        for _ in 0..10 {
            sender.send_to(&long, at).unwrap();
            assert_eq!(packet(&mut feed), long);
        }
    });
}

#[test]
fn a_size_that_no_datagram_has_is_refused() {
    fibers(|| {
        for size in [0, 65_536, usize::MAX] {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let error = socket.into_feed_with(size).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            crate::common::says(&error, &[&size.to_string(), "from 1 to 65535"]);
        }
    });
}

#[test]
fn a_feed_of_ipv6_names_its_senders() {
    fibers(|| {
        let (mut feed, at) = opened(UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap());
        let sender = std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        sender.send_to(b"tick", at).unwrap();
        match feed.recv().unwrap() {
            UdpEvent::Packet(packet) => {
                assert_eq!(packet.sender(), Some(sender.local_addr().unwrap()));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_feed_that_never_has_to_wait_lets_the_others_run() {
    const PACKETS: u32 = 1000;
    fibers(|| {
        let (mut feed, at) = feed();
        let sender = sender();
        let others = Cell::new(0_u32);
        flux::scope(|s| {
            s.spawn(|| {
                while others.get() < PACKETS {
                    flux::yield_now().unwrap();
                    others.set(others.get() + 1);
                }
            });
            for one in 0..PACKETS {
                sender.send_to(&numbered(one), at).unwrap();
                assert_eq!(number(&packet(&mut feed)), one);
            }
            // A turn for each budget of 64 at the least, but for those in which the scope begins.
            assert!(others.get() >= PACKETS / 128, "{}", others.get());
            others.set(PACKETS);
        });
    });
}
