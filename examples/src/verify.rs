//! Compares the books that a recording has led to with what was expected of it.

use std::fmt;

use crate::binance_book::BinanceBook;
use crate::book::{Book, Edge};
use crate::books::Books;
use crate::expected::Entry;
use crate::in_band::InBandBooks;

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was compared.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What the books gave.
    pub found: String,
    /// Whether it is a checksum over a whole book, which stands for all the rest.
    pub is_book: bool,
}

impl Check {
    /// Whether the two agree.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.expected == self.found
    }
}

/// Collects comparisons, and skips what the entry does not say.
struct Checks<'a> {
    entry: Entry<'a>,
    prefix: String,
    list: Vec<Check>,
}

impl Checks<'_> {
    fn number(&mut self, key: &str, found: impl TryInto<i64>) {
        if let Some(expected) = self.entry.number(key) {
            // A count that does not fit 63 bits cannot be the expected one either.
            let found = found
                .try_into()
                .map_or_else(|_| "too large".to_owned(), |n: i64| n.to_string());
            self.push(key, expected.to_string(), found, false);
        }
    }

    fn text(&mut self, key: &str, found: impl fmt::Display) {
        if let Some(expected) = self.entry.text(key) {
            self.push(key, expected.to_owned(), found.to_string(), false);
        }
    }

    fn book_crc(&mut self, key: &str, found: u32) {
        if let Some(expected) = self.entry.text(key) {
            self.push(key, expected.to_owned(), format!("{found:08x}"), true);
        }
    }

    fn push(&mut self, key: &str, expected: String, found: String, is_book: bool) {
        self.list.push(Check {
            what: format!("{}{key}", self.prefix),
            expected,
            found,
            is_book,
        });
    }
}

/// Compares everything that the entry says and the books can show. `unbroken` says that the whole
/// recording came over one connection: only then do counts and paths mean the same as in the entry.
#[must_use]
pub fn verify(books: &Books, entry: Entry<'_>, unbroken: bool) -> Vec<Check> {
    let mut checks = Checks {
        entry,
        prefix: String::new(),
        list: Vec::new(),
    };
    match books {
        Books::Binance(books) => books
            .books()
            .iter()
            .for_each(|book| binance(&mut checks, book, unbroken)),
        Books::Kraken(books) => {
            in_band(&mut checks, books.in_band());
            if unbroken {
                checks.number("checksum_ok", books.checksums());
            }
        }
        Books::Coinbase(books) => in_band(&mut checks, books.in_band()),
        Books::Okx(books) => {
            in_band(&mut checks, books.in_band());
            if unbroken {
                checks.number("checksum_ok", books.checksums());
            }
        }
        Books::Iex(books) => {
            checks.book_crc("books_crc32", books.books_crc32());
            checks.text("levels_crc32", format_args!("{:08x}", books.levels_crc32()));
            checks.number("packets", books.packets());
            checks.number("messages", books.messages());
            checks.number("next_seq", books.next_sequence());
            checks.number("symbols_with_levels", books.stocks());
            if unbroken {
                checks.number("seq_gaps", books.gaps());
            }
            for (symbol, sample) in entry.parts("final_sample") {
                let empty = Book::with_room(0);
                let mut part = Checks {
                    entry: sample,
                    prefix: format!("{symbol} "),
                    list: Vec::new(),
                };
                touch(&mut part, books.book(symbol).unwrap_or(&empty));
                checks.list.append(&mut part.list);
            }
        }
    }
    checks.list
}

fn binance(checks: &mut Checks<'_>, book: &BinanceBook, unbroken: bool) {
    checks.book_crc("book_crc32", book.book().crc32());
    touch(checks, book.book());
    checks.number("last_update_id", book.book_id().unwrap_or(0));
    if unbroken && book.is_unbroken() {
        checks.text("path_crc32", format_args!("{:08x}", book.path_crc32()));
        checks.number("applied_events", book.counts().applied);
        checks.number("buffered_then_stale", book.counts().stale);
        checks.number("gaps", book.counts().gaps);
    }
}

fn touch(checks: &mut Checks<'_>, book: &Book) {
    let (bids, asks) = book.depth();
    checks.number("n_bids", bids);
    checks.number("n_asks", asks);
    checks.number("best_bid", book.best_bid().map_or(0, |level| level.price));
    checks.number("best_ask", book.best_ask().map_or(0, |level| level.price));
}

fn in_band(checks: &mut Checks<'_>, books: &InBandBooks) {
    for (name, part) in checks.entry.parts("final") {
        let mut part = Checks {
            entry: part,
            prefix: format!("{name} "),
            list: Vec::new(),
        };
        if let Some(found) = books
            .books()
            .iter()
            .find(|book| book.name == name && book.live)
        {
            let best = |edge| {
                found
                    .book
                    .best(edge)
                    .map_or_else(String::new, |level| level.price.to_string())
            };
            let (bids, asks) = found.book.depth();
            part.book_crc("text_crc32", found.book.text_crc32());
            part.number("n_bids", bids);
            part.number("n_asks", asks);
            part.text("best_bid", best(Edge::Bid));
            part.text("best_ask", best(Edge::Ask));
        } else {
            part.push("book", "a live book".to_owned(), "none".to_owned(), true);
        }
        checks.list.append(&mut part.list);
    }
}
