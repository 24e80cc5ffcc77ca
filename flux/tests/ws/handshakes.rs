//! Both sides of the handshake, byte by byte: what is asked and answered, and what is refused by name.

use std::cell::RefCell;
use std::rc::Rc;

use flux::ws::{self, Config, Error, Handshake, HandshakeError, Limit, Misuse, Request};

use crate::wire::{End, Memory, REQUEST, Seen, Step, frames, pieces};

const CAPACITY: usize = 32 << 10;

fn over(script: impl IntoIterator<Item = Step>) -> (Memory, Rc<RefCell<Seen>>) {
    let wire = Memory::new(CAPACITY, script);
    let seen = Rc::clone(&wire.seen);
    (wire, seen)
}

fn sent(seen: &Rc<RefCell<Seen>>) -> String {
    String::from_utf8(seen.borrow().sent.clone()).unwrap()
}

/// The request of the RFC with something else in it.
fn asked(what: &str, instead: &str) -> Vec<u8> {
    let request = String::from_utf8(REQUEST.to_vec()).unwrap();
    assert!(request.contains(what), "{what}");
    request.replace(what, instead).into_bytes()
}

#[test]
fn the_rfcs_own_handshake_is_answered_as_it_says_in_any_pieces_and_the_first_frame_with_it_is_read()
{
    let bytes = [REQUEST, &End::Server.frame(0x81, b"at once")].concat();
    for size in [1, 2, 3, 100, bytes.len()] {
        let (wire, seen) = over(pieces(&bytes, size));
        let handshake = Handshake::read(wire, Config::new()).unwrap();
        assert_eq!(handshake.path(), "/chat");
        assert_eq!(handshake.header("origin"), Some(&b"http://example.com"[..]));
        assert_eq!(handshake.header("cookie"), None);
        assert!(handshake.protocols().eq(["chat", "superchat"]));
        let mut socket = handshake
            .protocol("superchat")
            .add_header("X-Served-By", "flux")
            .accept()
            .unwrap();
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: superchat\r\n\
                      X-Served-By: flux\r\n\r\n";
        assert_eq!(sent(&seen), answer);
        assert_eq!(socket.protocol(), Some("superchat"));
        assert_eq!(socket.read().unwrap().unwrap().as_bytes(), b"at once");
    }
}

