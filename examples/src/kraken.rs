//! Kraken's WebSocket v1 `book` channel: in-band snapshots, updates with a checksum each.
//!
//! A payload is `[channel, {..}, "book-1000", "XBT/CHF"]`; an update that touches both sides may come
//! as two objects. Two rules of Kraken's book guide make or break a book: levels beyond the
//! subscribed depth are forgotten after every update (no removal is sent for them), and `c` is the
//! CRC-32 of the ten best asks and then the ten best bids, each as price and volume without the
//! point and without leading zeros.
//!
//! A message that fails to parse or whose checksum is wrong leaves a book that must not be used:
//! [`KrakenBooks::apply`] says so, and the connection starts over.

use std::fmt;

use crate::book::{Crc, Edge};
use crate::decimal::DecimalError;
use crate::in_band::{InBandBooks, apply_levels};
use crate::scan::{Cursor, ScanError};
use crate::text_book::TextBook;

/// How many levels of each side the checksum covers.
const CHECKSUM_LEVELS: usize = 10;

/// The deepest book that can be subscribed to; also what a strange channel name is taken for.
const DEPTH_MAX: usize = 1000;

/// Why a Kraken message was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KrakenError {
    /// It is not the JSON that it should be.
    Json(ScanError),
    /// A price or a volume cannot be held.
    Number(DecimalError),
    /// A book message without channel or pair.
    Nameless,
    /// An update has no checksum.
    NoChecksum,
    /// The book is not the one that Kraken has.
    WrongChecksum {
        /// The pair.
        pair: String,
        /// What Kraken sent.
        expected: u32,
        /// What the book gives.
        found: u32,
    },
}

impl fmt::Display for KrakenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Number(error) => error.fmt(f),
            Self::Nameless => f.write_str("a book message names no channel or no pair"),
            Self::NoChecksum => f.write_str("a book update has no checksum"),
            Self::WrongChecksum {
                pair,
                expected,
                found,
            } => {
                write!(
                    f,
                    "the book of {pair} has checksum {found:08x}, and Kraken's has {expected:08x}"
                )
            }
        }
    }
}

impl std::error::Error for KrakenError {}

impl From<ScanError> for KrakenError {
    fn from(error: ScanError) -> Self {
        Self::Json(error)
    }
}

impl From<DecimalError> for KrakenError {
    fn from(error: DecimalError) -> Self {
        Self::Number(error)
    }
}

/// All books of a connection.
#[derive(Debug, Default)]
pub struct KrakenBooks {
    pairs: InBandBooks,
    checksums: u64,
}

impl KrakenBooks {
    /// The books by pair.
    #[must_use]
    pub fn in_band(&self) -> &InBandBooks {
        &self.pairs
    }

    /// How many checksums have been compared, all equal.
    #[must_use]
    pub fn checksums(&self) -> u64 {
        self.checksums
    }

    /// Forgets all levels: the connection starts over, and every pair gets a snapshot.
    pub fn reset(&mut self) {
        self.pairs.reset();
    }

    /// Applies one message, and returns the index of the book that changed, if one did.
    ///
    /// # Errors
    /// The message is broken, or the checksum is wrong; the books are void and have been emptied.
    pub fn apply(&mut self, text: &[u8]) -> Result<Option<usize>, KrakenError> {
        let result = self.read(text);
        if result.is_err() {
            self.reset();
        }
        result
    }

    fn read(&mut self, text: &[u8]) -> Result<Option<usize>, KrakenError> {
        let mut cursor = Cursor::new(text);
        if cursor.peek() != Some(b'[') {
            // Status, subscription answers, heartbeats.
            cursor.skip()?;
            cursor.end()?;
            return Ok(None);
        }
        // The names come last, so a first pass looks for them.
        let (mut channel, mut pair): (Option<&[u8]>, Option<&[u8]>) = (None, None);
        let mut names = cursor.clone();
        names.array(|element| match element.peek() {
            Some(b'"') if channel.is_none() => element.string().map(|name| channel = Some(name)),
            Some(b'"') => element.string().map(|name| pair = Some(name)),
            _ => element.skip(),
        })?;
        names.end()?;
        let (Some(channel), Some(pair)) = (channel, pair) else {
            return Err(KrakenError::Nameless);
        };
        if !channel.starts_with(b"book-") {
            return Ok(None);
        }
        let depth = std::str::from_utf8(&channel[5..])
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(DEPTH_MAX);
        let index = self.pairs.index(pair);
        self.fill(index, depth, cursor)
    }

