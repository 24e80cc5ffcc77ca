//! Books whose snapshot comes in the stream itself: what Kraken, Coinbase, and OKX have in common.
//!
//! A book is live from its snapshot on. An update before it is dropped and counted; trouble empties
//! every book of the connection, which then starts over and gets new snapshots.
//!
//! Knows nothing of any venue's messages, except that levels are arrays that begin with a price and
//! a quantity.

use crate::book::Edge;
use crate::decimal::DecimalError;
use crate::scan::{Cursor, ScanError};
use crate::text_book::TextBook;

/// The book of one instrument.
#[derive(Debug)]
pub struct InBandBook {
    /// What the venue calls the instrument, for example `XBT/CHF`.
    pub name: String,
    /// The levels.
    pub book: TextBook,
    /// Whether a snapshot has come.
    pub live: bool,
    /// Updates applied.
    pub updates: u64,
}

/// All books of a connection.
#[derive(Debug, Default)]
pub struct InBandBooks {
    books: Vec<InBandBook>,
    early: u64,
}

impl InBandBooks {
    /// The books, in the order in which their instruments appeared.
    #[must_use]
    pub fn books(&self) -> &[InBandBook] {
        &self.books
    }

    /// How many updates came before the snapshot of their instrument, and were dropped.
    #[must_use]
    pub fn early(&self) -> u64 {
        self.early
    }

    /// Counts an update that came before its snapshot.
    pub(crate) fn count_early(&mut self) {
        self.early += 1;
    }

    /// Forgets all levels: the connection starts over.
    pub(crate) fn reset(&mut self) {
        for book in &mut self.books {
            book.book.clear();
            book.live = false;
        }
    }

    /// The index of an instrument's book, which is made if there is none yet.
    pub(crate) fn index(&mut self, name: &[u8]) -> usize {
        if let Some(index) = self
            .books
            .iter()
            .position(|book| book.name.as_bytes() == name)
        {
            return index;
        }
        let name = String::from_utf8_lossy(name).into_owned();
        self.books.push(InBandBook {
            name,
            book: TextBook::default(),
            live: false,
            updates: 0,
        });
        self.books.len() - 1
    }

    /// The book at an index that [`index`](Self::index) has returned.
    pub(crate) fn at(&mut self, index: usize) -> &mut InBandBook {
        &mut self.books[index]
    }
}

/// Reads `[["price","quantity",..],..]` into one side of a book.
pub(crate) fn apply_levels<E>(
    cursor: &mut Cursor<'_>,
    edge: Edge,
    book: &mut TextBook,
) -> Result<(), E>
where
    E: From<ScanError> + From<DecimalError>,
{
    cursor.array(|level| {
        let (mut price, mut quantity) = (None, None);
        level.array(|element| {
            match (price, quantity) {
                (None, _) => price = Some(element.scalar()?),
                (_, None) => quantity = Some(element.scalar()?),
                _ => element.skip()?,
            }
            Ok::<_, E>(())
        })?;
        let (Some(price), Some(quantity)) = (price, quantity) else {
            return Err(DecimalError::NotANumber.into());
        };
        Ok(book.apply(edge, price, quantity)?)
    })
}