#[test]
fn a_request_that_is_none_is_answered_so_and_named() {
    use HandshakeError as E;
    for (request, status, error) in [
        (asked("GET", "POST"), 405, E::Method("POST".into())),
        (asked("HTTP/1.1", "HTTP/1.0"), 400, E::Version),
        (
            asked("Host: server.example.com\r\n", ""),
            400,
            E::Header("Host"),
        ),
        (
            asked("Upgrade: websocket\r\n", ""),
            400,
            E::Header("Upgrade"),
        ),
        (
            asked("Upgrade: websocket", "Upgrade: h2c"),
            400,
            E::Header("Upgrade"),
        ),
        (
            asked("Connection: Upgrade", "Connection: keep-alive"),
            400,
            E::Header("Connection"),
        ),
        (
            asked("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
            400,
            E::Header("Sec-WebSocket-Key"),
        ),
        (
            asked("dGhlIHNhbXBsZSBub25jZQ==", "!!"),
            400,
            E::Header("Sec-WebSocket-Key"),
        ),
        (
            asked("Version: 13", "Version: 12"),
            426,
            E::WebSocketVersion,
        ),
        (
            asked(
                "Origin: http://example.com",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ),
            400,
            E::Header("Sec-WebSocket-Key"),
        ),
    ] {
        let (wire, seen) = over(pieces(&request, 50));
        let refused = ws::accept(wire, Config::new()).unwrap_err();
        assert!(
            matches!(&refused, Error::Handshake(is) if *is == error),
            "{refused}"
        );
        assert!(
            sent(&seen).starts_with(&format!("HTTP/1.1 {status} ")),
            "{}",
            sent(&seen)
        );
        assert!(
            sent(&seen).ends_with(&format!("\r\n\r\n{error}\n")),
            "{}",
            sent(&seen)
        );
    }
    // Bytes that are no HTTP, a TLS client's first ones, say.
    let (wire, seen) = over([Step::Bytes(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(),
    )]);
    let refused = ws::accept(wire, Config::new()).unwrap_err();
    assert!(
        matches!(refused, Error::Handshake(E::Malformed(_))),
        "{refused}"
    );
    assert!(sent(&seen).starts_with("HTTP/1.1 400 "));
}

#[test]
fn what_is_asked_in_other_words_is_the_same() {
    let request = asked("Connection: Upgrade", "Connection: keep-alive, upgrade");
    let request = String::from_utf8(request)
        .unwrap()
        .replace("Upgrade: websocket", "uPGRADE: foo, WebSocket");
    let request = request.replace(
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Extensions: permessage-deflate",
    );
    let (wire, seen) = over([Step::Bytes(request.into_bytes())]);
    let socket = ws::accept(wire, Config::new()).unwrap();
    assert_eq!(socket.protocol(), None);
    assert!(!sent(&seen).contains("Extensions"), "none is spoken");
}

#[test]
fn a_head_without_end_is_refused_by_name() {
    for (config, endless, expected) in [
        (
            Config::new().head_max(4096),
            "X: y\r\n",
            Limit::Headers { max: 64 },
        ),
        (
            Config::new().head_max(4096).headers_max(10_000),
            "X: y\r\n",
            Limit::Head { max: 4096 },
        ),
        (
            // The shortest that there are, and a setting without a bound.
            Config::new().head_max(4096).headers_max(usize::MAX),
            "x:\n",
            Limit::Head { max: 4096 },
        ),
        (
            Config::new().head_max(4096).headers_max(1300),
            "x:\n",
            Limit::Headers { max: 1300 },
        ),
        (
            Config::new().head_max(4096),
            "xxxxxxxx",
            Limit::Head { max: 4096 },
        ),
        (
            Config::new().head_max(1 << 30),
            "xxxxxxxx",
            Limit::Head { max: CAPACITY },
        ),
    ] {
        for size in [1, 1000] {
            let begun = [
                &b"GET / HTTP/1.1\r\n"[..],
                &endless.repeat(1 << 15).into_bytes(),
            ]
            .concat();
            let (wire, seen) = over(pieces(&begun, size));
            let refused = ws::accept(wire, config.clone()).unwrap_err();
            assert!(
                matches!(&refused, Error::Limit(is) if *is == expected),
                "{refused}"
            );
            assert!(sent(&seen).starts_with("HTTP/1.1 431 "));
            let answer = [
                &b"HTTP/1.1 101 OK\r\n"[..],
                &endless.repeat(1 << 15).into_bytes(),
            ]
            .concat();
            let (wire, _) = over(pieces(&answer, size));
            let refused =
                ws::connect(wire, Request::new("h", "/").config(config.clone())).unwrap_err();
            assert!(
                matches!(&refused, Error::Limit(is) if *is == expected),
                "{refused}"
            );
        }
    }
}

#[test]
fn a_server_can_refuse_with_a_status_and_a_word() {
    let (wire, seen) = over([Step::Bytes(REQUEST.to_vec())]);
    let handshake = Handshake::read(wire, Config::new()).unwrap();
    handshake.refuse(404, "no such feed\n").unwrap();
    let answer = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
                  Content-Length: 13\r\n\r\nno such feed\n";
    assert_eq!(sent(&seen), answer);
    let (wire, seen) = over([Step::Bytes(REQUEST.to_vec())]);
    let handshake = Handshake::read(wire, Config::new()).unwrap();
    let refused = handshake.refuse(200, "").unwrap_err();
    assert!(
        matches!(refused, Error::Misuse(Misuse::Status(200))),
        "{refused}"
    );
    assert!(sent(&seen).is_empty());
    let (wire, _) = over([Step::Bytes(REQUEST.to_vec())]);
    let refused = Handshake::read(wire, Config::new())
        .unwrap()
        .protocol("other")
        .accept()
        .unwrap_err();
    assert!(
        matches!(refused, Error::Misuse(Misuse::Protocol)),
        "{refused}"
    );
}

/// Connects over memory, where `answer` is made of the `Sec-WebSocket-Accept` that belongs to what was asked.
fn answered(
    request: Request,
    size: usize,
    answer: impl Fn(&str) -> Vec<u8> + 'static,
) -> (Result<ws::WebSocket<Memory>, Error>, String) {
    let (mut wire, seen) = over([]);
    wire.answer_by(move |accept| pieces(&answer(accept), size));
    let connected = ws::connect(wire, request);
    let asked = sent(&seen);
    (connected, asked)
}

/// Makes an answer of the `Sec-WebSocket-Accept` that belongs to the request.
type Makes = fn(&str) -> String;

/// An answer that belongs to the request, but for the empty line.
fn good(accept: &str) -> String {
    format!("{GOOD}Sec-WebSocket-Accept: {accept}\r\n")
}

const GOOD: &str =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nconnection: upgrade\r\n";

#[test]
fn a_client_asks_what_it_was_told_to_and_reads_the_frame_that_comes_with_the_answer() {
    for size in [1, 2, 1000] {
        let request = Request::new("feed.example:9443", "/ws?streams=a@depth/b")
            .header("User-Agent", "flux and more")
            .protocol("v2")
            .protocol("v1");
        let (connected, asked) = answered(request, size, |accept| {
            let head = format!(
                "{GOOD}Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: v1\r\n\r\n"
            );
            [head.into_bytes(), End::Client.frame(0x81, b"at once")].concat()
        });
        let mut socket = connected.unwrap();
        assert_eq!(socket.protocol(), Some("v1"));
        assert_eq!(socket.read().unwrap().unwrap().as_bytes(), b"at once");
        let (before, key) = asked.split_once("Sec-WebSocket-Key: ").unwrap();
        let (key, after) = key.split_once("\r\n").unwrap();
        assert_eq!(key.len(), 24);
        assert_eq!(
            before,
            "GET /ws?streams=a@depth/b HTTP/1.1\r\nHost: feed.example:9443\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\n"
        );
        assert_eq!(
            after,
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: v2, v1\r\nUser-Agent: flux and more\r\n\r\n"
        );
    }
}

#[test]
fn an_answer_that_does_not_belong_to_the_request_is_refused_by_name() {
    use HandshakeError as E;

    let cases: [(Makes, E); 9] = [
        (|accept| good(&accept.to_lowercase()), E::Accept),
        (|_| GOOD.to_owned(), E::Header("Sec-WebSocket-Accept")),
        (
            |accept| good(accept) + "Sec-WebSocket-Accept: again\r\n",
            E::Header("Sec-WebSocket-Accept"),
        ),
        (
            |accept| good(accept).replace("WebSocket\r", "h2c\r"),
            E::Header("Upgrade"),
        ),
        (
            |accept| good(accept).replace("connection: upgrade", "connection: close"),
            E::Header("Connection"),
        ),
        (
            |accept| good(accept).replace("HTTP/1.1", "HTTP/1.0"),
            E::Version,
        ),
        (
            |accept| good(accept) + "Sec-WebSocket-Extensions: permessage-deflate\r\n",
            E::Extension("permessage-deflate".into()),
        ),
        (
            |accept| good(accept) + "Sec-WebSocket-Protocol: v3\r\n",
            E::Protocol("v3".into()),
        ),
        (
            |_| "HTTP/1.1 1".to_owned(),
            E::Malformed("invalid HTTP status code".into()),
        ),
    ];
    for (answer, error) in cases {
        let (connected, _) = answered(Request::new("h", "/").protocol("v1"), 60, move |accept| {
            (answer(accept) + "\r\n").into_bytes()
        });
        let refused = connected.unwrap_err();
        match (&refused, &error) {
            (Error::Handshake(E::Malformed(_)), E::Malformed(_)) => {}
            (Error::Handshake(is), _) => assert_eq!(*is, error),
            _ => panic!("{refused}"),
        }
    }
}

#[test]
fn another_status_is_reported_with_what_was_said_of_it_in_bounds() {
    let long = "x".repeat(5000);
    for (body, announced, expected) in [
        ("no such stream\n", true, "no such stream\n"),
        ("no such stream\n", false, "no such stream\n"),
        (&long[..], true, &long[..ws::REFUSAL_BODY_MAX]),
        ("", true, ""),
    ] {
        for size in [1, 7, 10_000] {
            if size < 10_000 && !announced {
                continue; // what came with the head is all there is
            }
            let owned = body.to_owned();
            let (connected, _) = answered(Request::new("h", "/"), size, move |_| {
                let len = if announced {
                    format!("Content-Length: {}\r\n", owned.len())
                } else {
                    String::new()
                };
                format!("HTTP/1.1 404 Not Here\r\n{len}\r\n{owned}").into_bytes()
            });
            let Err(Error::Refused(refusal)) = connected else {
                panic!("{connected:?}");
            };
            assert_eq!((refusal.status, &refusal.reason[..]), (404, "Not Here"));
            assert_eq!(std::str::from_utf8(&refusal.body), Ok(expected));
        }
    }
}

#[test]
fn an_end_within_the_handshake_is_unexpected() {
    for cut in 0..REQUEST.len() {
        let (wire, _) = over(pieces(&REQUEST[..cut], 40));
        assert!(matches!(
            ws::accept(wire, Config::new()),
            Err(Error::UnexpectedEof)
        ));
    }
    let (connected, _) = answered(Request::new("h", "/"), 9, |_| GOOD.as_bytes().to_vec());
    assert!(matches!(connected, Err(Error::UnexpectedEof)));
}

#[test]
fn a_request_that_cannot_be_sent_is_refused_before_a_byte_of_it_is() {
    for (request, part) in [
        (Request::new("", "/"), "host"),
        (Request::new("a b", "/"), "host"),
        (Request::new("h", ""), "path"),
        (Request::new("h", "feed"), "path"),
        (Request::new("h", "/ HTTP/1.1\r\nX: y"), "path"),
        (
            Request::new("h", "/").header("X", "y\r\nZ: z"),
            "value of a header",
        ),
        (Request::new("h", "/").header("X:", "y"), "name of a header"),
        (
            Request::new("h", "/").header("upgrade", "h2c"),
            "name of a header",
        ),
        (Request::new("h", "/").protocol("v1, v2"), "subprotocol"),
    ] {
        let (wire, seen) = over([]);
        let refused = ws::connect(wire, request).unwrap_err();
        assert!(
            matches!(refused, Error::Misuse(Misuse::Head(is)) if is == part),
            "{refused}"
        );
        assert!(seen.borrow().sent.is_empty());
    }
    let (wire, _) = over([]);
    let small = Request::new("h", "/").config(Config::new().send_buffer(100));
    let sentence = "`ws::Config::send_buffer` is 100, but must be 139 or more";
    assert_eq!(ws::connect(wire, small).unwrap_err().to_string(), sentence);
    let wire = Memory::new(1000, []);
    let sentence = "`Wire::capacity` is 1000, but must be 2048 or more";
    assert_eq!(
        ws::accept(wire, Config::new()).unwrap_err().to_string(),
        sentence
    );
}

#[test]
fn the_first_message_after_a_handshake_is_masked_by_a_client_alone() {
    let (connected, _) = answered(Request::new("h", "/"), 1000, |accept| {
        format!("{GOOD}Sec-WebSocket-Accept: {accept}\r\n\r\n").into_bytes()
    });
    let mut socket = connected.unwrap();
    let seen = Rc::clone(&socket.get_ref().seen);
    seen.borrow_mut().sent.clear();
    socket.send_text("hello").unwrap();
    assert_eq!(
        frames(End::Client, &seen.borrow().sent),
        [(0x81, b"hello".to_vec())]
    );
}
