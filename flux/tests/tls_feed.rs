//! TLS over feeds of real sockets, with a rustls server on a thread: on every engine (`FLUX_ENGINE`).

#![cfg(all(unix, feature = "tls"))]
#![allow(
    clippy::disallowed_methods,
    reason = "the server has a thread of its own, which may block"
)]

mod common;

#[path = "tls/certificates.rs"]
mod certificates;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use certificates::{Authority, HOST, offers};
use common::fibers;
use flux::net::{Feed, TcpStream, Wire};
use flux::tls::{Connector, Error, Fault, Stream};
use flux::{Stopped, spawn, timeout};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

type Served = StreamOwned<ServerConnection, std::net::TcpStream>;

/// Accepts one connection on a thread, shakes hands, and does `work` with it.
fn served<T: Send + 'static>(
    config: Arc<ServerConfig>,
    work: impl FnOnce(Served) -> T + Send + 'static,
) -> (SocketAddr, thread::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(config).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).unwrap();
        }
        work(StreamOwned::new(connection, socket))
    });
    (address, server)
}

fn feed(address: SocketAddr) -> Feed {
    TcpStream::connect(address).unwrap().into_feed().unwrap()
}

fn fault(error: &io::Error) -> Fault {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Error::Broken(fault)) => *fault,
        _ => panic!("{error:?} is no fault of TLS"),
    }
}

/// Longer than anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many bytes the longest of the streams brings.
const TOTAL: usize = 3 << 20;

/// The byte at a place of an endless stream.
fn bytes_from(place: usize, count: usize) -> Vec<u8> {
    (place..place + count)
        .map(|place| u8::try_from(place * 31 % 251).unwrap())
        .collect()
}

#[test]
fn megabytes_come_in_records_of_all_sizes_with_changes_of_keys_between() {
    for offer in offers() {
        let authority = Authority::new();
        let config = authority.server(HOST, (2020, 2090), &offer);
        let connector = Connector::new(authority.roots());
        let (address, server) = served(config, |mut stream| {
            let (mut sent, mut round) = (0, 0_usize);
            while sent < TOTAL {
                let len = [1, 280, 1_600, 16_384, 50_000][round % 5].min(TOTAL - sent);
                stream.write_all(&bytes_from(sent, len)).unwrap();
                sent += len;
                round += 1;
                let thirteen =
                    stream.conn.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
                if thirteen && round.is_multiple_of(50) {
                    stream.conn.refresh_traffic_keys().unwrap();
                }
            }
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            let mut back = Vec::new();
            stream.read_to_end(&mut back).unwrap();
            back
        });
        fibers(move || {
            let mut stream = connector.connect(feed(address), HOST).unwrap();
            let (mut read, mut step) = (0, 0);
            loop {
                let before = stream.unread().len();
                let count = stream.fill().unwrap();
                if count == before {
                    break;
                }
                // Leaves something over in two of three rounds.
                step = (step + 1) % 3;
                let taken = count - [0, 7, 200][step].min(count);
                assert!(stream.unread()[..taken] == bytes_from(read, taken));
                stream.consume(taken);
                read += taken;
                stream.write_all(&[1]).unwrap();
            }
            assert_eq!(read + stream.unread().len(), TOTAL);
            stream.close().unwrap();
        });
        assert!(server.join().unwrap().iter().all(|byte| *byte == 1));
    }
}

#[test]
fn a_wait_that_is_timed_out_or_cancelled_loses_nothing() {
    let authority = Authority::new();
    let config = authority.server(HOST, (2020, 2090), &offers()[0]);
    let connector = Connector::new(authority.roots());
    let (address, server) = served(config, |mut stream| {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        stream.write_all(b"late").unwrap();
        // The end of the client, by `close_notify` of a stream that is dropped.
        assert_eq!(stream.read(&mut byte).unwrap(), 0);
    });
    fibers(move || {
        let mut stream = connector.connect(feed(address), HOST).unwrap();
        let waited = timeout(Duration::from_millis(5), || stream.fill());
        let error = waited.unwrap_err().into_inner().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let waiting = spawn(move || {
            let error = stream.fill().unwrap_err();
            let cancelled = io::Error::from(Stopped::Cancelled);
            assert_eq!(error.raw_os_error(), cancelled.raw_os_error());
            flux::shielded(|| {
                stream.write_all(b"!").unwrap();
                assert_eq!(stream.fill().unwrap(), 4);
                assert_eq!(stream.unread(), b"late");
                drop(stream);
            });
        });
        flux::yield_now().unwrap();
        waiting.cancel();
        waiting.join().unwrap();
    });
    server.join().unwrap();
}

