//! Whoever is at the other end: comes, does not come, or goes away in the middle.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use flux::net::{TcpListener, TcpStream};
use flux::spawn;
use flux::time::{Instant, sleep};
use socket2::{Domain, SockRef, Socket, Type};

use crate::common::{fibers, pair, passes_alone, settle};
use crate::streams::{MIB, pattern};
use crate::{LOCALHOST, SHORT, kind, narrow_pair, refusing, reset};

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
fn bytes_behind_urgent_ones_are_read_though_nothing_comes_after_them() {
    fibers(|| {
        let (client, server) = pair();
        for round in 0..3 {
            let reading = spawn({
                let server = server.try_clone().unwrap();
                move || {
                    // A read stops where the urgent byte stood, whatever it asked for.
                    let (mut bytes, mut all) = ([0; 64], Vec::new());
                    while all.len() < 6 {
                        let count = (&server).read(&mut bytes).unwrap();
                        all.extend_from_slice(&bytes[..count]);
                    }
                    all
                }
            });
            settle();
            (&client).write_all(b"abc").unwrap();
            let sent = SockRef::from(&client).send_out_of_band(b"!").unwrap();
            assert_eq!(sent, 1);
            (&client).write_all(b"def").unwrap();
            assert_eq!(reading.join().unwrap(), b"abcdef", "round {round}");
        }
    });
}

#[test]
fn writing_to_nobody_is_an_error_and_never_a_signal() {
    passes_alone(
        "peers::writing_to_nobody_is_an_error_and_never_a_signal",
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
