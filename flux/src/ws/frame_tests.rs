use super::*;

const ROLES: [Role; 2] = [Role::Client, Role::Server];
const OPCODES: [Opcode; 6] = [
    Opcode::Continuation,
    Opcode::Text,
    Opcode::Binary,
    Opcode::Close,
    Opcode::Ping,
    Opcode::Pong,
];

/// The key of frames that go to `role`.
fn key_for(role: Role) -> Option<[u8; 4]> {
    (role == Role::Server).then_some([1, 2, 3, 4])
}

#[test]
fn what_is_written_is_read_and_not_before_its_last_byte() {
    for role in ROLES {
        for opcode in OPCODES {
            for len in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 40] {
                for fin in [true, false] {
                    if opcode.is_control() && (!fin || len > CONTROL_MAX) {
                        continue;
                    }
                    let mut bytes = [0; HEADER_MAX];
                    let size = write_header(&mut bytes, opcode, fin, len, key_for(role));
                    for have in 0..size {
                        assert_eq!(Header::read(&bytes[..have], role), Ok(None));
                    }
                    let header = Header::read(&bytes, role).unwrap().unwrap();
                    let expected = Header {
                        opcode,
                        fin,
                        key: key_for(role).unwrap_or_default(),
                        len: len as u64,
                        size,
                    };
                    assert_eq!(header, expected);
                }
            }
        }
    }
}

#[track_caller]
fn refuses(bytes: &[u8], role: Role, why: Violation) {
    assert_eq!(Header::read(bytes, role), Err(why), "{bytes:x?}");
    assert_eq!(whole(bytes, role.mask_of_peer()), None, "{bytes:x?}");
}

#[test]
fn what_no_frame_may_be_is_refused_by_the_byte_that_shows_it() {
    for reserved in 1..8 {
        refuses(
            &[0x81 | reserved << 4],
            Role::Client,
            Violation::ReservedBits,
        );
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        refuses(&[0x80 | opcode], Role::Client, Violation::Opcode(opcode));
    }
    for control in [0x08, 0x09, 0x0a] {
        refuses(&[control], Role::Client, Violation::FragmentedControl);
        for len in [126, 127] {
            refuses(&[0x80 | control, len], Role::Client, Violation::LongControl);
        }
    }
    refuses(&[0x81, 0x80], Role::Client, Violation::Masked);
    refuses(&[0x81, 0x00], Role::Server, Violation::Unmasked);
    refuses(&[0x82, 126, 0, 125], Role::Client, Violation::Length);
    let sixteen_bit = [0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
    refuses(&sixteen_bit, Role::Client, Violation::Length);
    let negative = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
    refuses(&negative, Role::Client, Violation::LengthSign);
}

#[test]
fn the_short_way_finds_what_the_long_way_finds_or_nothing() {
    for role in ROLES {
        for first in 0..=255_u8 {
            for second in 0..=255_u8 {
                for (third, fourth) in [(0, 0), (0, 125), (0, 126), (1, 0)] {
                    let mut bytes = vec![first, second, third, fourth];
                    bytes.resize(600, 0);
                    let long = Header::read(&bytes, role).ok().flatten();
                    let Some((text, at, len)) = whole(&bytes, role.mask_of_peer()) else {
                        let simple = long.is_some_and(|header| {
                            header.fin
                                && matches!(header.opcode, Opcode::Text | Opcode::Binary)
                                && header.len < 500
                        });
                        assert!(!simple, "{:x?} is not found", &bytes[..4]);
                        continue;
                    };
                    let long = long.expect("it is a frame");
                    assert!(long.fin);
                    assert_eq!((at, len as u64), (long.size, long.len));
                    assert_eq!(long.opcode == Opcode::Text, text);
                    assert!(text || long.opcode == Opcode::Binary);
                    // Not before its last byte.
                    assert_eq!(whole(&bytes[..at + len - 1], role.mask_of_peer()), None);
                    assert!(
                        at + len < 4 || whole(&bytes[..at + len], role.mask_of_peer()).is_some()
                    );
                }
            }
        }
    }
}
