//! Any bytes at all, in both roles: no panic, bounded memory, and the same outcome however they are cut.
//!
//! `WS_FUZZ_CASES` sets how many streams are tried; `fuzz/` does the same with a fuzzer that looks at the code.

#[path = "ws/wire.rs"]
mod wire;

use flux::ws::{Config, Error, Message};
use proptest::prelude::*;
use wire::{ENDS, End, REQUEST, Step, pieces};

const CAPACITY: usize = 2048;

/// All that a stream of bytes led to: messages, and how it ended.
type Outcome = (Vec<(bool, Vec<u8>)>, String, Vec<u8>);

/// Reads to the end, within the memory there is, and sends nothing but answers.
fn outcome(end: End, bytes: &[u8], size: usize) -> Outcome {
    let config = Config::new().message_max(1500).fragments_max(40);
    let (mut socket, seen) = end.over(CAPACITY, config, pieces(bytes, size));
    let mut messages = Vec::new();
    let ended = loop {
        match socket.read() {
            Ok(Some(Message::Text(text))) => messages.push((true, text.as_bytes().to_vec())),
            Ok(Some(Message::Binary(bytes))) => messages.push((false, bytes.to_vec())),
            Ok(None) => break format!("closed with {:?}", socket.close_code()),
            Err(Error::Io(error)) => panic!("the wire has no fault: {error}"),
            Err(error) => break error.to_string(),
        }
    };
    // It stays ended.
    assert!(!matches!(socket.read(), Ok(Some(_))));
    let seen = seen.borrow();
    assert!(seen.high_water <= CAPACITY);
    // A client's masks differ from one run to the next.
    let answers = wire::frames(end, &seen.sent).into_iter();
    let answers = answers.flat_map(|(first, payload)| [vec![first], payload].concat());
    (messages, ended, answers.collect())
}

/// The same bytes, frame by frame: what they are joined to must be what `read` joined.
fn frame_by_frame(end: End, bytes: &[u8], size: usize) -> Vec<(bool, Vec<u8>)> {
    let config = Config::new().message_max(1500).fragments_max(40);
    let (mut socket, _) = end.over(CAPACITY, config, pieces(bytes, size));
    let (mut messages, mut begun) = (Vec::new(), None);
    while let Ok(Some(frame)) = socket.read_frame() {
        if frame.opcode.is_control() {
            continue;
        }
        let text = frame.opcode == flux::ws::Opcode::Text;
        let (text, mut bytes) = begun.take().unwrap_or((text, Vec::new()));
        bytes.extend_from_slice(frame.payload);
        if frame.last {
            messages.push((text, bytes));
        } else {
            begun = Some((text, bytes));
        }
    }
    messages
}

/// A frame that is more or less one: every field may be wrong, and most often is not.
fn about_a_frame(end: End) -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        12 => prop::sample::select(&[0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x80, 0x89, 0x8a][..]),
        1 => Just(0x88_u8),
        1 => any::<u8>(),
    ];
    let byte = prop::sample::select(&[b'a', b'b', 0x03, 0xe8, 0xe2, 0x82, 0xac, 0xf4, 0x90][..]);
    let payload = prop_oneof![
        6 => prop::collection::vec(Just(b'x'), 0..200),
        2 => prop::collection::vec(byte, 0..10),
        1 => prop::collection::vec(any::<u8>(), 0..1600),
    ];
    let spoiled = prop::option::weighted(0.1, (any::<prop::sample::Index>(), any::<u8>()));
    (first, payload, spoiled).prop_map(move |(first, payload, spoiled)| {
        let mut bytes = end.frame(first, &payload);
        if let Some((at, byte)) = spoiled {
            let at = at.index(bytes.len().min(16));
            bytes[at] = byte;
        }
        bytes
    })
}

fn streams() -> impl Strategy<Value = (End, Vec<u8>)> {
    prop::sample::select(&ENDS[..]).prop_flat_map(|end| {
        let frames = prop::collection::vec(about_a_frame(end), 0..40);
        prop_oneof![
            8 => frames.prop_map(|frames| frames.concat()),
            1 => prop::collection::vec(any::<u8>(), 0..300),
        ]
        .prop_map(move |bytes| (end, bytes))
    })
}

fn cases() -> u32 {
    let set = std::env::var("WS_FUZZ_CASES");
    set.map_or(500, |cases| cases.parse().expect("a number of cases"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn any_bytes_lead_to_one_outcome_however_they_are_cut(
        (end, bytes) in streams(),
        size in 1_usize..100,
    ) {
        let whole = outcome(end, &bytes, bytes.len().max(1));
        for size in [1, size] {
            let cut = outcome(end, &bytes, size);
            prop_assert_eq!(&cut.0, &whole.0);
            prop_assert_eq!(&cut.1, &whole.1);
            prop_assert_eq!(&cut.2, &whole.2);
        }
        let framed = frame_by_frame(end, &bytes, size);
        let common = framed.len().min(whole.0.len());
        prop_assert_eq!(&framed[..common], &whole.0[..common]);
    }

    #[test]
    fn any_bytes_for_a_handshake_end_in_one_way_however_they_are_cut(
        spoiled in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        size in 1_usize..60,
    ) {
        let mut bytes = REQUEST.to_vec();
        for (at, byte) in spoiled {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() * 2).max(1).min(bytes.len()));
        let ended = |size| {
            let wire = wire::Memory::new(CAPACITY, pieces(&bytes, size));
            flux::ws::accept(wire, Config::new()).map(|_| ()).map_err(|error| error.to_string())
        };
        let whole = ended(bytes.len());
        prop_assert_eq!(ended(1).is_ok(), whole.is_ok());
        prop_assert_eq!(ended(size).is_ok(), whole.is_ok());
        let wire = wire::Memory::new(CAPACITY, [Step::Bytes(bytes.clone())]);
        let connected = flux::ws::connect(wire, flux::ws::Request::new("h", "/"));
        prop_assert!(connected.is_err(), "a request is no answer");
    }
}
