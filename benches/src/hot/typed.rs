//! The messages as serde's types, with owned strings: how most programs read them.
//!
//! The stream's name says which type comes, so that none is tried in vain, and no tree is built.

use std::hint::black_box;

use flux_examples::binance::Diff;
use flux_examples::book::Level;
use flux_examples::decimal::{self, Decimals};
use flux_examples::sync::Ids;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Fault;

/// What every message is wrapped in.
#[derive(Deserialize)]
struct Combined<'a> {
    stream: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// A depth diff.
#[derive(Debug, Deserialize)]
#[allow(
    dead_code,
    reason = "a program's type has the fields that the message has"
)]
pub(super) struct Depth {
    #[serde(rename = "e")]
    event: String,
    #[serde(rename = "E")]
    event_time: u64,
    #[serde(rename = "T")]
    transaction_time: u64,
    #[serde(rename = "s")]
    symbol: String,
    #[serde(rename = "U")]
    first: u64,
    #[serde(rename = "u")]
    last: u64,
    #[serde(rename = "pu")]
    previous: Option<u64>,
    #[serde(rename = "b")]
    bids: Vec<[String; 2]>,
    #[serde(rename = "a")]
    asks: Vec<[String; 2]>,
}

#[derive(Deserialize)]
#[allow(
    dead_code,
    reason = "a program's type has the fields that the message has"
)]
struct BookTicker {
    #[serde(rename = "e")]
    event: String,
    #[serde(rename = "u")]
    update: u64,
    #[serde(rename = "s")]
    symbol: String,
    #[serde(rename = "b")]
    bid: String,
    #[serde(rename = "B")]
    bid_quantity: String,
    #[serde(rename = "a")]
    ask: String,
    #[serde(rename = "A")]
    ask_quantity: String,
    #[serde(rename = "T")]
    transaction_time: u64,
    #[serde(rename = "E")]
    event_time: u64,
}

#[derive(Deserialize)]
#[allow(
    dead_code,
    reason = "a program's type has the fields that the message has"
)]
struct Trade {
    #[serde(rename = "e")]
    event: String,
    #[serde(rename = "E")]
    event_time: u64,
    #[serde(rename = "T")]
    transaction_time: u64,
    #[serde(rename = "s")]
    symbol: String,
    #[serde(rename = "t")]
    number: u64,
    #[serde(rename = "p")]
    price: String,
    #[serde(rename = "q")]
    quantity: String,
    #[serde(rename = "X")]
    kind: String,
    #[serde(rename = "m")]
    buyer_was_maker: bool,
}

/// Any other event, for whoever wants to know no more than what it is about.
#[derive(Deserialize)]
#[allow(dead_code, reason = "a program's type has the fields that it needs")]
struct Other {
    #[serde(rename = "s")]
    symbol: Option<String>,
}

/// All fields of whatever it is; gives the diffs.
#[inline]
pub(super) fn all_fields(text: &str) -> Result<Option<Depth>, Fault> {
    let combined: Combined<'_> = serde_json::from_str(text)?;
    let data = combined.data.get();
    if combined.stream.contains("@depth") {
        return Ok(Some(serde_json::from_str(data)?));
    }
    if combined.stream.ends_with("@bookTicker") {
        black_box(serde_json::from_str::<BookTicker>(data)?);
    } else {
        black_box(serde_json::from_str::<Trade>(data)?);
    }
    Ok(None)
}

/// All fields of diffs, and the symbol of all else.
#[inline]
pub(super) fn needed_fields(text: &str) -> Result<Option<Depth>, Fault> {
    let combined: Combined<'_> = serde_json::from_str(text)?;
    let data = combined.data.get();
    if combined.stream.contains("@depth") {
        return Ok(Some(serde_json::from_str(data)?));
    }
    black_box(serde_json::from_str::<Other>(data)?);
    Ok(None)
}

impl Depth {
    /// As numbers, which the book takes.
    pub(super) fn read(&self, decimals: Decimals, diff: &mut Diff) -> Result<(), Fault> {
        diff.ids = Ids {
            first: self.first,
            last: self.last,
            previous: self.previous,
        };
        for (texts, levels) in [(&self.bids, &mut diff.bids), (&self.asks, &mut diff.asks)] {
            levels.clear();
            for [price, quantity] in texts {
                levels.push(Level {
                    price: decimal::parse(price.as_bytes(), decimals.price)?,
                    quantity: decimal::parse(quantity.as_bytes(), decimals.quantity)?,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_message_is_read() {
        let depth = r#"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":17,"T":16,"s":"BTCUSDT","U":10,"u":20,"pu":9,"b":[["100.5","1.25"]],"a":[]}}"#;
        let ticker = r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5,"s":"BTCUSDT","b":"1.0","B":"2","a":"1.1","A":"3","T":1,"E":1}}"#;
        let trade = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"T":1,"s":"BTCUSDT","t":5,"p":"1.0","q":"2","X":"MARKET","m":false}}"#;
        for read in [all_fields, needed_fields] {
            let found = read(depth).expect("a diff").expect("with levels");
            let decimals = Decimals {
                price: 1,
                quantity: 2,
            };
            let mut diff = Diff::default();
            found.read(decimals, &mut diff).expect("numbers");
            assert_eq!((diff.ids.last, diff.bids[0].price), (20, 1005));
            assert_eq!((diff.bids[0].quantity, diff.asks.len()), (125, 0));
            assert!(read(ticker).expect("a ticker").is_none());
            assert!(read(trade).expect("a trade").is_none());
            assert!(read("{}").is_err());
        }
    }
}
