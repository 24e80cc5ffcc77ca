//! Reading: what is refused, what it costs, what a stopped call loses (nothing), and memory that stays bounded.

use std::io::{self, ErrorKind};

use flux::ws::{Config, Error, Limit, Message, Misuse, Opcode, Violation, WebSocket, code};
use proptest::prelude::*;

use crate::wire::{ENDS, End, Memory, Step, frame, frames, pieces};

const CAPACITY: usize = 8 << 10;

/// The next message as what it is and its bytes.
fn next(socket: &mut WebSocket<Memory>) -> Result<Option<(bool, Vec<u8>)>, Error> {
    let message = socket.read()?;
    Ok(message.map(|message| {
        (
            matches!(message, Message::Text(_)),
            message.as_bytes().to_vec(),
        )
    }))
}

/// Expects that the bytes are refused for this, that the other side hears of it by this code, and that every call
/// afterwards says the same.
#[track_caller]
fn refuses(end: End, config: &Config, bytes: &[u8], expected: &str, told: u16) {
    for size in [bytes.len(), 1] {
        let (mut socket, seen) = end.over(CAPACITY, config.clone(), pieces(bytes, size));
        let error = loop {
            match socket.read() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("closed"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), expected, "{end:?}");
        let sent = frames(end, &seen.borrow().sent);
        let [(0x88, close)] = &sent[..] else {
            panic!("{sent:x?}");
        };
        assert_eq!(close[..2], told.to_be_bytes());
        for again in [
            socket.read().map(drop),
            socket.read_frame().map(drop),
            socket.send_text("more"),
            socket.send_binary(b"more"),
            socket.ping(b""),
            socket.close(code::NORMAL, ""),
        ] {
            assert_eq!(again.unwrap_err().to_string(), expected);
        }
        assert_eq!(
            frames(end, &seen.borrow().sent).len(),
            1,
            "nothing follows the close frame"
        );
    }
}

