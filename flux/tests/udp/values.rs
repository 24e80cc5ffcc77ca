//! A socket as a value: its options, groups, clones, conversions, and the threads that it can visit.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use flux::net::UdpSocket;
use flux::spawn;
use socket2::SockRef;

use crate::common::{descriptors, fibers, passes_alone, settle};
use crate::sockets::{
    clone_with_other_time_outs, demanded_by_libraries, refuses_a_time_out_of_nothing,
    works_in_a_fiber_alone,
};
use crate::{SHORT, connected, socket};

#[test]
fn options_are_the_sockets_own() {
    fibers(|| {
        let (a, b) = connected();
        a.set_ttl(42).unwrap();
        assert_eq!(a.ttl().unwrap(), 42);
        a.set_multicast_ttl_v4(3).unwrap();
        assert_eq!(a.multicast_ttl_v4().unwrap(), 3);
        assert_eq!(b.multicast_ttl_v4().unwrap(), 1);
        for on in [true, false] {
            a.set_broadcast(on).unwrap();
            assert_eq!(a.broadcast().unwrap(), on);
            a.set_multicast_loop_v4(on).unwrap();
            assert_eq!(a.multicast_loop_v4().unwrap(), on);
        }
        assert!(a.take_error().unwrap().is_none());
        assert_eq!(a.peer_addr().unwrap(), b.local_addr().unwrap());
        let text = format!("{a:?}");
        assert!(
            text.contains(&a.local_addr().unwrap().to_string()),
            "{text}"
        );
    });
}

#[test]
fn who_has_joined_a_group_receives_what_is_sent_to_it_until_he_leaves() {
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 195, 7, 31);
    const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
    fibers(|| {
        let receiver = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let sender = socket();
        SockRef::from(&sender).set_multicast_if_v4(&HERE).unwrap();
        let to = (GROUP, receiver.local_addr().unwrap().port());
        receiver.join_multicast_v4(&GROUP, &HERE).unwrap();
        let receiving = spawn({
            let receiver = receiver.try_clone().unwrap();
            move || receiver.recv_from(&mut [0; 8])
        });
        settle();
        sender.send_to(b"tick", to).unwrap();
        let received = receiving.join().unwrap().unwrap();
        assert_eq!(received, (4, sender.local_addr().unwrap()));
        receiver.leave_multicast_v4(&GROUP, &HERE).unwrap();
        assert!(receiver.leave_multicast_v4(&GROUP, &HERE).is_err(), "twice");
        sender.send_to(b"lost", to).unwrap();
        receiver.set_read_timeout(Some(SHORT)).unwrap();
        let error = receiver.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let nowhere = Ipv4Addr::new(192, 0, 2, 1);
        assert!(receiver.join_multicast_v4(&GROUP, &nowhere).is_err());
    });
}

#[test]
fn the_new_internet_protocol_has_its_groups_too() {
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x1957, 0x31);
    fibers(|| {
        let socket = match UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) {
            Ok(socket) => socket,
            Err(error) => {
                eprintln!("SKIPPED: this machine has no IPv6 loopback: {error}");
                return;
            }
        };
        let here = socket.local_addr().unwrap();
        socket.send_to(b"six", here).unwrap();
        assert_eq!(socket.recv_from(&mut [0; 8]).unwrap(), (3, here));
        for on in [false, true] {
            socket.set_multicast_loop_v6(on).unwrap();
            assert_eq!(socket.multicast_loop_v6().unwrap(), on);
        }
        // Loopback is the first interface of every Linux.
        socket.join_multicast_v6(&GROUP, 1).unwrap();
        socket.leave_multicast_v6(&GROUP, 1).unwrap();
        assert!(socket.leave_multicast_v6(&GROUP, 1).is_err(), "twice");
        assert!(socket.join_multicast_v6(&GROUP, 987_654).is_err());
    });
}

