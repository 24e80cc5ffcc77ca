//! Sending: how many writes, what a wire that is full leaves, and how a connection is closed from this side.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flux::ws::{Config, Error, Kind, Misuse, Opcode, code};

use crate::wire::{ENDS, End, Step, frames};

const CAPACITY: usize = 8 << 10;

#[test]
fn each_frame_is_one_write_when_it_fits_and_arrives_as_it_was_sent() {
    for end in ENDS {
        let (mut socket, seen) = end.over(CAPACITY, Config::new().send_buffer(1024), []);
        let long = vec![b'x'; 1010];
        socket.send_text("short").unwrap();
        socket.send_binary(&long).unwrap();
        socket.ping(b"there?").unwrap();
        socket.pong(&[1; 125]).unwrap();
        socket
            .send(Kind::Text, "€".as_bytes().split_at(1).0, false)
            .unwrap();
        socket
            .send(Kind::Text, "€".as_bytes().split_at(1).1, true)
            .unwrap();
        let expected: [(u8, &[u8]); 6] = [
            (0x81, b"short"),
            (0x82, &long),
            (0x89, b"there?"),
            (0x8a, &[1; 125]),
            (0x01, b"\xe2"),
            (0x80, b"\x82\xac"),
        ];
        let seen = seen.borrow();
        let sent = frames(end, &seen.sent);
        assert!(
            sent.iter()
                .map(|(first, payload)| (*first, &payload[..]))
                .eq(expected)
        );
        assert_eq!(seen.writes.len(), expected.len());
        assert_eq!(socket.unsent(), 0);
    }
}

#[test]
fn every_length_goes_through_a_small_buffer_and_a_wire_that_takes_little() {
    for end in ENDS {
        for most in [1, 7, 1000, usize::MAX] {
            let (mut socket, seen) = end.over(CAPACITY, Config::new().send_buffer(201), []);
            for len in [
                0, 1, 125, 126, 186, 187, 188, 189, 198, 199, 200, 1000, 65_535, 65_536,
            ] {
                if most == 1 && len > 1000 {
                    continue;
                }
                let payload: Vec<u8> = (0..=255).cycle().take(len).collect();
                seen.borrow_mut().takes = (0..len + 20).map(|_| Some(most)).collect();
                socket.send_binary(&payload).unwrap();
                let sent = std::mem::take(&mut seen.borrow_mut().sent);
                assert_eq!(
                    frames(end, &sent),
                    [(0x82, payload)],
                    "{len} bytes, {most} at a time"
                );
            }
        }
    }
}

#[test]
fn a_clients_masks_differ_from_frame_to_frame() {
    let (mut socket, seen) = End::Client.over(CAPACITY, Config::new(), []);
    for _ in 0..100 {
        socket.send_binary(b"").unwrap();
    }
    let mut keys: Vec<[u8; 4]> = seen
        .borrow()
        .sent
        .chunks(6)
        .map(|frame| frame[2..].try_into().unwrap())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    // Of four billion: a hundred are the same about once in a million runs for one pair.
    assert!(keys.len() > 98, "{} of 100 keys differ", keys.len());
}

#[test]
fn what_a_stopped_send_left_goes_before_the_next() {
    for end in ENDS {
        let (mut socket, seen) = end.over(CAPACITY, Config::new(), []);
        seen.borrow_mut().takes = [Some(3), None, None, Some(1)].into();
        assert!(matches!(socket.send_text("first"), Err(Error::Io(_))));
        let left = socket.unsent();
        assert!(left > 0);
        // It cannot go yet, so that the second was not taken.
        assert!(matches!(socket.send_text("second"), Err(Error::Io(_))));
        assert_eq!(socket.unsent(), left);
        socket.flush().unwrap();
        assert_eq!(socket.unsent(), 0);
        socket.send_text("third").unwrap();
        let sent = frames(end, &seen.borrow().sent);
        assert_eq!(sent, [(0x81, b"first".to_vec()), (0x81, b"third".to_vec())]);
    }
}

#[test]
fn what_a_stopped_send_left_goes_before_a_read_waits_and_before_a_ping_is_taken() {
    for end in ENDS {
        let script = [
            Step::Bytes(end.frame(0x82, b"x")),
            Step::Bytes(end.frame(0x89, b"ping")),
        ];
        let (mut socket, seen) = end.over(CAPACITY, Config::new(), script);
        seen.borrow_mut().takes = [Some(2), None].into();
        assert!(matches!(socket.send_text("asked"), Err(Error::Io(_))));
        assert_eq!(socket.read().unwrap().unwrap().as_bytes(), b"x");
        assert_eq!(socket.unsent(), 0, "the other side may wait for it");

        seen.borrow_mut().takes = [Some(2), None].into();
        assert!(matches!(socket.send_text("again"), Err(Error::Io(_))));
        // Room for that comes to an end before the ping is answered.
        seen.borrow_mut().takes = [Some(5), None, Some(5), None].into();
        for _ in 0..2 {
            assert!(matches!(socket.read(), Err(Error::Io(_))));
        }
        assert!(matches!(socket.read(), Err(Error::UnexpectedEof)));
        let sent = frames(end, &seen.borrow().sent);
        let expected = [(0x81, "asked"), (0x81, "again"), (0x8a, "ping")];
        assert!(
            sent.iter()
                .map(|(first, payload)| (*first, &payload[..]))
                .eq(expected.map(|(first, text)| (first, text.as_bytes())))
        );
    }
}

