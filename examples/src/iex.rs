//! IEX DEEP 1.0 in IEX-TP: price levels of every US stock in one UDP stream.
//!
//! Formats after IEX's public "Transport Specification" and "DEEP Specification". A packet has a
//! 40-byte little-endian header with the sequence number of its first message, and length-prefixed
//! messages. DEEP has no snapshots: books start empty at the start of the day, and a packet that is
//! missed leaves every book in doubt, so a gap in the sequence is counted and reported.

use std::collections::BTreeMap;
use std::fmt;

use crate::book::{Book, Crc, Edge, Level};

/// Digits after the point of a price.
pub const PRICE_DECIMALS: u32 = 4;

/// Levels to reserve a side: IEX alone shows few levels of one stock, and has thousands of stocks.
const LEVELS_RESERVED: usize = 16;

/// Why a packet was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IexError {
    /// The packet is shorter than its header or its message lengths say.
    Truncated,
    /// The header is not one of DEEP 1.0 in IEX-TP version 1.
    NotDeep,
    /// A price-level message is shorter than it must be, or has a negative price.
    BadLevel,
}

impl fmt::Display for IexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "an IEX packet is shorter than it says",
            Self::NotDeep => "a packet is not DEEP 1.0 in IEX-TP version 1",
            Self::BadLevel => "an IEX price-level message makes no sense",
        })
    }
}

impl std::error::Error for IexError {}

/// What stands in front of the messages of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The session that the sequence numbers belong to.
    pub session: u32,
    /// The sequence number of the first message; of a packet without any, that of the message that comes next.
    pub first: u64,
    /// How many messages there are.
    pub count: u16,
    payload_length: u16,
}

/// The bytes of a header.
const HEADER_BYTES: usize = 40;

impl Header {
    /// Reads the header of a packet.
    ///
    /// # Errors
    /// The packet is shorter than a header, or none of DEEP 1.0.
    pub fn of(packet: &[u8]) -> Result<Self, IexError> {
        let header: [u8; HEADER_BYTES] = array(packet, 0).ok_or(IexError::Truncated)?;
        let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        if header[0] != 1 || u16_at(2) != 0x8004 {
            return Err(IexError::NotDeep);
        }
        Ok(Self {
            session: u32::from_le_bytes([header[8], header[9], header[10], header[11]]),
            payload_length: u16_at(12),
            count: u16_at(14),
            first: u64::from_le_bytes(array(&header, 24).ok_or(IexError::Truncated)?),
        })
    }

    /// A packet without messages, as it is sent while there is nothing to tell: it says which message comes next.
    #[must_use]
    pub fn heartbeat(session: u32, next: u64) -> [u8; HEADER_BYTES] {
        let mut packet = [0; HEADER_BYTES];
        packet[0] = 1;
        packet[2..4].copy_from_slice(&0x8004_u16.to_le_bytes());
        packet[4..8].copy_from_slice(&1_u32.to_le_bytes());
        packet[8..12].copy_from_slice(&session.to_le_bytes());
        packet[24..32].copy_from_slice(&next.to_le_bytes());
        packet
    }

    /// The sequence number behind the last message.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }
}

/// A stock's symbol: eight characters, padded with spaces.
type Symbol = [u8; 8];

/// All books of the stream.
#[derive(Debug, Clone, Default)]
pub struct IexBooks {
    books: BTreeMap<Symbol, Book>,
    session: Option<u32>,
    next_sequence: u64,
    packets: u64,
    messages: u64,
    level_messages: u64,
    gaps: u64,
    levels: Crc,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

impl IexBooks {
    /// Packets read.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Messages of all kinds in them.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Price-level messages among them.
    #[must_use]
    pub fn level_messages(&self) -> u64 {
        self.level_messages
    }

    /// How often the sequence jumped; each one leaves all books in doubt.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// The sequence number that comes next.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// How many stocks have had a price level.
    #[must_use]
    pub fn stocks(&self) -> usize {
        self.books.len()
    }

    /// Bid levels and ask levels of all stocks together.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        self.books
            .values()
            .map(Book::depth)
            .fold((0, 0), |sum, depth| (sum.0 + depth.0, sum.1 + depth.1))
    }

    /// A stock's book.
    #[must_use]
    pub fn book(&self, symbol: &str) -> Option<&Book> {
        let mut padded = *b"        ";
        padded
            .get_mut(..symbol.len())?
            .copy_from_slice(symbol.as_bytes());
        self.books.get(&padded)
    }

    /// CRC-32 over `TYPE,SYMBOL,PRICE,SIZE,FLAGS` lines, one per price-level message.
    #[must_use]
    pub fn levels_crc32(&self) -> u32 {
        self.levels.value()
    }

    /// CRC-32 over `SYMBOL,b|a,PRICE,SIZE` lines of all books, symbols sorted.
    #[must_use]
    pub fn books_crc32(&self) -> u32 {
        let mut sum = Crc::default();
        for (symbol, book) in &self.books {
            for edge in [Edge::Bid, Edge::Ask] {
                for level in book.best_to_worst(edge) {
                    let name = symbol.trim_ascii_end().escape_ascii();
                    sum.line(format_args!(
                        "{name},{},{},{}",
                        edge.letter(),
                        level.price,
                        level.quantity
                    ));
                }
            }
        }
        sum.value()
    }

    /// Forgets everything: the stream starts over.
    pub fn reset(&mut self) {
        let gaps = self.gaps;
        *self = Self {
            gaps,
            ..Self::default()
        };
    }

    /// Applies one packet, and returns how many price levels it changed.
    ///
    /// # Errors
    /// The packet is not DEEP or is broken; the messages before the broken one have been applied.
    pub fn apply(&mut self, packet: &[u8]) -> Result<u64, IexError> {
        self.apply_from(packet, 0)
    }

