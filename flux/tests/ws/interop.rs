//! tungstenite at the other end, over real sockets: both roles, on fibers and on a thread of its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use flux::net::{Feed, TcpListener, TcpStream};
use flux::ws::{self, Config, Error, Kind, Message, Request, WebSocket, code};
use flux::{StackClass, spawn};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::common::fibers;

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// What is sent in several frames leaves frame by frame.
fn feed(stream: TcpStream) -> Feed {
    stream.set_nodelay(true).unwrap();
    stream.into_feed().unwrap()
}

/// Our client, of whoever serves there.
fn client(address: SocketAddr) -> WebSocket<Feed> {
    let feed = feed(TcpStream::connect(address).unwrap());
    ws::connect(feed, Request::new("localhost", "/feed")).unwrap()
}

/// Our server, of the next client.
fn server(listener: &TcpListener) -> WebSocket<Feed> {
    let (stream, _) = listener.accept().unwrap();
    ws::accept(feed(stream), Config::new()).unwrap()
}

/// Sends back what comes until the end; in frames of `part` bytes, if it is given.
fn echo(socket: &mut WebSocket<Feed>, part: Option<usize>) {
    let mut again = Vec::new();
    while let Some(message) = socket.read().unwrap() {
        let kind = message.kind();
        again.clear();
        again.extend_from_slice(message.as_bytes());
        match part {
            None => socket.send(kind, &again, true).unwrap(),
            Some(part) => {
                for part in again.chunks(part) {
                    socket.send(kind, part, false).unwrap();
                }
                socket.send(kind, b"", true).unwrap();
            }
        }
    }
}

/// The same, by tungstenite, on any stream.
fn their_echo(mut socket: tungstenite::WebSocket<impl Read + Write>) {
    loop {
        match socket.read() {
            Ok(message @ (tungstenite::Message::Text(_) | tungstenite::Message::Binary(_))) => {
                socket.send(message).unwrap();
            }
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A text of so many bytes or one less, with characters of several.
fn text(len: usize) -> String {
    let mut text: String = "0123456789€κ".chars().cycle().take(len).collect();
    text.truncate(text.floor_char_boundary(len));
    text
}

const LENGTHS: [usize; 9] = [0, 1, 125, 126, 127, 5000, 65_535, 65_536, 200_000];

fn ask(socket: &mut WebSocket<Feed>) {
    for len in LENGTHS {
        let text = text(len);
        socket.send_text(&text).unwrap();
        assert_eq!(socket.read().unwrap(), Some(Message::Text(&text)));
        for part in text.as_bytes().chunks(len / 10 + 1) {
            socket.send(Kind::Binary, part, false).unwrap();
            socket.ping(b"between").unwrap();
        }
        socket.send(Kind::Binary, b"", true).unwrap();
        assert_eq!(
            socket.read().unwrap(),
            Some(Message::Binary(text.as_bytes()))
        );
    }
}

fn close(mut socket: WebSocket<Feed>) {
    socket.close(code::NORMAL, "done").unwrap();
    assert_eq!(socket.read().unwrap(), None);
    assert_eq!(socket.close_code(), Some(code::NORMAL));
}

#[test]
fn our_client_and_their_server_on_fibers() {
    fibers(|| {
        let (listener, address) = listen();
        let server = spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            their_echo(tungstenite::accept(stream).unwrap());
        });
        let mut socket = client(address);
        ask(&mut socket);
        assert!(socket.pongs() > 0);
        close(socket);
        server.join().unwrap();
    });
}

#[test]
fn our_client_and_their_server_on_a_thread() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        their_echo(tungstenite::accept(stream).unwrap());
    });
    fibers(move || {
        let mut socket = client(address);
        ask(&mut socket);
        close(socket);
    });
    server.join().unwrap();
}

#[test]
fn our_server_and_their_client() {
    for part in [None, Some(1), Some(100)] {
        fibers(move || {
            let (listener, address) = listen();
            let server = spawn(move || {
                let mut socket = server(&listener);
                echo(&mut socket, part);
                assert_eq!(
                    (socket.close_code(), socket.close_reason()),
                    (Some(1001), Some("away"))
                );
            });
            let stream = TcpStream::connect(address).unwrap();
            let (mut socket, _) = tungstenite::client("ws://localhost/feed", stream).unwrap();
            for len in LENGTHS {
                let len = if part == Some(1) { len.min(5000) } else { len };
                let message = tungstenite::Message::text(text(len));
                socket.send(message.clone()).unwrap();
                assert_eq!(socket.read().unwrap(), message);
            }
            // A message in parts, with pings between them, and a flood of pings behind it.
            let parts = [
                (Data::Binary, &b"in "[..], false),
                (Data::Continue, b"parts", true),
            ];
            for (data, payload, last) in parts {
                let frame = Frame::message(payload.to_vec(), OpCode::Data(data), last);
                socket.send(tungstenite::Message::Frame(frame)).unwrap();
                for number in 0..100_u8 {
                    socket
                        .send(tungstenite::Message::Ping(vec![number].into()))
                        .unwrap();
                }
            }
            let mut pongs = (0..100_u8).chain(0..100);
            loop {
                match socket.read().unwrap() {
                    tungstenite::Message::Pong(payload) => {
                        assert_eq!(payload[..], [pongs.next().unwrap()]);
                    }
                    message => {
                        assert_eq!(message, tungstenite::Message::binary(&b"in parts"[..]));
                        break;
                    }
                }
            }
            let frame = CloseFrame {
                code: CloseCode::Away,
                reason: "away".into(),
            };
            socket.close(Some(frame)).unwrap();
            for number in pongs {
                assert_eq!(
                    socket.read().unwrap(),
                    tungstenite::Message::Pong(vec![number].into())
                );
            }
            assert!(matches!(
                socket.read().unwrap(),
                tungstenite::Message::Close(Some(_))
            ));
            assert!(matches!(
                socket.read(),
                Err(tungstenite::Error::ConnectionClosed)
            ));
            server.join().unwrap();
        });
    }
}

