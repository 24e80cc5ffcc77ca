//! All books of one connection, whatever the venue: a message in, what changed out.
//!
//! This is the one place that tells the venues apart; a program that follows feeds needs only
//! [`Books::apply`], and for Binance the snapshots that [`Books::wants_snapshot`] asks for.

use std::fmt;

use crate::binance::{self, BinanceError, Diff, Message, Snapshot};
use crate::binance_book::{BinanceBook, Outcome};
use crate::coinbase::{CoinbaseBooks, CoinbaseError};
use crate::decimal::{Decimals, Fixed};
use crate::iex::{IexBooks, IexError};
use crate::in_band::InBandBooks;
use crate::kraken::{KrakenBooks, KrakenError};
use crate::okx::{OkxBooks, OkxError};
use crate::recording::Venue;
use crate::sync::{Answer, Cause};

/// Changed levels a side that a diff may have before memory is asked for. The largest one recorded
/// changes about 1,300 on both sides together.
const LEVELS_AT_ONCE: usize = 2048;

/// What a message did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The book at this index changed.
    Updated(usize),
    /// The book at this index is void from now on, until a snapshot comes.
    Void(usize, Cause),
    /// No book changed.
    Nothing,
}

/// Why a message was refused. All books of the connection are void then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A message of Binance could not be read.
    Binance(BinanceError),
    /// Binance sent a diff of a symbol that nobody asked for.
    Unasked(String),
    /// A message of Kraken could not be read, or a checksum was wrong.
    Kraken(KrakenError),
    /// A message of Coinbase could not be read, or a book was crossed.
    Coinbase(CoinbaseError),
    /// A message of OKX could not be read, or a checksum was wrong.
    Okx(OkxError),
    /// A packet of IEX could not be read.
    Iex(IexError),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binance(error) => error.fmt(f),
            Self::Unasked(symbol) => {
                write!(f, "a diff came of `{symbol}`, which was not asked for")
            }
            Self::Kraken(error) => error.fmt(f),
            Self::Coinbase(error) => error.fmt(f),
            Self::Okx(error) => error.fmt(f),
            Self::Iex(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Fault {}

/// The books of a Binance connection: fixed symbols, one shared buffer for the diff at hand.
#[derive(Debug)]
pub struct BinanceBooks {
    decimals: Decimals,
    diff: Diff,
    books: Vec<BinanceBook>,
    messages: Vec<u64>,
}

/// All books of a connection.
#[derive(Debug)]
pub enum Books {
    /// Binance, spot or futures.
    Binance(BinanceBooks),
    /// Kraken v1.
    Kraken(KrakenBooks),
    /// Coinbase Exchange.
    Coinbase(CoinbaseBooks),
    /// OKX v5.
    Okx(OkxBooks),
    /// IEX DEEP.
    Iex(IexBooks),
}

/// One line of a table of books.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// The instrument.
    pub name: String,
    /// Whether the book can be used, in a word.
    pub state: &'static str,
    /// The best bid, as text.
    pub bid: Option<String>,
    /// The best ask, as text.
    pub ask: Option<String>,
    /// Bid levels and ask levels.
    pub depth: (usize, usize),
    /// Messages about this instrument, where the venue's messages say which one they are about.
    pub messages: Option<u64>,
    /// Updates applied.
    pub updates: u64,
    /// Updates that were not needed: duplicates, and what a snapshot contained already.
    pub dropped: u64,
    /// How often updates were missing.
    pub gaps: u64,
    /// How often the book was void and had to be built anew.
    pub resyncs: u64,
}

impl BinanceBooks {
    /// The books, in the order of the symbols.
    #[must_use]
    pub fn books(&self) -> &[BinanceBook] {
        &self.books
    }

    /// Digits after the point of prices and quantities.
    #[must_use]
    pub fn decimals(&self) -> Decimals {
        self.decimals
    }

    fn apply(&mut self, text: &[u8]) -> Result<Effect, Fault> {
        let message =
            binance::parse(text, self.decimals, &mut self.diff).map_err(Fault::Binance)?;
        let (Message::Depth { symbol }
        | Message::Other {
            symbol: Some(symbol),
        }) = message
        else {
            return Ok(Effect::Nothing);
        };
        let place = self
            .books
            .iter()
            .position(|book| book.symbol().as_bytes() == symbol);
        if let Some(index) = place {
            self.messages[index] += 1;
        }
        match (message, place) {
            (Message::Other { .. }, _) => Ok(Effect::Nothing),
            (Message::Depth { symbol }, None) => {
                Err(Fault::Unasked(String::from_utf8_lossy(symbol).into_owned()))
            }
            (Message::Depth { .. }, Some(index)) => {
                Ok(match self.books[index].on_diff(&self.diff) {
                    Outcome::Applied => Effect::Updated(index),
                    Outcome::NotApplied => Effect::Nothing,
                    Outcome::Void(cause) => Effect::Void(index, cause),
                })
            }
        }
    }
}

