//! What a peer may do wrong after the handshake: each has a name, and what the peer is told for it.

use std::io::{ErrorKind, Write};

use flux::net::Wire;
use flux::tls::{Alert, Fault};

use crate::certificates::{Offer, offers};
use crate::forged::Forger;
use crate::{Random, connected, fault, fill_all, tls12, tls13};

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// Sends `left over` and then what `wrong` makes, and expects the fault, its alert, that it stays, and that what was
/// unread is as it was.
#[track_caller]
fn breaks(offer: &Offer, expected: Fault, told: Option<Alert>, wrong: impl Fn(&mut Forger)) {
    for left_over in [&b""[..], b"left over", &[7; 5_000]] {
        let (mut stream, mut forger) = Forger::connected(offer);
        if !left_over.is_empty() {
            forger.send(DATA, left_over);
            assert_eq!(stream.fill().unwrap(), left_over.len());
        }
        wrong(&mut forger);
        let error = loop {
            let before = stream.unread().len();
            match stream.fill() {
                Ok(count) => assert!(count > before, "a clean end"),
                Err(error) => break error,
            }
        };
        assert_eq!(fault(&error), expected, "{error}");
        assert!(stream.unread().starts_with(left_over));
        let alert = told.map(|alert| (ALERT, vec![2, alert.number()]));
        assert_eq!(forger.heard(), alert, "{expected:?}");
        for _ in 0..2 {
            assert_eq!(fault(&stream.fill().unwrap_err()), expected);
            assert_eq!(fault(&stream.write(b"x").unwrap_err()), expected);
        }
        drop(stream);
        assert_eq!(forger.heard(), None, "nothing follows");
    }
}

#[test]
fn padding_is_taken_off() {
    let (mut stream, mut forger) = Forger::connected(&tls13());
    for padding in [0, 1, 15, 1_000, 16_384 - 4] {
        let record = forger.record(DATA, b"data", padding);
        forger.send_raw(&record);
        assert_eq!(stream.fill().unwrap(), 4, "{padding}");
        assert_eq!(stream.unread(), b"data");
        stream.consume(4);
        // Behind what is left over, it moves in front of its padding.
        forger.send(DATA, &[1; 100]);
        let zeros = forger.record(DATA, &[0; 20], padding.min(16_000));
        forger.send_raw(&zeros);
        assert_eq!(fill_all(&mut stream), 120);
        assert_eq!(stream.unread(), [[1; 100].as_slice(), &[0; 20]].concat());
        stream.consume(120);
    }
}

#[test]
fn records_of_the_most_bytes_are_taken_and_longer_ones_refused() {
    for offer in [tls13(), tls12()] {
        let (mut stream, mut forger) = Forger::connected(&offer);
        forger.send(DATA, &[5; 16_384]);
        assert_eq!(stream.fill().unwrap(), 16_384);
        let overflow = |len| Fault::RecordOverflow { len, max: 16_384 };
        breaks(
            &offer,
            overflow(16_385),
            Some(Alert::RECORD_OVERFLOW),
            |forger| {
                forger.send(DATA, &vec![5; 16_385]);
            },
        );
    }
    let padded = Fault::RecordOverflow {
        len: 16_385,
        max: 16_384,
    };
    breaks(&tls13(), padded, Some(Alert::RECORD_OVERFLOW), |forger| {
        let record = forger.record(DATA, &[5; 16_000], 385);
        forger.send_raw(&record);
    });
    for (offer, max) in [(tls13(), 16_640), (tls12(), 18_432)] {
        let claimed = Fault::RecordOverflow { len: max + 1, max };
        breaks(&offer, claimed, Some(Alert::RECORD_OVERFLOW), |forger| {
            let [high, low] = u16::try_from(max + 1).unwrap().to_be_bytes();
            forger.send_raw(&[23, 3, 3, high, low]);
        });
    }
}

