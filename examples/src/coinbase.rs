//! Coinbase Exchange's `level2` channel: a snapshot per product, then `l2update` messages.
//!
//! There is no checksum and no sequence in this channel: delivery is guaranteed within a connection,
//! so a book is right from its snapshot until the connection is lost.

use std::fmt;

use crate::book::Edge;
use crate::decimal::DecimalError;
use crate::in_band::{InBandBooks, apply_levels};
use crate::scan::{Cursor, ScanError};

/// Why a Coinbase message was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoinbaseError {
    /// It is not the JSON that it should be.
    Json(ScanError),
    /// A price or a size cannot be held.
    Number(DecimalError),
    /// A book message lacks this field.
    Missing(&'static str),
    /// A change is for neither side.
    NoSide,
    /// The best bid of this product reached its best ask.
    Crossed(String),
}

impl fmt::Display for CoinbaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Number(error) => error.fmt(f),
            Self::Missing(field) => write!(f, "a book message has no `{field}`"),
            Self::NoSide => f.write_str("a change of a book is neither `buy` nor `sell`"),
            Self::Crossed(product) => write!(f, "the book of {product} was crossed"),
        }
    }
}

impl std::error::Error for CoinbaseError {}

impl From<ScanError> for CoinbaseError {
    fn from(error: ScanError) -> Self {
        Self::Json(error)
    }
}

impl From<DecimalError> for CoinbaseError {
    fn from(error: DecimalError) -> Self {
        Self::Number(error)
    }
}

/// All books of a connection.
#[derive(Debug, Default)]
pub struct CoinbaseBooks {
    products: InBandBooks,
}

/// The fields of a message that matter, found in a first pass: they may stand in any order.
#[derive(Default)]
struct Found<'a> {
    kind: Option<&'a [u8]>,
    product: Option<&'a [u8]>,
    bids: Option<Cursor<'a>>,
    asks: Option<Cursor<'a>>,
    changes: Option<Cursor<'a>>,
}

impl CoinbaseBooks {
    /// The books by product.
    #[must_use]
    pub fn in_band(&self) -> &InBandBooks {
        &self.products
    }

    /// Forgets all levels: the connection starts over, and every product gets a snapshot.
    pub fn reset(&mut self) {
        self.products.reset();
    }

    /// Applies one message, and returns the index of the book that changed, if one did.
    ///
    /// # Errors
    /// The message is broken, or leaves a crossed book; the books are void and have been emptied.
    pub fn apply(&mut self, text: &[u8]) -> Result<Option<usize>, CoinbaseError> {
        let result = self.read(text);
        if result.is_err() {
            self.reset();
        }
        result
    }

    fn read(&mut self, text: &[u8]) -> Result<Option<usize>, CoinbaseError> {
        let mut found = Found::default();
        let mut cursor = Cursor::new(text);
        cursor.object(|key, value| {
            match (key, value.peek()) {
                (b"type", Some(b'"')) => found.kind = Some(value.string()?),
                (b"product_id", Some(b'"')) => found.product = Some(value.string()?),
                (b"bids" | b"asks" | b"changes", Some(b'[')) => {
                    let here = Some(value.clone());
                    match key {
                        b"bids" => found.bids = here,
                        b"asks" => found.asks = here,
                        _ => found.changes = here,
                    }
                    value.skip()?;
                }
                _ => value.skip()?,
            }
            Ok::<_, CoinbaseError>(())
        })?;
        cursor.end()?;
        match found.kind {
            Some(b"snapshot") => self.snapshot(found).map(Some),
            Some(b"l2update") => self.change(found),
            _ => Ok(None),
        }
    }

    fn snapshot(&mut self, found: Found<'_>) -> Result<usize, CoinbaseError> {
        let index = self
            .products
            .index(found.product.ok_or(CoinbaseError::Missing("product_id"))?);
        let entry = self.products.at(index);
        entry.book.clear();
        for (edge, levels, field) in [
            (Edge::Bid, found.bids, "bids"),
            (Edge::Ask, found.asks, "asks"),
        ] {
            let mut levels = levels.ok_or(CoinbaseError::Missing(field))?;
            apply_levels::<CoinbaseError>(&mut levels, edge, &mut entry.book)?;
        }
        entry.live = true;
        self.uncrossed(index)
    }

