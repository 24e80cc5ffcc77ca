//! One symbol's Binance book: diffs and snapshots in, a book that is right or says that it isn't.
//!
//! Holds what the [`Machine`] decides about: the levels of the diffs that wait for a snapshot, in
//! one array that keeps its memory, and the [`Book`]. Every applied diff also goes into a running
//! checksum, `UPDATE_ID,BEST_BID,BEST_ASK,BIDS,ASKS` a line, which shows a book that was wrong in
//! between and right at the end.
//!
//! Knows nothing of sockets: who calls [`BinanceBook::wants_snapshot`] fetches one.

use crate::binance::{Diff, Snapshot};
use crate::book::{Book, Crc, Edge, Level};
use crate::sync::{Action, Answer, Cause, Counts, Ids, Machine, State};

/// The most levels that may wait for a snapshot, over all kept diffs of a symbol. The largest diff
/// recorded changes about 1,300 levels.
const LEVELS_KEPT_MAX: usize = 1 << 18;

/// What became of a diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The book has changed.
    Applied,
    /// It waits for a snapshot, or was not needed.
    NotApplied,
    /// The book is void from now on, until the next snapshot.
    Void(Cause),
}

/// A kept diff: its ids, and where its levels are.
#[derive(Debug, Clone, Copy)]
struct Kept {
    ids: Ids,
    bids: usize,
    asks: usize,
}

/// One symbol's book.
#[derive(Debug)]
pub struct BinanceBook {
    symbol: String,
    machine: Machine,
    book: Book,
    kept: Vec<Kept>,
    /// Levels of the kept diffs, in order, bids before asks.
    kept_levels: Vec<Level>,
    path: Crc,
    snapshots: u64,
}

impl BinanceBook {
    /// A book that waits for its first diff.
    #[must_use]
    pub fn new(symbol: &str) -> Self {
        Self {
            symbol: symbol.to_owned(),
            machine: Machine::default(),
            book: Book::default(),
            kept: Vec::with_capacity(256),
            kept_levels: Vec::with_capacity(4096),
            path: Crc::default(),
            snapshots: 0,
        }
    }

    /// The symbol, as the exchange writes it in its events.
    #[must_use]
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// The levels. They mean something while [`book_id`](Self::book_id) is some.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The update that the book is right at; none while it is void.
    #[must_use]
    pub fn book_id(&self) -> Option<u64> {
        match self.machine.state() {
            State::Synced(id) | State::CatchUp(id) => Some(id),
            State::Empty | State::Buffering => None,
        }
    }

