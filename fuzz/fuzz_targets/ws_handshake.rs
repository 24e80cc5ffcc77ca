//! Any bytes for either side's handshake: no panic, and one outcome however they are cut.

#![no_main]

#[path = "../../flux/tests/ws/wire.rs"]
mod wire;

use flux::ws::{self, Config, Handshake, Request};
use libfuzzer_sys::fuzz_target;
use wire::{Memory, pieces};

const CAPACITY: usize = 4096;

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (server, size, bytes) = input;
    let ended = |size| {
        let wire = Memory::new(CAPACITY, pieces(bytes, size));
        if server {
            let read = Handshake::read(wire, Config::new());
            read.is_ok_and(|handshake| {
                assert!(!handshake.path().is_empty());
                handshake.protocols().count() < CAPACITY && handshake.accept().is_ok()
            })
        } else {
            let connected = ws::connect(wire, Request::new("h", "/"));
            assert!(connected.is_err(), "nobody can know the key");
            false
        }
    };
    let whole = ended(bytes.len().max(1));
    assert_eq!(ended(usize::from(size) + 1), whole);
});