#[test]
fn a_ping_that_is_there_waits_for_the_room_that_its_answer_needs() {
    for end in ENDS {
        let bytes = [end.frame(0x82, b"x"), end.frame(0x89, b"ping")].concat();
        let (mut socket, seen) = end.over(CAPACITY, Config::new(), [Step::Bytes(bytes)]);
        assert_eq!(socket.read().unwrap().unwrap().as_bytes(), b"x");
        seen.borrow_mut().takes = [Some(2), None, None].into();
        assert!(matches!(socket.send_text("first"), Err(Error::Io(_))));
        assert!(matches!(socket.read(), Err(Error::Io(_))));
        assert_eq!(socket.pings(), 0);
        assert!(matches!(socket.read(), Err(Error::UnexpectedEof)));
        assert_eq!(socket.pings(), 1);
        let sent = frames(end, &seen.borrow().sent);
        assert_eq!(sent, [(0x81, b"first".to_vec()), (0x8a, b"ping".to_vec())]);
    }
}

#[test]
fn a_pong_that_finds_no_room_stops_the_read_and_goes_with_the_next() {
    for end in ENDS {
        let bytes = [
            end.frame(0x89, b"ping"),
            end.frame(0x82, b"x"),
            end.frame(0x89, b"pong"),
        ]
        .concat();
        let (mut socket, seen) = end.over(CAPACITY, Config::new(), [Step::Bytes(bytes)]);
        seen.borrow_mut().takes = [Some(2), None].into();
        assert!(matches!(socket.read(), Err(Error::Io(_))));
        assert_eq!(socket.read().unwrap().unwrap().as_bytes(), b"x");
        assert!(matches!(socket.read(), Err(Error::UnexpectedEof)));
        let sent = frames(end, &seen.borrow().sent);
        assert_eq!(sent, [(0x8a, b"ping".to_vec()), (0x8a, b"pong".to_vec())]);
    }
}

#[test]
fn a_ping_whose_answer_was_stopped_is_handed_out_all_the_same() {
    for end in ENDS {
        let script = [Step::Bytes(end.frame(0x89, b"there?"))];
        let (mut socket, seen) = end.over(CAPACITY, Config::new(), script);
        seen.borrow_mut().takes = [Some(2), None].into();
        let frame = socket.read_frame().unwrap().unwrap();
        assert_eq!(
            (frame.opcode, frame.payload),
            (Opcode::Ping, &b"there?"[..])
        );
        assert!(socket.unsent() > 0);
        socket.flush().unwrap();
        let sent = frames(end, &seen.borrow().sent);
        assert_eq!(sent, [(0x8a, b"there?".to_vec())]);
    }
}

#[test]
fn nothing_follows_a_close_frame_in_which_the_wire_panicked() {
    for end in ENDS {
        let (mut socket, seen) = end.over(CAPACITY, Config::new(), []);
        seen.borrow_mut().takes = [Some(3)].into();
        seen.borrow_mut().panics = true;
        let closed = catch_unwind(AssertUnwindSafe(|| socket.close(code::NORMAL, "")));
        assert!(closed.is_err());
        assert!(matches!(socket.send_text("late"), Err(Error::Closed)));
        socket.close(code::NORMAL, "").unwrap();
        let sent = frames(end, &seen.borrow().sent);
        assert_eq!(sent, [(0x88, code::NORMAL.to_be_bytes().to_vec())]);
    }
}

#[test]
fn a_panic_while_the_servers_end_is_waited_for_leaves_a_connection_that_is_closed() {
    let frames = [End::Client.frame(0x88, &[3, 232]), vec![0; 9]].concat();
    let script = [Step::Bytes(frames), Step::Panics];
    let (mut socket, _) = End::Client.over(CAPACITY, Config::new(), script);
    let read = catch_unwind(AssertUnwindSafe(|| socket.read_frame().map(drop)));
    assert!(read.is_err());
    assert!(socket.read_frame().unwrap().is_none());
    assert!(socket.read().unwrap().is_none());
    assert_eq!(socket.close_code(), Some(1000));
}

