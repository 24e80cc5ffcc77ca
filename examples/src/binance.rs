//! Binance's messages: depth diffs of spot and futures, and the REST depth snapshot.
//!
//! The formats are those of Binance's public "WebSocket Streams" and "Order Book" pages: a combined
//! stream wraps each event as `{"stream":..,"data":{..}}`, a raw stream sends the event alone. Spot
//! diffs carry `U` and `u`; futures diffs carry `pu`, the `u` of the diff before, as well.
//!
//! A message is scanned once into a [`Diff`] that is used again for the next one, so nothing is
//! allocated once its levels have reached their high-water mark. Nothing here touches a book: a
//! message that turns out to be broken halfway has changed nothing.
//!
//! Knows nothing of how diffs and snapshots fit together; that is [`sync`](crate::sync).

use std::fmt;

use crate::book::Level;
use crate::decimal::{self, DecimalError, Decimals};
use crate::scan::{Cursor, ScanError};
use crate::sync::Ids;

/// Why a message of Binance was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinanceError {
    /// It is not the JSON that it should be.
    Json(ScanError),
    /// A price or a quantity cannot be held.
    Number(DecimalError),
    /// A depth diff or a snapshot lacks a field without which it means nothing.
    Missing(&'static str),
}

impl fmt::Display for BinanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Number(error) => error.fmt(f),
            Self::Missing(field) => write!(f, "the message has no `{field}`"),
        }
    }
}

impl std::error::Error for BinanceError {}

impl From<ScanError> for BinanceError {
    fn from(error: ScanError) -> Self {
        Self::Json(error)
    }
}

impl From<DecimalError> for BinanceError {
    fn from(error: DecimalError) -> Self {
        Self::Number(error)
    }
}

/// A depth diff; made once and filled again by each [`parse`].
#[derive(Debug, Default)]
pub struct Diff {
    /// The update ids that the diff covers.
    pub ids: Ids,
    /// Changed bids, with absolute quantities; 0 removes.
    pub bids: Vec<Level>,
    /// Changed asks, with absolute quantities; 0 removes.
    pub asks: Vec<Level>,
}

impl Diff {
    /// A diff with room for that many levels a side; it takes more when it must.
    #[must_use]
    pub fn with_room(levels: usize) -> Self {
        Self {
            ids: Ids::default(),
            bids: Vec::with_capacity(levels),
            asks: Vec::with_capacity(levels),
        }
    }
}

/// A REST depth snapshot.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The last update that the snapshot contains.
    pub last_update_id: u64,
    /// All bids.
    pub bids: Vec<Level>,
    /// All asks.
    pub asks: Vec<Level>,
}

/// What a WebSocket message turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A depth diff of this symbol; the [`Diff`] given to [`parse`] has been filled.
    Depth {
        /// The symbol as the exchange writes it in events: upper case.
        symbol: &'a [u8],
    },
    /// An event of another kind, or an answer to a subscription.
    Other {
        /// The symbol, if the event is about one.
        symbol: Option<&'a [u8]>,
    },
}

/// Reads one WebSocket message; `diff` holds something sensible only if a depth diff came.
///
/// # Errors
/// The message is no JSON object, or is a depth diff that lacks a field or has a wrong number.
pub fn parse<'a>(
    text: &'a [u8],
    decimals: Decimals,
    diff: &mut Diff,
) -> Result<Message<'a>, BinanceError> {
    diff.bids.clear();
    diff.asks.clear();
    let mut fields = Fields::default();
    let mut cursor = Cursor::new(text);
    cursor.object(|key, value| match key {
        b"data" if value.peek() == Some(b'{') => {
            value.object(|key, value| fields.read(key, value, decimals, diff))
        }
        _ => fields.read(key, value, decimals, diff),
    })?;
    cursor.end()?;
    if fields.event != Some(b"depthUpdate") {
        return Ok(Message::Other {
            symbol: fields.symbol,
        });
    }
    let first = fields.first.ok_or(BinanceError::Missing("U"))?;
    let last = fields.last.ok_or(BinanceError::Missing("u"))?;
    diff.ids = Ids {
        first,
        last,
        previous: fields.previous,
    };
    if !(fields.bids && fields.asks) {
        return Err(BinanceError::Missing(if fields.bids { "a" } else { "b" }));
    }
    let symbol = fields.symbol.ok_or(BinanceError::Missing("s"))?;
    Ok(Message::Depth { symbol })
}