#[test]
fn records_that_cannot_be_one_are_refused_by_their_header() {
    let unexpected = |kind| {
        (
            Fault::UnexpectedRecord(kind),
            Some(Alert::UNEXPECTED_MESSAGE),
        )
    };
    for (offer, header, (expected, told)) in [
        (tls13(), [20, 3, 3, 0, 1], unexpected(20)),
        (tls13(), [21, 3, 3, 0, 2], unexpected(21)),
        (tls13(), [22, 3, 3, 0, 40], unexpected(22)),
        (tls13(), *b"HTTP/", unexpected(b'H')),
        (tls12(), [20, 3, 3, 0, 40], unexpected(20)),
        (tls12(), [24, 3, 3, 0, 40], unexpected(24)),
        (
            tls12(),
            [23, 3, 4, 0, 40],
            (Fault::RecordVersion(0x0304), Some(Alert::PROTOCOL_VERSION)),
        ),
        (
            tls13(),
            [23, 3, 3, 0, 16],
            (
                Fault::RecordTooShort { len: 16 },
                Some(Alert::BAD_RECORD_MAC),
            ),
        ),
        (
            tls12(),
            [23, 3, 3, 0, 0],
            (
                Fault::RecordTooShort { len: 0 },
                Some(Alert::BAD_RECORD_MAC),
            ),
        ),
    ] {
        breaks(&offer, expected, told, |forger| forger.send_raw(&header));
    }
    // Inside of one that authenticates.
    for kind in [20, 24, 99] {
        let (expected, told) = unexpected(kind);
        breaks(&tls13(), expected, told, |forger| forger.send(kind, &[1]));
    }
}

#[test]
fn a_record_of_nothing_but_zeros_is_refused() {
    let told = Some(Alert::UNEXPECTED_MESSAGE);
    breaks(&tls13(), Fault::NoContentType, told, |forger| {
        let record = forger.record(0, b"", 50);
        forger.send_raw(&record);
    });
}

#[test]
fn records_without_data_are_taken_up_to_a_limit_and_data_begins_it_anew() {
    for offer in [tls13(), tls12()] {
        let (mut stream, mut forger) = Forger::connected(&offer);
        // The tickets count too, until the first data.
        forger.send(DATA, b"x");
        assert_eq!(stream.fill().unwrap(), 1);
        for round in 2..=5 {
            for _ in 0..32 {
                forger.send(DATA, b"");
            }
            forger.send(DATA, b"x");
            assert_eq!(stream.fill().unwrap(), round);
        }
        let told = Some(Alert::UNEXPECTED_MESSAGE);
        breaks(&offer, Fault::NoData { max: 32 }, told, |forger| {
            for _ in 0..33 {
                forger.send(DATA, b"");
            }
        });
        breaks(&offer, Fault::NoData { max: 32 }, told, |forger| {
            for _ in 0..33 {
                forger.send(ALERT, &[1, 90]);
            }
        });
    }
}

