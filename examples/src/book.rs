//! An order book: two sorted sides, whole-number prices, best level last.
//!
//! A side is one sorted array whose **last** element is the best price. Room for [`LEVELS_RESERVED`] levels is taken when the book is made; the deepest book seen
//! in the recordings (BTCUSDT perpetual, no depth limit) has 5,170.
//!
//! Venues whose checksums are over prices and quantities as they wrote them have a book of their own:
//! [`text_book`](crate::text_book), on the same sides.
//!
//! Knows nothing of messages, ids, or venues.

use std::fmt::{self, Write as _};
use std::ops::Neg;

use crc32fast::Hasher;

use crate::side::Side;

/// Levels that fit a side before it has to ask for memory.
pub const LEVELS_RESERVED: usize = 8192;

/// Which side of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Buyers; the highest price is the best.
    Bid,
    /// Sellers; the lowest price is the best.
    Ask,
}

impl Edge {
    /// The letter that stands for the side in checksums: `b` or `a`.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Bid => 'b',
            Self::Ask => 'a',
        }
    }

    /// Sort key of a price: the better the price, the greater the key.
    pub(crate) fn key<N: Neg<Output = N>>(self, price: N) -> N {
        match self {
            Self::Bid => price,
            Self::Ask => -price,
        }
    }
}

/// One price and what is offered at it, in units of the market's decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The price.
    pub price: i64,
    /// The absolute quantity; 0 removes the level.
    pub quantity: i64,
}

/// A book with whole-number prices and quantities.
#[derive(Debug, Clone)]
pub struct Book {
    bids: Side<i64, i64>,
    asks: Side<i64, i64>,
}

impl Default for Book {
    fn default() -> Self {
        Self::with_room(LEVELS_RESERVED)
    }
}

impl Book {
    /// An empty book with room for that many levels a side; it takes more when it must.
    #[must_use]
    pub fn with_room(levels: usize) -> Self {
        Self {
            bids: Side::with_room(levels),
            asks: Side::with_room(levels),
        }
    }

    /// Sets the quantity at a price; 0 removes the level.
    pub fn apply(&mut self, edge: Edge, level: Level) {
        let side = match edge {
            Edge::Bid => &mut self.bids,
            Edge::Ask => &mut self.asks,
        };
        if level.quantity == 0 {
            side.remove(edge.key(level.price));
        } else {
            side.set(edge.key(level.price), level.quantity);
        }
    }

    /// Forgets all levels; the memory is kept.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// The highest bid.
    #[must_use]
    pub fn best_bid(&self) -> Option<Level> {
        self.bids.best().map(|&(key, quantity)| Level {
            price: key,
            quantity,
        })
    }

    /// The lowest ask.
    #[must_use]
    pub fn best_ask(&self) -> Option<Level> {
        self.asks.best().map(|&(key, quantity)| Level {
            price: -key,
            quantity,
        })
    }

    /// Whether somebody bids at least what somebody else asks: such a book has missed something.
    #[must_use]
    pub fn is_crossed(&self) -> bool {
        match (self.best_bid(), self.best_ask()) {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }

    /// How many bid levels and ask levels there are.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        (self.bids.len(), self.asks.len())
    }

    /// The levels of one side, best first.
    pub fn best_to_worst(&self, edge: Edge) -> impl Iterator<Item = Level> {
        let (side, sign) = match edge {
            Edge::Bid => (&self.bids, 1),
            Edge::Ask => (&self.asks, -1),
        };
        side.best_to_worst().map(move |&(key, quantity)| Level {
            price: sign * key,
            quantity,
        })
    }

    /// CRC-32 over `b,PRICE,QUANTITY` lines and then `a,PRICE,QUANTITY` lines, best to worst.
    #[must_use]
    pub fn crc32(&self) -> u32 {
        let mut sum = Crc::default();
        for edge in [Edge::Bid, Edge::Ask] {
            for level in self.best_to_worst(edge) {
                sum.line(format_args!(
                    "{},{},{}",
                    edge.letter(),
                    level.price,
                    level.quantity
                ));
            }
        }
        sum.value()
    }
}

/// A running CRC-32 (IEEE) over lines of text.
#[derive(Debug, Clone, Default)]
pub struct Crc(Hasher);

impl Crc {
    /// Adds a line and its line feed.
    pub fn line(&mut self, line: fmt::Arguments<'_>) {
        // `write_str` below cannot fail, and nothing that is summed here has a failing `Display`.
        let _ = self.write_fmt(line);
        self.0.update(b"\n");
    }

    /// Adds bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The sum so far.
    #[must_use]
    pub fn value(&self) -> u32 {
        self.0.clone().finalize()
    }
}

impl fmt::Write for Crc {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(price: i64, quantity: i64) -> Level {
        Level { price, quantity }
    }

    #[test]
    fn sides_stay_sorted_whatever_the_order_of_arrival() {
        let mut book = Book::default();
        for price in [5, 1, 9, 3, 7] {
            book.apply(Edge::Bid, level(price, price));
            book.apply(Edge::Ask, level(price + 100, price));
        }
        book.apply(Edge::Bid, level(9, 0));
        book.apply(Edge::Ask, level(101, 0));
        book.apply(Edge::Ask, level(500, 0)); // was never there
        book.apply(Edge::Bid, level(7, 70));
        let prices = |edge| {
            book.best_to_worst(edge)
                .map(|l| l.price)
                .collect::<Vec<_>>()
        };
        assert_eq!(prices(Edge::Bid), [7, 5, 3, 1]);
        assert_eq!(prices(Edge::Ask), [103, 105, 107, 109]);
        assert_eq!(book.best_bid(), Some(level(7, 70)));
        assert_eq!(book.best_ask(), Some(level(103, 3)));
        assert_eq!(book.depth(), (4, 4));
        assert!(!book.is_crossed());
        book.apply(Edge::Bid, level(103, 1));
        assert!(book.is_crossed(), "touching is crossed");
    }

    #[test]
    fn a_deep_book_finds_levels_near_and_far() {
        let mut book = Book::default();
        for price in (0..1000).map(|n| n * 7 % 1000) {
            book.apply(Edge::Bid, level(price, price + 1));
        }
        for price in 0..1000 {
            book.apply(
                Edge::Bid,
                level(price, if price % 2 == 0 { 0 } else { price }),
            );
        }
        assert_eq!(book.depth().0, 500);
        assert!(
            book.best_to_worst(Edge::Bid)
                .map(|l| l.price)
                .eq((0..500).rev().map(|n| n * 2 + 1))
        );
    }

    #[test]
    fn the_checksum_is_over_the_lines_as_documented() {
        let mut book = Book::default();
        book.apply(Edge::Bid, level(10, 1));
        book.apply(Edge::Bid, level(11, 2));
        book.apply(Edge::Ask, level(12, 3));
        assert_eq!(book.crc32(), crc32fast::hash(b"b,11,2\nb,10,1\na,12,3\n"));
        assert_eq!(Book::default().crc32(), 0);
    }
}
