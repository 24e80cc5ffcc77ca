//! Messages after the handshake, cut everywhere, and alerts.

use super::*;

/// Reads `records` one after the other, and says what they asked for and which tickets came.
fn read(records: &[&[u8]], version: Version) -> (Result<Vec<Asked>, Fault>, Vec<Vec<u8>>) {
    let (mut messages, mut tickets) = (Messages::default(), Vec::new());
    let asked = records
        .iter()
        .map(|record| {
            messages.read(record, version, |body| {
                tickets.push(body.to_vec());
                Ok(())
            })
        })
        .collect();
    (asked, tickets)
}

const TICKET: &[u8] = &[NEW_SESSION_TICKET, 0, 0, 3, 1, 2, 3];

#[test]
fn a_message_is_the_same_wherever_it_is_cut() {
    let two = [TICKET, &[NEW_SESSION_TICKET, 0, 0, 1, 9], &OUR_KEY_UPDATE].concat();
    for first in 1..two.len() - 1 {
        for second in first + 1..two.len() {
            let records = [&two[..first], &two[first..second], &two[second..]];
            let (asked, tickets) = read(&records, Version::Tls13);
            let asked = asked.unwrap();
            assert_eq!(
                tickets,
                [&[1, 2, 3][..], &[9]],
                "cut at {first} and {second}"
            );
            assert_eq!(asked[2], Asked::KeyUpdate { ours_too: false });
        }
    }
}

#[test]
fn what_does_not_belong_is_refused_by_name() {
    use Version::{Tls12, Tls13};
    let check = |records: &[&[u8]], version, fault| {
        assert_eq!(read(records, version).0, Err(fault), "{records:?}");
    };
    check(
        &[&[]],
        Tls13,
        Fault::BadMessage("handshake record without a byte"),
    );
    check(&[TICKET], Tls12, Fault::UnexpectedMessage(4));
    check(&[&OUR_KEY_UPDATE], Tls12, Fault::UnexpectedMessage(24));
    check(&[&[13, 0, 0, 0]], Tls13, Fault::UnexpectedMessage(13));
    check(&[&[0, 0, 0, 0]], Tls13, Fault::UnexpectedMessage(0));
    check(&[&[0, 0, 0, 1, 0]], Tls12, Fault::UnexpectedMessage(0));
    check(&[&[24, 0, 0, 1, 2]], Tls13, Fault::BadMessage("key update"));
    check(&[&[24, 0, 0, 0]], Tls13, Fault::BadMessage("key update"));
    check(&[&[24, 0, 0, 1, 1, 24]], Tls13, Fault::Interleaved);
    check(&[&[24, 0, 0], &[1, 1, 4]], Tls13, Fault::Interleaved);
    let too_long = Fault::MessageTooLong {
        len: MESSAGE_MAX + 1,
        max: MESSAGE_MAX,
    };
    check(&[&[4, 1, 0, 0]], Tls13, too_long);
    check(&[&[4, 1], &[0, 0]], Tls13, too_long);
}

#[test]
fn another_handshake_is_asked_for_in_tls_1_2_alone() {
    let (asked, _) = read(&[&[0, 0, 0, 0]], Version::Tls12);
    assert_eq!(asked, Ok(vec![Asked::Renegotiation]));
}

#[test]
fn an_alert_ends_warns_or_breaks() {
    use Version::{Tls12, Tls13};
    for (content, version, told) in [
        (&[1, 0][..], Tls13, Ok(Told::Finished)),
        (&[2, 0], Tls12, Ok(Told::Finished)),
        (&[1, 90], Tls13, Ok(Told::Warned)),
        (&[1, 90], Tls12, Ok(Told::Warned)),
        (&[1, 100], Tls12, Ok(Told::Warned)),
        (&[1, 100], Tls13, Err(Fault::Alert(Alert::NO_RENEGOTIATION))),
        (&[2, 20], Tls12, Err(Fault::Alert(Alert::BAD_RECORD_MAC))),
        (&[1, 20], Tls13, Err(Fault::Alert(Alert::BAD_RECORD_MAC))),
        (&[9, 40], Tls12, Err(Fault::Alert(Alert::new(40)))),
        (&[], Tls13, Err(Fault::BadAlert)),
        (&[2], Tls13, Err(Fault::BadAlert)),
        (&[2, 20, 0], Tls12, Err(Fault::BadAlert)),
    ] {
        assert_eq!(alert(content, version), told, "{content:?}, {version:?}");
    }
}
