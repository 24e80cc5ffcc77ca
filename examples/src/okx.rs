//! OKX v5's `books` channel: 400 levels, a snapshot, then updates, each with a checksum.
//!
//! The checksum is the CRC-32, as a signed number, of `bid:quantity:ask:quantity:..` over the 25 best
//! levels of both sides, taken in turns, as received. A side that has fewer levels just stops taking
//! part.

use std::fmt::{self, Write as _};

use crate::book::{Crc, Edge};
use crate::decimal::DecimalError;
use crate::in_band::{InBandBooks, apply_levels};
use crate::scan::{Cursor, ScanError};
use crate::text_book::TextBook;

/// How many levels of each side the checksum covers.
const CHECKSUM_LEVELS: usize = 25;

/// Why an OKX message was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OkxError {
    /// It is not the JSON that it should be.
    Json(ScanError),
    /// A price or a quantity cannot be held.
    Number(DecimalError),
    /// A book message lacks this field.
    Missing(&'static str),
    /// The book is not the one that OKX has.
    WrongChecksum {
        /// The instrument.
        instrument: String,
        /// What OKX sent.
        expected: i32,
        /// What the book gives.
        found: i32,
    },
}

impl fmt::Display for OkxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Number(error) => error.fmt(f),
            Self::Missing(field) => write!(f, "a book message has no `{field}`"),
            Self::WrongChecksum {
                instrument,
                expected,
                found,
            } => {
                write!(
                    f,
                    "the book of {instrument} has checksum {found}, and OKX's has {expected}"
                )
            }
        }
    }
}

impl std::error::Error for OkxError {}

impl From<ScanError> for OkxError {
    fn from(error: ScanError) -> Self {
        Self::Json(error)
    }
}

impl From<DecimalError> for OkxError {
    fn from(error: DecimalError) -> Self {
        Self::Number(error)
    }
}

/// All books of a connection.
#[derive(Debug, Default)]
pub struct OkxBooks {
    instruments: InBandBooks,
    checksums: u64,
}

impl OkxBooks {
    /// The books by instrument.
    #[must_use]
    pub fn in_band(&self) -> &InBandBooks {
        &self.instruments
    }

    /// How many checksums have been compared, all equal; snapshots have one too.
    #[must_use]
    pub fn checksums(&self) -> u64 {
        self.checksums
    }

    /// Forgets all levels: the connection starts over, and every instrument gets a snapshot.
    pub fn reset(&mut self) {
        self.instruments.reset();
    }

    /// Applies one message, and returns the index of the book that changed, if one did.
    ///
    /// # Errors
    /// The message is broken, or the checksum is wrong; the books are void and have been emptied.
    pub fn apply(&mut self, text: &[u8]) -> Result<Option<usize>, OkxError> {
        // The answer to the text ping that OKX wants is no JSON.
        if text == b"pong" {
            return Ok(None);
        }
        let result = self.read(text);
        if result.is_err() {
            self.reset();
        }
        result
    }

    fn read(&mut self, text: &[u8]) -> Result<Option<usize>, OkxError> {
        let (mut channel, mut instrument, mut action, mut data) = (None, None, None, None);
        let mut cursor = Cursor::new(text);
        cursor.object(|key, value| {
            match (key, value.peek()) {
                (b"arg", Some(b'{')) => value.object(|key, value| {
                    match key {
                        b"channel" => channel = Some(value.scalar()?),
                        b"instId" => instrument = Some(value.scalar()?),
                        _ => value.skip()?,
                    }
                    Ok::<_, OkxError>(())
                })?,
                (b"action", Some(b'"')) => action = Some(value.string()?),
                (b"data", Some(b'[')) => {
                    data = Some(value.clone());
                    value.skip()?;
                }
                _ => value.skip()?,
            }
            Ok::<_, OkxError>(())
        })?;
        cursor.end()?;
        let (Some(b"books"), Some(data)) = (channel, data) else {
            return Ok(None);
        };
        let index = self
            .instruments
            .index(instrument.ok_or(OkxError::Missing("instId"))?);
        self.fill(index, action == Some(b"snapshot"), data)
    }

