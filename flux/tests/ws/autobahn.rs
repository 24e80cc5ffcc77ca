//! The cases of the Autobahn suite that apply, by its numbers: what its client or server sends, and what must come
//! back. 12 and 13 are about compression, which is not spoken here.
//!
//! Each is played to both ends, and comes at once, byte by byte, and in pieces of a few sizes.

use flux::ws::{Config, Error, Message, WebSocket};

use crate::wire::{ENDS, End, Memory, Sent, frames, pieces};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
/// The first part of a text, a part in the middle, and the last.
const BEGIN: u8 = 0x01;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;

/// As much memory as a feed has by default.
const CAPACITY: usize = 256 << 10;

/// Sends back each message as it came, until the end.
fn echo(socket: &mut WebSocket<Memory>) -> Result<(), Error> {
    let mut again = Vec::new();
    loop {
        let text = match socket.read()? {
            Some(message) => {
                again.clear();
                again.extend_from_slice(message.as_bytes());
                matches!(message, Message::Text(_))
            }
            None => return Ok(()),
        };
        if text {
            socket.send_text(std::str::from_utf8(&again).unwrap())?;
        } else {
            socket.send_binary(&again)?;
        }
    }
}

/// Plays the frames to both ends, in every kind of pieces, and expects what must come back. A close frame that tells
/// of a fault is compared by its code alone.
#[track_caller]
fn case(number: &str, sent: &[(u8, &[u8])], expected: &[(u8, &[u8])]) {
    for end in ENDS {
        let bytes: Vec<u8> = sent
            .iter()
            .flat_map(|(first, payload)| end.frame(*first, payload))
            .collect();
        for size in [usize::MAX, 1, 2, 7, 64, 997] {
            if size < 64 && bytes.len() > 4096 {
                continue;
            }
            check(number, end, &bytes, size, expected);
        }
    }
}

#[track_caller]
fn check(number: &str, end: End, bytes: &[u8], size: usize, expected: &[(u8, &[u8])]) {
    let size = size.min(bytes.len());
    let (mut socket, seen) = end.over(CAPACITY, Config::new(), pieces(bytes, size));
    let ended = echo(&mut socket);
    let faulty = matches!(ended, Err(Error::Protocol(_)));
    let answers: Vec<Sent> = frames(end, &seen.borrow().sent)
        .into_iter()
        .map(|(first, mut payload)| {
            if first == CLOSE && faulty {
                payload.truncate(2);
            }
            (first, payload)
        })
        .collect();
    let expected: Vec<Sent> = expected
        .iter()
        .map(|(first, payload)| (*first, payload.to_vec()))
        .collect();
    assert!(
        answers == expected,
        "{number}, {end:?}, in pieces of {size}: {ended:?}, answered {:x?}",
        answers
            .iter()
            .map(|(first, payload)| (first, &payload[..payload.len().min(8)]))
            .collect::<Vec<_>>()
    );
    match ended {
        Ok(()) => assert_eq!(expected.last().map(|(first, _)| *first), Some(CLOSE)),
        Err(Error::UnexpectedEof) => {
            assert_ne!(expected.last().map(|(first, _)| *first), Some(CLOSE));
        }
        Err(Error::Protocol(_)) => assert!(faulty),
        Err(error) => panic!("{number}: {error}"),
    }
}

const NORMAL: (u8, &[u8]) = (CLOSE, &[0x03, 0xe8]);
/// What the other side is told that broke the protocol, and whose text is none.
const BROKEN: (u8, &[u8]) = (CLOSE, &[0x03, 0xea]);
const NO_TEXT: (u8, &[u8]) = (CLOSE, &[0x03, 0xef]);

/// A case in which the frames come back as they are, and the close with them.
#[track_caller]
fn echoed(number: &str, first: u8, payload: &[u8]) {
    case(
        number,
        &[(first, payload), NORMAL],
        &[(first, payload), NORMAL],
    );
}

#[test]
fn case_1_framing() {
    for (at, len) in [0, 125, 126, 127, 128, 65_535, 65_536, 65_536]
        .into_iter()
        .enumerate()
    {
        echoed(&format!("1.1.{}", at + 1), TEXT, &vec![b'*'; len]);
        echoed(&format!("1.2.{}", at + 1), BINARY, &vec![0xfe; len]);
    }
}

