//! The feed's messages: how they are written, and the parser that every contender uses.
//!
//! ```text
//! length: u32 LE │ payload: `length` bytes, a whole number of u64 words
//!                  the first is the message's number, the second may be when it was sent
//! ```
//!
//! Pure: knows no sockets.

#![allow(
    clippy::cast_possible_truncation,
    reason = "words of a message: below 50"
)]

use crate::Fault;

const PREFIX: usize = 4;
const WORD: usize = size_of::<u64>();
/// Payloads are of this many words and up to [`WORDS_SPREAD`] more: 280 bytes on average.
const WORDS_MIN: u64 = 27;
const WORDS_SPREAD: u64 = 17;
const FILLER: u64 = 0x0101_0101_0101_0101;

/// The longest message, prefix included.
pub const MESSAGE_MAX: usize = PREFIX + WORD * (WORDS_MIN + WORDS_SPREAD) as usize;
/// What each connection receives into.
pub const BUFFER: usize = 16 * 1024;

/// How many messages there were, and the sum of all their words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many messages.
    pub messages: u64,
    /// The wrapping sum of all words of all payloads.
    pub sum: u64,
}

impl Tally {
    /// Adds another tally to this one.
    pub fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        let mut total = Self::default();
        for tally in tallies {
            total.add(tally);
        }
        total
    }
}

/// Writes messages, and keeps the tally that whoever parses them must arrive at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Writer {
    tally: Tally,
}

impl Writer {
    /// Puts the next message at the front of `buffer`, and returns its length.
    ///
    /// # Panics
    /// If the buffer is shorter than [`MESSAGE_MAX`].
    pub fn write(&mut self, buffer: &mut [u8]) -> usize {
        self.write_stamped(FILLER, buffer)
    }

    /// As [`write`](Self::write), with a stamp that [`stamp`] finds again.
    ///
    /// # Panics
    /// As [`write`](Self::write).
    pub fn write_stamped(&mut self, stamp: u64, buffer: &mut [u8]) -> usize {
        let number = self.tally.messages;
        let words = WORDS_MIN + number % WORDS_SPREAD;
        let length = WORD * words as usize;
        let (prefix, payload) = buffer.split_at_mut(PREFIX);
        prefix.copy_from_slice(&(length as u32).to_le_bytes());
        let payload = &mut payload[..length];
        payload.fill(1);
        payload[..WORD].copy_from_slice(&number.to_le_bytes());
        payload[WORD..2 * WORD].copy_from_slice(&stamp.to_le_bytes());
        let sum = FILLER.wrapping_mul(words - 2).wrapping_add(number);
        self.tally.add(Tally {
            messages: 1,
            sum: sum.wrapping_add(stamp),
        });
        PREFIX + length
    }

    /// What was written so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

/// The stamp of a message that was written with one.
#[inline]
#[must_use]
pub fn stamp(payload: &[u8]) -> Option<u64> {
    let (words, _) = payload.as_chunks::<WORD>();
    words.get(1).map(|word| u64::from_le_bytes(*word))
}

/// Sums every message that is whole in `bytes`, shows its payload to `on_message`, and returns how many bytes these
/// were.
///
/// # Errors
/// If the bytes cannot be a message: they come from our own writer, so a contender has mixed them up.
#[inline]
pub fn take(
    bytes: &[u8],
    tally: &mut Tally,
    mut on_message: impl FnMut(&[u8]),
) -> Result<usize, Fault> {
    let mut start = 0;
    while let Some((prefix, rest)) = bytes[start..].split_first_chunk::<PREFIX>() {
        let length = u32::from_le_bytes(*prefix) as usize;
        if !length.is_multiple_of(WORD) || length > MESSAGE_MAX - PREFIX {
            return Err(format!(
                "message {} of this connection claims {length} bytes of payload",
                tally.messages
            )
            .into());
        }
        let Some(payload) = rest.get(..length) else {
            break;
        };
        let (words, _) = payload.as_chunks::<WORD>();
        let sum = words.iter().fold(0, |sum: u64, word| {
            sum.wrapping_add(u64::from_le_bytes(*word))
        });
        tally.add(Tally { messages: 1, sum });
        on_message(payload);
        start += PREFIX + length;
    }
    Ok(start)
}

/// Bytes received on one connection, and the messages found in them.
///
/// Receive into [`space`](Self::space), then tell [`received`](Self::received) how much came.
#[derive(Debug)]
pub struct Frames {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    tally: Tally,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            tally: Tally::default(),
        }
    }
}

impl Frames {
    /// Where to receive to: never empty, since whole messages are always taken out.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.end..]
    }

    /// Takes in `count` bytes that were written to [`space`](Self::space), sums every message that is now
    /// complete, shows its payload to `on_message`, and returns how many these were.
    ///
    /// # Errors
    /// If the bytes cannot be a message: they come from our own writer, so a contender has mixed them up.
    #[inline]
    pub fn received(&mut self, count: usize, on_message: impl FnMut(&[u8])) -> Result<u64, Fault> {
        self.end += count;
        let before = self.tally.messages;
        let unread = &self.buffer[self.start..self.end];
        self.start += take(unread, &mut self.tally, on_message)?;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.end < MESSAGE_MAX {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        Ok(self.tally.messages - before)
    }

    /// Messages and sum so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_tally() {
        let mut writer = Writer::default();
        let mut bytes = Vec::new();
        for _ in 0..500 {
            let mut message = [0; MESSAGE_MAX];
            let length = writer.write(&mut message);
            bytes.extend_from_slice(&message[..length]);
        }
        for cut in [1, 7, 280, 4096, BUFFER] {
            let mut frames = Frames::default();
            let mut rest = &bytes[..];
            let mut found = 0;
            while !rest.is_empty() {
                let space = frames.space();
                let count = cut.min(rest.len()).min(space.len());
                space[..count].copy_from_slice(&rest[..count]);
                rest = &rest[count..];
                found += frames.received(count, |_| {}).expect("well formed");
            }
            assert_eq!(found, 500);
            assert_eq!(frames.tally(), writer.tally(), "cut into {cut}");
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_an_error() {
        let mut frames = Frames::default();
        frames.space()[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(frames.received(4, |_| {}).is_err());
    }

    #[test]
    fn a_stamp_is_found_again_and_counted() {
        let mut writer = Writer::default();
        let mut frames = Frames::default();
        let length = writer.write_stamped(42, frames.space());
        let mut found = None;
        let count = frames.received(length, |payload| found = stamp(payload));
        assert_eq!((count.expect("well formed"), found), (1, Some(42)));
        assert_eq!(frames.tally(), writer.tally());
        assert_eq!(stamp(&[0; 15]), None);
    }
}