#[test]
fn each_malformed_frame_is_refused_by_name_and_the_other_side_told() {
    let violates = |end: End, bytes: &[u8], violation: Violation| {
        let told = match violation {
            Violation::Utf8 | Violation::CloseReason => code::INVALID_DATA,
            _ => code::PROTOCOL_ERROR,
        };
        refuses(end, &Config::new(), bytes, &violation.to_string(), told);
    };
    for end in ENDS {
        let made = |first, payload: &[u8]| end.frame(first, payload);
        for reserved in [0x10, 0x20, 0x40, 0x70] {
            violates(end, &made(0x81 | reserved, b"x"), Violation::ReservedBits);
        }
        for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
            violates(end, &made(0x80 | opcode, b""), Violation::Opcode(opcode));
        }
        for control in [0x8, 0x9, 0xa] {
            violates(end, &made(control, b""), Violation::FragmentedControl);
            violates(
                end,
                &made(0x80 | control, &[b'x'; 126]),
                Violation::LongControl,
            );
        }
        violates(end, &made(0x80, b"x"), Violation::Continuation);
        violates(
            end,
            &[made(0x01, b"x"), made(0x81, b"y")].concat(),
            Violation::Interleaved,
        );
        violates(
            end,
            &[made(0x02, b"x"), made(0x02, b"y")].concat(),
            Violation::Interleaved,
        );
        violates(
            end,
            &[made(0x01, b"\xe2"), made(0x80, b"\x28")].concat(),
            Violation::Utf8,
        );
        violates(
            end,
            &[made(0x01, b"\xe2"), made(0x80, b"\x82")].concat(),
            Violation::Utf8,
        );
        violates(end, &made(0x81, b"\xff"), Violation::Utf8);
        violates(end, &made(0x88, b"\x03"), Violation::CloseLength);
        violates(end, &made(0x88, b"\x03\xed"), Violation::CloseCode(1005));
        violates(end, &made(0x88, b"\x03\xe8\xff"), Violation::CloseReason);
        // A length in more bytes than it needs, or of more than there can be.
        let mask = made(0x82, b"")[1];
        violates(end, &[0x82, mask + 126, 0, 125], Violation::Length);
        violates(
            end,
            &[0x82, mask + 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            Violation::Length,
        );
        violates(
            end,
            &[0x82, mask + 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
            Violation::LengthSign,
        );
    }
    violates(
        End::Client,
        &frame(0x81, b"x", Some([1, 2, 3, 4])),
        Violation::Masked,
    );
    violates(End::Server, &frame(0x81, b"x", None), Violation::Unmasked);
}

/// The beginning of a binary frame that claims to be so long.
fn claim(end: End, len: u64) -> Vec<u8> {
    let mut bytes = end.frame(0x82, &vec![0; 70_000]);
    let key = if end == End::Server { 4 } else { 0 };
    bytes[2..10].copy_from_slice(&len.to_be_bytes());
    bytes.truncate(10 + key);
    bytes
}

#[test]
fn what_is_too_long_is_refused_by_its_header_with_the_setting_that_raises_the_limit() {
    for end in ENDS {
        let wide = Config::new().frame_max(usize::MAX).message_max(usize::MAX);
        let most = (1 << 63) - 1;
        let limit = Limit::Frame {
            len: most,
            max: 16 << 20,
        };
        refuses(
            end,
            &Config::new(),
            &claim(end, most),
            &limit.to_string(),
            code::TOO_LARGE,
        );
        let capacity = format!(
            "a message needs {most} bytes of the wire's memory, of which it can have {CAPACITY}; give the wire more, \
             with `feed_buffer` for a feed (or `FLUX_FEED_BUFFER`)"
        );
        refuses(end, &wide, &claim(end, most), &capacity, code::TOO_LARGE);
        let small = Config::new().message_max(100);
        for bytes in [
            end.frame(0x82, &[0; 101]),
            [end.frame(0x02, &[0; 60]), end.frame(0x80, &[0; 41])].concat(),
        ] {
            let limit = "a message of 101 bytes or more is longer than the 100 that `ws::Config::message_max` allows";
            refuses(end, &small, &bytes, limit, code::TOO_LARGE);
        }
        let small = Config::new().frame_max(100);
        let limit =
            "a frame of 101 bytes is longer than the 100 that `ws::Config::frame_max` allows";
        refuses(
            end,
            &small,
            &end.frame(0x81, &[b'x'; 101]),
            limit,
            code::TOO_LARGE,
        );
        // Several frames leave an eighth for what stands between them.
        let part = end.frame(0x00, &[0; 1024]);
        let mut bytes = end.frame(0x02, &[0; 1024]);
        (0..7).for_each(|_| bytes.extend_from_slice(&part));
        let limit = Limit::Capacity {
            len: 8192,
            max: 7168,
        };
        refuses(
            end,
            &Config::new(),
            &bytes,
            &limit.to_string(),
            code::TOO_LARGE,
        );
    }
}

#[test]
fn parts_without_end_are_refused_by_name_even_when_they_are_empty() {
    for end in ENDS {
        let config = Config::new().fragments_max(1000);
        let mut bytes = end.frame(0x02, b"x");
        (0..1000).for_each(|_| bytes.extend(end.frame(0x00, b"")));
        let limit =
            "a message comes in more frames than the 1000 that `ws::Config::fragments_max` allows";
        refuses(end, &config, &bytes, limit, code::POLICY_VIOLATION);
        // As many as are allowed are taken.
        bytes.truncate(bytes.len() - end.frame(0x00, b"").len());
        let last = bytes.len() - end.frame(0x00, b"").len();
        bytes[last] = 0x80;
        let (mut socket, _) = end.over(CAPACITY, config, pieces(&bytes, 100));
        assert_eq!(next(&mut socket).unwrap(), Some((false, b"x".to_vec())));
    }
}

#[test]
fn a_message_of_one_frame_can_fill_the_wire_and_one_of_several_seven_eighths() {
    for end in ENDS {
        for size in [1, 100, usize::MAX] {
            let whole = end.frame(0x82, &[7; CAPACITY]);
            let mut parts = end.frame(0x02, &[7; 100]);
            for _ in 0..CAPACITY * 7 / 8 - 100 {
                parts.extend(end.frame(0x00, &[7]));
                parts.extend(end.frame(0x89, b"a ping between all of them"));
            }
            parts.extend(end.frame(0x80, b""));
            let bytes = [whole, parts].concat();
            let (mut socket, seen) = end.over(
                CAPACITY,
                Config::new(),
                pieces(&bytes, size.min(bytes.len())),
            );
            for len in [CAPACITY, CAPACITY * 7 / 8] {
                assert_eq!(next(&mut socket).unwrap(), Some((false, vec![7; len])));
            }
            assert_eq!(socket.pings(), (CAPACITY * 7 / 8 - 100) as u64);
            assert!(seen.borrow().high_water <= CAPACITY);
        }
    }
}

#[test]
fn the_end_of_the_connection_without_a_close_frame_is_an_error_of_its_own() {
    for end in ENDS {
        let whole = [
            end.frame(0x81, b"first"),
            end.frame(0x01, b"sec"),
            end.frame(0x80, b"ond"),
        ]
        .concat();
        for cut in 0..whole.len() {
            let (mut socket, seen) = end.over(CAPACITY, Config::new(), pieces(&whole[..cut], 3));
            let error = loop {
                match next(&mut socket) {
                    Ok(message) => assert_eq!(message, Some((true, b"first".to_vec()))),
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, Error::UnexpectedEof), "{error}");
            assert!(matches!(socket.read(), Err(Error::UnexpectedEof)));
            assert!(matches!(socket.send_text(""), Err(Error::UnexpectedEof)));
            assert_eq!(io::Error::from(error).kind(), ErrorKind::UnexpectedEof);
            assert!(seen.borrow().sent.is_empty(), "there is nobody to be told");
        }
    }
}

#[test]
fn a_read_that_was_stopped_anywhere_is_gone_on_with_and_nothing_is_lost() {
    for end in ENDS {
        let bytes = [
            end.frame(0x81, "at once: €".as_bytes()),
            end.frame(0x01, b"in \xe2\x82"),
            end.frame(0x89, b"ping"),
            end.frame(0x80, b"\xac parts"),
            end.frame(0x82, &[9; 300]),
            end.frame(0x88, b"\x03\xe8"),
        ]
        .concat();
        // A time-out, and a cancel as any other error, before each byte.
        let script = bytes.iter().flat_map(|byte| {
            let failed = [ErrorKind::TimedOut, ErrorKind::Other].map(Step::Fails);
            failed.into_iter().chain([Step::Bytes(vec![*byte])])
        });
        let (mut socket, seen) = end.over(CAPACITY, Config::new(), script);
        let (mut messages, mut stopped) = (Vec::new(), 0);
        loop {
            match next(&mut socket) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(Error::Io(_)) => stopped += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(stopped, 2 * bytes.len());
        let expected = [
            (true, "at once: €".as_bytes().to_vec()),
            (true, "in € parts".as_bytes().to_vec()),
            (false, vec![9; 300]),
        ];
        assert_eq!(messages, expected);
        let sent = frames(end, &seen.borrow().sent);
        assert_eq!(
            sent,
            [(0x8a, b"ping".to_vec()), (0x88, b"\x03\xe8".to_vec())]
        );
        assert_eq!(
            (socket.close_code(), socket.close_reason()),
            (Some(1000), Some(""))
        );
        assert_eq!(next(&mut socket).unwrap(), None);
    }
}

#[test]
fn nothing_is_asked_of_the_wire_while_a_whole_message_is_there() {
    for end in ENDS {
        let mut bytes = Vec::new();
        for at in 0..20 {
            bytes.extend(end.frame(0x81, format!("message {at}").as_bytes()));
            bytes.extend(end.frame(0x02, b"in "));
            bytes.extend(end.frame(0x80, b"parts"));
        }
        let (mut socket, seen) = end.over(CAPACITY, Config::new(), [Step::Bytes(bytes)]);
        for at in 0..20 {
            let text = format!("message {at}").into_bytes();
            assert_eq!(next(&mut socket).unwrap(), Some((true, text)));
            assert_eq!(
                next(&mut socket).unwrap(),
                Some((false, b"in parts".to_vec()))
            );
        }
        assert_eq!(seen.borrow().fills, 1);
        // One more byte than there is: asked once.
        assert!(matches!(next(&mut socket), Err(Error::UnexpectedEof)));
        assert_eq!(seen.borrow().fills, 2);
    }
}

#[test]
fn pings_are_answered_before_more_is_asked_for_and_pongs_are_counted() {
    for end in ENDS {
        let flood: Vec<u8> = (0..10_000)
            .flat_map(|at: u32| end.frame(0x89, &at.to_be_bytes()))
            .collect();
        let bytes = [
            flood,
            end.frame(0x8a, b""),
            end.frame(0x8a, b"late"),
            end.frame(0x82, b"x"),
        ]
        .concat();
        let (mut socket, seen) = end.over(CAPACITY, Config::new(), [Step::Bytes(bytes)]);
        assert_eq!(next(&mut socket).unwrap(), Some((false, b"x".to_vec())));
        assert_eq!((socket.pings(), socket.pongs()), (10_000, 2));
        let seen = seen.borrow();
        assert!(seen.high_water <= CAPACITY);
        let answers = frames(end, &seen.sent);
        assert_eq!(answers.len(), 10_000);
        for (at, (first, payload)) in (0_u32..).zip(answers) {
            assert_eq!((first, &payload[..]), (0x8a, &at.to_be_bytes()[..]));
        }
    }
}

#[test]
fn frames_come_one_by_one_for_those_who_want_them() {
    for end in ENDS {
        let text = "κόσμε".as_bytes();
        let bytes = [
            end.frame(0x01, &text[..3]),
            end.frame(0x89, b"ping"),
            end.frame(0x00, &text[3..]),
            end.frame(0x8a, b"pong"),
            end.frame(0x80, b""),
            end.frame(0x82, b"whole"),
            end.frame(0x88, b"\x0f\xa1bye"),
        ]
        .concat();
        for size in [1, 3, bytes.len()] {
            let (mut socket, seen) = end.over(CAPACITY, Config::new(), pieces(&bytes, size));
            for (opcode, last, payload) in [
                (Opcode::Text, false, &text[..3]),
                (Opcode::Ping, true, b"ping"),
                (Opcode::Continuation, false, &text[3..]),
                (Opcode::Pong, true, b"pong"),
                (Opcode::Continuation, true, b""),
                (Opcode::Binary, true, b"whole"),
            ] {
                let frame = socket.read_frame().unwrap().unwrap();
                assert_eq!(
                    (frame.opcode, frame.last, frame.payload),
                    (opcode, last, payload)
                );
            }
            assert_eq!(socket.read_frame().unwrap(), None);
            assert_eq!(
                (socket.close_code(), socket.close_reason()),
                (Some(4001), Some("bye"))
            );
            let answers = [(0x8a, b"ping".to_vec()), (0x88, b"\x0f\xa1".to_vec())];
            assert_eq!(frames(end, &seen.borrow().sent), answers);
        }
        // Text that goes wrong over two frames, and one that ends within a character.
        for last in [&b"\x28"[..], b""] {
            let bytes = [end.frame(0x01, b"\xe2"), end.frame(0x80, last)].concat();
            let (mut socket, _) = end.over(CAPACITY, Config::new(), pieces(&bytes, 2));
            assert!(socket.read_frame().is_ok());
            let error = socket.read_frame().unwrap_err();
            assert!(matches!(error, Error::Protocol(Violation::Utf8)), "{error}");
        }
    }
}

#[test]
fn a_message_is_read_to_its_end_the_way_it_was_begun() {
    let end = End::Client;
    let (begin, last) = (end.frame(0x02, b"a"), end.frame(0x80, b"b"));
    let script = [
        Step::Bytes(begin.clone()),
        Step::Fails(ErrorKind::TimedOut),
        Step::Bytes(last.clone()),
    ];
    let (mut socket, _) = end.over(CAPACITY, Config::new(), script);
    assert!(matches!(socket.read(), Err(Error::Io(_))));
    assert!(matches!(
        socket.read_frame(),
        Err(Error::Misuse(Misuse::Reading))
    ));
    assert_eq!(next(&mut socket).unwrap(), Some((false, b"ab".to_vec())));

    let (mut socket, _) = end.over(
        CAPACITY,
        Config::new(),
        [Step::Bytes([begin, last].concat())],
    );
    assert_eq!(socket.read_frame().unwrap().unwrap().payload, b"a");
    assert!(matches!(socket.read(), Err(Error::Misuse(Misuse::Reading))));
    assert_eq!(socket.read_frame().unwrap().unwrap().payload, b"b");
    assert!(matches!(socket.read(), Err(Error::UnexpectedEof)));
}

/// A frame of a stream that follows the rules, by what it is.
fn valid_stream() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let parts = prop::collection::vec(
        (prop::collection::vec(any::<u8>(), 0..300), any::<bool>()),
        1..6,
    );
    let message = parts.prop_map(|parts| {
        let last = parts.len() - 1;
        let mut all = Vec::new();
        for (at, (payload, pinged)) in parts.into_iter().enumerate() {
            let opcode = if at == 0 { 0x02 } else { 0x00 };
            let fin = if at == last { 0x80 } else { 0 };
            if pinged {
                all.push((0x89, payload.iter().copied().take(125).collect()));
            }
            all.push((opcode | fin, payload));
        }
        all
    });
    prop::collection::vec(message, 0..12).prop_map(|messages| messages.concat())
}

proptest! {
    #[test]
    fn whatever_is_sent_by_the_rules_arrives_whole_in_any_pieces(
        stream in valid_stream(),
        sizes in prop::collection::vec(1_usize..700, 1..20),
        server in any::<bool>(),
    ) {
        let end = if server { End::Server } else { End::Client };
        let bytes: Vec<u8> = stream.iter().flat_map(|(first, payload)| end.frame(*first, payload)).collect();
        let (mut script, mut rest) = (Vec::new(), &bytes[..]);
        for size in sizes.iter().cycle() {
            let (piece, later) = rest.split_at(rest.len().min(*size));
            script.push(Step::Bytes(piece.to_vec()));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let script = script.into_iter().filter(|step| !matches!(step, Step::Bytes(bytes) if bytes.is_empty()));
        let (mut socket, seen) = end.over(2048, Config::new(), script);
        let (mut expected, mut pings): (Vec<Vec<u8>>, Vec<Vec<u8>>) = Default::default();
        for (first, payload) in stream {
            match first & 0x0f {
                0x09 => pings.push(payload),
                0x02 => expected.push(payload),
                _ => expected.last_mut().unwrap().extend(payload),
            }
        }
        for message in expected {
            prop_assert_eq!(next(&mut socket).unwrap(), Some((false, message)));
        }
        prop_assert!(matches!(next(&mut socket), Err(Error::UnexpectedEof)));
        let answers: Vec<Vec<u8>> = frames(end, &seen.borrow().sent).into_iter().map(|(_, payload)| payload).collect();
        prop_assert_eq!(answers, pings);
    }
}