    fn change(&mut self, found: Found<'_>) -> Result<Option<usize>, CoinbaseError> {
        let index = self
            .products
            .index(found.product.ok_or(CoinbaseError::Missing("product_id"))?);
        let entry = self.products.at(index);
        if !entry.live {
            self.products.count_early();
            return Ok(None);
        }
        let mut changes = found.changes.ok_or(CoinbaseError::Missing("changes"))?;
        changes.array(|change| {
            let [kind, price, size] = strings(change)?;
            let edge = match kind {
                b"buy" => Edge::Bid,
                b"sell" => Edge::Ask,
                _ => return Err(CoinbaseError::NoSide),
            };
            Ok(entry.book.apply(edge, price, size)?)
        })?;
        entry.updates += 1;
        self.uncrossed(index).map(Some)
    }

    fn uncrossed(&self, index: usize) -> Result<usize, CoinbaseError> {
        let entry = &self.products.books()[index];
        if entry.book.is_crossed() {
            Err(CoinbaseError::Crossed(entry.name.clone()))
        } else {
            Ok(index)
        }
    }
}

/// Reads an array of exactly `N` strings.
fn strings<'a, const N: usize>(cursor: &mut Cursor<'a>) -> Result<[&'a [u8]; N], CoinbaseError> {
    let mut found = [&b""[..]; N];
    let mut count = 0;
    cursor.array(|element| {
        if let Some(slot) = found.get_mut(count) {
            *slot = element.string()?;
        } else {
            element.skip()?;
        }
        count += 1;
        Ok::<_, CoinbaseError>(())
    })?;
    if count == N {
        Ok(found)
    } else {
        Err(CoinbaseError::Number(DecimalError::NotANumber))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAPSHOT: &str = r#"{"type":"snapshot","product_id":"A-B","asks":[["1.10","5"],["1.20","6"]],"bids":[["1.00","7.0"]]}"#;

    #[test]
    fn a_snapshot_and_its_updates_make_a_book() {
        let mut books = CoinbaseBooks::default();
        let update = r#"{"type":"l2update","product_id":"A-B","changes":[["sell","1.10","0.0"],["buy","1.05","2"]],"time":"t"}"#;
        assert_eq!(books.apply(update.as_bytes()), Ok(None));
        assert_eq!(books.in_band().early(), 1);
        assert_eq!(books.apply(SNAPSHOT.as_bytes()), Ok(Some(0)));
        assert_eq!(books.apply(update.as_bytes()), Ok(Some(0)));
        assert_eq!(
            books.in_band().books()[0].book.text_crc32(),
            crc32fast::hash(b"b,1.05,2\nb,1.00,7.0\na,1.20,6\n")
        );
        assert_eq!(books.apply(br#"{"type":"ticker","price":"5"}"#), Ok(None));
    }

    #[test]
    fn broken_and_crossing_messages_empty_the_books() {
        let mut books = CoinbaseBooks::default();
        for (wrong, error) in [
            (
                r#"{"type":"l2update","product_id":"A-B"}"#,
                CoinbaseError::Missing("changes"),
            ),
            (
                r#"{"type":"l2update","changes":[]}"#,
                CoinbaseError::Missing("product_id"),
            ),
            (
                r#"{"type":"l2update","product_id":"A-B","changes":[["up","1","1"]]}"#,
                CoinbaseError::NoSide,
            ),
            (
                r#"{"type":"l2update","product_id":"A-B","changes":[["buy","1"]]}"#,
                CoinbaseError::Number(DecimalError::NotANumber),
            ),
            (
                r#"{"type":"l2update","product_id":"A-B","changes":[["buy","1.2","1"]]}"#,
                CoinbaseError::Crossed("A-B".to_owned()),
            ),
        ] {
            assert_eq!(books.apply(SNAPSHOT.as_bytes()), Ok(Some(0)));
            assert_eq!(books.apply(wrong.as_bytes()), Err(error), "{wrong}");
            assert!(!books.in_band().books()[0].live);
        }
        for end in 0..SNAPSHOT.len() {
            assert!(books.apply(&SNAPSHOT.as_bytes()[..end]).is_err());
        }
    }
}
