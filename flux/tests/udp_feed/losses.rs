//! Losses are told exactly, and before the packet that shows them.

use std::net::{Ipv4Addr, SocketAddr};

use flux::net::{UdpEvent, UdpFeed, UdpSocket};

use crate::common::fibers;
use crate::{number, numbered, sender};

/// A feed whose kernel keeps next to nothing, and where it receives.
fn with_little_room() -> (UdpFeed, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    let at = socket.local_addr().unwrap();
    (socket.into_feed().unwrap(), at)
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_kernel_drops_is_told_exactly_and_where_it_is_missing() {
    fibers(|| {
        let (mut feed, at) = with_little_room();
        let sender = sender();
        let (mut sent, mut next, mut told) = (0, 0, 0);
        for burst in [1, 3, 200, 1, 2, 500, 50, 7] {
            for _ in 0..burst {
                sender.send_to(&numbered(sent), at).unwrap();
                sent += 1;
            }
            // Everything that was kept, and then one that shows what was not.
            crate::common::settle();
            let mut shown = false;
            loop {
                match feed.try_recv().unwrap() {
                    Some(UdpEvent::Packet(packet)) => {
                        assert_eq!(
                            number(&packet),
                            next,
                            "a packet is missing, and nothing was told"
                        );
                        next += 1;
                    }
                    Some(UdpEvent::Dropped { datagrams }) => {
                        assert!(datagrams > 0);
                        told += 1;
                        next += datagrams;
                    }
                    Some(UdpEvent::Starved { .. }) => {}
                    None if shown => break,
                    None => {
                        sender.send_to(&numbered(sent), at).unwrap();
                        sent += 1;
                        shown = true;
                        crate::common::settle();
                    }
                }
            }
            assert_eq!(next, sent, "after a burst of {burst}");
        }
        assert!(told > 0, "nothing was dropped: the test shows nothing");
    });
}

#[test]
fn who_does_not_read_for_a_while_loses_nothing_that_the_kernel_has_room_for() {
    const PACKETS: u32 = 60;
    fibers(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = socket.local_addr().unwrap();
        // Room for three or so: far fewer than there are packets.
        let mut feed = socket.into_feed_with(60_000).unwrap();
        let sender = sender();
        let mut since_starved = 0;
        for round in 0..10 {
            for one in 0..PACKETS {
                sender
                    .send_to(&numbered(round * PACKETS + one), at)
                    .unwrap();
            }
            crate::common::settle();
            let (mut next, mut starved) = (0, 0);
            while next < PACKETS {
                match feed.recv().unwrap() {
                    UdpEvent::Packet(packet) => {
                        assert_eq!(number(&packet), round * PACKETS + next);
                        next += 1;
                        since_starved += 1;
                    }
                    UdpEvent::Starved { packets } => {
                        assert_eq!(packets, feed.packets());
                        // The request was made again when half of the buffers were free.
                        assert!(since_starved >= packets / 2, "{since_starved} packets");
                        since_starved = 0;
                        starved += 1;
                    }
                    UdpEvent::Dropped { datagrams } => panic!("{datagrams} dropped"),
                }
            }
            let by_kernel = flux::stats().feeds_by_kernel;
            assert_eq!(starved > 0, by_kernel, "{starved} times");
        }
    });
}
