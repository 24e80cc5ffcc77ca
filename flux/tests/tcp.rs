//! TCP on real loopback sockets: what std promises of these calls holds here too, and nothing leaks.

#![allow(
    unsafe_code,
    reason = "two tests change what their own process may do: its limit of descriptors, its SIGPIPE"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "std's sockets and threads are what flux meets here; each call is answered without a fiber"
)]

mod common;

use std::cell::Cell;
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use common::{config, descriptors, fibers, passes_alone, run};
use flux::net::{TcpListener, TcpStream};
use flux::time::{Instant, sleep};
use flux::{Fiber, StackClass, spawn, yield_now};
use socket2::{Domain, SockRef, Socket, Type};

const SHORT: Duration = Duration::from_millis(5);
const MIB: usize = 1 << 20;
const LOCALHOST: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A connection of two ends on loopback.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(LOCALHOST).unwrap();
    let address = listener.local_addr().unwrap();
    let client = spawn(move || TcpStream::connect(address).unwrap());
    let (server, peer) = listener.accept().unwrap();
    let client = client.join().unwrap();
    assert_eq!(client.local_addr().unwrap(), peer);
    (client, server)
}

/// A connection whose sockets hold far less than a megabyte, so that a large write has to wait.
fn narrow_pair() -> (TcpStream, TcpStream) {
    let (a, b) = pair();
    for stream in [&a, &b] {
        SockRef::from(stream)
            .set_send_buffer_size(16 * 1024)
            .unwrap();
        SockRef::from(stream)
            .set_recv_buffer_size(16 * 1024)
            .unwrap();
    }
    (a, b)
}

/// Bytes of which no two neighbourhoods look alike: what is lost, doubled or swapped shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13).to_le_bytes()[0])
        .collect()
}

/// Lets all others run until they wait.
fn settle() {
    for _ in 0..3 {
        yield_now().unwrap();
    }
}

/// Ends a connection by a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

/// An address of this host that refuses connections for as long as the socket lives.
fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(LOCALHOST).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

// Bytes.

#[test]
fn every_byte_of_every_size_comes_back() {
    fibers(|| {
        let (client, server) = pair();
        let echo = spawn(move || {
            let copied = io::copy(&mut &server, &mut &server)?;
            server.shutdown(Shutdown::Write)?;
            io::Result::Ok(copied)
        });
        let mut total = 0;
        for size in [0, 1, 200, 64 * 1024, 5 * MIB] {
            let sent = pattern(size);
            let mut received = vec![0; size];
            flux::scope(|s| {
                s.spawn(|| (&client).write_all(&sent).unwrap());
                (&client).read_exact(&mut received).unwrap();
            });
            assert!(sent == received, "{size} bytes came back changed");
            total += size as u64;
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&client).read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(echo.join().unwrap().unwrap(), total);
    });
}

#[test]
fn a_writer_waits_while_its_reader_sleeps_and_a_write_may_be_short() {
    fibers(|| {
        let (client, server) = narrow_pair();
        let sent = pattern(5 * MIB);
        let written = Cell::new(0);
        let shortest = Cell::new(usize::MAX);
        let received = flux::scope(|s| {
            s.spawn(|| {
                while written.get() < sent.len() {
                    let rest = &sent[written.get()..];
                    let count = (&client).write(rest).unwrap();
                    assert!(count > 0 && count <= rest.len());
                    shortest.set(shortest.get().min(count));
                    written.set(written.get() + count);
                }
                client.shutdown(Shutdown::Write).unwrap();
            });
            sleep(SHORT).unwrap();
            let before = written.get();
            assert!(before > 0 && before < MIB, "{before} bytes were taken");
            assert_eq!(flux::stats().ops_in_flight, 1, "the writer waits");
            sleep(SHORT).unwrap();
            assert_eq!(written.get(), before, "nobody has read");
            let mut received = Vec::new();
            (&server).read_to_end(&mut received).unwrap();
            received
        });
        assert!(sent == received, "the bytes came changed");
        assert!(shortest.get() < MIB);
    });
}