    fn fill(
        &mut self,
        index: usize,
        depth: usize,
        mut cursor: Cursor<'_>,
    ) -> Result<Option<usize>, KrakenError> {
        let entry = self.pairs.at(index);
        let (mut snapshot, mut checksum) = (false, None);
        let live = entry.live;
        cursor.array(|element| {
            if element.peek() != Some(b'{') {
                return element.skip().map_err(KrakenError::from);
            }
            element.object(|key, value| {
                match key {
                    b"as" | b"bs" => {
                        if !snapshot {
                            entry.book.clear();
                            snapshot = true;
                        }
                        apply_levels::<KrakenError>(
                            value,
                            if key == b"as" { Edge::Ask } else { Edge::Bid },
                            &mut entry.book,
                        )?;
                    }
                    b"a" if live => apply_levels::<KrakenError>(value, Edge::Ask, &mut entry.book)?,
                    b"b" if live => apply_levels::<KrakenError>(value, Edge::Bid, &mut entry.book)?,
                    b"c" => checksum = parse_u32(value.scalar()?),
                    _ => value.skip()?,
                }
                Ok(())
            })
        })?;
        entry.book.truncate(depth);
        if snapshot {
            entry.live = true;
            return Ok(Some(index));
        }
        if !live {
            self.pairs.count_early();
            return Ok(None);
        }
        let expected = checksum.ok_or(KrakenError::NoChecksum)?;
        let found = checksum_of(&entry.book);
        if found != expected {
            return Err(KrakenError::WrongChecksum {
                pair: entry.name.clone(),
                expected,
                found,
            });
        }
        entry.updates += 1;
        self.checksums += 1;
        Ok(Some(index))
    }
}

fn parse_u32(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Kraken's checksum: ten asks upwards, ten bids downwards.
fn checksum_of(book: &TextBook) -> u32 {
    let mut sum = Crc::default();
    for edge in [Edge::Ask, Edge::Bid] {
        for level in book.best_to_worst(edge).take(CHECKSUM_LEVELS) {
            for text in [&level.price, &level.quantity] {
                add_digits(&mut sum, text.as_bytes());
            }
        }
    }
    sum.value()
}

/// Adds a number without its point and without leading zeros.
fn add_digits(sum: &mut Crc, text: &[u8]) {
    let Some(first) = text.iter().position(|byte| !matches!(byte, b'0' | b'.')) else {
        return;
    };
    for part in text[first..].split(|&byte| byte == b'.') {
        sum.bytes(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAPSHOT: &str = r#"[7,{"as":[["0.05005","0.00000500","1.1"],["0.05010","0.00000500","1.2"]],"bs":[["0.05000","0.00000500","1.3"]]},"book-10","XBT/CHF"]"#;

    /// The checksum of the text that the documented rule makes of these numbers.
    fn sum(digits: &str) -> u32 {
        crc32fast::hash(digits.as_bytes())
    }

    #[test]
    fn updates_are_checked_and_may_come_as_two_objects() {
        let mut books = KrakenBooks::default();
        assert_eq!(books.apply(SNAPSHOT.as_bytes()), Ok(Some(0)));
        let c = sum(&["5004", "150", "5005", "500", "5010", "500", "5000", "1500"].concat());
        let update = format!(
            r#"[7,{{"a":[["0.05004","1.50","2"]]}},{{"b":[["0.05000","1.500","2"]],"c":"{c}"}},"book-10","XBT/CHF"]"#
        );
        assert_eq!(books.apply(update.as_bytes()), Ok(Some(0)));
        assert_eq!(
            (books.checksums(), books.in_band().books()[0].book.depth()),
            (1, (1, 3))
        );
    }

    #[test]
    fn a_wrong_checksum_empties_the_books() {
        let mut books = KrakenBooks::default();
        assert_eq!(books.apply(SNAPSHOT.as_bytes()), Ok(Some(0)));
        let update = r#"[7,{"a":[["0.05004","1.50","2"]],"c":"1"},"book-10","XBT/CHF"]"#;
        assert!(matches!(
            books.apply(update.as_bytes()),
            Err(KrakenError::WrongChecksum { expected: 1, .. })
        ));
        assert!(!books.in_band().books()[0].live);
        assert_eq!(
            books.apply(update.as_bytes()),
            Ok(None),
            "an update before its snapshot"
        );
        assert_eq!(books.in_band().early(), 1);
    }

    #[test]
    fn levels_beyond_the_depth_are_forgotten() {
        let mut books = KrakenBooks::default();
        let text =
            r#"[7,{"as":[["1","1","1"],["2","1","1"],["3","1","1"]],"bs":[]},"book-2","A/B"]"#;
        assert_eq!(books.apply(text.as_bytes()), Ok(Some(0)));
        assert_eq!(books.in_band().books()[0].book.depth(), (0, 2));
    }

    #[test]
    fn what_is_cut_or_nameless_is_refused_and_the_rest_passes() {
        let mut books = KrakenBooks::default();
        for end in 0..SNAPSHOT.len() {
            assert!(
                books.apply(&SNAPSHOT.as_bytes()[..end]).is_err(),
                "{}",
                &SNAPSHOT[..end]
            );
        }
        assert_eq!(books.apply(br#"[7,{"a":[]}]"#), Err(KrakenError::Nameless));
        assert_eq!(books.apply(br#"{"event":"heartbeat"}"#), Ok(None));
        assert_eq!(
            books.apply(br#"[1,[["5","6"]],"trade","XBT/USD"]"#),
            Ok(None)
        );
    }
}
