//! Packets that are ahead of the sequence: copies of them, in the order of their numbers.
//!
//! Owns the memory for them, made at the start. Does not know what is waited for.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// A packet, and where its copy stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) at: Duration,
    pub(super) line: usize,
    pub(super) len: usize,
    /// Which of the places; nothing before it is held.
    pub(super) place: u16,
}

#[derive(Debug)]
pub(super) struct Held {
    /// By their first numbers, the lowest in front.
    entries: VecDeque<Entry>,
    free: Vec<u16>,
    bytes: Box<[u8]>,
    packet_bytes: usize,
}

impl Held {
    pub(super) fn new(packets: usize, packet_bytes: usize) -> Self {
        let places = u16::try_from(packets).unwrap_or(u16::MAX);
        let bytes = packets
            .checked_mul(packet_bytes)
            .expect("the bytes that an arbiter holds fit an address space");
        Self {
            entries: VecDeque::with_capacity(packets),
            free: (0..places).rev().collect(),
            bytes: vec![0; bytes].into(),
            packet_bytes,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn front(&self) -> Option<Entry> {
        self.entries.front().copied()
    }

    /// When the first of those that are held came: since then there has been the gap in front of them all.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.entries.iter().map(|entry| entry.at).min()
    }

    /// Copies a packet; false if there is no room for it.
    pub(super) fn hold(&mut self, entry: Entry, bytes: &[u8]) -> bool {
        if bytes.len() > self.packet_bytes {
            return false;
        }
        let Some(place) = self.free.pop() else {
            return false;
        };
        let start = usize::from(place) * self.packet_bytes;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        let behind = self
            .entries
            .partition_point(|other| other.first <= entry.first);
        self.entries.insert(behind, Entry { place, ..entry });
        true
    }

    /// Takes out the one in front if it begins at a number or before. Its bytes stay until another is held.
    #[inline]
    pub(super) fn take_up_to(&mut self, next: u64) -> Option<Entry> {
        if self.entries.front()?.first > next {
            return None;
        }
        let entry = self.entries.pop_front()?;
        self.free.push(entry.place);
        Some(entry)
    }

    pub(super) fn bytes(&self, entry: &Entry) -> &[u8] {
        let start = usize::from(entry.place) * self.packet_bytes;
        &self.bytes[start..start + entry.len]
    }

    /// Whether every one of these numbers is held; of none, whether they are known to have been sent.
    pub(super) fn covers(&self, numbers: Range<u64>) -> bool {
        if numbers.is_empty() {
            return self.entries.iter().any(|entry| entry.end >= numbers.start);
        }
        let mut from = numbers.start;
        for entry in &self.entries {
            if entry.first > from {
                return false;
            }
            from = from.max(entry.end);
            if from >= numbers.end {
                return true;
            }
        }
        false
    }

    pub(super) fn clear(&mut self) {
        while let Some(entry) = self.entries.pop_front() {
            self.free.push(entry.place);
        }
    }
}