#[test]
fn clones_share_the_socket_and_keep_their_own_time_outs() {
    fibers(|| {
        let (a, b) = connected();
        let clone = clone_with_other_time_outs(&a);
        b.send(b"1").unwrap();
        b.send(b"2").unwrap();
        assert_eq!(a.recv(&mut [0; 8]).unwrap(), 1);
        assert_eq!(clone.recv(&mut [0; 8]).unwrap(), 1);
        assert_eq!(a.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        drop(a);
        b.send(b"still open").unwrap();
        assert_eq!(clone.recv(&mut [0; 16]).unwrap(), 10);
        refuses_a_time_out_of_nothing(&clone);
    });
}

#[test]
fn sockets_come_from_std_and_go_back_blocking_with_their_time_outs() {
    // Multiples of the kernel's own unit for these times, whatever that is.
    const READ: Duration = Duration::from_millis(20);
    const WRITE: Duration = Duration::from_millis(40);
    fibers(|| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.set_read_timeout(Some(READ)).unwrap();
        socket.set_write_timeout(Some(WRITE)).unwrap();
        let socket = UdpSocket::from_std(socket).unwrap();
        assert!(!SockRef::from(&socket).nonblocking().unwrap());
        assert_eq!(socket.read_timeout().unwrap(), Some(READ));
        assert_eq!(socket.write_timeout().unwrap(), Some(WRITE));
        assert_eq!(
            socket.recv(&mut [0; 8]).unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        socket.set_read_timeout(Some(WRITE)).unwrap();
        SockRef::from(&socket).set_nonblocking(true).unwrap();
        let number = socket.as_raw_fd();
        let socket = socket.into_std().unwrap();
        assert_eq!(socket.as_raw_fd(), number);
        assert!(!SockRef::from(&socket).nonblocking().unwrap());
        assert_eq!(socket.read_timeout().unwrap(), Some(WRITE));
    });
}

#[test]
fn a_descriptor_that_does_not_block_waits_all_the_same() {
    fibers(|| {
        let (a, b) = connected();
        let number = b.as_raw_fd();
        assert_eq!(b.as_fd().as_raw_fd(), number);
        let descriptor = OwnedFd::from(b);
        SockRef::from(&descriptor).set_nonblocking(true).unwrap();
        let b = UdpSocket::from(descriptor);
        assert_eq!(b.as_raw_fd(), number);
        let receiving = spawn(move || {
            let first = b.recv(&mut [0; 8]).unwrap();
            let second = b.recv_from(&mut [0; 8]).unwrap().0;
            (first, second, b)
        });
        settle();
        a.send(b"a").unwrap();
        settle();
        a.send(b"bc").unwrap();
        let (first, second, b) = receiving.join().unwrap();
        assert_eq!((first, second), (1, 2));
        b.set_read_timeout(Some(SHORT)).unwrap();
        let late = b.recv_from(&mut [0; 8]).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn a_socket_on_another_thread_says_that_it_works_in_a_fiber_alone() {
    const { demanded_by_libraries::<UdpSocket>() };
    fibers(move || {
        let (a, b) = connected();
        let from = a.local_addr().unwrap();
        std::thread::spawn(move || {
            works_in_a_fiber_alone(a.recv(&mut [0; 8]).map(drop));
            works_in_a_fiber_alone(a.recv_from(&mut [0; 8]).map(drop));
            works_in_a_fiber_alone(a.peek(&mut [0; 8]).map(drop));
            works_in_a_fiber_alone(a.peek_from(&mut [0; 8]).map(drop));
            works_in_a_fiber_alone(a.send(b"x").map(drop));
            works_in_a_fiber_alone(a.send_to(b"x", from).map(drop));
            // What never waits works anywhere, and so does going away.
            drop(socket());
        })
        .join()
        .unwrap();
        b.set_read_timeout(Some(SHORT)).unwrap();
        let nothing_came = b.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(nothing_came.kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn ten_thousand_sockets_leave_nothing_behind() {
    passes_alone(
        "values::ten_thousand_sockets_leave_nothing_behind",
        &[],
        || {
            fibers(|| {
                let server = socket();
                let to = server.local_addr().unwrap();
                let before = descriptors();
                for number in 0..10_000_usize {
                    let client = socket();
                    let mut buffer = [0; 8];
                    let receiving = spawn({
                        let client = client.try_clone().unwrap();
                        move || {
                            client
                                .recv(&mut [0; 8])
                                .map_err(|error| error.raw_os_error())
                        }
                    });
                    // A number that comes again is a new socket, of which no engine may know anything.
                    client.send_to(b"ping", to).unwrap();
                    let (len, from) = server.recv_from(&mut buffer).unwrap();
                    assert_eq!((len, from), (4, client.local_addr().unwrap()));
                    if number % 2 == 0 {
                        server.send_to(b"pong!", from).unwrap();
                        assert_eq!(receiving.join().unwrap(), Ok(5));
                    } else {
                        receiving.cancel();
                        assert_eq!(receiving.join().unwrap(), Err(Some(125)));
                    }
                }
                assert_eq!(descriptors(), before);
                let after = flux::stats();
                assert_eq!((after.ops_in_flight, after.overflow_depth), (0, 0));
                assert_eq!(after.deadlines, 0);
            });
        },
    );
}
