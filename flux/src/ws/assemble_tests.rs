use std::cell::Cell;
use std::io::{self, Write};

use crate::net::Wire;
use crate::ws::Message;
use crate::ws::config::Config;
use crate::ws::frame::Role;
use crate::ws::socket::WebSocket;

thread_local! {
    /// How many bytes were moved.
    pub(super) static MOVED: Cell<usize> = const { Cell::new(0) };
}

const CAPACITY: usize = 64 << 10;

/// Brings as many bytes at a time as it is told, and as there is room for.
struct Flood {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    at_a_time: usize,
}

impl Wire for Flood {
    fn fill(&mut self) -> io::Result<usize> {
        let room = CAPACITY - (self.end - self.start);
        assert!(room > 0, "asked for more than there is room for");
        self.end = (self.end + room.min(self.at_a_time)).min(self.bytes.len());
        Ok(self.end - self.start)
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    fn consume(&mut self, count: usize) {
        assert!(count <= self.end - self.start);
        self.start += count;
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }
}

/// Pongs are of no interest.
impl Write for Flood {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Expects that the bytes make one message of this length, and that few bytes were moved for each that came.
#[track_caller]
fn costs_little(what: &str, bytes: &[u8], len: usize) {
    for at_a_time in [1, 100, usize::MAX] {
        let wire = Flood {
            bytes: bytes.to_vec(),
            start: 0,
            end: 0,
            at_a_time,
        };
        let config = Config::new().fragments_max(u32::MAX);
        let mut socket = WebSocket::new(wire, Role::Client, None, config, None);
        MOVED.set(0);
        match socket.read() {
            Ok(Some(Message::Binary(message))) => assert_eq!(message.len(), len, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
        let (moved, came) = (MOVED.get(), bytes.len());
        assert!(
            moved <= 9 * came,
            "{what}, {at_a_time} at a time: {moved} bytes moved for {came}"
        );
    }
}

/// A message that begins with one long part, then so many times the same, and ends.
fn message(first: usize, then: &[u8], times: usize) -> Vec<u8> {
    let mut bytes = vec![0x02, 126];
    bytes.extend(u16::try_from(first).unwrap().to_be_bytes());
    bytes.resize(4 + first, 7);
    bytes.extend(then.repeat(times));
    bytes.extend([0x80, 0]);
    bytes
}

#[test]
fn a_flood_of_what_leaves_holes_moves_a_few_bytes_for_each_that_comes() {
    let most = CAPACITY - CAPACITY / super::SPARE;
    for first in [200, 10_000, most - 100, most] {
        costs_little("empty parts", &message(first, &[0x00, 0], 200_000), first);
        let ping = [&[0x89, 125][..], &[1; 125]].concat();
        costs_little("pings", &message(first, &ping, 3000), first);
        let parts = most - first;
        costs_little(
            "parts of one byte",
            &message(first, &[0x00, 1, 7], parts),
            most,
        );
    }
}

#[test]
fn a_message_of_one_frame_is_not_moved_however_it_comes() {
    let mut bytes = message(50_000, b"", 0);
    bytes.truncate(bytes.len() - 2);
    bytes[0] = 0x82;
    costs_little("one frame", &bytes, 50_000);
    assert_eq!(MOVED.get(), 0);
}

#[test]
fn of_a_short_part_and_a_long_one_the_short_one_is_moved() {
    let long = [&[0x00, 126, 0xc3, 0x50][..], &vec![7; 50_000]].concat();
    costs_little("short and long", &message(200, &long, 1), 50_200);
    // The last of the ways it came was all at once.
    assert_eq!(MOVED.get(), 200);
}