#[test]
fn two_fibers_read_and_write_one_stream_at_once() {
    fibers(|| {
        let (a, b) = narrow_pair();
        let data = pattern(MIB);
        let send = |stream: &TcpStream| {
            let mut stream = stream;
            stream.write_all(&data).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        };
        let check = |stream: &TcpStream| {
            let (mut stream, mut received) = (stream, Vec::new());
            stream.read_to_end(&mut received).unwrap();
            assert!(data == received, "the bytes came changed");
        };
        flux::scope(|s| {
            s.spawn(|| send(&a));
            s.spawn(|| send(&b));
            s.spawn(|| check(&a));
            s.spawn(|| check(&b));
        });
    });
}

#[test]
fn shutdown_ends_one_direction_and_the_other_goes_on() {
    fibers(|| {
        let (mut client, mut server) = pair();
        client.write_all(b"last").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut rest = String::new();
        server.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "last");
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 0, "and again");
        for _ in 0..3 {
            server.write_all(b"more").unwrap();
            let mut buffer = [0; 4];
            client.read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"more");
        }
        assert_eq!(kind(client.write(b"x")), Some(ErrorKind::BrokenPipe));
    });
}

#[test]
fn a_shutdown_by_another_fiber_ends_a_read_that_waits() {
    fibers(|| {
        let (client, _server) = pair();
        flux::scope(|s| {
            let reading = s.spawn(|| (&client).read(&mut [0; 8]).unwrap());
            settle();
            client.shutdown(Shutdown::Read).unwrap();
            assert_eq!(reading.join().unwrap(), 0);
        });
    });
}

#[test]
fn peeking_takes_nothing() {
    fibers(|| {
        let (client, mut server) = pair();
        flux::scope(|s| {
            let peeking = s.spawn(|| client.peek(&mut [0; 8]).unwrap());
            settle();
            server.write_all(b"price").unwrap();
            assert_eq!(peeking.join().unwrap(), 5, "it waited");
        });
        let mut buffer = [0; 2];
        for _ in 0..3 {
            assert_eq!(client.peek(&mut buffer).unwrap(), 2);
            assert_eq!(&buffer, b"pr");
        }
        let mut all = [0; 5];
        (&client).read_exact(&mut all).unwrap();
        assert_eq!(&all, b"price");
        drop(server);
        assert_eq!(client.peek(&mut buffer).unwrap(), 0);
    });
}

#[test]
fn an_empty_buffer_is_done_at_once() {
    fibers(|| {
        let (mut client, mut server) = pair();
        assert_eq!(client.write(&[]).unwrap(), 0);
        client.write_all(&[]).unwrap();
        client.flush().unwrap();
        // Nothing has been sent: these would wait for ever if they waited for bytes.
        assert_eq!(server.read(&mut []).unwrap(), 0);
        assert_eq!(server.peek(&mut []).unwrap(), 0);
        server.read_exact(&mut []).unwrap();
        client.write_all(b"x").unwrap();
        assert_eq!(server.read(&mut []).unwrap(), 0);
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 1);
    });
}

