//! What sockets are told about latency, and what the kernel makes of it.

use std::io::{self, Read, Write};
use std::time::Duration;

use flux::net::UdpSocket;
use flux::time::{Instant, sleep};

use crate::common::{fibers, pair};

#[test]
fn acknowledgements_are_held_back_until_a_pause() {
    fibers(|| {
        let (mut feed, mut exchange) = pair();
        exchange.set_nodelay(true).unwrap();
        assert!(
            feed.quickack().unwrap(),
            "a new connection acknowledges at once"
        );
        feed.set_quickack(false).unwrap();
        assert!(!feed.quickack().unwrap());
        feed.set_quickack(true).unwrap();
        assert!(feed.quickack().unwrap());
        feed.set_quickack(false).unwrap();
        let mut buffer = [0; 64];
        exchange.write_all(b"61659.70").unwrap();
        assert_eq!(feed.read(&mut buffer).unwrap(), 8);
        // It does not stay: the kernel's timer acknowledges what nothing else has, and ends it.
        let patience = Instant::now() + Duration::from_secs(30);
        while !feed.quickack().unwrap() {
            assert!(
                Instant::now() < patience,
                "the documentation says otherwise"
            );
            sleep(Duration::from_millis(5)).unwrap();
        }
        // Nor does the opposite, once something is sent in answer.
        feed.set_quickack(true).unwrap();
        for _ in 0..3 {
            exchange.write_all(b"61659.70").unwrap();
            assert_eq!(feed.read(&mut buffer).unwrap(), 8);
            feed.write_all(b"bid").unwrap();
            assert_eq!(exchange.read(&mut buffer).unwrap(), 3);
        }
        assert!(
            !feed.quickack().unwrap(),
            "the documentation says otherwise"
        );
    });
}

#[test]
fn polling_is_off_until_it_is_asked_for() {
    fibers(|| {
        let (feed, _exchange) = pair();
        let multicast = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at_first = std::fs::read_to_string("/proc/sys/net/core/busy_read");
        if at_first.is_ok_and(|time| time.trim() == "0") {
            assert_eq!(feed.busy_poll().unwrap(), None);
            assert_eq!(multicast.busy_poll().unwrap(), None);
        }
        let zero = feed.set_busy_poll(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(zero.kind(), io::ErrorKind::InvalidInput);
        let long = feed
            .set_busy_poll(Some(Duration::from_hours(1)))
            .unwrap_err();
        assert_eq!(long.kind(), io::ErrorKind::InvalidInput);
        let time = Some(Duration::from_micros(50));
        match feed.set_busy_poll(time) {
            Ok(()) => {
                assert_eq!(feed.busy_poll().unwrap(), time);
                multicast.set_busy_poll(time).unwrap();
                assert_eq!(multicast.busy_poll().unwrap(), time);
                feed.set_busy_poll(None).unwrap();
                assert_eq!(feed.busy_poll().unwrap(), None);
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("SKIPPED: this user may not let sockets poll: {error}");
            }
            Err(error) => panic!("{error}"),
        }
    });
}
