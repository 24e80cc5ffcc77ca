//! Timers without I/O: set and taken back by the million, and slept through by the hundred thousand; written for
//! flux, for tokio, and for std alone.
//!
//! Owns the times that all contenders get, and the board on which each deadline is ticked off once. Each function
//! sets up its own runtime, and checks its own answer.

pub mod flux;
pub mod std;
pub mod tokio;

use ::std::sync::Arc;
use ::std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use ::std::time::{Duration, Instant};

use crate::Fault;
use crate::harness::Sample;
use crate::watch::nanoseconds;

/// Times that come by turns: few enough to stay in a cache, so that it is not their loads that are measured.
const TURNS: usize = 4096;
/// A clock that is not std's may differ from it by so much: what wakes earlier by more than this is at fault.
const EARLY_MAX: Duration = Duration::from_micros(2);

/// Which timer is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The one that was set last: a timeout around something that did not take long.
    Newest,
    /// A random one of those that are set, which the new one takes the place of: a timeout of one of many
    /// connections, of which each has heard something now and then.
    Random,
}

/// Timers that stay set, and how many more are set and taken back.
#[derive(Clone, Debug)]
pub struct Churn {
    /// Which one is taken back after each that is set.
    pub pick: Pick,
    /// How many times.
    pub operations: u64,
    /// In so long, counted from the start, are those due that stay set. All after the end.
    live: Arc<[Duration]>,
    /// And so are those that are set in addition.
    turns: Arc<[(Duration, usize)]>,
}

impl Churn {
    /// `live` timers that stay set, due at random times from a minute to ten.
    #[must_use]
    pub fn new(live: usize, pick: Pick, operations: u64) -> Self {
        let mut random = Random::default();
        let mut far = || random.between(Duration::from_mins(1), Duration::from_mins(10));
        let live_times = (0..live).map(|_| far()).collect();
        let times: Vec<Duration> = (0..TURNS).map(|_| far()).collect();
        Self {
            pick,
            operations,
            live: live_times,
            turns: times
                .into_iter()
                .map(|time| (time, random.below(live as u64)))
                .collect(),
        }
    }

    /// Calls `turn` with the time of each further timer, and which of the live ones it takes the place of, if it does.
    ///
    /// A loop in a loop, since it is part of what is measured: the next turn is the next in a slice.
    #[inline]
    fn each(
        &self,
        mut turn: impl FnMut(Duration, usize) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut left = usize::try_from(self.operations)?;
        while left > 0 {
            let count = left.min(TURNS);
            for &(time, which) in &self.turns[..count] {
                turn(time, which)?;
            }
            left -= count;
        }
        Ok(())
    }
}

/// Many deadlines that all contenders get.
#[derive(Clone, Debug)]
pub struct Sleeps {
    /// How long after the start each is due.
    delays: Arc<[Duration]>,
    /// How long after the first is set the start is: all are set by then, so that no deadline has passed before it
    /// is set.
    lead: Duration,
}

impl Sleeps {
    /// `count` random times from `shortest` to `longest`, counted from a start which is `lead` away.
    #[must_use]
    pub fn new(count: usize, shortest: Duration, longest: Duration, lead: Duration) -> Self {
        let mut random = Random::default();
        Self {
            delays: (0..count)
                .map(|_| random.between(shortest, longest))
                .collect(),
            lead,
        }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.delays.len()
    }

    /// Puts the start, and with it all deadlines, where they are from now on.
    fn begin(&self) -> (Vec<Instant>, Arc<Board>) {
        let start = Instant::now() + self.lead;
        let due: Vec<Instant> = self.delays.iter().map(|&delay| start + delay).collect();
        let board = Arc::new(Board::new(due.len()));
        (due, board)
    }
}

/// How late each deadline was kept, by std's clock, whoever kept it.
#[derive(Debug)]
struct Board {
    /// In the order in which they were kept: written one after the other, so that the board costs no cache misses.
    late_ns: Box<[AtomicU64]>,
    /// A bit for each number: kept.
    kept: Box<[AtomicU64]>,
    left: AtomicUsize,
    faults: AtomicUsize,
}