#[test]
fn vectored_calls_keep_the_order_of_their_parts() {
    fibers(|| {
        let (mut client, mut server) = pair();
        let sent = client
            .write_vectored(&[
                IoSlice::new(b""),
                IoSlice::new(b"bid "),
                IoSlice::new(b"61659"),
            ])
            .unwrap();
        assert!((1..=9).contains(&sent), "{sent}");
        client.write_all(&b"bid 61659"[sent..]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        loop {
            let (mut first, mut second) = ([0; 2], [0; 3]);
            let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            let count = server.read_vectored(&mut parts).unwrap();
            if count == 0 {
                break;
            }
            let both: Vec<u8> = first.into_iter().chain(second).collect();
            received.extend_from_slice(&both[..count]);
        }
        assert_eq!(received, b"bid 61659");
    });
}

// The other side goes away.

#[test]
fn a_reset_is_an_error_of_the_read_and_of_the_write() {
    let gone = |result: io::Result<usize>| {
        let kind = kind(result).expect("the peer is gone");
        assert!(
            matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
            "{kind:?}"
        );
    };
    fibers(move || {
        // Before a read, in the middle of one, and before a write.
        let (mut client, server) = pair();
        reset(server);
        assert_eq!(
            kind(client.read(&mut [0; 8])),
            Some(ErrorKind::ConnectionReset)
        );
        gone(client.write(b"x"));
        let (client, server) = pair();
        let reading = spawn(move || (&client).read(&mut [0; 8]));
        settle();
        reset(server);
        let read = reading.join().unwrap();
        assert_eq!(kind(read), Some(ErrorKind::ConnectionReset));
        let (mut client, server) = pair();
        reset(server);
        gone(client.write(b"x"));
        assert_eq!(kind(client.write(b"x")), Some(ErrorKind::BrokenPipe));
        // A peer that leaves bytes unread resets too.
        let (mut client, server) = pair();
        client.write_all(b"nobody reads this").unwrap();
        assert_eq!(server.peek(&mut [0; 1]).unwrap(), 1);
        drop(server);
        assert_eq!(
            kind(client.read(&mut [0; 8])),
            Some(ErrorKind::ConnectionReset)
        );
    });
}

#[test]
fn writing_to_nobody_is_an_error_and_never_a_signal() {
    passes_alone(
        "writing_to_nobody_is_an_error_and_never_a_signal",
        &[],
        || {
            // Rust's start-up ignores the signal; a program may have taken that back.
            // SAFETY: installs the default action, in a process that runs nothing but this.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            fibers(|| {
                let (mut client, server) = pair();
                reset(server);
                for _ in 0..8 {
                    assert!(client.write(b"x").is_err(), "at once");
                }
                let (client, server) = narrow_pair();
                let writing = spawn(move || {
                    (&client).write_all(&pattern(MIB)).unwrap_err();
                    (&client).write_all(&pattern(MIB)).unwrap_err();
                });
                sleep(SHORT).unwrap();
                assert_eq!(flux::stats().ops_in_flight, 1, "as a request");
                reset(server);
                writing.join().unwrap();
            });
        },
    );
}

// Connecting and listening.

#[test]
fn a_connection_that_nobody_takes_is_refused() {
    fibers(|| {
        let (_bound, address) = refusing();
        let refused = Some(ErrorKind::ConnectionRefused);
        assert_eq!(kind(TcpStream::connect(address)), refused);
        let timely = TcpStream::connect_timeout(&address, Duration::from_mins(1));
        assert_eq!(kind(timely), refused);
    });
}

#[test]
fn of_several_addresses_the_first_that_answers_is_taken() {
    fibers(|| {
        let (_bound, refusing) = refusing();
        let listener = TcpListener::bind(LOCALHOST).unwrap();
        let listening = listener.local_addr().unwrap();
        let stream = TcpStream::connect(&[refusing, listening, refusing][..]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listening);
        let none = TcpStream::connect(&[refusing, refusing][..]);
        assert_eq!(kind(none), Some(ErrorKind::ConnectionRefused));
        let empty: &[SocketAddr] = &[];
        for error in [
            TcpStream::connect(empty).unwrap_err(),
            TcpListener::bind(empty).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(
                error.to_string().starts_with("there is no address"),
                "{error}"
            );
        }
        // Both sides take what std takes, but for names.
        let port = listening.port();
        drop(TcpStream::connect(format!("127.0.0.1:{port}")).unwrap());
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
    });
}

#[test]
fn a_host_name_is_refused_by_name() {
    fibers(|| {
        for error in [
            TcpStream::connect("localhost:80").unwrap_err(),
            TcpListener::bind("localhost:0").unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(
                error.to_string().contains("`localhost:80`")
                    || error.to_string().contains("`localhost:0`")
            );
        }
    });
}

