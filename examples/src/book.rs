//! An order book: two sorted sides, whole-number prices, best level last.
//!
//! A side is one sorted array whose **last** element is the best price. Nine changes of ten happen
//! near the touch, so they move a few elements at the end of the array, and the search tries the end
//! first. Room for [`LEVELS_RESERVED`] levels is taken when the book is made; the deepest book seen
//! in the recordings (BTCUSDT perpetual, no depth limit) has 5,170.
//!
//! [`Book`] holds quantities as integers. [`TextBook`] also keeps price and quantity as the venue
//! wrote them, since some venues' checksums are over that text, trailing zeros included.
//!
//! Knows nothing of messages, ids, or venues.

use std::fmt::{self, Write as _};
use std::ops::Neg;

use crc32fast::Hasher;

use crate::decimal::{self, DecimalError};

/// Levels that fit a side before it has to ask for memory.
pub const LEVELS_RESERVED: usize = 8192;

/// Levels that fit a side of a [`TextBook`], whose venues send at most 1,000 or few to begin with.
const TEXT_LEVELS_RESERVED: usize = 2048;

/// How many levels from the touch the search tries before it looks at the whole side.
const NEAR_TOUCH: usize = 32;

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
    fn key<N: Neg<Output = N>>(self, price: N) -> N {
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

/// One sorted side of a book.
#[derive(Debug, Clone)]
struct Side<K, V> {
    /// Ascending by key, so that the best is the last.
    levels: Vec<(K, V)>,
}

impl<K: Ord + Copy, V> Side<K, V> {
    fn with_room(levels: usize) -> Self {
        Self {
            levels: Vec::with_capacity(levels),
        }
    }

    fn find(&self, key: K) -> Result<usize, usize> {
        let near = self.levels.len().saturating_sub(NEAR_TOUCH);
        let (skipped, searched) = match self.levels.get(near) {
            Some(&(first, _)) if key >= first => (near, &self.levels[near..]),
            _ => (0, &self.levels[..]),
        };
        match searched.binary_search_by_key(&key, |&(k, _)| k) {
            Ok(index) => Ok(index + skipped),
            Err(index) => Err(index + skipped),
        }
    }

    fn set(&mut self, key: K, value: V) {
        match self.find(key) {
            Ok(index) => self.levels[index].1 = value,
            Err(index) => self.levels.insert(index, (key, value)),
        }
    }

    /// Removing a price that the book does not have is normal: it may have left the depth that a
    /// snapshot covers.
    fn remove(&mut self, key: K) {
        if let Ok(index) = self.find(key) {
            self.levels.remove(index);
        }
    }

    fn best(&self) -> Option<&(K, V)> {
        self.levels.last()
    }

    fn best_to_worst(&self) -> impl Iterator<Item = &(K, V)> {
        self.levels.iter().rev()
    }

    /// Forgets the worst levels beyond the `depth` best.
    fn truncate(&mut self, depth: usize) {
        let excess = self.levels.len().saturating_sub(depth);
        self.levels.drain(..excess);
    }
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
        self.bids.levels.clear();
        self.asks.levels.clear();
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
        (self.bids.levels.len(), self.asks.levels.len())
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

/// Decimals at which a [`TextBook`] sorts.
const SORT_DECIMALS: u32 = 18;

/// The most characters that a [`TextBook`] keeps of a price or a quantity.
const TEXT_MAX: usize = 23;

/// The price as a number that sorts. Whole part and fraction are read apart: people do bid 10^10 for
/// a thing that is quoted at ten decimals, and the product fits no 64 bits.
fn sort_key(price: &[u8]) -> Result<i128, DecimalError> {
    let point = price
        .iter()
        .position(|&byte| byte == b'.')
        .unwrap_or(price.len());
    let (whole, fraction) = price.split_at(point);
    let whole = decimal::parse(whole, 0)?;
    let fraction = if fraction.is_empty() {
        0
    } else {
        decimal::parse(fraction, SORT_DECIMALS)?
    };
    Ok(i128::from(whole) * 10i128.pow(SORT_DECIMALS) + i128::from(fraction))
}

/// A number as the venue wrote it, kept in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text {
    length: u8,
    bytes: [u8; TEXT_MAX],
}

impl Text {
    fn new(text: &[u8]) -> Result<Self, DecimalError> {
        let mut bytes = [0; TEXT_MAX];
        bytes
            .get_mut(..text.len())
            .ok_or(DecimalError::TooLong)?
            .copy_from_slice(text);
        let length = u8::try_from(text.len()).map_err(|_| DecimalError::TooLong)?;
        Ok(Self { length, bytes })
    }

    /// The characters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only digits and points come this far: `TextBook::apply` has read them as numbers.
        f.pad(std::str::from_utf8(self.as_bytes()).unwrap_or("?"))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One level of a [`TextBook`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextLevel {
    /// The price as received.
    pub price: Text,
    /// The quantity as received.
    pub quantity: Text,
}

/// A book that keeps prices and quantities as the venue wrote them.
#[derive(Debug, Clone)]
pub struct TextBook {
    bids: Side<i128, TextLevel>,
    asks: Side<i128, TextLevel>,
}

impl Default for TextBook {
    fn default() -> Self {
        Self {
            bids: Side::with_room(TEXT_LEVELS_RESERVED),
            asks: Side::with_room(TEXT_LEVELS_RESERVED),
        }
    }
}

impl TextBook {
    /// Sets the quantity at a price; a quantity of zero, however written, removes the level.
    ///
    /// # Errors
    /// One of the two is no decimal number that a book can hold; the book is as it was.
    pub fn apply(&mut self, edge: Edge, price: &[u8], quantity: &[u8]) -> Result<(), DecimalError> {
        let key = edge.key(sort_key(price)?);
        let level = TextLevel {
            price: Text::new(price)?,
            quantity: Text::new(quantity)?,
        };
        if !quantity
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.')
            || !quantity.iter().any(u8::is_ascii_digit)
        {
            return Err(DecimalError::NotANumber);
        }
        let side = match edge {
            Edge::Bid => &mut self.bids,
            Edge::Ask => &mut self.asks,
        };
        if quantity.iter().all(|byte| matches!(byte, b'0' | b'.')) {
            side.remove(key);
        } else {
            side.set(key, level);
        }
        Ok(())
    }

    /// Forgets all levels; the memory is kept.
    pub fn clear(&mut self) {
        self.bids.levels.clear();
        self.asks.levels.clear();
    }

    /// Forgets the worst levels beyond the `depth` best of each side.
    pub fn truncate(&mut self, depth: usize) {
        self.bids.truncate(depth);
        self.asks.truncate(depth);
    }

    /// The best level of a side.
    #[must_use]
    pub fn best(&self, edge: Edge) -> Option<&TextLevel> {
        match edge {
            Edge::Bid => self.bids.best(),
            Edge::Ask => self.asks.best(),
        }
        .map(|(_, level)| level)
    }

    /// Whether somebody bids at least what somebody else asks: such a book has missed something.
    #[must_use]
    pub fn is_crossed(&self) -> bool {
        match (self.bids.best(), self.asks.best()) {
            (Some((bid, _)), Some((ask, _))) => *bid >= -*ask,
            _ => false,
        }
    }

    /// How many bid levels and ask levels there are.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        (self.bids.levels.len(), self.asks.levels.len())
    }

    /// The levels of one side, best first.
    pub fn best_to_worst(&self, edge: Edge) -> impl Iterator<Item = &TextLevel> {
        match edge {
            Edge::Bid => &self.bids,
            Edge::Ask => &self.asks,
        }
        .best_to_worst()
        .map(|(_, level)| level)
    }

    /// CRC-32 over `b,PRICE,QUANTITY` lines and then `a,PRICE,QUANTITY` lines, as received.
    #[must_use]
    pub fn text_crc32(&self) -> u32 {
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

    #[test]
    fn a_text_book_keeps_what_was_written() {
        let mut book = TextBook::default();
        book.apply(Edge::Bid, b"0.05005", b"0.00000500")
            .expect("a number");
        book.apply(Edge::Bid, b"0.05010", b"1.0").expect("a number");
        book.apply(Edge::Ask, b"0.0502", b"7").expect("a number");
        assert_eq!(
            book.text_crc32(),
            crc32fast::hash(b"b,0.05010,1.0\nb,0.05005,0.00000500\na,0.0502,7\n")
        );
        book.apply(Edge::Bid, b"0.0501", b"0.000")
            .expect("a number");
        assert_eq!(
            book.depth(),
            (1, 1),
            "another spelling of the same price is the same level"
        );
        book.apply(Edge::Ask, b"99999999999.9999999999", b"1")
            .expect("a silly price");
        book.apply(Edge::Ask, b"99999999999.9999999999", b"0")
            .expect("a silly price");
        for (price, quantity) in [
            (&b"x"[..], &b"1"[..]),
            (b"1", b"x"),
            (b"1", b""),
            (b"1", b"-1"),
        ] {
            assert_eq!(
                book.apply(Edge::Ask, price, quantity),
                Err(DecimalError::NotANumber)
            );
        }
        assert_eq!(
            book.apply(Edge::Ask, b"1", &[b'1'; 24]),
            Err(DecimalError::TooLong)
        );
        assert_eq!(book.depth(), (1, 1));
    }

    #[test]
    fn truncation_drops_the_worst() {
        let mut book = TextBook::default();
        for price in 1..=9 {
            book.apply(Edge::Ask, format!("{price}").as_bytes(), b"1")
                .expect("a number");
        }
        book.truncate(3);
        assert!(
            book.best_to_worst(Edge::Ask)
                .map(|l| l.price.to_string())
                .eq(["1", "2", "3"])
        );
        book.truncate(5);
        assert_eq!(book.depth(), (0, 3));
    }
}