#[test]
fn a_server_that_resets_or_ends_in_mid_handshake_is_named() {
    for reset in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            // With bytes that nobody read a socket that is closed resets; without, it ends.
            let mut hello = vec![0; if reset { 1 } else { 4096 }];
            let _some = socket.read(&mut hello).unwrap();
        });
        fibers(move || {
            let connector = Connector::new(Authority::new().roots());
            let error = connector.connect(feed(address), HOST).unwrap_err();
            if reset {
                let error = io::Error::from(error);
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            } else {
                assert!(matches!(error, Error::HandshakeEnded { .. }), "{error}");
            }
        });
        server.join().unwrap();
    }
}

#[test]
fn a_deadline_ends_a_handshake_with_a_server_that_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    fibers(move || {
        let connector = Connector::new(Authority::new().roots());
        let shaken = timeout(Duration::from_millis(5), || {
            connector.connect(feed(address), HOST).map(drop)
        });
        let error = shaken.unwrap_err().into_inner().unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::TimedOut));
    });
    drop(listener);
}

/// A feed whose other side takes nothing any more, once it is told so.
struct Stuck {
    feed: Feed,
    is_stuck: bool,
}

impl Wire for Stuck {
    fn fill(&mut self) -> io::Result<usize> {
        self.feed.fill()
    }

    fn unread(&self) -> &[u8] {
        self.feed.unread()
    }

    fn unread_mut(&mut self) -> &mut [u8] {
        self.feed.unread_mut()
    }

    fn consume(&mut self, count: usize) {
        self.feed.consume(count);
    }

    fn capacity(&self) -> usize {
        self.feed.capacity()
    }
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_stuck {
            flux::time::sleep(Duration::from_hours(1))?;
        }
        self.feed.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.feed.flush()
    }
}

fn stuck(connector: &Connector, address: SocketAddr) -> Stream<Stuck> {
    let wire = Stuck {
        feed: feed(address),
        is_stuck: false,
    };
    let mut stream = connector.connect(wire, HOST).unwrap();
    stream.get_mut().is_stuck = true;
    assert!(stream.get_ref().is_stuck);
    stream
}

#[test]
fn an_alert_does_not_wait_for_a_server_that_reads_nothing() {
    let authority = Authority::new();
    let connector = Connector::new(authority.roots());
    let config = authority.server(HOST, (2020, 2090), &offers()[0]);
    let (address, server) = served(config, |mut stream| {
        stream.write_all(b"data").unwrap();
        stream.sock.write_all(&[23, 3, 3, 0, 30]).unwrap();
        stream.sock.write_all(&[0; 30]).unwrap();
        stream.sock.read_to_end(&mut Vec::new()).unwrap();
    });
    fibers(move || {
        let mut stream = stuck(&connector, address);
        let told = timeout(PATIENCE, move || {
            assert_eq!(stream.fill().unwrap(), 4);
            assert_eq!(fault(&stream.fill().unwrap_err()), Fault::BadMac);
        });
        told.expect("it does not wait");
    });
    server.join().unwrap();
}

#[test]
fn an_answer_to_an_update_of_keys_does_not_hold_up_what_follows() {
    let authority = Authority::new();
    let connector = Connector::new(authority.roots());
    let config = authority.server(HOST, (2020, 2090), &offers()[0]);
    let (address, server) = served(config, |mut stream| {
        stream.conn.refresh_traffic_keys().unwrap();
        stream.write_all(b"data").unwrap();
        let mut back = [0; 4];
        stream.read_exact(&mut back).unwrap();
        back
    });
    fibers(move || {
        let mut stream = stuck(&connector, address);
        let answered = timeout(PATIENCE, move || {
            assert_eq!(stream.fill().unwrap(), 4);
            stream.get_mut().is_stuck = false;
            stream.write_all(b"back").unwrap();
            // And being dropped does not wait either.
            stream.get_mut().is_stuck = true;
            drop(stream);
        });
        answered.expect("it does not wait");
    });
    assert_eq!(&server.join().unwrap(), b"back");
}

