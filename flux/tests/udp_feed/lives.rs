//! Opening and closing: everything comes back, whatever was under way.

use std::net::Ipv4Addr;

use flux::net::UdpSocket;
use flux::spawn;

use crate::common::{config, descriptors, fibers, run, settle};
use crate::{feed, number, numbered, packet, sender};

#[test]
fn a_thousand_feeds_one_after_the_other_leave_nothing_behind() {
    fibers(|| {
        let sender = sender();
        let mut before = 0;
        for round in 0..1000 {
            let (mut feed, at) = feed();
            sender.send_to(&numbered(round), at).unwrap();
            if round % 3 > 0 {
                assert_eq!(number(&packet(&mut feed)), round);
            }
            if round % 3 > 1 {
                sender.send_to(b"unread", at).unwrap();
            }
            drop(feed);
            if round == 10 {
                settle();
                before = descriptors();
            }
        }
        settle();
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_feed_closed_while_packets_are_on_their_way_disturbs_nobody() {
    fibers(|| {
        let sender = sender();
        let (mut other, other_at) = feed();
        for round in 0..200_u32 {
            let (mut closed, at) = feed();
            sender.send_to(b"seen", at).unwrap();
            assert_eq!(packet(&mut closed), b"seen");
            for _ in 0..round % 5 {
                sender.send_to(b"never seen", at).unwrap();
            }
            sender.send_to(&numbered(round), other_at).unwrap();
            drop(closed);
            // The number of the descriptor comes again at once.
            let (mut next, next_at) = feed();
            sender.send_to(b"mine", next_at).unwrap();
            assert_eq!(packet(&mut next), b"mine");
            assert_eq!(number(&packet(&mut other)), round);
        }
    });
}

#[test]
fn a_feed_that_is_forgotten_hinders_nothing_and_the_reactor_ends() {
    for _ in 0..3 {
        run(config(), || {
            let (mut forgotten, at) = feed();
            sender().send_to(b"tick", at).unwrap();
            assert_eq!(packet(&mut forgotten), b"tick");
            sender().send_to(b"tock", at).unwrap();
            std::mem::forget(forgotten);
            let (mut feed, at) = feed();
            sender().send_to(b"tick", at).unwrap();
            assert_eq!(packet(&mut feed), b"tick");
        })
        .unwrap();
    }
}

#[test]
fn one_feed_too_many_is_refused_and_there_is_room_again_once_one_is_closed() {
    run(config().feeds(2), || {
        let (one, _) = feed();
        let (_other, _) = feed();
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let error = bind().into_feed().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::QuotaExceeded);
        crate::common::says(&error, &["all 2 feeds are in use", "`feeds`"]);
        drop(one);
        // The kernel answers with the next turn.
        flux::time::sleep(crate::SHORT).unwrap();
        assert!(bind().into_feed().is_ok());
    })
    .unwrap();
}

#[test]
fn packets_that_a_feed_has_no_room_for_are_refused_with_the_setting() {
    run(config().feed_buffer(32 * 1024), || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let error = socket.into_feed_with(20_000).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        crate::common::says(&error, &["20000", "32768", "`feed_buffer`"]);
        // Its slot came back.
        assert_eq!(flux::stats().feeds_in_use, 0);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(socket.into_feed_with(9000).is_ok());
    })
    .unwrap();
}

#[test]
fn a_feed_closed_before_its_request_has_left_takes_nothing_of_the_next_socket() {
    fibers(|| {
        let sender = sender();
        for round in 0..200 {
            // Nothing suspends between the two: the second has the descriptor that the first had.
            drop(feed());
            let (mut next, at) = feed();
            sender.send_to(&numbered(round), at).unwrap();
            next.set_read_timeout(Some(std::time::Duration::from_secs(20)))
                .unwrap();
            assert_eq!(number(&packet(&mut next)), round);
        }
    });
}

#[test]
fn a_feed_that_a_fiber_still_waits_at_when_main_ends_is_closed() {
    fibers(|| {
        drop(spawn(|| {
            let (mut feed, _) = feed();
            feed.recv().map(drop)
        }));
        settle();
    });
}

#[test]
fn a_feed_that_panics_over_a_packet_is_closed() {
    fibers(|| {
        let (feed, at) = feed();
        sender().send_to(b"tick", at).unwrap();
        let panicking = spawn(move || {
            let mut feed = feed;
            let bytes = packet(&mut feed);
            assert_eq!(bytes, b"something else", "as it should");
        });
        assert!(panicking.join().is_err());
        let again = UdpSocket::bind(at).unwrap();
        assert_eq!(again.local_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);
    });
}
