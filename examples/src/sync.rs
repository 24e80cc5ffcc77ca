//! When a book may be trusted: the rules that tie depth diffs and a snapshot together.
//!
//! A pure state machine after Binance's "How to manage a local order book correctly". Ids go in, an
//! [`Action`] for whoever holds the levels comes out; no book, no clock, no socket, so that the tests
//! below can play every order of events.
//!
//! ```text
//!            first diff               snapshot covers a buffered diff
//!   Empty ───────────────▶ Buffering ────────────────────────────────▶ Synced
//!     ▲                        │ snapshot newer than all buffered         ▲
//!     │                        ▼                                          │
//!     └──── trouble ◀────── CatchUp ──── diff that straddles it ──────────┘
//! ```
//!
//! A gap, an overfull buffer, ids that run backwards: the machine restarts at the diff at hand. The
//! book is then void, and says so, until the next snapshot fits.
//!
//! | rule | spot (`U`, `u`) | futures (`U`, `u`, `pu`) |
//! |---|---|---|
//! | snapshot S too old | `S + 1 < U` of the first buffered | `S < U` and `S < pu` of the first buffered |
//! | diff is in S already | `u <= S` | `u < S` |
//! | first applied | `U <= S + 1 <= u` | `U <= S <= u`, or `pu <= S <= u` |
//! | chain | `U == last u + 1` | `pu == last u` |
//!
//! `pu <= S` is beyond the letter of the documentation: futures ids have holes between `pu` and `U`,
//! and a snapshot whose id falls into one misses nothing.

use std::fmt;

/// How many diffs may wait for a snapshot. At the 78 diffs a second of the busiest recording this is
/// nearly a minute: a snapshot that takes longer isn't coming.
pub const DIFFS_BUFFERED_MAX: usize = 4096;

/// How many diffs from the past may follow each other before the ids count as restarted.
pub const PAST_IN_A_ROW_MAX: u32 = 64;

/// How many diffs a snapshot may be ahead of the stream. More than any socket buffer holds: beyond
/// it the id of the snapshot was wrong.
pub const CATCH_UP_MAX: u32 = 65_536;

/// The update ids that a diff covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ids {
    /// `U`: the first update in the diff.
    pub first: u64,
    /// `u`: the last update in the diff.
    pub last: u64,
    /// `pu`: the last update of the diff before; only futures send it.
    pub previous: Option<u64>,
}

impl Ids {
    /// Whether a snapshot `id` is too old to be continued with this diff.
    fn begins_after(self, id: u64) -> bool {
        match self.previous {
            None => id.saturating_add(1) < self.first,
            Some(previous) => id < self.first && id < previous,
        }
    }

    /// Whether a snapshot `id` contains all of this diff.
    fn ends_before(self, id: u64) -> bool {
        match self.previous {
            None => self.last <= id,
            Some(_) => self.last < id,
        }
    }

    /// Whether nothing is missing between the update `last` and this diff.
    fn follows(self, last: u64) -> bool {
        match self.previous {
            None => last.checked_add(1) == Some(self.first),
            Some(previous) => previous == last,
        }
    }
}

/// Why a book lost its trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Diffs are missing: the ids do not continue.
    Gap,
    /// The best bid reached the best ask.
    Crossed,
    /// More diffs wait for a snapshot than there is room for.
    BufferFull,
    /// The ids run backwards: the exchange has restarted its numbering.
    IdsRestarted,
    /// The stream never reached the id of the snapshot.
    SnapshotAhead,
    /// A diff says that it ends before it begins.
    SenselessIds,
    /// The connection was lost, or a message could not be read.
    Lost,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gap => "updates are missing",
            Self::Crossed => "the book was crossed",
            Self::BufferFull => "too many diffs waited for a snapshot",
            Self::IdsRestarted => "the update ids ran backwards",
            Self::SnapshotAhead => "the stream never reached the snapshot",
            Self::SenselessIds => "a diff ended before it began",
            Self::Lost => "the stream was interrupted",
        })
    }
}

/// What to do with a diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Apply it to the book.
    Apply,
    /// Keep it until a snapshot comes.
    Keep,
    /// Forget it: a snapshot contains it already.
    DropStale,
    /// Forget it: it was there before.
    DropDuplicate,
    /// The book is void and so is what was kept: empty both, then keep this diff.
    Restart(Cause),
}

/// What to do with a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Load it, forget the first `stale` of the kept diffs, apply the others in order.
    Load {
        /// How many of the kept diffs the snapshot contains.
        stale: usize,
    },
    /// It ends before the first kept diff begins: ask for another one, keep the diffs.
    TooOld,
    /// Nobody waits for it.
    NotWanted,
}

/// Where the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No diff yet; the book is void.
    Empty,
    /// Diffs are kept until a snapshot comes; the book is void.
    Buffering,
    /// The book is the snapshot of this id; the diff that straddles it is still to come.
    CatchUp(u64),
    /// The book is right up to and including this id.
    Synced(u64),
}

impl State {
    /// The state in one or two words, for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Empty => "waiting",
            Self::Buffering => "buffering",
            Self::CatchUp(_) => "catching up",
            Self::Synced(_) => "synced",
        }
    }
}

