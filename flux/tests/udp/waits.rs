//! How waiting ends: by a datagram, a time, a cancel; and what becomes of a datagram that meets one.

use std::cell::Cell;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::time::Duration;

use flux::net::UdpSocket;
use flux::time::{Instant, sleep};
use flux::{spawn, timeout, yield_now};

use crate::common::{fibers, lets_the_others_run, settle};
use crate::{SHORT, connected};

/// The code of a call that ended because its fiber was cancelled.
#[cfg(target_os = "linux")]
const ECANCELED: i32 = 125;
#[cfg(not(target_os = "linux"))]
const ECANCELED: i32 = 85;

#[test]
fn time_outs_and_deadlines_end_each_kind_of_receive_and_never_early() {
    fibers(|| {
        let (a, b) = connected();
        b.set_read_timeout(Some(SHORT)).unwrap();
        let mut buffer = [0; 8];
        for which in 0..4 {
            let start = Instant::now();
            let error = match which {
                0 => b.recv(&mut buffer).unwrap_err(),
                1 => b.recv_from(&mut buffer).unwrap_err(),
                2 => b.peek(&mut buffer).unwrap_err(),
                _ => b.peek_from(&mut buffer).unwrap_err(),
            };
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(start.elapsed() >= SHORT);
        }
        b.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let late = timeout(SHORT, || b.recv_from(&mut [0; 8]));
        let error = late.unwrap_err().into_inner().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // A time-out is no end: what comes later is received.
        a.send(b"late").unwrap();
        assert_eq!(b.recv_from(&mut buffer).unwrap().0, 4);
        assert_eq!(flux::stats().ops_in_flight, 0);
    });
}

#[test]
fn a_cancel_ends_each_kind_of_receive_and_every_later_call() {
    fibers(|| {
        let (a, b) = connected();
        let to = b.local_addr().unwrap();
        for which in 0..4 {
            let b = b.try_clone().unwrap();
            let waiting = spawn(move || {
                let mut buffer = [0; 8];
                let first = match which {
                    0 => b.recv(&mut buffer),
                    1 => b.recv_from(&mut buffer).map(|(count, _)| count),
                    2 => b.peek(&mut buffer),
                    _ => b.peek_from(&mut buffer).map(|(count, _)| count),
                };
                [
                    first,
                    b.recv(&mut buffer),
                    b.send(b"x"),
                    b.send_to(b"x", to),
                ]
                .map(|result| result.map_err(|error| error.raw_os_error()))
            });
            settle();
            waiting.cancel();
            assert_eq!(waiting.join().unwrap(), [Err(Some(ECANCELED)); 4]);
        }
        a.set_read_timeout(Some(SHORT)).unwrap();
        let nothing_was_sent = a.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(nothing_was_sent.kind(), ErrorKind::TimedOut);
        assert_eq!(flux::stats().ops_in_flight, 0);
    });
}