/// What has been seen of an event so far.
#[derive(Default)]
struct Fields<'a> {
    event: Option<&'a [u8]>,
    symbol: Option<&'a [u8]>,
    first: Option<u64>,
    last: Option<u64>,
    previous: Option<u64>,
    bids: bool,
    asks: bool,
}

impl<'a> Fields<'a> {
    fn read(
        &mut self,
        key: &[u8],
        value: &mut Cursor<'a>,
        decimals: Decimals,
        diff: &mut Diff,
    ) -> Result<(), BinanceError> {
        let kind = value.peek();
        match (key, kind) {
            (b"e", Some(b'"')) => self.event = Some(value.string()?),
            (b"s", Some(b'"')) => self.symbol = Some(value.string()?),
            (b"U", Some(b'0'..=b'9')) => self.first = Some(value.unsigned()?),
            (b"u", Some(b'0'..=b'9')) => self.last = Some(value.unsigned()?),
            (b"pu", Some(b'0'..=b'9')) => self.previous = Some(value.unsigned()?),
            // In other events these keys hold one price; only a diff has arrays there.
            (b"b", Some(b'[')) => {
                self.bids = true;
                levels(value, decimals, &mut diff.bids)?;
            }
            (b"a", Some(b'[')) => {
                self.asks = true;
                levels(value, decimals, &mut diff.asks)?;
            }
            _ => value.skip()?,
        }
        Ok(())
    }
}

/// Reads a REST depth snapshot.
///
/// # Errors
/// The text is no JSON object, lacks a field, or has a wrong number.
pub fn parse_snapshot(text: &[u8], decimals: Decimals) -> Result<Snapshot, BinanceError> {
    let mut snapshot = Snapshot::default();
    let (mut id, mut bids, mut asks) = (false, false, false);
    let mut cursor = Cursor::new(text);
    cursor.object(|key, value| {
        match key {
            b"lastUpdateId" => {
                id = true;
                snapshot.last_update_id = value.unsigned()?;
            }
            b"bids" => {
                bids = true;
                levels(value, decimals, &mut snapshot.bids)?;
            }
            b"asks" => {
                asks = true;
                levels(value, decimals, &mut snapshot.asks)?;
            }
            _ => value.skip()?,
        }
        Ok::<_, BinanceError>(())
    })?;
    cursor.end()?;
    for (present, field) in [(id, "lastUpdateId"), (bids, "bids"), (asks, "asks")] {
        if !present {
            return Err(BinanceError::Missing(field));
        }
    }
    Ok(snapshot)
}