/// Writes in `no_suspend` until the socket takes no more, which panics; what was written, whole records alone.
fn write_until_full<W: Wire>(stream: &mut Stream<W>) -> usize {
    let mut written = 0;
    let full = catch_unwind(AssertUnwindSafe(|| {
        flux::no_suspend(|| {
            loop {
                written += stream.write(&bytes_from(written, 16_384)).unwrap();
            }
        })
    }));
    assert!(full.is_err(), "it takes no more");
    written
}

#[test]
fn nothing_follows_a_record_whose_write_would_have_suspended_where_that_is_forbidden() {
    for offer in offers() {
        let authority = Authority::new();
        let connector = Connector::new(authority.roots());
        let config = authority.server(HOST, (2020, 2090), &offer);
        let (read, may_read) = std::sync::mpsc::channel();
        let (address, server) = served(config, move |mut stream| {
            stream.write_all(b"go").unwrap();
            may_read.recv().unwrap();
            let mut all = Vec::new();
            let mut piece = vec![0; 1 << 16];
            loop {
                match stream.read(&mut piece) {
                    Ok(0) => return (all, None),
                    Ok(count) => all.extend_from_slice(&piece[..count]),
                    Err(error) => return (all, Some(error.kind())),
                }
            }
        });
        let written = fibers(move || {
            let mut stream = connector.connect(feed(address), HOST).unwrap();
            // With tickets that nobody read the socket would reset, rather than end.
            assert_eq!(stream.fill().unwrap(), 2);
            let written = write_until_full(&mut stream);
            read.send(()).unwrap();
            flux::time::sleep(Duration::from_millis(50)).unwrap();
            assert_eq!(
                fault(&stream.write(b"more").unwrap_err()),
                Fault::PartialWrite
            );
            written
        });
        let (all, error) = server.join().unwrap();
        assert!(all == bytes_from(0, written), "{} of {written}", all.len());
        assert_eq!(error, Some(ErrorKind::UnexpectedEof));
    }
}

#[test]
fn a_stream_that_is_dropped_where_suspending_is_forbidden_does_not_panic() {
    let authority = Authority::new();
    let connector = Connector::new(authority.roots());
    let config = authority.server(HOST, (2020, 2090), &offers()[0]);
    let (address, server) = served(config, |mut stream| {
        stream.write_all(b"go").unwrap();
        stream.read(&mut [0; 8])
    });
    fibers(move || {
        let mut stream = stuck(&connector, address);
        assert_eq!(stream.fill().unwrap(), 2);
        flux::no_suspend(|| drop(stream));
    });
    assert_eq!(
        server.join().unwrap().unwrap_err().kind(),
        ErrorKind::UnexpectedEof
    );
}

#[cfg(feature = "ws")]
#[test]
fn a_websocket_runs_over_it_unchanged() {
    use flux::ws::{self, Message, Request};
    use tungstenite::Message as Theirs;

    for offer in offers() {
        let authority = Authority::new();
        let connector = Connector::new(authority.roots());
        let config = authority.server(HOST, (2020, 2090), &offer);
        let (address, server) = served(config, |stream| {
            let mut socket = tungstenite::accept(stream).unwrap();
            let mut echoed = 0;
            loop {
                match socket.read() {
                    Ok(message @ (Theirs::Text(_) | Theirs::Binary(_))) => {
                        socket.send(Theirs::Ping(vec![7; 9].into())).unwrap();
                        socket.send(message).unwrap();
                        echoed += 1;
                    }
                    Ok(_) => {}
                    Err(tungstenite::Error::ConnectionClosed) => return echoed,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        fibers(move || {
            let stream = connector.connect(feed(address), HOST).unwrap();
            let mut socket = ws::connect(stream, Request::new(HOST, "/quotes")).unwrap();
            for len in (0..300).chain([1_600, 16_384, 70_000]) {
                let bytes = bytes_from(len, len);
                socket.send_binary(&bytes).unwrap();
                assert!(
                    matches!(socket.read().unwrap(), Some(Message::Binary(back)) if *back == bytes)
                );
            }
            socket.close(ws::code::NORMAL, "done").unwrap();
            assert!(socket.read().unwrap().is_none());
            assert_eq!(socket.pings(), 303);
        });
        assert_eq!(server.join().unwrap(), 303);
    }
}