    /// As [`apply`](Self::apply), but for as many messages at the packet's head, which were applied before.
    ///
    /// # Errors
    /// As there.
    pub fn apply_from(&mut self, packet: &[u8], skip: u32) -> Result<u64, IexError> {
        let header = Header::of(packet)?;
        let first = header.first.saturating_add(u64::from(skip));
        if self
            .session
            .is_some_and(|known| known != header.session || first != self.next_sequence)
        {
            self.gaps += 1;
        }
        self.session = Some(header.session);
        self.packets += 1;

        let mut rest = packet
            .get(HEADER_BYTES..HEADER_BYTES + usize::from(header.payload_length))
            .ok_or(IexError::Truncated)?;
        let before = self.level_messages;
        for number in 0..u32::from(header.count) {
            let length = usize::from(u16::from_le_bytes(
                array(rest, 0).ok_or(IexError::Truncated)?,
            ));
            let message = rest.get(2..2 + length).ok_or(IexError::Truncated)?;
            rest = &rest[2 + length..];
            if number < skip {
                continue;
            }
            self.messages += 1;
            if let [kind @ (b'8' | b'5'), flags, ..] = message {
                self.level(*kind, *flags, message)?;
            }
        }
        self.next_sequence = header.end();
        Ok(self.level_messages - before)
    }

    fn level(&mut self, kind: u8, flags: u8, message: &[u8]) -> Result<(), IexError> {
        let symbol: Symbol = array(message, 10).ok_or(IexError::BadLevel)?;
        let size = u32::from_le_bytes(array(message, 18).ok_or(IexError::BadLevel)?);
        let price = i64::from_le_bytes(array(message, 22).ok_or(IexError::BadLevel)?);
        if price < 0 {
            return Err(IexError::BadLevel);
        }
        let edge = if kind == b'8' { Edge::Bid } else { Edge::Ask };
        let book = self
            .books
            .entry(symbol)
            .or_insert_with(|| Book::with_room(LEVELS_RESERVED));
        book.apply(
            edge,
            Level {
                price,
                quantity: i64::from(size),
            },
        );
        self.level_messages += 1;
        let (kind, name) = (char::from(kind), symbol.trim_ascii_end().escape_ascii());
        self.levels
            .line(format_args!("{kind},{name},{price},{size},{flags}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u64, messages: &[Vec<u8>]) -> Vec<u8> {
        let body: Vec<u8> = messages
            .iter()
            .flat_map(|m| {
                u16::try_from(m.len())
                    .expect("short")
                    .to_le_bytes()
                    .into_iter()
                    .chain(m.iter().copied())
            })
            .collect();
        let mut packet = vec![1, 0, 0x04, 0x80, 1, 0, 0, 0, 9, 0, 0, 0];
        packet.extend(u16::try_from(body.len()).expect("short").to_le_bytes());
        packet.extend(u16::try_from(messages.len()).expect("few").to_le_bytes());
        packet.extend(0u64.to_le_bytes());
        packet.extend(sequence.to_le_bytes());
        packet.extend(0i64.to_le_bytes());
        packet.extend(body);
        packet
    }

    fn level(kind: u8, size: u32, price: i64) -> Vec<u8> {
        let mut message = vec![kind, 1];
        message.extend(0i64.to_le_bytes());
        message.extend(b"ZXIET   ");
        message.extend(size.to_le_bytes());
        message.extend(price.to_le_bytes());
        message
    }

    #[test]
    fn levels_build_books_and_gaps_are_seen() {
        let mut books = IexBooks::default();
        assert_eq!(
            books.apply(&packet(
                1,
                &[
                    level(b'8', 100, 990_500),
                    vec![b'S', b'O'],
                    level(b'5', 7, 991_000)
                ]
            )),
            Ok(2)
        );
        assert_eq!(books.apply(&packet(4, &[])), Ok(0), "a heartbeat");
        assert_eq!(books.gaps(), 0);
        let book = books.book("ZXIET").expect("a stock");
        assert_eq!(
            book.best_bid(),
            Some(Level {
                price: 990_500,
                quantity: 100
            })
        );
        assert_eq!(
            books.books_crc32(),
            crc32fast::hash(b"ZXIET,b,990500,100\nZXIET,a,991000,7\n")
        );
        assert_eq!(
            books.levels_crc32(),
            crc32fast::hash(b"8,ZXIET,990500,100,1\n5,ZXIET,991000,7,1\n")
        );
        assert_eq!(books.apply(&packet(6, &[level(b'8', 0, 990_500)])), Ok(1));
        assert_eq!(
            (books.gaps(), books.next_sequence(), books.stocks()),
            (1, 7, 1)
        );
    }

    #[test]
    fn packets_cut_anywhere_are_refused() {
        let whole = packet(1, &[level(b'8', 100, 990_500), level(b'5', 7, 991_000)]);
        for end in 0..whole.len() {
            assert_eq!(
                IexBooks::default().apply(&whole[..end]),
                Err(IexError::Truncated),
                "{end}"
            );
        }
        assert_eq!(IexBooks::default().apply(&[0; 64]), Err(IexError::NotDeep));
        let short = packet(1, &[vec![b'8', 1, 2]]);
        assert_eq!(IexBooks::default().apply(&short), Err(IexError::BadLevel));
        assert_eq!(
            IexBooks::default().apply(&packet(1, &[level(b'8', 1, -1)])),
            Err(IexError::BadLevel)
        );
        assert_eq!(
            IexBooks::default()
                .book("A SYMBOL TOO LONG")
                .map(Book::depth),
            None
        );
    }
}
