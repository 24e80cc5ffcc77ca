//! A socket as a value: clones, conversions, the threads that it can visit, and what it leaves behind.

use std::fmt::Debug;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use flux::net::{UnixListener, UnixStream};
use flux::spawn;
use socket2::SockRef;

use crate::common::{descriptors, fibers, passes_alone, settle};
use crate::{ECANCELED, Folder, SHORT, code, pair};

#[test]
fn clones_share_the_connection_and_keep_their_own_time_outs() {
    fibers(|| {
        let (mut a, mut b) = pair();
        a.set_read_timeout(Some(SHORT)).unwrap();
        let mut clone = a.try_clone().unwrap();
        assert_ne!(clone.as_raw_fd(), a.as_raw_fd());
        assert_eq!(clone.read_timeout().unwrap(), Some(SHORT));
        clone.set_read_timeout(None).unwrap();
        clone.set_write_timeout(Some(SHORT)).unwrap();
        assert_eq!(a.read_timeout().unwrap(), Some(SHORT));
        assert_eq!(a.write_timeout().unwrap(), None);
        a.write_all(b"a").unwrap();
        clone.write_all(b"b").unwrap();
        let mut buffer = [0; 2];
        b.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"ab");
        assert!(a.take_error().unwrap().is_none());
        drop(a);
        b.write_all(b"c").unwrap();
        assert_eq!(clone.read(&mut [0; 8]).unwrap(), 1, "still open");
        for result in [
            clone.set_read_timeout(Some(Duration::ZERO)),
            clone.set_write_timeout(Some(Duration::ZERO)),
        ] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    });
}

#[test]
fn sockets_come_from_std_and_go_back_blocking_with_their_time_outs() {
    // Multiples of the kernel's own unit for these times, whatever that is.
    const READ: Duration = Duration::from_millis(20);
    const WRITE: Duration = Duration::from_millis(40);
    fibers(|| {
        let folder = Folder::new("std");
        let path = folder.path("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = UnixListener::from_std(listener).unwrap();
        assert!(!SockRef::from(&listener).nonblocking().unwrap());
        // The kernel answers for a listener, so that this does not wait for a fiber.
        let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        client.set_nonblocking(true).unwrap();
        client.set_read_timeout(Some(READ)).unwrap();
        client.set_write_timeout(Some(WRITE)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut client = UnixStream::from_std(client).unwrap();
        assert_eq!(client.read_timeout().unwrap(), Some(READ));
        assert_eq!(client.write_timeout().unwrap(), Some(WRITE));
        let late = client.read(&mut [0; 8]).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
        client.set_read_timeout(None).unwrap();
        SockRef::from(&client).set_nonblocking(true).unwrap();
        SockRef::from(&listener).set_nonblocking(true).unwrap();
        let mut client = client.into_std().unwrap();
        assert!(!SockRef::from(&client).nonblocking().unwrap());
        assert_eq!(client.read_timeout().unwrap(), None);
        assert_eq!(client.write_timeout().unwrap(), Some(WRITE));
        server.write_all(b"std").unwrap();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 3);
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
    const fn demanded_by_libraries<T: Send + Sync + Debug + Unpin + 'static>() {}
    const { demanded_by_libraries::<UnixStream>() };
    const { demanded_by_libraries::<UnixListener>() };
    let check = |result: io::Result<()>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let sentence = error.to_string();
        assert!(sentence.contains("inside a fiber alone"), "{sentence}");
    };
    fibers(move || {
        let (mut a, mut b) = pair();
        let folder = Folder::new("thread");
        let path = folder.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            check(a.read(&mut [0; 8]).map(drop));
            check(a.write(b"x").map(drop));
            check(listener.accept().map(drop));
            check(UnixStream::connect(&path).map(drop));
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
