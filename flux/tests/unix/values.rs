//! A socket as a value: clones, conversions, the threads that it can visit, and what it leaves behind.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use flux::net::{UnixListener, UnixStream};
use flux::spawn;
use socket2::SockRef;

use crate::common::{descriptors, fibers, passes_alone, settle};
use crate::sockets::{demanded_by_libraries, works_in_a_fiber_alone};
use crate::streams::{clones_share_the_connection, comes_from_std_and_goes_back};
use crate::{ECANCELED, Folder, code, pair};

#[test]
fn clones_share_the_connection_and_keep_their_own_time_outs() {
    fibers(|| clones_share_the_connection(pair()));
}

#[test]
fn sockets_come_from_std_and_go_back_blocking_with_their_time_outs() {
    fibers(|| {
        let folder = Folder::new("std");
        let path = folder.path("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = UnixListener::from_std(listener).unwrap();
        assert!(!SockRef::from(&listener).nonblocking().unwrap());
        // The kernel answers for a listener, so that this does not wait for a fiber.
        let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let (server, _) = listener.accept().unwrap();
        comes_from_std_and_goes_back(client, server);
        SockRef::from(&listener).set_nonblocking(true).unwrap();
        let listener = listener.into_std().unwrap();
        assert!(!SockRef::from(&listener).nonblocking().unwrap());
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
    });
}

#[test]
fn a_descriptor_becomes_a_socket_and_a_socket_a_descriptor() {
    fibers(|| {
        let (a, mut b) = pair();
        let number = a.as_raw_fd();
        assert_eq!(a.as_fd().as_raw_fd(), number);
        let descriptor = OwnedFd::from(a);
        SockRef::from(&descriptor).set_nonblocking(true).unwrap();
        let a = UnixStream::from(descriptor);
        assert_eq!(a.as_raw_fd(), number);
        // One that does not block waits all the same.
        let reading = spawn(move || (&a).read(&mut [0; 8]).map(|count| (count, a)));
        settle();
        b.write_all(b"fd").unwrap();
        assert_eq!(reading.join().unwrap().unwrap().0, 2);
        let folder = Folder::new("descriptor");
        let listener = UnixListener::bind(folder.path("socket")).unwrap();
        let listener = UnixListener::from(OwnedFd::from(listener));
        let address = listener.local_addr().unwrap();
        assert_eq!(address.as_pathname(), Some(&*folder.path("socket")));
        let clone = listener.try_clone().unwrap();
        drop(listener);
        let _client = UnixStream::connect(folder.path("socket")).unwrap();
        assert!(clone.accept().is_ok());
        assert!(clone.take_error().unwrap().is_none());
        let text = format!("{clone:?} {b:?} {:?}", clone.incoming());
        assert!(text.contains("socket"), "{text}");
    });
}

#[test]
fn a_socket_on_another_thread_says_that_it_works_in_a_fiber_alone() {
    const { demanded_by_libraries::<UnixStream>() };
    const { demanded_by_libraries::<UnixListener>() };
    fibers(move || {
        let (mut a, mut b) = pair();
        let folder = Folder::new("thread");
        let path = folder.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            works_in_a_fiber_alone(a.read(&mut [0; 8]).map(drop));
            works_in_a_fiber_alone(a.write(b"x").map(drop));
            works_in_a_fiber_alone(listener.accept().map(drop));
            works_in_a_fiber_alone(UnixStream::connect(&path).map(drop));
            // What never waits works anywhere, and so does going away.
            drop(pair());
            drop((a, listener));
        })
        .join()
        .unwrap();
        assert_eq!(b.read(&mut [0; 8]).unwrap(), 0, "it was closed there");
    });
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    passes_alone(
        "values::ten_thousand_connections_leave_nothing_behind",
        &[],
        || {
            fibers(|| {
                let folder = Folder::new("many");
                let path = folder.path("socket");
                let listener = UnixListener::bind(&path).unwrap();
                let before = descriptors();
                for number in 0..10_000 {
                    let client = UnixStream::connect(&path).unwrap();
                    let (mut server, _) = listener.accept().unwrap();
                    // A number that comes again is a new socket, of which no engine may know anything.
                    let reading = spawn(move || {
                        let mut bytes = [0; 8];
                        let first = (&client).read(&mut bytes);
                        (code(first), (&client).read(&mut bytes).ok())
                    });
                    match number % 3 {
                        0 => {
                            server.write_all(b"pong").unwrap();
                            drop(server);
                            assert_eq!(reading.join().unwrap(), (None, Some(0)));
                        }
                        1 => {
                            drop(server);
                            assert_eq!(reading.join().unwrap(), (None, Some(0)));
                        }
                        _ => {
                            settle();
                            reading.cancel();
                            assert_eq!(reading.join().unwrap(), (Some(ECANCELED), None));
                        }
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
