//! Between the handshake and the close frame nothing is allocated: counted, in a process of its own.

#[path = "common/counting.rs"]
mod counting;

use counting::allocates_nothing;
use flux::net::{Feed, TcpListener, TcpStream};
use flux::ws::{self, Config, Kind, Message, Request, WebSocket};
use flux::{Core, spawn};

const ROUNDS: usize = 1000;

/// Sends back what comes, from memory that is there already; a text comes back in two parts.
fn echo(socket: &mut WebSocket<Feed>) {
    let mut again = vec![0; 200_000];
    loop {
        let (kind, len) = match socket.read().unwrap() {
            Some(message) => {
                let bytes = message.as_bytes();
                again[..bytes.len()].copy_from_slice(bytes);
                (message.kind(), bytes.len())
            }
            None => return,
        };
        if kind == Kind::Text {
            let (first, last) = again[..len].split_at(len / 2);
            socket.send(kind, first, false).unwrap();
            socket.send(kind, last, true).unwrap();
        } else {
            socket.send_binary(&again[..len]).unwrap();
        }
    }
}

#[test]
fn no_message_allocates_in_either_direction_or_role() {
    flux::Config::new()
        .core(Core::None)
        .run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = spawn(move || {
                let (stream, _) = listener.accept().unwrap();
                stream.set_nodelay(true).unwrap();
                let mut socket = ws::accept(stream.into_feed().unwrap(), Config::new()).unwrap();
                echo(&mut socket);
            });
            let stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            let feed = stream.into_feed().unwrap();
            let mut socket = ws::connect(feed, Request::new("localhost", "/")).unwrap();
            let (quote, long) = ("61659.70 €".repeat(20), vec![7; 200_000]);
            allocates_nothing(
                "messages of one frame, and of parts on their way back",
                || {
                    for _ in 0..ROUNDS {
                        socket.send_text(&quote).unwrap();
                        assert_eq!(socket.read().unwrap(), Some(Message::Text(&quote)));
                        socket.send_binary(quote.as_bytes()).unwrap();
                        assert_eq!(
                            socket.read().unwrap(),
                            Some(Message::Binary(quote.as_bytes()))
                        );
                    }
                },
            );
            allocates_nothing(
                "messages longer than the buffer that they go through",
                || {
                    for _ in 0..20 {
                        socket.send_binary(&long).unwrap();
                        assert_eq!(socket.read().unwrap(), Some(Message::Binary(&long)));
                    }
                },
            );
            allocates_nothing("pings, and their answers within a message", || {
                for _ in 0..ROUNDS {
                    socket.send(Kind::Binary, b"in ", false).unwrap();
                    socket.ping(b"there?").unwrap();
                    socket.send(Kind::Binary, b"parts", true).unwrap();
                    assert_eq!(socket.read().unwrap(), Some(Message::Binary(b"in parts")));
                }
            });
            assert_eq!(socket.pongs(), 2 * ROUNDS as u64);
            socket.close(1000, "").unwrap();
            assert_eq!(socket.read().unwrap(), None);
            drop(socket);
            server.join().unwrap();
        })
        .unwrap();
}