/// Writes one byte at a time, each of which leaves at once.
struct Dribble(std::net::TcpStream);

impl Write for Dribble {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

#[test]
fn bytes_that_come_one_by_one_make_the_same_messages_in_both_roles() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let dribbled = move |stream: std::net::TcpStream| {
        stream.set_nodelay(true).unwrap();
        Dribble(stream)
    };
    let serving = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        their_echo(tungstenite::accept(dribbled(stream)).unwrap());
    });
    fibers(move || {
        let mut socket = client(address);
        for len in [0, 126, 3000] {
            let text = text(len);
            socket.send_text(&text).unwrap();
            assert_eq!(socket.read().unwrap(), Some(Message::Text(&text)));
        }
        close(socket);
        let (listener, address) = listen();
        let asking = thread::spawn(move || {
            let stream = dribbled(std::net::TcpStream::connect(address).unwrap());
            let (mut socket, _) = tungstenite::client("ws://localhost/feed", stream).unwrap();
            for len in [0, 126, 3000] {
                let message = tungstenite::Message::text(text(len));
                socket.send(message.clone()).unwrap();
                assert_eq!(socket.read().unwrap(), message);
            }
            socket.close(None).unwrap();
            while socket.read().is_ok() {}
        });
        let mut socket = server(&listener);
        echo(&mut socket, None);
        drop(socket);
        // The socket is closed by the reactor's next turn, and the thread waits for that.
        while !asking.is_finished() {
            flux::time::sleep(Duration::from_millis(1)).unwrap();
        }
        asking.join().unwrap();
    });
    serving.join().unwrap();
}

#[test]
fn a_read_that_timed_out_or_was_cancelled_leaves_a_connection_that_works() {
    fibers(|| {
        let (listener, address) = listen();
        let serving = spawn(move || {
            let mut socket = server(&listener);
            let again = socket.read().unwrap().unwrap().as_bytes().to_vec();
            socket.send(Kind::Binary, &again, false).unwrap();
            // The rest of the message waits until it is asked for.
            socket.read().unwrap();
            socket.send(Kind::Binary, b"rest", true).unwrap();
            assert_eq!(socket.read().unwrap(), None);
        });
        let mut socket = Box::new(client(address));
        socket.send_text("begin ").unwrap();
        let error =
            flux::timeout(Duration::from_millis(20), || socket.read().map(drop)).unwrap_err();
        let error = std::io::Error::from(error.into_inner().unwrap_err());
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        let reader = flux::Builder::new()
            .stack(StackClass::Medium)
            .spawn(move || {
                let error = std::io::Error::from(socket.read().unwrap_err());
                assert_eq!(error.raw_os_error(), Some(libc_ecanceled()));
                flux::shielded(|| {
                    socket.send_text("go on").unwrap();
                    assert_eq!(socket.read().unwrap(), Some(Message::Binary(b"begin rest")));
                    close(*socket);
                });
            });
        flux::yield_now().unwrap();
        reader.cancel();
        reader.join().unwrap();
        serving.join().unwrap();
    });
}

fn libc_ecanceled() -> i32 {
    std::io::Error::from(flux::Stopped::Cancelled)
        .raw_os_error()
        .unwrap()
}

#[test]
fn a_peer_that_never_ends_the_connection_is_waited_for_no_longer_than_it_may() {
    fibers(|| {
        let (listener, address) = listen();
        let (ended, end) = flux::sync::channel::<()>(1);
        let serving = spawn(move || {
            let mut socket = server(&listener);
            assert_eq!(socket.read().unwrap(), None);
            // Closed as the protocol has it; the connection below stays until the client has gone on.
            end.recv().unwrap();
        });
        let feed = feed(TcpStream::connect(address).unwrap());
        let wait = Duration::from_millis(30);
        let request = Request::new("localhost", "/").config(Config::new().close_wait(wait));
        let mut socket = ws::connect(feed, request).unwrap();
        socket.close(code::NORMAL, "").unwrap();
        let began = flux::time::now_precise();
        assert_eq!(socket.read().unwrap(), None);
        assert!(flux::time::now_precise() - began >= wait);
        ended.send(()).unwrap();
        serving.join().unwrap();
    });
}

#[test]
fn a_peer_that_resets_is_an_error_of_the_wire_and_nothing_else_is_disturbed() {
    fibers(|| {
        let (listener, address) = listen();
        let serving = spawn(move || {
            let mut first = server(&listener);
            let mut second = server(&listener);
            let error = first.read().unwrap_err();
            assert!(matches!(error, Error::Io(_)), "{error}");
            echo(&mut second, None);
        });
        let first = client(address);
        let mut second = client(address);
        socket2::SockRef::from(first.get_ref())
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(first);
        ask(&mut second);
        close(second);
        serving.join().unwrap();
    });
}
