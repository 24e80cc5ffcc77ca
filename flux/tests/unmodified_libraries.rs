//! Libraries that were written for std's blocking sockets run on fibers as they are.
//!
//! tungstenite is one that its authors would recognise: nothing here adapts it. std's own readers, writers
//! and copies stand for the rest.

mod common;

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::{config, fibers, run};
use flux::net::{TcpListener, TcpStream};
use flux::{StackClass, spawn, yield_now};
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

/// A listener on loopback, and its address.
fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).unwrap()
}

/// A WebSocket is larger than the slot of a control block, so that it goes into a fiber in a box.
type Boxed = Box<WebSocket<TcpStream>>;

/// The two ends of a WebSocket, after the handshake.
fn web_sockets() -> (Boxed, Boxed) {
    let (listener, address) = listen();
    let server = spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        Box::new(tungstenite::accept(stream).unwrap())
    });
    let (client, response) = tungstenite::client("ws://localhost/feed", connect(address)).unwrap();
    assert_eq!(response.status(), 101);
    (Box::new(client), server.join().unwrap())
}

/// A message of a feed: its number, and a length that differs from one to the next.
fn quote(number: usize) -> String {
    let filler = "0123456789".repeat(number * 7 % 40);
    format!(r#"{{"u":{number},"b":[["61659.70","{filler}"]]}}"#)
}

/// Answers all that comes until the other side closes, and says how much it was.
fn echo(mut socket: WebSocket<impl Read + Write>) -> usize {
    let mut answered = 0;
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                socket.send(message).unwrap();
                answered += 1;
            }
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return answered,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Closes a socket in good manners, and expects the same of the other side.
fn close(mut socket: WebSocket<impl Read + Write>) {
    let frame = CloseFrame {
        code: CloseCode::Normal,
        reason: "done".into(),
    };
    socket.close(Some(frame.clone())).unwrap();
    loop {
        match socket.read() {
            Ok(Message::Close(answer)) => assert_eq!(answer.as_ref(), Some(&frame)),
            Ok(message) => panic!("after the close: {message}"),
            Err(Error::ConnectionClosed) => break,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_thousand_messages_go_both_ways_in_their_order() {
    fibers(|| {
        let (mut client, server) = web_sockets();
        let server = spawn(move || echo(*server));
        for number in 0..1000 {
            client.send(Message::text(quote(number))).unwrap();
            let answer = client.read().unwrap();
            assert_eq!(answer.to_text().unwrap(), quote(number));
        }
        close(*client);
        assert_eq!(server.join().unwrap(), 1000);
    });
}

#[test]
fn both_sides_send_without_waiting_for_an_answer() {
    fibers(|| {
        let (client, server) = web_sockets();
        let follow = |mut socket: Boxed| {
            for number in 0..500 {
                socket.write(Message::text(quote(number))).unwrap();
                if number % 10 == 0 {
                    socket.flush().unwrap();
                    yield_now().unwrap();
                }
            }
            socket.flush().unwrap();
            for number in 0..500 {
                assert_eq!(socket.read().unwrap().to_text().unwrap(), quote(number));
            }
            // Kept open until the other side has read all of it.
            socket
        };
        flux::scope(|s| {
            let server = s.spawn(|| follow(server));
            let client = s.spawn(|| follow(client));
            drop((server.join().unwrap(), client.join().unwrap()));
        });
    });
}

/// A stream that takes and gives a few bytes at a time, so that frames are torn wherever they can be.
struct Torn {
    stream: TcpStream,
    calls: Cell<usize>,
}

impl Torn {
    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            calls: Cell::new(0),
        }
    }

    /// The next of some small lengths, letting the other side see what there is so far.
    fn few(&self, len: usize) -> usize {
        let calls = self.calls.get();
        self.calls.set(calls + 1);
        if calls.is_multiple_of(5) {
            yield_now().unwrap();
        }
        len.min(1 + calls % 7)
    }
}

impl Read for Torn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let few = self.few(buffer.len());
        self.stream.read(&mut buffer[..few])
    }
}

impl Write for Torn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let few = self.few(bytes.len());
        self.stream.write(&bytes[..few])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[test]