    /// Where the synchronisation stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.machine.state()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.machine.counts()
    }

    /// Whether a snapshot is needed.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        self.machine.wants_snapshot()
    }

    /// CRC-32 over one line per diff applied since the last snapshot was loaded.
    #[must_use]
    pub fn path_crc32(&self) -> u32 {
        self.path.value()
    }

    /// Whether the book has been in sync without a break since its first snapshot.
    #[must_use]
    pub fn is_unbroken(&self) -> bool {
        self.snapshots == 1 && self.counts().resyncs == 0
    }

    /// A diff has come.
    pub fn on_diff(&mut self, diff: &Diff) -> Outcome {
        match self.machine.on_diff(diff.ids) {
            Action::Apply => self.apply(diff.ids, &diff.bids, &diff.asks),
            Action::Keep => self.keep(diff),
            Action::DropStale | Action::DropDuplicate => Outcome::NotApplied,
            Action::Restart(cause) => {
                self.empty();
                if self.machine.wants_snapshot() {
                    self.keep(diff);
                }
                Outcome::Void(cause)
            }
        }
    }

    /// A snapshot has come; [`Answer::TooOld`] means that another one is needed.
    pub fn on_snapshot(&mut self, snapshot: &Snapshot) -> (Answer, Outcome) {
        let answer = self.machine.on_snapshot(snapshot.last_update_id);
        let Answer::Load { stale } = answer else {
            return (answer, Outcome::NotApplied);
        };
        self.book.clear();
        for (edge, levels) in [(Edge::Bid, &snapshot.bids), (Edge::Ask, &snapshot.asks)] {
            for &level in levels {
                self.book.apply(edge, level);
            }
        }
        self.path = Crc::default();
        self.snapshots += 1;
        // The arrays are moved out while the book is changed, and back for their memory.
        let (kept, levels) = (
            std::mem::take(&mut self.kept),
            std::mem::take(&mut self.kept_levels),
        );
        let mut outcome = if self.book.is_crossed() {
            self.void(Cause::Crossed)
        } else {
            Outcome::Applied
        };
        let mut rest = &levels[..];
        for (index, diff) in kept.iter().enumerate() {
            let (bids, after) = rest.split_at(diff.bids);
            let (asks, after) = after.split_at(diff.asks);
            rest = after;
            if index >= stale && outcome == Outcome::Applied {
                outcome = self.apply(diff.ids, bids, asks);
            }
        }
        (self.kept, self.kept_levels) = (kept, levels);
        self.kept.clear();
        self.kept_levels.clear();
        (answer, outcome)
    }

    /// The stream was interrupted, or a message could not be read: the book is void.
    pub fn on_lost(&mut self) {
        self.void(Cause::Lost);
    }

    fn apply(&mut self, ids: Ids, bids: &[Level], asks: &[Level]) -> Outcome {
        for (edge, levels) in [(Edge::Bid, bids), (Edge::Ask, asks)] {
            for &level in levels {
                self.book.apply(edge, level);
            }
        }
        if self.book.is_crossed() {
            return self.void(Cause::Crossed);
        }
        let (bids, asks) = self.book.depth();
        let bid = self.book.best_bid().map_or(0, |level| level.price);
        let ask = self.book.best_ask().map_or(0, |level| level.price);
        self.path
            .line(format_args!("{},{bid},{ask},{bids},{asks}", ids.last));
        Outcome::Applied
    }

    fn keep(&mut self, diff: &Diff) -> Outcome {
        if self.kept_levels.len() + diff.bids.len() + diff.asks.len() > LEVELS_KEPT_MAX {
            return self.void(Cause::BufferFull);
        }
        self.kept.push(Kept {
            ids: diff.ids,
            bids: diff.bids.len(),
            asks: diff.asks.len(),
        });
        self.kept_levels.extend_from_slice(&diff.bids);
        self.kept_levels.extend_from_slice(&diff.asks);
        Outcome::NotApplied
    }

    fn void(&mut self, cause: Cause) -> Outcome {
        self.machine.on_trouble(cause);
        self.empty();
        Outcome::Void(cause)
    }

    fn empty(&mut self) {
        self.book.clear();
        self.kept.clear();
        self.kept_levels.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(pairs: &[(i64, i64)]) -> Vec<Level> {
        pairs
            .iter()
            .map(|&(price, quantity)| Level { price, quantity })
            .collect()
    }

    fn diff(first: u64, last: u64, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> Diff {
        Diff {
            ids: Ids {
                first,
                last,
                previous: None,
            },
            bids: levels(bids),
            asks: levels(asks),
        }
    }

    fn snapshot(id: u64, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> Snapshot {
        Snapshot {
            last_update_id: id,
            bids: levels(bids),
            asks: levels(asks),
        }
    }

    #[test]
    fn kept_diffs_are_applied_on_top_of_the_snapshot_in_their_order() {
        let mut book = BinanceBook::new("X");
        assert_eq!(
            book.on_diff(&diff(1, 5, &[(9, 9)], &[])),
            Outcome::NotApplied
        );
        assert_eq!(
            book.on_diff(&diff(6, 7, &[(10, 1)], &[(12, 0), (13, 4)])),
            Outcome::NotApplied
        );
        assert_eq!(
            book.on_diff(&diff(8, 8, &[(10, 2)], &[])),
            Outcome::NotApplied
        );
        assert!(book.wants_snapshot() && book.book_id().is_none());
        let (answer, outcome) = book.on_snapshot(&snapshot(5, &[(8, 8)], &[(12, 3)]));
        assert_eq!(
            (answer, outcome),
            (Answer::Load { stale: 1 }, Outcome::Applied)
        );
        assert!(
            book.book()
                .best_to_worst(Edge::Bid)
                .eq(levels(&[(10, 2), (8, 8)]))
        );
        assert!(book.book().best_to_worst(Edge::Ask).eq(levels(&[(13, 4)])));
        assert_eq!(book.book_id(), Some(8));
        assert_eq!(
            book.path_crc32(),
            crc32fast::hash(b"7,10,13,2,1\n8,10,13,2,1\n")
        );
        assert!(book.is_unbroken());
    }

    #[test]
    fn a_crossed_book_is_void_at_once() {
        let mut book = BinanceBook::new("X");
        book.on_diff(&diff(1, 5, &[], &[]));
        book.on_snapshot(&snapshot(4, &[(8, 8)], &[(12, 3)]));
        assert_eq!(
            book.on_diff(&diff(6, 6, &[(12, 1)], &[])),
            Outcome::Void(Cause::Crossed)
        );
        assert_eq!((book.book_id(), book.book().depth()), (None, (0, 0)));
        assert_eq!(book.on_diff(&diff(7, 7, &[], &[])), Outcome::NotApplied);
        let (_, outcome) = book.on_snapshot(&snapshot(7, &[(9, 1)], &[(9, 1)]));
        assert_eq!(
            outcome,
            Outcome::Void(Cause::Crossed),
            "a crossed snapshot is no better"
        );
        assert!(!book.is_unbroken());
    }

    #[test]
    fn a_gap_keeps_the_diff_after_it() {
        let mut book = BinanceBook::new("X");
        book.on_diff(&diff(1, 5, &[], &[]));
        book.on_snapshot(&snapshot(4, &[(8, 8)], &[(12, 3)]));
        assert_eq!(
            book.on_diff(&diff(9, 9, &[(7, 7)], &[])),
            Outcome::Void(Cause::Gap)
        );
        assert!(book.wants_snapshot());
        let (answer, _) = book.on_snapshot(&snapshot(8, &[(8, 8)], &[]));
        assert_eq!(answer, Answer::Load { stale: 0 });
        assert!(
            book.book()
                .best_to_worst(Edge::Bid)
                .eq(levels(&[(8, 8), (7, 7)]))
        );
    }

    #[test]
    fn levels_that_wait_have_a_bound() {
        let mut book = BinanceBook::new("X");
        let many: Vec<(i64, i64)> = (1..=100_000).map(|price| (price, 1)).collect();
        let mut last = Outcome::NotApplied;
        for id in 1..=3 {
            last = book.on_diff(&diff(id, id, &many, &[]));
        }
        assert_eq!(last, Outcome::Void(Cause::BufferFull));
        assert_eq!(book.on_diff(&diff(4, 4, &[], &[])), Outcome::NotApplied);
        assert!(book.wants_snapshot());
    }
}