#[test]
fn a_long_message_that_was_stopped_ends_sending_by_name_and_not_reading() {
    for end in ENDS {
        let bytes = [
            end.frame(0x89, b"ping"),
            end.frame(0x82, b"x"),
            end.frame(0x88, b""),
        ]
        .concat();
        let (mut socket, seen) = end.over(
            CAPACITY,
            Config::new().send_buffer(200),
            [Step::Bytes(bytes)],
        );
        seen.borrow_mut().takes = [Some(200), None].into();
        assert!(matches!(socket.send_binary(&[0; 1000]), Err(Error::Io(_))));
        let sent = seen.borrow().sent.len();
        for failed in [
            socket.send_text(""),
            socket.ping(b""),
            socket.send(Kind::Binary, b"", true),
            socket.close(code::NORMAL, ""),
        ] {
            assert!(matches!(failed, Err(Error::Unfinished)), "{failed:?}");
        }
        assert_eq!(socket.read().unwrap().unwrap().as_bytes(), b"x");
        assert_eq!(socket.read().unwrap(), None);
        assert!(
            seen.borrow().sent.len() <= sent + 200,
            "no frame within a frame"
        );
    }
}

#[track_caller]
fn misuse(result: Result<(), Error>, expected: Misuse) {
    match result {
        Err(Error::Misuse(misuse)) => assert_eq!(misuse, expected),
        other => panic!("{other:?}, not {expected:?}"),
    }
}

#[test]
fn what_cannot_be_sent_is_refused_and_nothing_goes_out() {
    for end in ENDS {
        let (mut socket, seen) = end.over(CAPACITY, Config::new(), []);
        misuse(socket.ping(&[0; 126]), Misuse::Payload(126));
        misuse(socket.pong(&[0; 126]), Misuse::Payload(126));
        misuse(socket.close(1005, ""), Misuse::Code(1005));
        misuse(socket.close(1000, &"x".repeat(124)), Misuse::Reason(124));
        misuse(socket.send(Kind::Text, b"\xff", false), Misuse::Text);
        misuse(socket.send(Kind::Text, b"\xe2", true), Misuse::Text);
        assert!(seen.borrow().sent.is_empty());
        socket.send(Kind::Text, b"\xe2", false).unwrap();
        misuse(socket.send(Kind::Binary, b"", true), Misuse::Parts);
        misuse(socket.send_text(""), Misuse::Parts);
        misuse(socket.send(Kind::Text, b"x", true), Misuse::Text);
        socket.ping(b"may be").unwrap();
        socket.send(Kind::Text, b"\x82\xac", true).unwrap();
        socket.send_text("").unwrap();
        assert_eq!(frames(end, &seen.borrow().sent).len(), 4);
    }
}

#[test]
fn after_closing_what_was_still_said_is_read_and_the_end_is_none() {
    for end in ENDS {
        let bytes = [
            end.frame(0x81, b"late"),
            end.frame(0x89, b"ping"),
            end.frame(0x88, b"\x03\xe8bye"),
            end.frame(0x81, b"never"),
        ]
        .concat();
        let (mut socket, seen) = end.over(CAPACITY, Config::new(), [Step::Bytes(bytes)]);
        socket.close(4000, "enough").unwrap();
        for refused in [
            socket.send_text(""),
            socket.ping(b""),
            socket.send(Kind::Text, b"", true),
        ] {
            assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
        }
        assert_eq!(socket.read().unwrap().unwrap().as_bytes(), b"late");
        assert_eq!(socket.read().unwrap(), None);
        assert_eq!(socket.read().unwrap(), None);
        assert_eq!(
            (socket.close_code(), socket.close_reason()),
            (Some(1000), Some("bye"))
        );
        socket.close(code::NORMAL, "again").unwrap();
        let sent = frames(end, &seen.borrow().sent);
        assert_eq!(
            sent,
            [(0x88, b"\x0f\xa0enough".to_vec())],
            "and nothing after it"
        );
    }
}

#[test]
fn the_other_sides_end_is_an_error_before_its_close_frame_and_none_after_it() {
    for end in ENDS {
        let (mut socket, _) = end.over(CAPACITY, Config::new(), []);
        socket.close(code::NORMAL, "").unwrap();
        assert!(matches!(socket.read(), Err(Error::UnexpectedEof)));
        // A client waits for the server to end what is below; what comes until then is thrown away, within bounds.
        let close = end.frame(0x88, b"");
        let junk = (0..10_000).map(|_| Step::Bytes(vec![b'x'; 1000]));
        let (mut socket, seen) = end.over(
            CAPACITY,
            Config::new(),
            [Step::Bytes(close)].into_iter().chain(junk),
        );
        assert_eq!(socket.read().unwrap(), None);
        let fills = seen.borrow().fills;
        let bounded = if end == End::Client { 1000..1200 } else { 1..2 };
        assert!(bounded.contains(&fills), "{end:?}: {fills}");
    }
}

#[test]
fn a_fault_is_told_in_a_close_frame_that_says_which() {
    for end in ENDS {
        let (mut socket, seen) =
            end.over(CAPACITY, Config::new(), [Step::Bytes(end.frame(0x83, b""))]);
        assert!(socket.read().is_err());
        let sent = frames(end, &seen.borrow().sent);
        let said = b"\x03\xeaa frame has the opcode 0x3, which means nothing".to_vec();
        assert_eq!(sent, [(0x88, said)]);
    }
}
