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