impl Books {
    /// Books of a venue; only Binance needs to know the symbols and their decimals beforehand.
    #[must_use]
    pub fn new(venue: Venue, symbols: &[String], decimals: Decimals) -> Self {
        match venue {
            Venue::Binance => Self::Binance(BinanceBooks {
                decimals,
                diff: Diff::with_room(LEVELS_AT_ONCE),
                books: symbols
                    .iter()
                    .map(|symbol| BinanceBook::new(symbol))
                    .collect(),
                messages: vec![0; symbols.len()],
            }),
            Venue::Kraken => Self::Kraken(KrakenBooks::default()),
            Venue::Coinbase => Self::Coinbase(CoinbaseBooks::default()),
            Venue::Okx => Self::Okx(OkxBooks::default()),
            Venue::Iex => Self::Iex(IexBooks::default()),
        }
    }

    /// Applies one message, or one packet.
    ///
    /// # Errors
    /// It cannot be read or does not fit: all books of the connection are void. Books of venues whose
    /// snapshots come in the stream need a new connection; Binance's need a new snapshot.
    pub fn apply(&mut self, message: &[u8]) -> Result<Effect, Fault> {
        let changed = |index: Option<usize>| index.map_or(Effect::Nothing, Effect::Updated);
        let result = match self {
            Self::Binance(books) => books.apply(message),
            Self::Kraken(books) => books.apply(message).map(changed).map_err(Fault::Kraken),
            Self::Coinbase(books) => books.apply(message).map(changed).map_err(Fault::Coinbase),
            Self::Okx(books) => books.apply(message).map(changed).map_err(Fault::Okx),
            Self::Iex(books) => books
                .apply(message)
                .map(|levels| {
                    if levels > 0 {
                        Effect::Updated(0)
                    } else {
                        Effect::Nothing
                    }
                })
                .map_err(Fault::Iex),
        };
        if result.is_err() {
            self.on_lost();
        }
        result
    }

    /// The connection was lost: every book is void.
    pub fn on_lost(&mut self) {
        match self {
            Self::Binance(books) => books.books.iter_mut().for_each(BinanceBook::on_lost),
            Self::Kraken(books) => books.reset(),
            Self::Coinbase(books) => books.reset(),
            Self::Okx(books) => books.reset(),
            Self::Iex(books) => books.reset(),
        }
    }

    /// Whether a new connection brings new snapshots by itself.
    #[must_use]
    pub fn snapshots_come_in_band(&self) -> bool {
        !matches!(self, Self::Binance(_))
    }

    /// Whether the book at `index` needs a snapshot from outside the stream.
    #[must_use]
    pub fn wants_snapshot(&self, index: usize) -> bool {
        match self {
            Self::Binance(books) => books
                .books
                .get(index)
                .is_some_and(BinanceBook::wants_snapshot),
            _ => false,
        }
    }

    /// How many books may need a snapshot from outside the stream.
    #[must_use]
    pub fn snapshot_books(&self) -> usize {
        match self {
            Self::Binance(books) => books.books.len(),
            _ => 0,
        }
    }

    /// Gives the book at `index` the snapshot that it asked for.
    ///
    /// # Errors
    /// The text is no snapshot; the book still waits for one.
    pub fn on_snapshot(&mut self, index: usize, text: &[u8]) -> Result<(Answer, Effect), Fault> {
        let Self::Binance(books) = self else {
            return Ok((Answer::NotWanted, Effect::Nothing));
        };
        let snapshot: Snapshot =
            binance::parse_snapshot(text, books.decimals).map_err(Fault::Binance)?;
        let Some(book) = books.books.get_mut(index) else {
            return Ok((Answer::NotWanted, Effect::Nothing));
        };
        let (answer, outcome) = book.on_snapshot(&snapshot);
        let effect = match outcome {
            Outcome::Applied => Effect::Updated(index),
            Outcome::NotApplied => Effect::Nothing,
            Outcome::Void(cause) => Effect::Void(index, cause),
        };
        Ok((answer, effect))
    }