#[test]
fn a_connect_that_is_not_answered_ends_with_its_time() {
    fibers(|| {
        // A listener whose queue is full lets further requests go unanswered.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(LOCALHOST).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        let error = loop {
            match TcpStream::connect_timeout(&address, 4 * SHORT) {
                Ok(stream) => queued.push(stream),
                Err(error) => break error,
            }
            assert!(queued.len() < 64, "the queue of a listener is bounded");
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let start = Instant::now();
        let late = flux::timeout(SHORT, || TcpStream::connect(&[address, address][..]));
        let error = late.unwrap_err().into_inner().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= SHORT);
        let connecting = spawn(move || TcpStream::connect(address).map(drop));
        settle();
        connecting.cancel();
        let error = connecting.join().unwrap().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
        let zero = TcpStream::connect_timeout(&address, Duration::ZERO);
        assert_eq!(kind(zero), Some(ErrorKind::InvalidInput));
        assert_eq!(flux::stats().ops_in_flight, 0);
    });
}

#[test]
fn an_address_in_use_is_refused_and_the_next_one_taken() {
    fibers(|| {
        let first = TcpListener::bind(LOCALHOST).unwrap();
        let taken = first.local_addr().unwrap();
        assert_eq!(kind(TcpListener::bind(taken)), Some(ErrorKind::AddrInUse));
        let second = TcpListener::bind(&[taken, LOCALHOST.into()][..]).unwrap();
        assert_ne!(second.local_addr().unwrap(), taken);
        drop(first);
        assert!(TcpListener::bind(taken).is_ok(), "free again");
    });
}

#[test]
fn the_new_internet_protocol_is_as_good_as_the_old_one() {
    fibers(|| {
        let listener = match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            Ok(listener) => listener,
            Err(error) => {
                eprintln!("SKIPPED: this machine has no IPv6 loopback: {error}");
                return;
            }
        };
        let address = listener.local_addr().unwrap();
        assert!(address.is_ipv6());
        let mut client = TcpStream::connect(address.to_string().as_str()).unwrap();
        let (mut server, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        client.write_all(b"six").unwrap();
        let mut buffer = [0; 3];
        server.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"six");
    });
}

#[test]
fn incoming_gives_one_connection_after_the_other() {
    fibers(|| {
        let listener = TcpListener::bind(LOCALHOST).unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..5_u8)
            .map(|number| {
                spawn(move || {
                    let mut stream = TcpStream::connect(address)?;
                    stream.write_all(&[number])?;
                    let mut answer = [0];
                    stream.read_exact(&mut answer)?;
                    io::Result::Ok(answer[0])
                })
            })
            .collect();
        for stream in listener.incoming().take(5) {
            let (mut stream, mut number) = (stream.unwrap(), [0]);
            stream.read_exact(&mut number).unwrap();
            stream.write_all(&[number[0] + 100]).unwrap();
        }
        for (number, client) in (100..).zip(clients) {
            assert_eq!(client.join().unwrap().unwrap(), number);
        }
    });
}

// A socket as a value.

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

// Sharing the core, the limits of the process, and what is left behind.

#[test]
fn a_fiber_whose_writes_never_wait_lets_the_others_run() {
    fibers(|| {
        let (client, _server) = pair();
        let (since, most, turns) = (Cell::new(0_u32), Cell::new(0), Cell::new(0));
        flux::scope(|s| {
            s.spawn(|| {
                while turns.get() < 10 {
                    yield_now().unwrap();
                    turns.set(turns.get() + 1);
                    most.set(most.get().max(since.take()));
                }
            });
            s.spawn(|| {
                while turns.get() < 10 {
                    assert_eq!((&client).write(b"x").unwrap(), 1);
                    since.set(since.get() + 1);
                }
            });
        });
        // A full budget was used, and none was overdrawn.
        assert!((60..=64).contains(&most.get()), "{} writes", most.get());
    });
}

