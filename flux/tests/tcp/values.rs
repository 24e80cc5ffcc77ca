//! A socket as a value: its options, clones, conversions, and the threads that it can visit.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use flux::net::{TcpListener, TcpStream};
use flux::spawn;
use flux::time::sleep;
use socket2::SockRef;

use crate::common::{fibers, pair, settle};
use crate::sockets::{demanded_by_libraries, works_in_a_fiber_alone};
use crate::streams::{MIB, clones_share_the_connection, comes_from_std_and_goes_back, pattern};
use crate::{LOCALHOST, SHORT, kind};

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
        clones_share_the_connection(pair());
        let listener = TcpListener::bind(LOCALHOST).unwrap();
        let clone = listener.try_clone().unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop(listener);
        assert!(clone.accept().is_ok());
    });
}

#[test]
fn sockets_come_from_std_and_go_back_blocking_with_their_time_outs() {
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
        let (server, listener) = accepting.join().unwrap().unwrap();
        comes_from_std_and_goes_back(client, server);
        let listener = listener.into_std().unwrap();
        assert!(!SockRef::from(&listener).nonblocking().unwrap());
        assert_eq!(listener.local_addr().unwrap(), address);
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
    const { demanded_by_libraries::<TcpStream>() };
    const { demanded_by_libraries::<TcpListener>() };
    fibers(move || {
        let (mut client, mut server) = pair();
        let listener = TcpListener::bind(LOCALHOST).unwrap();
        std::thread::spawn(move || {
            works_in_a_fiber_alone(client.read(&mut [0; 8]).map(drop));
            works_in_a_fiber_alone(client.write(b"x").map(drop));
            works_in_a_fiber_alone(client.peek(&mut [0; 8]).map(drop));
            works_in_a_fiber_alone(listener.accept().map(drop));
            let address = listener.local_addr().unwrap();
            works_in_a_fiber_alone(TcpStream::connect(address).map(drop));
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
    works_in_a_fiber_alone(client.read(&mut [0; 8]).map(drop));
}