    /// A table of all books.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        match self {
            Self::Binance(books) => books.rows(),
            Self::Kraken(books) => in_band_rows(books.in_band()),
            Self::Coinbase(books) => in_band_rows(books.in_band()),
            Self::Okx(books) => in_band_rows(books.in_band()),
            Self::Iex(books) => vec![Row {
                name: format!("{} stocks", books.stocks()),
                state: if books.gaps() == 0 {
                    "synced"
                } else {
                    "in doubt"
                },
                depth: books.depth(),
                messages: Some(books.messages()),
                updates: books.level_messages(),
                gaps: books.gaps(),
                ..Row::default()
            }],
        }
    }
}

impl BinanceBooks {
    fn rows(&self) -> Vec<Row> {
        let price = |value| {
            Fixed {
                value,
                decimals: self.decimals.price,
            }
            .to_string()
        };
        let row = |(book, &messages): (&BinanceBook, &u64)| {
            let counts = book.counts();
            Row {
                name: book.symbol().to_owned(),
                state: book.state().word(),
                bid: book.book().best_bid().map(|level| price(level.price)),
                ask: book.book().best_ask().map(|level| price(level.price)),
                depth: book.book().depth(),
                messages: Some(messages),
                updates: counts.applied,
                dropped: counts.stale + counts.duplicates,
                gaps: counts.gaps,
                resyncs: counts.resyncs,
            }
        };
        self.books.iter().zip(&self.messages).map(row).collect()
    }
}

fn in_band_rows(books: &InBandBooks) -> Vec<Row> {
    use crate::book::Edge::{Ask, Bid};
    books
        .books()
        .iter()
        .map(|book| Row {
            name: book.name.clone(),
            state: if book.live { "synced" } else { "waiting" },
            bid: book.book.best(Bid).map(|level| level.price.to_string()),
            ask: book.book.best(Ask).map(|level| level.price.to_string()),
            depth: book.book.depth(),
            updates: book.updates,
            ..Row::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECIMALS: Decimals = Decimals {
        price: 1,
        quantity: 0,
    };

    fn diff(symbol: &str, first: u64, last: u64) -> String {
        format!(
            r#"{{"e":"depthUpdate","s":"{symbol}","U":{first},"u":{last},"b":[["1.0","5"]],"a":[["2.0","5"]]}}"#
        )
    }

    #[test]
    fn symbols_of_one_connection_have_books_of_their_own() {
        let mut books = Books::new(Venue::Binance, &["A".to_owned(), "B".to_owned()], DECIMALS);
        assert_eq!(books.apply(diff("A", 1, 2).as_bytes()), Ok(Effect::Nothing));
        assert_eq!(books.apply(diff("B", 7, 8).as_bytes()), Ok(Effect::Nothing));
        assert!(books.wants_snapshot(0) && books.wants_snapshot(1) && !books.wants_snapshot(2));
        let snapshot = br#"{"lastUpdateId":1,"bids":[],"asks":[]}"#;
        assert_eq!(
            books.on_snapshot(0, snapshot),
            Ok((Answer::Load { stale: 0 }, Effect::Updated(0)))
        );
        assert_eq!(
            books.on_snapshot(1, snapshot),
            Ok((Answer::TooOld, Effect::Nothing))
        );
        assert_eq!(
            books.apply(diff("A", 3, 4).as_bytes()),
            Ok(Effect::Updated(0))
        );
        assert_eq!(
            books.apply(diff("A", 9, 9).as_bytes()),
            Ok(Effect::Void(0, Cause::Gap))
        );
        let rows = books.rows();
        assert_eq!(
            (rows[0].messages, rows[0].gaps, rows[0].updates),
            (Some(3), 1, 2)
        );
        assert_eq!((rows[1].state, rows[1].bid.as_deref()), ("buffering", None));
    }

    #[test]
    fn a_fault_voids_all_books_of_the_connection() {
        let mut books = Books::new(Venue::Binance, &["A".to_owned()], DECIMALS);
        books.apply(diff("A", 1, 2).as_bytes()).expect("a diff");
        books
            .on_snapshot(0, br#"{"lastUpdateId":1,"bids":[],"asks":[]}"#)
            .expect("a snapshot");
        assert_eq!(books.rows()[0].bid.as_deref(), Some("1.0"));
        assert_eq!(
            books.apply(diff("C", 1, 2).as_bytes()),
            Err(Fault::Unasked("C".to_owned()))
        );
        assert_eq!(
            (books.rows()[0].bid.as_deref(), books.rows()[0].resyncs),
            (None, 1)
        );
        assert!(books.on_snapshot(0, b"<html>").is_err());
    }
}