fn frames_and_handshakes_that_come_in_pieces_are_put_together() {
    fibers(|| {
        let (listener, address) = listen();
        let server = spawn(move || {
            let stream = Torn::new(listener.accept().unwrap().0);
            echo(tungstenite::accept(stream).unwrap())
        });
        let stream = Torn::new(connect(address));
        let (mut client, _) = tungstenite::client("ws://localhost/feed", stream).unwrap();
        for number in 0..50 {
            client.send(Message::text(quote(number))).unwrap();
            assert_eq!(client.read().unwrap().to_text().unwrap(), quote(number));
        }
        // A message in several frames, with a ping between two of them.
        let part = |bytes: &'static [u8], data, is_last| {
            Message::Frame(Frame::message(bytes, OpCode::Data(data), is_last))
        };
        client.send(part(b"61659", Data::Text, false)).unwrap();
        client.send(Message::Ping(b"?"[..].into())).unwrap();
        client.send(part(b".", Data::Continue, false)).unwrap();
        client.send(part(b"70", Data::Continue, true)).unwrap();
        assert_eq!(client.read().unwrap(), Message::Pong(b"?"[..].into()));
        assert_eq!(client.read().unwrap(), Message::text("61659.70"));
        close(client);
        assert_eq!(server.join().unwrap(), 51);
    });
}

#[test]
fn a_ping_is_answered_while_the_other_side_only_reads() {
    fibers(|| {
        let (mut client, server) = web_sockets();
        let server = spawn(move || echo(*server));
        for payload in ["", "a", "heartbeat 1700000000000"] {
            client.send(Message::Ping(payload.into())).unwrap();
            assert_eq!(client.read().unwrap(), Message::Pong(payload.into()));
        }
        close(*client);
        assert_eq!(server.join().unwrap(), 0);
    });
}

#[test]
fn a_message_larger_than_the_sockets_buffers_comes_whole() {
    const BYTES: usize = 8 << 20;
    fibers(|| {
        let (mut client, server) = web_sockets();
        let server = spawn(move || echo(*server));
        let book: Vec<u8> = (0..BYTES)
            .map(|at| ((at * 31) >> 3).to_le_bytes()[0])
            .collect();
        client.send(Message::binary(book.clone())).unwrap();
        assert!(client.read().unwrap().into_data() == book);
        close(*client);
        assert_eq!(server.join().unwrap(), 1);
    });
}

#[test]
fn sixteen_connections_share_the_core() {
    const CONNECTIONS: usize = 16;
    const MESSAGES: usize = 100;
    let config = config().stacks(StackClass::Medium, 2 * CONNECTIONS + 4);
    run(config, || {
        let (listener, address) = listen();
        let most_at_once = Cell::new(0);
        let open = Cell::new(0);
        flux::scope(|s| {
            let clients: Vec<_> = (0..CONNECTIONS)
                .map(|client| {
                    let (open, most_at_once) = (&open, &most_at_once);
                    s.spawn(move || {
                        let stream = connect(address);
                        let (mut socket, _) =
                            tungstenite::client("ws://localhost/", stream).unwrap();
                        open.set(open.get() + 1);
                        most_at_once.set(open.get().max(most_at_once.get()));
                        for number in 0..MESSAGES {
                            let text = quote(client * MESSAGES + number);
                            socket.send(Message::text(text.as_str())).unwrap();
                            assert_eq!(socket.read().unwrap().to_text().unwrap(), text);
                        }
                        close(socket);
                        open.set(open.get() - 1);
                    })
                })
                .collect();
            let servers: Vec<_> = listener
                .incoming()
                .take(CONNECTIONS)
                .map(|stream| {
                    let stream = stream.unwrap();
                    s.spawn(move || echo(tungstenite::accept(stream).unwrap()))
                })
                .collect();
            for server in servers {
                assert_eq!(server.join().unwrap(), MESSAGES);
            }
            for client in clients {
                client.join().unwrap();
            }
        });
        assert_eq!(most_at_once.get(), CONNECTIONS, "none waited for another");
    })
    .unwrap();
}

#[test]
fn a_peer_that_breaks_the_protocol_or_leaves_is_the_librarys_error() {
    fibers(|| {
        // In the middle of a frame.
        let (client, mut server) = web_sockets();
        let mut raw = client.get_ref();
        raw.write_all(&[0x81, 0xff, 0]).unwrap();
        drop(client);
        assert!(matches!(
            server.read(),
            Err(Error::Protocol(_) | Error::Io(_))
        ));
        // Garbage in place of frames.
        let (client, mut server) = web_sockets();
        let mut raw = client.get_ref();
        raw.write_all(&b"HTTP/1.1 200 OK\r\n".repeat(10)).unwrap();
        assert!(matches!(server.read(), Err(Error::Protocol(_))));
        // Garbage in place of a handshake.
        let (listener, address) = listen();
        let server = spawn(move || tungstenite::accept(listener.accept().unwrap().0).is_err());
        connect(address)
            .write_all(b"\x16\x03\x01 hello\r\n\r\n")
            .unwrap();
        assert!(server.join().unwrap());
    });
}

