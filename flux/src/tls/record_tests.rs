//! Records there and back, for each form, in place and moved.

use ring::aead::{AES_128_GCM, AES_256_GCM, Algorithm, CHACHA20_POLY1305, LessSafeKey, UnboundKey};

use super::*;

const FORMS: [(Form, &Algorithm); 6] = [
    (Form::Tls13, &AES_128_GCM),
    (Form::Tls13, &AES_256_GCM),
    (Form::Tls13, &CHACHA20_POLY1305),
    (Form::Tls12Gcm, &AES_128_GCM),
    (Form::Tls12Gcm, &AES_256_GCM),
    (Form::Tls12ChaCha, &CHACHA20_POLY1305),
];

fn key(form: Form, algorithm: &'static Algorithm, sequence: u64) -> Key {
    let key = UnboundKey::new(algorithm, &[7; 32][..algorithm.key_len()]).unwrap();
    Key::new(LessSafeKey::new(key), [9; 12], sequence, form)
}

fn sealed(key: &Key, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![0xee; SEALED_MAX];
    let (total, taken) = key.seal(kind, std::iter::once(content), &mut out).unwrap();
    assert_eq!(taken, content.len());
    out.truncate(total);
    out
}

#[test]
fn a_record_comes_back_as_it_was_in_place_and_moved() {
    for (form, algorithm) in FORMS {
        for len in [0, 1, 15, 16, 17, 280, CONTENT_MAX] {
            let content: Vec<u8> = (0..=250).cycle().take(len).collect();
            for to_front in [false, true] {
                let sending = key(form, algorithm, 41);
                let mut receiving = key(form, algorithm, 41);
                let record = sealed(&sending, kind::APPLICATION_DATA, &content);
                assert_eq!(receiving.measure(&record), Ok(Some(record.len())));
                let mut memory = vec![0xaa; 9];
                memory.extend_from_slice(&record);
                let opened = receiving.open(&mut memory, 9, to_front).unwrap();
                assert_eq!(opened.kind, kind::APPLICATION_DATA);
                assert_eq!(memory[opened.start..opened.start + opened.len], content);
                assert_eq!(opened.start == 0, to_front);
                assert!(receiving.content_max(record.len()) >= opened.len);
                assert_eq!(receiving.sequence(), 42);
            }
        }
    }
}

#[test]
fn a_record_of_another_number_does_not_authenticate() {
    for (form, algorithm) in FORMS {
        let mut record = sealed(&key(form, algorithm, 1), kind::APPLICATION_DATA, b"once");
        let mut receiving = key(form, algorithm, 2);
        assert_eq!(receiving.open(&mut record, 0, false), Err(Fault::BadMac));
        assert_eq!(receiving.sequence(), 2);
    }
}

#[test]
fn a_header_is_refused_before_its_record_has_come() {
    let (thirteen, twelve) = (
        key(Form::Tls13, &AES_128_GCM, 0),
        key(Form::Tls12Gcm, &AES_128_GCM, 0),
    );
    for header in [&[][..], &[23], &[23, 3, 3, 0]] {
        assert_eq!(thirteen.measure(header), Ok(None));
    }
    let check = |key: &Key, header: [u8; 5], measured| {
        assert_eq!(key.measure(&header), measured, "{header:?}");
    };
    check(&thirteen, [23, 9, 9, 0x41, 0], Ok(Some(5 + 0x4100)));
    let overflow = |len, max| Err(Fault::RecordOverflow { len, max });
    check(&thirteen, [23, 3, 3, 0x41, 1], overflow(0x4101, 0x4100));
    check(
        &thirteen,
        [23, 3, 3, 0, 16],
        Err(Fault::RecordTooShort { len: 16 }),
    );
    check(
        &thirteen,
        [20, 3, 3, 0, 1],
        Err(Fault::UnexpectedRecord(20)),
    );
    check(
        &thirteen,
        [21, 3, 3, 0, 2],
        Err(Fault::UnexpectedRecord(21)),
    );
    check(&twelve, [23, 3, 3, 0x48, 0], Ok(Some(5 + 0x4800)));
    check(&twelve, [23, 3, 3, 0x48, 1], overflow(0x4801, 0x4800));
    check(
        &twelve,
        [23, 3, 3, 0, 23],
        Err(Fault::RecordTooShort { len: 23 }),
    );
    check(
        &twelve,
        [23, 3, 1, 0, 99],
        Err(Fault::RecordVersion(0x0301)),
    );
    check(&twelve, [20, 3, 3, 0, 99], Err(Fault::UnexpectedRecord(20)));
    check(&twelve, [24, 3, 3, 0, 99], Err(Fault::UnexpectedRecord(24)));
}

#[test]
fn a_key_opens_nothing_once_its_numbers_have_ended() {
    let mut record = sealed(&key(Form::Tls13, &AES_128_GCM, u64::MAX), 23, b"last");
    let mut receiving = key(Form::Tls13, &AES_128_GCM, u64::MAX);
    assert_eq!(
        receiving.open(&mut record, 0, false),
        Err(Fault::KeysWornOut {
            records_max: u64::MAX
        })
    );
}

#[test]
fn parts_are_gathered_into_one_record_up_to_its_limit() {
    let key_out = key(Form::Tls12Gcm, &AES_128_GCM, 0);
    let mut out = vec![0; SEALED_MAX];
    let long = vec![5; CONTENT_MAX];
    let parts = [&b"head"[..], &long, b"never"];
    let (total, taken) = key_out.seal(23, parts.into_iter(), &mut out).unwrap();
    assert_eq!(taken, CONTENT_MAX);
    let mut receiving = key(Form::Tls12Gcm, &AES_128_GCM, 0);
    let opened = receiving.open(&mut out[..total], 0, true).unwrap();
    assert_eq!(opened.len, CONTENT_MAX);
    assert_eq!(out[..6], *b"head\x05\x05");
}