#[test]
fn a_change_in_any_byte_is_found_and_nothing_wrong_is_delivered() {
    let mut random = Random(11);
    for offer in offers() {
        for _ in 0..400 {
            let (mut stream, peer) = connected(&offer);
            fill_all(&mut stream);
            let texts: Vec<Vec<u8>> = (0..4)
                .map(|_| {
                    let len = 1 + random.below(200);
                    random.bytes(len)
                })
                .collect();
            for text in &texts {
                peer.borrow_mut().send(text);
            }
            let whole = texts.concat();
            {
                let bytes = &mut peer.borrow_mut().to_client;
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            peer.borrow_mut().ended = true;
            let error = loop {
                let before = stream.unread().len();
                match stream.fill() {
                    Ok(count) => {
                        assert!(whole.starts_with(stream.unread()));
                        assert!(count > before, "a clean end");
                    }
                    Err(error) => break error,
                }
            };
            // A length that grew ends in the middle of a record.
            let fault = fault(&error);
            assert!(
                matches!(
                    fault,
                    Fault::BadMac
                        | Fault::Truncated { .. }
                        | Fault::RecordOverflow { .. }
                        | Fault::RecordTooShort { .. }
                        | Fault::UnexpectedRecord(_)
                        | Fault::RecordVersion(_)
                ),
                "{fault:?}"
            );
            assert!(whole.starts_with(stream.unread()));
            assert!(stream.unread().len() < whole.len());
        }
    }
}

#[test]
fn a_record_that_comes_twice_or_out_of_order_does_not_authenticate() {
    for offer in [tls13(), tls12()] {
        let told = Some(Alert::BAD_RECORD_MAC);
        breaks(&offer, Fault::BadMac, told, |forger| {
            let record = forger.record(DATA, b"again", 0);
            forger.send_raw(&record);
            forger.send_raw(&record);
        });
        breaks(&offer, Fault::BadMac, told, |forger| {
            let first = forger.record(DATA, b"first", 0);
            let second = forger.record(DATA, b"second", 0);
            forger.send_raw(&second);
            forger.send_raw(&first);
        });
    }
}

#[test]
fn an_end_without_close_notify_is_no_end() {
    for offer in [tls13(), tls12()] {
        let truncated = |partial| Fault::Truncated { partial };
        breaks(&offer, truncated(0), None, Forger::end);
        for partial in [1, 4, 5, 20] {
            breaks(&offer, truncated(partial), None, |forger| {
                let record = forger.record(DATA, b"most of it", 0);
                forger.send_raw(&record[..partial]);
                forger.end();
            });
        }
        let (mut stream, mut forger) = Forger::connected(&offer);
        forger.end();
        let error = stream.fill().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("`close_notify`"), "{error}");
    }
}

#[test]
fn what_follows_close_notify_is_not_looked_at() {
    for offer in [tls13(), tls12()] {
        let (mut stream, mut forger) = Forger::connected(&offer);
        forger.send(DATA, b"all");
        forger.send(ALERT, &[1, 0]);
        forger.send_raw(b"anything");
        forger.end();
        assert_eq!(stream.fill().unwrap(), 3);
        for _ in 0..3 {
            assert_eq!(stream.fill().unwrap(), 3);
        }
        assert_eq!(stream.unread(), b"all");
        stream.consume(3);
        assert_eq!(stream.fill().unwrap(), 0);
    }
}

#[test]
fn a_fatal_alert_is_quoted_and_a_warning_is_not() {
    for offer in [tls13(), tls12()] {
        let (mut stream, mut forger) = Forger::connected(&offer);
        forger.send(ALERT, &[1, 90]);
        forger.send(DATA, b"and on");
        assert_eq!(stream.fill().unwrap(), 6);
        for number in [10, 40, 80, 255] {
            let alert = Alert::new(number);
            breaks(&offer, Fault::Alert(alert), None, |forger| {
                forger.send(ALERT, &[2, number]);
            });
        }
        for content in [&[][..], &[1], &[2, 40, 0]] {
            breaks(
                &offer,
                Fault::BadAlert,
                Some(Alert::DECODE_ERROR),
                |forger| {
                    forger.send(ALERT, content);
                },
            );
        }
    }
}

#[test]
fn handshake_messages_that_do_not_belong_are_refused() {
    let told = Some(Alert::UNEXPECTED_MESSAGE);
    for (offer, message, expected) in [
        (tls13(), &[13, 0, 0, 0][..], Fault::UnexpectedMessage(13)),
        (tls13(), &[0, 0, 0, 0], Fault::UnexpectedMessage(0)),
        (tls13(), &[24, 0, 0, 1, 0, 24], Fault::Interleaved),
        (tls12(), &[24, 0, 0, 1, 0], Fault::UnexpectedMessage(24)),
        (tls12(), &[4, 0, 0, 1, 0], Fault::UnexpectedMessage(4)),
    ] {
        breaks(&offer, expected, told, |forger| {
            forger.send(HANDSHAKE, message);
        });
    }
    let told = Some(Alert::DECODE_ERROR);
    let empty = Fault::BadMessage("handshake record without a byte");
    breaks(&tls13(), empty, told, |forger| forger.send(HANDSHAKE, b""));
    let update = Fault::BadMessage("key update");
    breaks(&tls13(), update, told, |forger| {
        forger.send(HANDSHAKE, &[24, 0, 0, 1, 9]);
    });
    let ticket = Fault::BadMessage("session ticket");
    breaks(&tls13(), ticket, told, |forger| {
        forger.send(HANDSHAKE, &[4, 0, 0, 3, 1, 2, 3]);
    });
    let long = Fault::MessageTooLong {
        len: 0x01_0000,
        max: 0xffff,
    };
    breaks(&tls13(), long, told, |forger| {
        forger.send(HANDSHAKE, &[4, 1, 0, 0, 0]);
    });
}

