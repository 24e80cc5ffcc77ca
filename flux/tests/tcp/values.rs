//! A socket as a value: its options, clones, conversions, and the threads that it can visit.

use std::fmt::Debug;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use flux::net::{TcpListener, TcpStream};
use flux::spawn;
use flux::time::sleep;
use socket2::SockRef;

use crate::common::fibers;
use crate::{LOCALHOST, MIB, SHORT, kind, pair, pattern, settle};

#[test]
fn options_are_the_sockets_own() {
    fibers(|| {
        let (client, server) = pair();
        assert!(!client.nodelay().unwrap());
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
        assert!(!server.nodelay().unwrap());
        client.set_ttl(42).unwrap();
        assert_eq!(client.ttl().unwrap(), 42);
        assert!(client.take_error().unwrap().is_none());
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
        let listener = TcpListener::bind(LOCALHOST).unwrap();
        listener.set_ttl(43).unwrap();
        assert_eq!(listener.ttl().unwrap(), 43);
        assert!(listener.take_error().unwrap().is_none());
        let text = format!("{client:?} {listener:?}");
        let address = client.local_addr().unwrap().to_string();
        assert!(text.contains(&address), "{text}");
    });
}

#[test]
fn clones_share_the_connection_and_keep_their_own_time_outs() {
    fibers(|| {
        let (mut client, mut server) = pair();
        client.set_read_timeout(Some(SHORT)).unwrap();
        let mut clone = client.try_clone().unwrap();
        assert_ne!(clone.as_raw_fd(), client.as_raw_fd());
        assert_eq!(clone.read_timeout().unwrap(), Some(SHORT));
        clone.set_read_timeout(None).unwrap();
        assert_eq!(client.read_timeout().unwrap(), Some(SHORT));
        client.write_all(b"a").unwrap();
        clone.write_all(b"b").unwrap();
        let mut buffer = [0; 2];
        server.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"ab");
        assert_eq!(kind(client.read(&mut [0; 8])), Some(ErrorKind::TimedOut));
        drop(client);
        server.write_all(b"c").unwrap();
        assert_eq!(clone.read(&mut [0; 8]).unwrap(), 1, "still open");
        let other = clone.try_clone().unwrap();
        other.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 0, "shut by any");

        let listener = TcpListener::bind(LOCALHOST).unwrap();
        let clone = listener.try_clone().unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop(listener);
        assert!(clone.accept().is_ok());
    });
}

#[test]
fn sockets_come_from_std_and_go_back_blocking_with_their_time_outs() {
    // Multiples of the kernel's own unit for these times, whatever that is.
    const READ: Duration = Duration::from_millis(20);
    const WRITE: Duration = Duration::from_millis(40);
    fibers(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        assert!(!SockRef::from(&listener).nonblocking().unwrap());
        let address = listener.local_addr().unwrap();
        let accepting = spawn(move || listener.accept().map(|(stream, _)| (stream, listener)));
        settle();
        // The kernel answers for a listener, so that this does not wait for the fiber.
        let client = std::net::TcpStream::connect(address).unwrap();
        let (mut server, listener) = accepting.join().unwrap().unwrap();
        client.set_nonblocking(true).unwrap();
        client.set_read_timeout(Some(READ)).unwrap();
        client.set_write_timeout(Some(WRITE)).unwrap();
        let mut client = TcpStream::from_std(client).unwrap();
        assert_eq!(client.read_timeout().unwrap(), Some(READ));
        assert_eq!(client.write_timeout().unwrap(), Some(WRITE));
        assert_eq!(kind(client.read(&mut [0; 8])), Some(ErrorKind::TimedOut));
        client.set_read_timeout(None).unwrap();
        client.set_write_timeout(Some(READ)).unwrap();

        let mut client = client.into_std().unwrap();
        assert!(!SockRef::from(&client).nonblocking().unwrap());
        assert_eq!(client.read_timeout().unwrap(), None);
        assert_eq!(client.write_timeout().unwrap(), Some(READ));
        let listener = listener.into_std().unwrap();
        assert!(!SockRef::from(&listener).nonblocking().unwrap());
        assert_eq!(listener.local_addr().unwrap(), address);
        server.write_all(b"std").unwrap();
        let mut buffer = [0; 3];
        client.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"std");
    });
}