impl Board {
    fn new(count: usize) -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            late_ns: zeros(count),
            kept: zeros(count.div_ceil(64)),
            left: AtomicUsize::new(count),
            faults: AtomicUsize::new(0),
        }
    }

    /// Ticks off a deadline: the one thread calls this for each, once and not early.
    #[inline]
    fn woke(&self, number: usize, due: Instant) {
        let now = Instant::now();
        // No locked instruction anywhere: there is one thread.
        let (word, bit) = (&self.kept[number / 64], 1 << (number % 64));
        let kept = word.load(Relaxed);
        word.store(kept | bit, Relaxed);
        if kept & bit != 0 || now + EARLY_MAX < due {
            self.faults.store(self.faults.load(Relaxed) + 1, Relaxed);
            return;
        }
        let left = self.left.load(Relaxed);
        let late = nanoseconds(now.saturating_duration_since(due));
        self.late_ns[self.late_ns.len() - left].store(late, Relaxed);
        self.left.store(left - 1, Relaxed);
    }

    fn left(&self) -> usize {
        self.left.load(Relaxed)
    }

    /// The CPU time of one timer; how late they were in nanoseconds, the median and the 99th percentile.
    fn samples(&self, spent: Sample) -> Result<[Sample; 3], Fault> {
        let (left, faults) = (self.left(), self.faults.load(Relaxed));
        if left > 0 || faults > 0 {
            return Err(format!("{left} timers never came, {faults} early or twice").into());
        }
        let late: Vec<u64> = self.late_ns.iter().map(|late| late.load(Relaxed)).collect();
        let [middle, tail] = Sample::middle_and_tail(&late);
        Ok([spent, middle, tail])
    }
}

/// Rounds of waiting, a millisecond each, after the last deadline: what has not come by then will not.
const STRAGGLER_ROUNDS: u32 = 10_000;

/// Where the last deadline has passed, and those that are late may not have come yet.
fn wait_for_stragglers(
    board: &Board,
    mut sleep: impl FnMut(Duration) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for _ in 0..STRAGGLER_ROUNDS {
        if board.left() == 0 {
            break;
        }
        sleep(Duration::from_millis(1))?;
    }
    Ok(())
}

/// splitmix64 (Steele, Lea and Flood, 2014) from a fixed seed: the same times on each run.
#[derive(Debug)]
struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x0005_eed0_f717_e125)
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is small enough for the bias not to matter.
    fn below(&mut self, end: u64) -> usize {
        usize::try_from(self.next() % end.max(1)).unwrap_or(0)
    }

    fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let spread = nanoseconds(to.saturating_sub(from)) + 1;
        from + Duration::from_nanos(self.next() % spread)
    }
}

/// Whether exactly one timer came: the one that was due, and none of those that were taken back.
fn check_came(came: u64) -> Result<(), Fault> {
    match came {
        1 => Ok(()),
        _ => Err(format!("{came} timers came where one was due").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_wants_each_deadline_once_and_not_early() {
        let past = Instant::now();
        let spent = Sample::cost(1.0, 1);
        let board = Board::new(2);
        board.woke(0, past);
        assert!(board.samples(spent).is_err(), "one is left");
        board.woke(1, past);
        assert!(board.samples(spent).is_ok());
        for due in [past, past + Duration::from_hours(1)] {
            let board = Board::new(2);
            board.woke(0, past);
            board.woke(usize::from(due > past), due);
            assert!(board.samples(spent).is_err());
        }
    }

    #[test]
    fn random_times_are_the_same_each_time_and_within_their_bounds() {
        let (from, to) = (Duration::from_millis(1), Duration::from_secs(2));
        let times = || Sleeps::new(1000, from, to, Duration::ZERO).delays;
        assert_eq!(times(), times());
        assert!(times().iter().all(|time| (from..=to).contains(time)));
        let late = times().iter().filter(|time| **time > to / 2).count();
        assert!(
            (400..600).contains(&late),
            "{late} of 1000 in the later half"
        );
    }
}