#[test]
fn a_message_that_is_begun_is_not_interrupted() {
    let told = Some(Alert::UNEXPECTED_MESSAGE);
    for (kind, content) in [(DATA, &b"data"[..]), (DATA, b""), (ALERT, &[1, 0])] {
        breaks(&tls13(), Fault::Interleaved, told, |forger| {
            forger.send(HANDSHAKE, &[24, 0, 0]);
            forger.send(kind, content);
        });
    }
}

/// A session ticket for `seconds`, with nothing else.
fn ticket(seconds: u8) -> Vec<u8> {
    [
        &[4, 0, 0, 17][..],
        &[0, 0, 0, seconds],
        &[1, 2, 3, 4],
        &[1, 9],
        &[0, 3],
        b"abc",
        &[0, 0],
    ]
    .concat()
}

#[test]
fn a_ticket_in_pieces_between_data_moves_nothing_that_is_unread() {
    for left_over in [&b"x"[..], &[8; 3_000]] {
        let (mut stream, mut forger) = Forger::connected(&tls13());
        let mut expected = Vec::new();
        for cut in 1..21 {
            forger.send(DATA, left_over);
            assert_eq!(stream.fill().unwrap(), expected.len() + left_over.len());
            let message = ticket(cut);
            assert_eq!(message.len(), 21);
            forger.send(HANDSHAKE, &message[..cut.into()]);
            forger.send(HANDSHAKE, &message[cut.into()..]);
            forger.send(DATA, &[cut]);
            expected.extend_from_slice(left_over);
            expected.push(cut);
            assert_eq!(stream.fill().unwrap(), expected.len());
            assert!(stream.unread() == expected);
            if expected.len() > 20_000 {
                stream.consume(19_999);
                expected.drain(..19_999);
            }
        }
        assert_eq!(forger.heard(), None);
    }
}

#[test]
fn another_handshake_is_declined() {
    let (mut stream, mut forger) = Forger::connected(&tls12());
    forger.send(HANDSHAKE, &[0, 0, 0, 0]);
    forger.send(DATA, b"all the same");
    assert_eq!(stream.fill().unwrap(), 12);
    let declined = (ALERT, vec![1, Alert::NO_RENEGOTIATION.number()]);
    assert_eq!(forger.heard(), Some(declined));
    stream.write_all(b"go on").unwrap();
    assert_eq!(forger.heard(), Some((DATA, b"go on".to_vec())));
}

#[test]
fn an_update_of_keys_is_answered_at_once_or_before_the_next_data() {
    for late in [false, true] {
        let (mut stream, mut forger) = Forger::connected(&tls13());
        if late {
            forger.refuse_write();
        }
        forger.send(HANDSHAKE, &[24, 0, 0, 1, 1]);
        assert_eq!(stream.fill().unwrap_err().kind(), ErrorKind::TimedOut);
        let answer = Some((HANDSHAKE, vec![24, 0, 0, 1, 0]));
        if late {
            assert_eq!(forger.heard(), None);
            stream.write_all(b"data").unwrap();
            assert_eq!(forger.heard(), answer);
        } else {
            assert_eq!(forger.heard(), answer);
        }
    }
}
