//! Any bytes, in both roles: no panic, bounded memory, one outcome however they are cut.

#![no_main]

#[path = "../../flux/tests/ws/wire.rs"]
mod wire;

use flux::ws::Config;
use libfuzzer_sys::fuzz_target;
use wire::{End, pieces};

const CAPACITY: usize = 2048;

/// How many messages there were, the last of them, how it ended, and how much was answered.
fn outcome(end: End, bytes: &[u8], size: usize) -> (usize, Vec<u8>, String, usize) {
    let config = Config::new().message_max(1500).fragments_max(40);
    let (mut socket, seen) = end.over(CAPACITY, config, pieces(bytes, size));
    let (mut count, mut last) = (0, Vec::new());
    let ended = loop {
        match socket.read() {
            Ok(Some(message)) => {
                count += 1;
                last = message.as_bytes().to_vec();
            }
            Ok(None) => break format!("{:?} {:?}", socket.close_code(), socket.close_reason()),
            Err(error) => break error.to_string(),
        }
    };
    let seen = seen.borrow();
    assert!(seen.high_water <= CAPACITY);
    (count, last, ended, seen.sent.len())
}

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (server, size, bytes) = input;
    let end = if server { End::Server } else { End::Client };
    let whole = outcome(end, bytes, bytes.len().max(1));
    assert_eq!(outcome(end, bytes, usize::from(size) + 1), whole);
    assert_eq!(outcome(end, bytes, 1), whole);
});