#[test]
fn a_descriptor_becomes_a_stream_and_a_stream_a_descriptor() {
    fibers(|| {
        let (client, mut server) = pair();
        let number = client.as_raw_fd();
        assert_eq!(client.as_fd().as_raw_fd(), number);
        let mut client = TcpStream::from(OwnedFd::from(client));
        assert_eq!(client.as_raw_fd(), number);
        client.write_all(b"fd").unwrap();
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 2);
        let listener = TcpListener::bind(LOCALHOST).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from(OwnedFd::from(listener));
        assert_eq!(listener.local_addr().unwrap(), address);
    });
}

#[test]
fn a_descriptor_that_does_not_block_waits_all_the_same() {
    fibers(|| {
        let unblocked = |descriptor: OwnedFd| {
            SockRef::from(&descriptor).set_nonblocking(true).unwrap();
            descriptor
        };
        let listener = TcpListener::from(unblocked(TcpListener::bind(LOCALHOST).unwrap().into()));
        let address = listener.local_addr().unwrap();
        let accepting = spawn(move || listener.accept().map(|(stream, _)| stream));
        settle();
        let client = TcpStream::connect(address).unwrap();
        let server = accepting.join().unwrap().unwrap();
        let [client, server] =
            [client, server].map(|stream| TcpStream::from(unblocked(stream.into())));
        let sent = pattern(8 * MIB);
        flux::scope(|s| {
            let reading = s.spawn(|| {
                assert_eq!(server.peek(&mut [0; 1]).unwrap(), 1);
                sleep(SHORT).unwrap();
                let mut received = Vec::new();
                (&server).read_to_end(&mut received).unwrap();
                received
            });
            settle();
            (&client).write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert!(reading.join().unwrap() == sent, "the bytes came changed");
        });
        client.set_read_timeout(Some(SHORT)).unwrap();
        assert_eq!(kind((&client).read(&mut [0; 8])), Some(ErrorKind::TimedOut));
    });
}

#[test]
fn a_descriptor_that_does_not_block_goes_to_std_blocking() {
    fibers(|| {
        let (client, _server) = pair();
        let listener = TcpListener::bind(LOCALHOST).unwrap();
        SockRef::from(&client).set_nonblocking(true).unwrap();
        SockRef::from(&listener).set_nonblocking(true).unwrap();
        let client = TcpStream::from(OwnedFd::from(client)).into_std().unwrap();
        assert!(!SockRef::from(&client).nonblocking().unwrap());
        let listener = TcpListener::from(OwnedFd::from(listener))
            .into_std()
            .unwrap();
        assert!(!SockRef::from(&listener).nonblocking().unwrap());
    });
}

#[test]
fn a_socket_on_another_thread_says_that_it_works_in_a_fiber_alone() {
    const fn demanded_by_libraries<T: Send + Sync + Debug + Unpin + 'static>() {}
    const { demanded_by_libraries::<TcpStream>() };
    const { demanded_by_libraries::<TcpListener>() };
    let check = |result: io::Result<()>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let sentence = error.to_string();
        assert!(sentence.contains("inside a fiber alone"), "{sentence}");
    };
    fibers(move || {
        let (mut client, mut server) = pair();
        let listener = TcpListener::bind(LOCALHOST).unwrap();
        std::thread::spawn(move || {
            check(client.read(&mut [0; 8]).map(drop));
            check(client.write(b"x").map(drop));
            check(client.peek(&mut [0; 8]).map(drop));
            check(listener.accept().map(drop));
            let address = listener.local_addr().unwrap();
            check(TcpStream::connect(address).map(drop));
            // What never waits works anywhere, and so does going away.
            client.set_nodelay(true).unwrap();
            drop((client, listener));
        })
        .join()
        .unwrap();
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 0, "it was closed there");
    });
    // Nor does it work on a thread whose reactor has ended.
    let (mut client, _server) = fibers(pair);
    check(client.read(&mut [0; 8]).map(drop));
}
