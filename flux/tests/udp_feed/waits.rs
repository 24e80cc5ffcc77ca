//! Waits that end before their time: by a deadline, a time-out, a cancel. No packet is lost by any of them.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flux::net::{UdpEvent, UdpSocket};
use flux::spawn;

use crate::common::{fibers, settle};
use crate::{SHORT, feed, number, numbered, packet, sender};

const ECANCELED: i32 = if cfg!(target_os = "linux") { 125 } else { 89 };

#[test]
fn a_wait_ends_at_the_feeds_time_out_and_at_an_enclosing_deadline() {
    fibers(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(SHORT)).unwrap();
        let at = socket.local_addr().unwrap();
        let mut feed = socket.into_feed().unwrap();
        assert_eq!(feed.read_timeout(), Some(SHORT));
        let began = flux::time::Instant::now();
        assert_eq!(feed.recv().unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() >= SHORT);
        feed.set_read_timeout(None).unwrap();
        let outcome = flux::timeout(SHORT, || feed.recv().map(|event| format!("{event:?}")));
        assert!(outcome.is_err() || outcome.is_ok_and(|inner| inner.is_err()));
        let zero = feed.set_read_timeout(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::InvalidInput);
        sender().send_to(b"after", at).unwrap();
        assert_eq!(packet(&mut feed), b"after");
    });
}

#[test]
fn a_feed_whose_waits_time_out_again_and_again_loses_nothing() {
    const PACKETS: u32 = 2_000;
    fibers(|| {
        let (mut feed, at) = feed();
        feed.set_read_timeout(Some(Duration::from_micros(50)))
            .unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let sending = thread::spawn({
            let done = Arc::clone(&done);
            move || {
                let sender = sender();
                for one in 0..PACKETS {
                    sender.send_to(&numbered(one), at).unwrap();
                    if one % 8 == 0 {
                        thread::sleep(Duration::from_micros(100));
                    }
                }
                // Shows what was dropped at the end, if something was.
                while !done.load(Ordering::Relaxed) {
                    sender.send_to(&numbered(PACKETS), at).unwrap();
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let mut next = 0;
        while next < PACKETS {
            match feed.recv() {
                Ok(UdpEvent::Packet(packet)) => {
                    assert_eq!(number(&packet), next);
                    next += 1;
                }
                // Sent faster than received: told, and no fault of a time-out.
                Ok(UdpEvent::Dropped { datagrams }) => next += datagrams,
                Ok(UdpEvent::Starved { .. }) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
            }
        }
        done.store(true, Ordering::Relaxed);
        sending.join().unwrap();
    });
}

#[test]
fn a_cancelled_wait_says_so_and_the_packet_that_came_meanwhile_is_given_first() {
    fibers(|| {
        for round in 0..200 {
            let (feed, at) = feed();
            let sender = sender();
            let waiting = spawn(move || {
                let mut feed = feed;
                let first = feed.recv().map(|event| match event {
                    UdpEvent::Packet(packet) => number(&packet),
                    other => panic!("{other:?}"),
                });
                // Cancelled for good: what waits no longer is there without waiting all the same.
                let second = flux::shielded(|| {
                    settle();
                    feed.try_recv().unwrap().map(|event| match event {
                        UdpEvent::Packet(packet) => number(&packet),
                        other => panic!("{other:?}"),
                    })
                });
                (first, second)
            });
            settle();
            // The packet and the cancel race.
            if round % 2 == 0 {
                sender.send_to(&numbered(round), at).unwrap();
                waiting.cancel();
            } else {
                waiting.cancel();
                sender.send_to(&numbered(round), at).unwrap();
            }
            match waiting.join().unwrap() {
                (Ok(one), None) | (Err(_), Some(one)) => assert_eq!(one, round),
                other => panic!("round {round}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_cancelled_fiber_is_told_even_if_packets_wait() {
    fibers(|| {
        let (feed, at) = feed();
        sender().send_to(b"tick", at).unwrap();
        let waiting = spawn(move || {
            let mut feed = feed;
            let error = feed.recv().unwrap_err();
            error.raw_os_error()
        });
        waiting.cancel();
        assert_eq!(waiting.join().unwrap(), Some(ECANCELED));
    });
}

#[test]
fn nobody_at_the_other_end_is_an_error_and_the_feed_goes_on() {
    fibers(|| {
        let gone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = gone.local_addr().unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = socket.local_addr().unwrap();
        socket.connect(address).unwrap();
        let mut feed = socket.into_feed().unwrap();
        drop(gone);
        for round in 0..3 {
            feed.socket().send(b"anybody?").unwrap();
            let error = feed.recv().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "round {round}");
        }
        let back = std::net::UdpSocket::bind(address).unwrap();
        back.send_to(b"here", at).unwrap();
        assert_eq!(packet(&mut feed), b"here");
    });
}

#[test]
fn a_feed_works_in_a_fiber_alone() {
    let socket = fibers(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let error = socket.into_feed().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
