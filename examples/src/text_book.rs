//! A book that keeps prices and quantities as the venue wrote them, trailing zeros included.
//!
//! Kraken's and OKX's checksums are over that text, and so are those of the expected results. The
//! sides are those of [`book`](crate::book); only what a level holds differs.

use std::fmt;

use crate::book::{Crc, Edge};
use crate::decimal::{self, DecimalError};
use crate::side::{Holds, Side};

/// Levels that fit a side of a [`TextBook`], whose venues send at most 1,000 or few to begin with.
const TEXT_LEVELS_RESERVED: usize = 2048;

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

impl Holds for TextLevel {
    const NOTHING: Self = {
        let text = Text {
            length: 0,
            bytes: [0; TEXT_MAX],
        };
        Self {
            price: text,
            quantity: text,
        }
    };

    fn is_nothing(&self) -> bool {
        self.quantity.length == 0
    }
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
        self.bids.clear();
        self.asks.clear();
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
        (self.bids.len(), self.asks.len())
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
