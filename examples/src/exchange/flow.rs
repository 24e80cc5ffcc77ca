//! A symbol's made-up order flow, and the book that it truly leads to.
//!
//! The n-th event of a symbol follows from the seed alone: speed, connections, and faults change
//! when events are sent, never what they are. The true book is kept here in plain sorted maps and
//! summed by code of its own, so that a mistake in the bot's book is not repeated in what it is
//! compared with.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::MarketKind;
use crate::decimal::{Decimals, Fixed};
use crate::random::Random;

/// Digits after the point of all made-up prices and quantities.
pub const DECIMALS: Decimals = Decimals {
    price: 2,
    quantity: 3,
};

/// Levels a side in the book that a flow begins with.
const LEVELS_AT_FIRST: i64 = 400;

/// How far from the middle an event may touch a level, in ticks.
const REACH: u64 = 600;

/// The Unix time of the first event, in milliseconds; made-up flows have made-up times.
const FIRST_EVENT_MS: u64 = 1_700_000_000_000;

/// The state of a book that the exchange vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// The last update in it.
    pub id: u64,
    /// CRC-32 over the lines `b,PRICE,QUANTITY` and `a,PRICE,QUANTITY`, best to worst.
    pub crc32: u32,
    /// Bid levels and ask levels.
    pub depth: (usize, usize),
    /// Best bid and best ask, in ticks.
    pub touch: (Option<i64>, Option<i64>),
}

/// Sorted prices and quantities, and the id of the last update.
#[derive(Debug, Default)]
pub(super) struct TrueBook {
    pub(super) id: u64,
    pub(super) bids: BTreeMap<i64, i64>,
    pub(super) asks: BTreeMap<i64, i64>,
}

impl TrueBook {
    pub(super) fn set(&mut self, is_bid: bool, price: i64, quantity: i64) {
        let side = if is_bid {
            &mut self.bids
        } else {
            &mut self.asks
        };
        if quantity == 0 {
            side.remove(&price);
        } else {
            side.insert(price, quantity);
        }
    }

    pub(super) fn truth(&self) -> Truth {
        let mut text = String::new();
        for (price, quantity) in self.bids.iter().rev() {
            // A string takes any text.
            let _ = writeln!(text, "b,{price},{quantity}");
        }
        for (price, quantity) in &self.asks {
            let _ = writeln!(text, "a,{price},{quantity}");
        }
        Truth {
            id: self.id,
            crc32: crc32fast::hash(text.as_bytes()),
            depth: (self.bids.len(), self.asks.len()),
            touch: (
                self.bids.keys().next_back().copied(),
                self.asks.keys().next().copied(),
            ),
        }
    }

    /// The answer to a REST snapshot request. It always has the whole book, whatever the `limit`, so
    /// that a book that starts with it can be compared with the truth.
    pub(super) fn snapshot(&self, id: u64, decimals: Decimals) -> String {
        let mut text = format!("{{\"lastUpdateId\":{id},\"bids\":[");
        push_levels(&mut text, self.bids.iter().rev(), decimals);
        text.push_str("],\"asks\":[");
        push_levels(&mut text, self.asks.iter(), decimals);
        text.push_str("]}");
        text
    }
}

fn push_levels<'a>(
    text: &mut String,
    levels: impl Iterator<Item = (&'a i64, &'a i64)>,
    decimals: Decimals,
) {
    for (index, (&price, &quantity)) in levels.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let price = Fixed {
            value: price,
            decimals: decimals.price,
        };
        let quantity = Fixed {
            value: quantity,
            decimals: decimals.quantity,
        };
        // A string takes any text.
        let _ = write!(text, "{comma}[\"{price}\",\"{quantity}\"]");
    }
}

/// The flow of one symbol.
#[derive(Debug)]
pub(super) struct Flow {
    symbol: String,
    stream: String,
    ticker_stream: String,
    kind: MarketKind,
    random: Random,
    middle: i64,
    book: TrueBook,
    first_id: u64,
    events: u64,
}