#[test]
fn a_datagram_that_meets_a_cancel_is_delivered_or_stays_in_the_socket() {
    fibers(|| {
        let (a, b) = connected();
        for round in 0..200_u8 {
            let with_address = round % 2 == 0;
            let waiting = spawn({
                let b = b.try_clone().unwrap();
                move || {
                    let mut buffer = [0; 8];
                    let count = if with_address {
                        b.recv_from(&mut buffer).map(|(count, _)| count)
                    } else {
                        b.recv(&mut buffer)
                    };
                    count.map(|count| (count, buffer[0]))
                }
            });
            settle();
            match round % 3 {
                0 => {
                    a.send(&[round]).unwrap();
                    waiting.cancel();
                }
                1 => {
                    waiting.cancel();
                    a.send(&[round]).unwrap();
                }
                _ => {
                    a.send(&[round]).unwrap();
                    yield_now().unwrap();
                    waiting.cancel();
                }
            }
            let received = match waiting.join().unwrap() {
                Ok(received) => received,
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(ECANCELED));
                    let mut buffer = [0; 8];
                    (b.recv(&mut buffer).unwrap(), buffer[0])
                }
            };
            assert_eq!(received, (1, round));
        }
        b.set_read_timeout(Some(SHORT)).unwrap();
        let none_was_doubled = b.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(none_was_doubled.kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn several_fibers_share_a_socket_and_each_datagram_has_one_of_them() {
    const FIBERS: u8 = 5;
    fibers(|| {
        let (a, b) = connected();
        let sum = Cell::new(0_u32);
        flux::scope(|s| {
            for number in 0..FIBERS {
                let (b, sum) = (&b, &sum);
                s.spawn(move || {
                    let mut buffer = [0; 8];
                    let count = if number % 2 == 0 {
                        b.recv(&mut buffer).unwrap()
                    } else {
                        b.recv_from(&mut buffer).unwrap().0
                    };
                    assert_eq!(count, 1);
                    sum.set(sum.get() + u32::from(buffer[0]));
                });
            }
            settle();
            for number in 1..=FIBERS {
                a.send(&[number]).unwrap();
            }
        });
        assert_eq!(sum.get(), (1..=u32::from(FIBERS)).sum());
    });
}

#[test]
fn sends_that_never_wait_let_the_others_run() {
    fibers(|| {
        let (a, b) = connected();
        let to = b.local_addr().unwrap();
        lets_the_others_run(10, 2, || {
            // What the receiver has no room for is lost, as datagrams are.
            assert_eq!(a.send(b"x").unwrap(), 1);
            assert_eq!(a.send_to(b"x", to).unwrap(), 1);
        });
    });
}

#[test]
fn a_panic_that_unwinds_leaves_one_attempt_to_destructors() {
    struct Farewell(UdpSocket, std::net::SocketAddr);
    impl Drop for Farewell {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            let Self(socket, to) = self;
            assert_eq!(socket.send_to(b"bye", *to).unwrap(), 3);
            assert_eq!(socket.send(b"bye").unwrap(), 3);
            let mut buffer = [0; 8];
            assert_eq!(socket.recv_from(&mut buffer).unwrap().0, 4);
            let nothing = socket.recv_from(&mut buffer).unwrap_err();
            assert_eq!(nothing.raw_os_error(), Some(ECANCELED));
        }
    }
    fibers(|| {
        let (a, b) = connected();
        let to = b.local_addr().unwrap();
        b.send(b"last").unwrap();
        let farewell = Farewell(a, to);
        let ended = spawn(move || -> () {
            let _farewell = farewell;
            panic!("on purpose");
        });
        assert!(ended.join().is_err());
        for _ in 0..2 {
            assert_eq!(b.recv(&mut [0; 8]).unwrap(), 3);
        }
    });
}

#[test]
fn a_send_waits_where_the_receiver_has_no_room() {
    fibers(|| {
        // Loopback has room for everything, and drops what is too much. Datagrams of this machine wait, and a
        // socket of the one kind passes for one of the other.
        let (a, b) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let [a, b] = [a, b].map(|socket| UdpSocket::from(OwnedFd::from(socket)));
        let sent = Cell::new(0_u8);
        flux::scope(|s| {
            s.spawn(|| {
                for number in 0..=u8::MAX {
                    assert_eq!(a.send(&[number; 4096]).unwrap(), 4096);
                    sent.set(number);
                }
            });
            sleep(SHORT).unwrap();
            let before = sent.get();
            assert!(before < u8::MAX, "its buffer is bounded");
            assert_eq!(flux::stats().ops_in_flight, 1, "the sender waits");
            let mut buffer = [0; 8];
            for number in 0..=u8::MAX {
                assert_eq!(b.recv(&mut buffer).unwrap(), buffer.len());
                assert_eq!(buffer[0], number);
            }
        });
        a.set_write_timeout(Some(SHORT)).unwrap();
        let late = loop {
            if let Err(error) = a.send(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(late.kind(), ErrorKind::TimedOut);
        let sending = spawn({
            let a = a.try_clone().unwrap();
            a.set_write_timeout(None).unwrap();
            move || a.send(&[0; 4096]).map_err(|error| error.raw_os_error())
        });
        settle();
        sending.cancel();
        assert_eq!(sending.join().unwrap(), Err(Some(ECANCELED)));
    });
}