/// Reads `[["price","quantity"],..]`; further elements of a level are skipped.
fn levels(
    cursor: &mut Cursor<'_>,
    decimals: Decimals,
    into: &mut Vec<Level>,
) -> Result<(), BinanceError> {
    cursor.array(|level| {
        // As Binance writes it; whatever else is right is read below.
        let quick = level.pair(
            |text| decimal::leading(text, decimals.price),
            |text| decimal::leading(text, decimals.quantity),
        );
        if let Some((price, quantity)) = quick {
            into.push(Level { price, quantity });
            return Ok(());
        }
        let (mut price, mut quantity) = (None, None);
        level.array(|element| {
            if price.is_none() {
                price = Some(decimal::parse(element.scalar()?, decimals.price)?);
            } else if quantity.is_none() {
                quantity = Some(decimal::parse(element.scalar()?, decimals.quantity)?);
            } else {
                element.skip()?;
            }
            Ok::<_, BinanceError>(())
        })?;
        into.push(Level {
            price: price.ok_or(BinanceError::Missing("price of a level"))?,
            quantity: quantity.ok_or(BinanceError::Missing("quantity of a level"))?,
        });
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECIMALS: Decimals = Decimals {
        price: 1,
        quantity: 2,
    };
    const FUTURES: &str = r#"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":17,"T":16,"s":"BTCUSDT","U":10,"u":20,"pu":9,"b":[["100.5","1.25"],["100.4","0.00"]],"a":[]}}"#;

    fn level(price: i64, quantity: i64) -> Level {
        Level { price, quantity }
    }

    #[test]
    fn a_combined_futures_diff_is_read() {
        let mut diff = Diff::default();
        let message = parse(FUTURES.as_bytes(), DECIMALS, &mut diff);
        assert_eq!(message, Ok(Message::Depth { symbol: b"BTCUSDT" }));
        assert_eq!(
            diff.ids,
            Ids {
                first: 10,
                last: 20,
                previous: Some(9)
            }
        );
        assert_eq!(
            (&diff.bids[..], &diff.asks[..]),
            (&[level(1005, 125), level(1004, 0)][..], &[][..])
        );
    }

    #[test]
    fn a_raw_spot_diff_is_read_whatever_the_order_of_its_keys() {
        let text = r#" { "a":[["7",8,"x"]], "b":[], "u":5, "U":4, "s":"ETHBTC", "new":{"k":[1]}, "e":"depthUpdate" } "#;
        let mut diff = Diff::default();
        assert_eq!(
            parse(text.as_bytes(), DECIMALS, &mut diff),
            Ok(Message::Depth { symbol: b"ETHBTC" })
        );
        assert_eq!(
            diff.ids,
            Ids {
                first: 4,
                last: 5,
                previous: None
            }
        );
        assert_eq!(diff.asks, [level(70, 800)]);
    }

    #[test]
    fn a_diff_cut_anywhere_is_refused() {
        let mut diff = Diff::default();
        for end in 0..FUTURES.len() {
            let result = parse(&FUTURES.as_bytes()[..end], DECIMALS, &mut diff);
            assert_eq!(
                result,
                Err(BinanceError::Json(ScanError::Truncated)),
                "{}",
                &FUTURES[..end]
            );
        }
    }

    #[test]
    fn other_events_and_answers_are_told_apart() {
        let mut diff = Diff::default();
        for (text, symbol) in [
            (
                r#"{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT","b":"61837.63","B":"3","a":"61837.64","A":"1"}}"#,
                Some(&b"BTCUSDT"[..]),
            ),
            (
                r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":3,"p":"6.63","q":"0.0","b":88,"a":50,"T":1,"m":true}}"#,
                Some(b"BTCUSDT"),
            ),
            (r#"{"result":null,"id":1}"#, None),
            ("{}", None),
        ] {
            assert_eq!(
                parse(text.as_bytes(), DECIMALS, &mut diff),
                Ok(Message::Other { symbol }),
                "{text}"
            );
        }
    }

    #[test]
    fn a_diff_that_lacks_a_field_or_has_a_wrong_number_is_refused() {
        let mut diff = Diff::default();
        for (from, to, error) in [
            ("\"U\":10,", "", BinanceError::Missing("U")),
            ("\"u\":20,", "", BinanceError::Missing("u")),
            ("\"s\":\"BTCUSDT\",", "", BinanceError::Missing("s")),
            (",\"a\":[]", "", BinanceError::Missing("a")),
            (
                "[\"100.4\",\"0.00\"]",
                "[\"100.4\"]",
                BinanceError::Missing("quantity of a level"),
            ),
            (
                "100.5",
                "100.55",
                BinanceError::Number(DecimalError::TooPrecise { decimals: 1 }),
            ),
            (
                "100.5",
                "-100.5",
                BinanceError::Number(DecimalError::NotANumber),
            ),
        ] {
            let text = FUTURES.replace(from, to);
            assert_eq!(
                parse(text.as_bytes(), DECIMALS, &mut diff),
                Err(error),
                "{text}"
            );
        }
    }

    #[test]
    fn snapshots_are_read_and_checked() {
        let text = r#"{"lastUpdateId":77,"E":1,"bids":[["1.0","2.00"]],"asks":[["1.1","3.00"],["1.2","4"]]}"#;
        let snapshot = parse_snapshot(text.as_bytes(), DECIMALS).expect("a snapshot");
        assert_eq!(snapshot.last_update_id, 77);
        assert_eq!(snapshot.bids, [level(10, 200)]);
        assert_eq!(snapshot.asks, [level(11, 300), level(12, 400)]);
        for (wrong, error) in [
            (
                r#"{"code":-1121,"msg":"Invalid symbol."}"#,
                BinanceError::Missing("lastUpdateId"),
            ),
            (
                r#"{"lastUpdateId":1,"bids":[]}"#,
                BinanceError::Missing("asks"),
            ),
        ] {
            assert_eq!(
                parse_snapshot(wrong.as_bytes(), DECIMALS).err(),
                Some(error)
            );
        }
        assert!(parse_snapshot(b"<html>busy</html>", DECIMALS).is_err());
        assert!(parse_snapshot(&text.as_bytes()[..60], DECIMALS).is_err());
    }
}