/// What has happened to a book so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Diffs applied to the book.
    pub applied: u64,
    /// Diffs dropped because a snapshot contained them.
    pub stale: u64,
    /// Diffs dropped because they had been there before.
    pub duplicates: u64,
    /// How often diffs were missing.
    pub gaps: u64,
    /// How often the book lost its trust, for whatever reason.
    pub resyncs: u64,
    /// Snapshots that were older than the diffs.
    pub old_snapshots: u64,
}

/// The machine of one book.
#[derive(Debug)]
pub struct Machine {
    state: State,
    /// Ids of the diffs that are kept, oldest first; never more than [`DIFFS_BUFFERED_MAX`].
    kept: Vec<Ids>,
    past_in_a_row: u32,
    counts: Counts,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            state: State::Empty,
            kept: Vec::with_capacity(DIFFS_BUFFERED_MAX),
            past_in_a_row: 0,
            counts: Counts::default(),
        }
    }
}

impl Machine {
    /// Where the machine is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether a snapshot is what the machine waits for.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        self.state == State::Buffering
    }

    /// A diff has come.
    pub fn on_diff(&mut self, ids: Ids) -> Action {
        if ids.last < ids.first {
            return self.restart(Cause::SenselessIds, ids);
        }
        match self.state {
            State::Empty => {
                self.state = State::Buffering;
                self.kept.push(ids);
                Action::Keep
            }
            State::Buffering => self.while_buffering(ids),
            State::CatchUp(snapshot) => self.while_catching_up(snapshot, ids),
            State::Synced(last) => self.while_synced(last, ids),
        }
    }

    fn while_buffering(&mut self, ids: Ids) -> Action {
        let newest = self.kept.last().map_or(0, |kept| kept.last);
        if ids.last <= newest {
            return self.drop_past(ids, Action::DropDuplicate);
        }
        if !ids.follows(newest) {
            return self.restart(Cause::Gap, ids);
        }
        if self.kept.len() == DIFFS_BUFFERED_MAX {
            return self.restart(Cause::BufferFull, ids);
        }
        self.past_in_a_row = 0;
        self.kept.push(ids);
        Action::Keep
    }

    fn while_catching_up(&mut self, snapshot: u64, ids: Ids) -> Action {
        if ids.ends_before(snapshot) {
            return self.drop_past(ids, Action::DropStale);
        }
        if ids.begins_after(snapshot) {
            return self.restart(Cause::Gap, ids);
        }
        self.apply(ids)
    }

    fn while_synced(&mut self, last: u64, ids: Ids) -> Action {
        if ids.last <= last {
            return self.drop_past(ids, Action::DropDuplicate);
        }
        if !ids.follows(last) {
            return self.restart(Cause::Gap, ids);
        }
        self.apply(ids)
    }

    /// A snapshot has come.
    pub fn on_snapshot(&mut self, id: u64) -> Answer {
        let (State::Buffering, Some(&oldest)) = (self.state, self.kept.first()) else {
            return Answer::NotWanted;
        };
        if oldest.begins_after(id) {
            self.counts.old_snapshots += 1;
            return Answer::TooOld;
        }
        // The kept diffs are a chain without gaps, so the first that is not stale straddles `id`.
        let stale = self
            .kept
            .iter()
            .take_while(|ids| ids.ends_before(id))
            .count();
        let applied = self.kept.len() - stale;
        self.counts.stale += stale as u64;
        self.counts.applied += applied as u64;
        self.state = match self.kept.last() {
            Some(newest) if applied > 0 => State::Synced(newest.last),
            _ => State::CatchUp(id),
        };
        self.kept.clear();
        self.past_in_a_row = 0;
        Answer::Load { stale }
    }

    /// The book cannot be trusted any more, for a reason that ids do not show.
    pub fn on_trouble(&mut self, cause: Cause) {
        if self.state != State::Empty {
            self.counts.resyncs += 1;
        }
        self.count_gap(cause);
        self.kept.clear();
        self.past_in_a_row = 0;
        self.state = State::Empty;
    }

    fn apply(&mut self, ids: Ids) -> Action {
        self.past_in_a_row = 0;
        self.state = State::Synced(ids.last);
        self.counts.applied += 1;
        Action::Apply
    }

    fn drop_past(&mut self, ids: Ids, drop: Action) -> Action {
        self.past_in_a_row += 1;
        // A snapshot may be far ahead of the stream; duplicates are few or something is wrong.
        if drop == Action::DropStale {
            if self.past_in_a_row > CATCH_UP_MAX {
                return self.restart(Cause::SnapshotAhead, ids);
            }
            self.counts.stale += 1;
        } else {
            if self.past_in_a_row > PAST_IN_A_ROW_MAX {
                return self.restart(Cause::IdsRestarted, ids);
            }
            self.counts.duplicates += 1;
        }
        drop
    }

    fn restart(&mut self, cause: Cause, ids: Ids) -> Action {
        self.on_trouble(cause);
        if cause != Cause::SenselessIds {
            self.kept.push(ids);
            self.state = State::Buffering;
        }
        Action::Restart(cause)
    }

    fn count_gap(&mut self, cause: Cause) {
        if cause == Cause::Gap {
            self.counts.gaps += 1;
        }
    }
}

#[cfg(test)]
mod tests;