#[test]
fn a_process_without_descriptors_fails_an_accept_and_recovers() {
    passes_alone(
        "a_process_without_descriptors_fails_an_accept_and_recovers",
        &[],
        || {
            let limit = libc::rlimit {
                rlim_cur: 64,
                rlim_max: 64,
            };
            // SAFETY: the limit is valid during the call, in a process that runs nothing but this.
            assert_eq!(0, unsafe {
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit)
            });
            fibers(|| {
                let (mut client, mut server) = pair();
                let listener = TcpListener::bind(LOCALHOST).unwrap();
                let address = listener.local_addr().unwrap();
                let mut waiting = TcpStream::connect(address).unwrap();
                let used_up: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok())
                    .take(64)
                    .collect();
                assert!(used_up.len() < 64);
                for _ in 0..3 {
                    let error = listener.accept().unwrap_err();
                    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                }
                let error = TcpStream::connect(address).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                let error = client.try_clone().unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                // Connections that are there go on.
                client.write_all(b"on").unwrap();
                assert_eq!(server.read(&mut [0; 8]).unwrap(), 2);
                drop(used_up);
                let (mut accepted, _) = listener.accept().unwrap();
                waiting.write_all(b"late").unwrap();
                assert_eq!(accepted.read(&mut [0; 8]).unwrap(), 4);
            });
        },
    );
}

/// The client's half of a connection that ends in one of five ways.
fn come_and_go(number: usize, address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let mut buffer = [0; 4];
    stream.write_all(b"ping")?;
    stream.read_exact(&mut buffer)?;
    assert_eq!(&buffer, b"ping");
    match number % 5 {
        0 => {}
        1 => reset(stream),
        2 => {
            stream.write_all(b"quit")?;
            assert_eq!(stream.read(&mut buffer)?, 0);
        }
        3 => {
            stream.write_all(b"reset")?;
            assert_eq!(
                kind(stream.read(&mut buffer)),
                Some(ErrorKind::ConnectionReset)
            );
        }
        _ => {
            let clone = stream.try_clone()?;
            let reading = flux::Builder::new()
                .stack(StackClass::Small)
                .spawn(move || (&clone).read(&mut [0; 8]).map_err(|e| e.raw_os_error()));
            yield_now()?;
            reading.cancel();
            assert_eq!(reading.join()?, Err(Some(libc::ECANCELED)));
        }
    }
    Ok(())
}

/// The server's half: answers until it is told to go first, or the client has gone.
fn answer(mut stream: TcpStream) {
    let mut buffer = [0; 8];
    loop {
        match stream.read(&mut buffer) {
            Ok(4) if &buffer[..4] == b"ping" => stream.write_all(b"ping").unwrap(),
            Ok(5) => return reset(stream),
            Ok(_) => return,
            Err(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    passes_alone("ten_thousand_connections_leave_nothing_behind", &[], || {
        const CONNECTIONS: usize = 10_000;
        const BATCH: usize = 100;
        const FIBERS: usize = 3 * BATCH + 8;
        let in_use = || {
            let stats = flux::stats();
            let stacks = stats.stacks.map(|class| class.in_use);
            (stats.fibers_in_use, stats.fibers_live, stacks)
        };
        let config = config()
            .fibers(FIBERS)
            .stacks(StackClass::Small, FIBERS)
            .prefault(4096);
        run(config, || {
            // Several addresses, so that ports which rest for a minute after a connection do not run out.
            let listeners: Vec<TcpListener> = (1..=4)
                .map(|last| TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), 0)).unwrap())
                .collect();
            let before = (descriptors(), in_use());
            for listener in listeners.iter().cycle().take(CONNECTIONS / BATCH) {
                let address = listener.local_addr().unwrap();
                flux::scope(|s| {
                    for number in 0..BATCH {
                        let client = move || come_and_go(number, address).unwrap();
                        s.spawn_fiber(Fiber::new(StackClass::Small, "client", client));
                    }
                    for stream in listener.incoming().take(BATCH) {
                        let stream = stream.unwrap();
                        let server = move || answer(stream);
                        s.spawn_fiber(Fiber::new(StackClass::Small, "server", server));
                    }
                });
                assert_eq!((descriptors(), in_use()), before);
            }
            let after = flux::stats();
            assert_eq!((after.ops_in_flight, after.overflow_depth), (0, 0));
            assert_eq!(after.deadlines, 0);
        })
        .unwrap();
    });
}