    fn fill(
        &mut self,
        index: usize,
        snapshot: bool,
        mut data: Cursor<'_>,
    ) -> Result<Option<usize>, OkxError> {
        let entry = self.instruments.at(index);
        if !snapshot && !entry.live {
            self.instruments.count_early();
            return Ok(None);
        }
        if snapshot {
            entry.book.clear();
            entry.live = true;
        }
        let checksums = &mut self.checksums;
        data.array(|element| {
            let mut checksum = None;
            element.object(|key, value| {
                match key {
                    b"bids" => apply_levels::<OkxError>(value, Edge::Bid, &mut entry.book)?,
                    b"asks" => apply_levels::<OkxError>(value, Edge::Ask, &mut entry.book)?,
                    b"checksum" => {
                        let text = std::str::from_utf8(value.token()?).ok();
                        checksum = text.and_then(|text| text.parse().ok());
                    }
                    _ => value.skip()?,
                }
                Ok::<_, OkxError>(())
            })?;
            let expected: i32 = checksum.ok_or(OkxError::Missing("checksum"))?;
            let found = checksum_of(&entry.book);
            if found != expected {
                return Err(OkxError::WrongChecksum {
                    instrument: entry.name.clone(),
                    expected,
                    found,
                });
            }
            *checksums += 1;
            Ok(())
        })?;
        entry.updates += u64::from(!snapshot);
        Ok(Some(index))
    }
}

fn checksum_of(book: &TextBook) -> i32 {
    let mut sum = Crc::default();
    let mut bids = book.best_to_worst(Edge::Bid).take(CHECKSUM_LEVELS);
    let mut asks = book.best_to_worst(Edge::Ask).take(CHECKSUM_LEVELS);
    let mut separator = "";
    loop {
        let (bid, ask) = (bids.next(), asks.next());
        if bid.is_none() && ask.is_none() {
            return sum.value().cast_signed();
        }
        for level in [bid, ask].into_iter().flatten() {
            // A checksum takes any text: `Crc::write_str` has no way to fail.
            let _ = write!(sum, "{separator}{}:{}", level.price, level.quantity);
            separator = ":";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(action: &str, bids: &str, asks: &str, checksum: i32) -> String {
        format!(
            r#"{{"arg":{{"channel":"books","instId":"A-B"}},"action":"{action}","data":[{{"asks":[{asks}],"bids":[{bids}],"ts":"1","checksum":{checksum}}}]}}"#
        )
    }

    fn sum(text: &str) -> i32 {
        crc32fast::hash(text.as_bytes()).cast_signed()
    }

    #[test]
    fn the_checksum_takes_both_sides_in_turns() {
        let mut books = OkxBooks::default();
        let asks = r#"["3.0","1","0","1"],["4","2","0","1"]"#;
        let snapshot = message(
            "snapshot",
            r#"["2","7","0","1"]"#,
            asks,
            sum("2:7:3.0:1:4:2"),
        );
        assert_eq!(books.apply(snapshot.as_bytes()), Ok(Some(0)));
        let update = message(
            "update",
            r#"["2.5","1","0","1"]"#,
            r#"["4","0","0","0"]"#,
            sum("2.5:1:3.0:1:2:7"),
        );
        assert_eq!(books.apply(update.as_bytes()), Ok(Some(0)));
        assert_eq!(
            (books.checksums(), books.in_band().books()[0].updates),
            (2, 1)
        );
        let wrong = message("update", "", "", 5);
        assert!(matches!(
            books.apply(wrong.as_bytes()),
            Err(OkxError::WrongChecksum { expected: 5, .. })
        ));
        assert!(!books.in_band().books()[0].live);
        assert_eq!(books.apply(update.as_bytes()), Ok(None));
        assert_eq!(books.in_band().early(), 1);
    }

    #[test]
    fn other_channels_pass_and_broken_messages_do_not() {
        let mut books = OkxBooks::default();
        assert_eq!(books.apply(b"pong"), Ok(None));
        assert_eq!(
            books.apply(br#"{"event":"subscribe","arg":{"channel":"books","instId":"A"}}"#),
            Ok(None)
        );
        assert_eq!(
            books.apply(br#"{"arg":{"channel":"trades","instId":"A"},"data":[{"px":"1"}]}"#),
            Ok(None)
        );
        let text = message("snapshot", r#"["2","7","0","1"]"#, "", sum("2:7"));
        for end in 0..text.len() {
            assert!(books.apply(&text.as_bytes()[..end]).is_err());
        }
        let nameless = text.replace(r#","instId":"A-B""#, "");
        assert_eq!(
            books.apply(nameless.as_bytes()),
            Err(OkxError::Missing("instId"))
        );
    }
}