impl Flow {
    pub(super) fn new(symbol: &str, kind: MarketKind, seed: u64) -> Self {
        let name = u64::from(crc32fast::hash(symbol.as_bytes()));
        let mut random = Random::new(seed ^ (name << 8) ^ kind as u64);
        let middle = match symbol {
            "BTCUSDT" => 6_180_950,
            "ETHUSDT" => 268_138,
            _ => 10_000 + i64::try_from(name % 90_000).unwrap_or(0),
        };
        let first_id = 1_000_000 + random.below(1_000_000_000);
        let mut book = TrueBook {
            id: first_id,
            ..TrueBook::default()
        };
        for distance in 1..=LEVELS_AT_FIRST {
            for (is_bid, price) in [(true, middle - distance), (false, middle + distance)] {
                book.set(is_bid, price, quantity(&mut random));
            }
        }
        let stream = format!("{}@depth@{}", symbol.to_lowercase(), kind.interval());
        Self {
            symbol: symbol.to_owned(),
            stream,
            ticker_stream: format!("{}@bookTicker", symbol.to_lowercase()),
            kind,
            random,
            middle,
            book,
            first_id,
            events: 0,
        }
    }

    pub(super) fn symbol(&self) -> &str {
        &self.symbol
    }

    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    pub(super) fn ticker_stream(&self) -> &str {
        &self.ticker_stream
    }

    pub(super) fn truth(&self) -> Truth {
        self.book.truth()
    }

    /// The book as a REST answer; an old one is dated before the first event.
    pub(super) fn snapshot(&self, old: bool) -> String {
        let id = if old {
            self.first_id - 1000
        } else {
            self.book.id
        };
        self.book.snapshot(id, DECIMALS)
    }

    /// The next event, as Binance's combined stream would send it.
    pub(super) fn next_event(&mut self) -> String {
        let changes = self.next_changes();
        let previous = self.book.id;
        // Spot ids are consecutive; those of futures skip what happened in other symbols.
        let first = previous
            + 1
            + if self.kind == MarketKind::Futures {
                self.random.below(20)
            } else {
                0
            };
        self.book.id = first + changes.len() as u64 - 1;
        self.events += 1;
        let time = FIRST_EVENT_MS + self.events * 100;
        let (symbol, last) = (&self.symbol, self.book.id);
        let mut text = format!(
            "{{\"stream\":\"{}\",\"data\":{{\"e\":\"depthUpdate\",\"E\":{time}",
            self.stream
        );
        // A string takes any text.
        let _ = match self.kind {
            MarketKind::Spot => write!(
                text,
                ",\"s\":\"{symbol}\",\"U\":{first},\"u\":{last},\"b\":["
            ),
            MarketKind::Futures => {
                write!(
                    text,
                    ",\"T\":{time},\"s\":\"{symbol}\",\"U\":{first},\"u\":{last},\"pu\":{previous},\"b\":["
                )
            }
        };
        let of = |is_bid| {
            changes
                .iter()
                .filter(move |((side, _), _)| *side == is_bid)
                .map(|((_, p), q)| (p, q))
        };
        push_levels(&mut text, of(true), DECIMALS);
        text.push_str("],\"a\":[");
        push_levels(&mut text, of(false), DECIMALS);
        text.push_str("]}}");
        text
    }

    /// The touch as it is now, as Binance's `bookTicker` stream would send it.
    pub(super) fn ticker(&self) -> String {
        let side = |level: Option<(&i64, &i64)>| {
            let (price, quantity) = level.map_or((0, 0), |(price, quantity)| (*price, *quantity));
            (
                Fixed {
                    value: price,
                    decimals: DECIMALS.price,
                },
                Fixed {
                    value: quantity,
                    decimals: DECIMALS.quantity,
                },
            )
        };
        let (bid, bid_quantity) = side(self.book.bids.iter().next_back());
        let (ask, ask_quantity) = side(self.book.asks.iter().next());
        format!(
            "{{\"stream\":\"{}\",\"data\":{{\"e\":\"bookTicker\",\"u\":{},\"s\":\"{}\",\"b\":\"{bid}\",\"B\":\"{bid_quantity}\",\"a\":\"{ask}\",\"A\":\"{ask_quantity}\"}}}}",
            self.ticker_stream, self.book.id, self.symbol
        )
    }