#[test]
fn case_2_pings_and_pongs() {
    for (number, payload) in [
        ("2.1", &b""[..]),
        ("2.2", b"Hello, world!"),
        ("2.3", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
        ("2.4", &[0xfe; 125]),
        ("2.6", &[0xfe; 125]),
    ] {
        case(
            number,
            &[(PING, payload), NORMAL],
            &[(PONG, payload), NORMAL],
        );
    }
    case("2.5", &[(PING, &[0xfe; 126]), NORMAL], &[BROKEN]);
    case("2.7", &[(PONG, b""), NORMAL], &[NORMAL]);
    case("2.8", &[(PONG, b"unsolicited"), NORMAL], &[NORMAL]);
    case(
        "2.9",
        &[(PONG, b"unsolicited"), (PING, b"ping"), NORMAL],
        &[(PONG, b"ping"), NORMAL],
    );
    let payloads: Vec<String> = (0..10).map(|at| format!("payload-{at}")).collect();
    let all = |first| {
        let frames = payloads
            .iter()
            .map(move |payload| (first, payload.as_bytes()));
        frames.chain([NORMAL]).collect::<Vec<_>>()
    };
    case("2.10, 2.11", &all(PING), &all(PONG));
}

#[test]
fn case_3_reserved_bits() {
    let (hello, ping): (&[u8], &[u8]) = (b"Hello, world!", b"");
    case("3.1", &[(TEXT | 0x10, hello)], &[BROKEN]);
    for (number, reserved) in [("3.2", 0x20), ("3.3", 0x30), ("3.4", 0x40)] {
        let sent = [(TEXT, hello), (TEXT | reserved, hello), (PING, ping)];
        case(number, &sent, &[(TEXT, hello), BROKEN]);
    }
    case("3.5", &[(BINARY | 0x50, b"\x00\xff")], &[BROKEN]);
    case("3.6", &[(PING | 0x60, hello)], &[BROKEN]);
    case("3.7", &[(CLOSE | 0x70, hello)], &[BROKEN]);
}

#[test]
fn case_4_opcodes_without_a_meaning() {
    let hello: &[u8] = b"Hello, world!";
    for (group, base) in [("4.1", 0x83), ("4.2", 0x8b)] {
        case(&format!("{group}.1"), &[(base, b"")], &[BROKEN]);
        case(&format!("{group}.2"), &[(base + 1, hello)], &[BROKEN]);
        for (at, payload) in [(2, &b""[..]), (3, hello), (4, hello)] {
            let sent = [(TEXT, hello), (base + at, payload), (PING, b"")];
            case(
                &format!("{group}.{}", at + 1),
                &sent,
                &[(TEXT, hello), BROKEN],
            );
        }
    }
}

#[test]
fn case_5_fragmentation() {
    let (one, two): (&[u8], &[u8]) = (b"fragment1", b"fragment2");
    let whole: &[u8] = b"fragment1fragment2";
    case("5.1", &[(PING & 0x7f, one), (LAST, two)], &[BROKEN]);
    case("5.2", &[(PONG & 0x7f, one), (LAST, two)], &[BROKEN]);
    case(
        "5.3 to 5.5",
        &[(BEGIN, one), (LAST, two), NORMAL],
        &[(TEXT, whole), NORMAL],
    );
    case(
        "5.6 to 5.8",
        &[(BEGIN, one), (PING, b"ping"), (LAST, two), NORMAL],
        &[(PONG, b"ping"), (TEXT, whole), NORMAL],
    );
    case(
        "5.9 to 5.11",
        &[(LAST, b"non-continuation"), (TEXT, b"Hello, world!")],
        &[BROKEN],
    );
    case(
        "5.12 to 5.14",
        &[(MORE, b"non-continuation"), (TEXT, b"Hello, world!")],
        &[BROKEN],
    );
    case(
        "5.15",
        &[
            (BEGIN, one),
            (LAST, two),
            (MORE, b"fragment3"),
            (TEXT, b"fragment4"),
        ],
        &[(TEXT, whole), BROKEN],
    );
    case(
        "5.16",
        &[(MORE, one), (TEXT, two), (MORE, one), (TEXT, two)],
        &[BROKEN],
    );
    case(
        "5.17",
        &[(LAST, one), (TEXT, two), (LAST, one), (TEXT, two)],
        &[BROKEN],
    );
    case("5.18", &[(BEGIN, one), (TEXT, two)], &[BROKEN]);
    let five: &[u8] = b"fragment1fragment2fragment3fragment4fragment5";
    case(
        "5.19, 5.20",
        &[
            (BEGIN, one),
            (MORE, two),
            (PING, b"pongme 1!"),
            (MORE, b"fragment3"),
            (MORE, b"fragment4"),
            (PING, b"pongme 2!"),
            (LAST, b"fragment5"),
            NORMAL,
        ],
        &[
            (PONG, b"pongme 1!"),
            (PONG, b"pongme 2!"),
            (TEXT, five),
            NORMAL,
        ],
    );
}

/// The groups of 6.5 to 6.23, which are those of Markus Kuhn's stress test: valid ones, and such as are not.
const UTF8_VALID: &[(&str, &[u8])] = &[
    ("6.5.2", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"),
    ("6.7.1", b"\x00"),
    ("6.7.2", b"\xc2\x80"),
    ("6.7.3", b"\xe0\xa0\x80"),
    ("6.7.4", b"\xf0\x90\x80\x80"),
    ("6.9.1", b"\x7f"),
    ("6.9.2", b"\xdf\xbf"),
    ("6.9.3", b"\xef\xbf\xbf"),
    ("6.9.4", b"\xf4\x8f\xbf\xbf"),
    ("6.11.1", b"\xed\x9f\xbf"),
    ("6.11.2", b"\xee\x80\x80"),
    ("6.11.3", b"\xef\xbf\xbd"),
    ("6.11.4", b"\xf4\x8f\xbf\xbf"),
    ("6.11.5", b"\xf0\x9f\xbf\xbf"),
    ("6.22.1", b"\xef\xbf\xbe"),
    ("6.22.2", b"\xef\xbf\xbf"),
    ("6.22.3", b"\xf0\x9f\xbf\xbe"),
    ("6.22.34", b"\xf4\x8f\xbf\xbf"),
    ("6.23.1", b"\xef\xbf\xb9"),
    ("6.23.7", b"\xef\xbf\xbf"),
];
const UTF8_INVALID: &[(&str, &[u8])] = &[
    ("6.6.1", b"\xce"),
    ("6.6.3", b"\xce\xba\xe1"),
    ("6.6.4", b"\xce\xba\xe1\xbd"),
    ("6.6.6", b"\xce\xba\xe1\xbd\xb9\xcf"),
    ("6.8.1", b"\xf8\x88\x80\x80\x80"),
    ("6.8.2", b"\xfc\x84\x80\x80\x80\x80"),
    ("6.10.1", b"\xf7\xbf\xbf\xbf"),
    ("6.10.2", b"\xfb\xbf\xbf\xbf\xbf"),
    ("6.10.3", b"\xfd\xbf\xbf\xbf\xbf\xbf"),
    ("6.11.5 and one more", b"\xf4\x90\x80\x80"),
    ("6.12.1", b"\x80"),
    ("6.12.2", b"\xbf"),
    ("6.12.8", b"\x80\xbf\x80\xbf\x80\xbf\xaa"),
    ("6.13.1", b"\xc0 \xc1 \xc2 \xc3 \xc4 \xc5 \xc6 \xc7 "),
    ("6.13.3", b"\xf0 \xf1 \xf2 \xf3 \xf4 \xf5 \xf6 \xf7 "),
    ("6.13.5", b"\xfc \xfd "),
    ("6.14.1", b"\xc0"),
    ("6.14.2", b"\xe0\x80"),
    ("6.14.6", b"\xdf"),
    ("6.14.7", b"\xef\xbf"),
    (
        "6.15.1",
        b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf",
    ),
    ("6.16.1", b"\xfe"),
    ("6.16.3", b"\xfe\xfe\xff\xff"),
    ("6.17.1", b"\xc0\xaf"),
    ("6.17.2", b"\xe0\x80\xaf"),
    ("6.17.3", b"\xf0\x80\x80\xaf"),
    ("6.18.1", b"\xc1\xbf"),
    ("6.18.3", b"\xf0\x8f\xbf\xbf"),
    ("6.19.1", b"\xc0\x80"),
    ("6.19.2", b"\xe0\x80\x80"),
    ("6.20.1", b"\xed\xa0\x80"),
    ("6.20.4", b"\xed\xaf\xbf"),
    ("6.20.7", b"\xed\xbf\xbf"),
    ("6.21.1", b"\xed\xa0\x80\xed\xb0\x80"),
    ("6.21.8", b"\xed\xaf\xbf\xed\xbf\xbf"),
];

#[test]
fn case_6_text_that_is_utf8() {
    case("6.1.1", &[(TEXT, b""), NORMAL], &[(TEXT, b""), NORMAL]);
    case(
        "6.1.2",
        &[(BEGIN, b""), (MORE, b""), (LAST, b""), NORMAL],
        &[(TEXT, b""), NORMAL],
    );
    case(
        "6.1.3",
        &[
            (BEGIN, b""),
            (MORE, b"middle frame payload"),
            (LAST, b""),
            NORMAL,
        ],
        &[(TEXT, b"middle frame payload"), NORMAL],
    );
    let text: &[u8] = "Hello-µ@ßöäüàá-UTF-8!!".as_bytes();
    echoed("6.2.1", TEXT, text);
    case(
        "6.2.2",
        &[(BEGIN, &text[..8]), (LAST, &text[8..]), NORMAL],
        &[(TEXT, text), NORMAL],
    );
    in_single_bytes("6.2.3, 6.2.4", text, true);
    for (number, text) in UTF8_VALID {
        echoed(number, TEXT, text);
        in_single_bytes(number, text, true);
    }
}

#[test]
fn case_6_text_that_is_not_utf8() {
    let text: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    for (number, text) in UTF8_INVALID.iter().chain(&[("6.3.1, 6.3.2", text)]) {
        case(number, &[(TEXT, text), NORMAL], &[NO_TEXT]);
        in_single_bytes(number, text, false);
    }
}

/// A text in frames of one byte each.
#[track_caller]
fn in_single_bytes(number: &str, text: &[u8], valid: bool) {
    let mut sent = vec![(BEGIN, &b""[..])];
    sent.extend(text.chunks(1).map(|byte| (MORE, byte)));
    sent.extend([(LAST, &b""[..]), NORMAL]);
    let both = [(TEXT, text), NORMAL];
    case(number, &sent, if valid { &both } else { &[NO_TEXT] });
}

#[test]
fn case_6_4_a_fault_in_text_is_found_before_the_rest_has_come() {
    let before: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
    for (number, fault, after) in [
        ("6.4.1", &b"\xf4\x90\x80\x80"[..], &b"edited"[..]),
        ("6.4.2", b"\xf4\x90", b"\x80\x80edited"),
    ] {
        // In frames: the last one never comes.
        case(number, &[(BEGIN, before), (MORE, fault)], &[NO_TEXT]);
        // 6.4.3 and 6.4.4: in pieces of one frame, of which the last never comes.
        let text = [before, fault, after].concat();
        for end in ENDS {
            let mut bytes = end.frame(TEXT, &text);
            bytes.truncate(bytes.len() - after.len());
            for size in [usize::MAX, 1] {
                check(number, end, &bytes, size, &[NO_TEXT]);
            }
        }
    }
}

#[test]
fn case_7_closing() {
    let text: &[u8] = b"Hello World!";
    echoed("7.1.1", TEXT, text);
    case("7.1.2", &[NORMAL, NORMAL], &[NORMAL]);
    case("7.1.3", &[NORMAL, (PING, b"")], &[NORMAL]);
    case("7.1.4", &[NORMAL, (TEXT, text)], &[NORMAL]);
    case(
        "7.1.5",
        &[(BEGIN, b"fragment1"), NORMAL, (LAST, b"fragment2")],
        &[NORMAL],
    );
    let long = vec![b'B'; 200 << 10];
    case(
        "7.1.6",
        &[(TEXT, &long), NORMAL, (PING, b"")],
        &[(TEXT, &long), NORMAL],
    );
    case("7.3.1", &[(CLOSE, b"")], &[(CLOSE, b"")]);
    case("7.3.2", &[(CLOSE, b"a")], &[BROKEN]);
    case("7.3.3", &[NORMAL], &[NORMAL]);
    case("7.3.4", &[(CLOSE, b"\x03\xe8Hello World!")], &[NORMAL]);
    let mut reason = [b'*'; 126];
    reason[..2].copy_from_slice(&[0x03, 0xe8]);
    case("7.3.5", &[(CLOSE, &reason[..125])], &[NORMAL]);
    case("7.3.6", &[(CLOSE, &reason)], &[BROKEN]);
    case(
        "7.5.1",
        &[(CLOSE, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited")],
        &[NO_TEXT],
    );
    for code in [
        1000_u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
        4000, 4999,
    ] {
        let code = code.to_be_bytes();
        case("7.7.*", &[(CLOSE, &code)], &[(CLOSE, &code)]);
    }
    for code in [
        0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        case("7.9.*, 7.13.*", &[(CLOSE, &code.to_be_bytes())], &[BROKEN]);
    }
}

#[test]
fn case_9_long_messages() {
    for (number, len) in [("9.1.1, 9.2.1", 64 << 10), ("9.1.2, 9.2.2", 220 << 10)] {
        let long = vec![b'*'; len];
        echoed(number, TEXT, &long);
        echoed(number, BINARY, &long);
        for part in [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10] {
            let mut sent: Vec<(u8, &[u8])> = vec![(0x02, b"")];
            sent.extend(long.chunks(part).map(|part| (MORE, part)));
            sent.extend([(LAST, &b""[..]), NORMAL]);
            case("9.3.*, 9.4.*", &sent, &[(BINARY, &long), NORMAL]);
        }
    }
}

#[test]
fn case_10_a_message_in_parts_of_1300() {
    let long = vec![b'*'; 65_536];
    let mut sent: Vec<(u8, &[u8])> = long.chunks(1300).map(|part| (MORE, part)).collect();
    sent[0].0 = BEGIN;
    sent.last_mut().unwrap().0 = LAST;
    sent.push(NORMAL);
    case("10.1.1", &sent, &[(TEXT, &long), NORMAL]);
}