#[test]
fn a_cancelled_or_late_fiber_leaves_the_library_by_its_own_errors() {
    fibers(|| {
        let (mut client, mut server) = web_sockets();
        let reading = spawn(move || match client.read() {
            Err(Error::Io(error)) => error.raw_os_error(),
            other => panic!("{other:?}"),
        });
        yield_now().unwrap();
        reading.cancel();
        assert_eq!(reading.join().unwrap(), Some(125), "ECANCELED");
        assert!(server.read().is_err(), "its peer has gone");

        let (mut client, mut server) = web_sockets();
        let late = flux::timeout(Duration::from_millis(2), || client.read());
        match late.unwrap_err().into_inner() {
            Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::TimedOut),
            other => panic!("{other:?}"),
        }
        // Nothing was half-read: the next message is whole.
        server.send(Message::text("61659.70")).unwrap();
        assert_eq!(client.read().unwrap(), Message::text("61659.70"));
    });
}

// std's own.

#[test]
fn lines_are_read_through_a_buffer() {
    fibers(|| {
        let (listener, address) = listen();
        let server = spawn(move || {
            let mut writer = BufWriter::with_capacity(100, listener.accept()?.0);
            for number in 0..1000 {
                writeln!(writer, "{}", quote(number))?;
            }
            writer.flush()
        });
        let lines = BufReader::with_capacity(64, connect(address)).lines();
        let mut count = 0;
        for (number, line) in lines.enumerate() {
            assert_eq!(line.unwrap(), quote(number));
            count += 1;
        }
        assert_eq!(count, 1000);
        server.join().unwrap().unwrap();
    });
}

#[test]
fn copies_go_through_a_chain_of_fibers() {
    fibers(|| {
        let bytes: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_le_bytes).collect();
        let (last, last_address) = listen();
        let (middle, middle_address) = listen();
        flux::scope(|s| {
            s.spawn(|| {
                let (from, _) = middle.accept().unwrap();
                let to = connect(last_address);
                let copied = io::copy(&mut &from, &mut &to).unwrap();
                assert_eq!(copied, bytes.len() as u64);
            });
            s.spawn(|| {
                let copied = io::copy(&mut bytes.as_slice(), &mut connect(middle_address));
                assert_eq!(copied.unwrap(), bytes.len() as u64);
            });
            let mut received = Vec::new();
            let (stream, _) = last.accept().unwrap();
            let mut limited = (&stream).take(1000);
            limited.read_to_end(&mut received).unwrap();
            assert_eq!(received.len(), 1000, "`take` leaves the rest");
            (&stream).read_to_end(&mut received).unwrap();
            assert!(received == bytes, "the bytes came changed");
        });
    });
}

#[test]
fn texts_and_their_ends_are_told_as_std_tells_them() {
    fibers(|| {
        let (listener, address) = listen();
        let server = spawn(move || {
            let mut stream = listener.accept()?.0;
            write!(stream, "{} \u{20bf}", 61659)
        });
        let mut text = String::new();
        connect(address).read_to_string(&mut text).unwrap();
        assert_eq!(text, "61659 \u{20bf}");
        server.join().unwrap().unwrap();
        let (listener, address) = listen();
        let server = spawn(move || listener.accept()?.0.write_all(&[0xff, 0xfe]));
        let mut stream = connect(address);
        let error = stream.read_to_string(&mut String::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        server.join().unwrap().unwrap();
        let (listener, address) = listen();
        let server = spawn(move || listener.accept()?.0.write_all(b"half"));
        let error = connect(address).read_exact(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        server.join().unwrap().unwrap();
    });
}

#[test]
fn a_library_may_set_its_own_limits_on_a_stream() {
    fibers(|| {
        let (listener, address) = listen();
        let server = spawn(move || {
            let stream = listener.accept().unwrap().0;
            let config = WebSocketConfig::default().max_message_size(Some(64));
            let mut socket = tungstenite::accept_with_config(stream, Some(config)).unwrap();
            matches!(socket.read(), Err(Error::Capacity(_)))
        });
        let (mut client, _) = tungstenite::client("ws://localhost/", connect(address)).unwrap();
        client.send(Message::text("x".repeat(65))).unwrap();
        assert!(server.join().unwrap());
    });
}