    /// Moves the market a little, and returns every level that this has changed.
    fn next_changes(&mut self) -> BTreeMap<(bool, i64), i64> {
        let mut changes = BTreeMap::new();
        if self.random.one_in(3) {
            let step = i64::try_from(self.random.below(7)).unwrap_or(0) - 3;
            self.middle = (self.middle + step).max(i64::try_from(REACH).unwrap_or(0) + 10);
        }
        // Whoever is on the wrong side of the new middle has traded.
        let crossed_bids: Vec<i64> = self
            .book
            .bids
            .range(self.middle..)
            .map(|(&price, _)| price)
            .collect();
        let crossed_asks: Vec<i64> = self
            .book
            .asks
            .range(..=self.middle)
            .map(|(&price, _)| price)
            .collect();
        changes.extend(crossed_bids.into_iter().map(|price| ((true, price), 0)));
        changes.extend(crossed_asks.into_iter().map(|price| ((false, price), 0)));
        let mut more = 1;
        while more < 60 && !self.random.one_in(12) {
            more += 1;
        }
        for _ in 0..more {
            let is_bid = self.random.one_in(2);
            // Most of what happens, happens near the touch.
            let reach = if self.random.one_in(4) { REACH } else { 12 };
            let distance = 1 + i64::try_from(self.random.below(reach)).unwrap_or(0);
            let price = if is_bid {
                self.middle - distance
            } else {
                self.middle + distance
            };
            let amount = if distance > 1 && self.random.one_in(3) {
                0
            } else {
                quantity(&mut self.random)
            };
            changes.insert((is_bid, price), amount);
        }
        for (&(is_bid, price), &amount) in &changes {
            self.book.set(is_bid, price, amount);
        }
        changes
    }
}

fn quantity(random: &mut Random) -> i64 {
    1 + i64::try_from(random.below(25_000)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binance::{self, Diff};
    use crate::binance_book::{BinanceBook, Outcome};
    use crate::sync::Answer;

    #[test]
    fn the_same_seed_makes_the_same_events() {
        let events = |seed| {
            let mut flow = Flow::new("BTCUSDT", MarketKind::Spot, seed);
            (0..50).map(|_| flow.next_event()).collect::<Vec<_>>()
        };
        assert_eq!(events(1), events(1));
        assert_ne!(events(1), events(2));
    }

    #[test]
    fn a_book_that_follows_the_events_is_the_true_one() {
        for kind in [MarketKind::Spot, MarketKind::Futures] {
            let mut flow = Flow::new("ETHUSDT", kind, 7);
            let (mut book, mut diff) = (BinanceBook::new("ETHUSDT"), Diff::default());
            let mut old = Vec::new();
            for event in 0..3000 {
                let text = flow.next_event();
                binance::parse(text.as_bytes(), DECIMALS, &mut diff).expect("a diff");
                let outcome = book.on_diff(&diff);
                if event == 5 {
                    let snapshot = |old| {
                        binance::parse_snapshot(flow.snapshot(old).as_bytes(), DECIMALS)
                            .expect("a snapshot")
                    };
                    assert_eq!(book.on_snapshot(&snapshot(true)).0, Answer::TooOld);
                    old.push(book.on_snapshot(&snapshot(false)).1);
                } else if event > 5 {
                    assert_eq!(outcome, Outcome::Applied, "{event}: {text}");
                }
            }
            let truth = flow.truth();
            assert_eq!(book.book_id(), Some(truth.id));
            assert_eq!(
                (book.book().crc32(), book.book().depth()),
                (truth.crc32, truth.depth)
            );
            assert!(
                truth.depth.0 > 100 && truth.depth.1 > 100,
                "the book doesn't run dry: {truth:?}"
            );
            assert!(
                truth.depth.0 < 4000 && truth.depth.1 < 4000,
                "the book doesn't grow for ever: {truth:?}"
            );
        }
    }
}
