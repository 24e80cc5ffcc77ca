//! What a server tells while it works: how much it has done, and each message of a feed.
//!
//! Owns the moments at which the measured window opens and closes, and how old messages were when their handler
//! had them. Does not know what the units are.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::Fault;
use crate::frames;
use crate::harness::Sample;
use crate::sys::Stopwatch;

/// Is told of each piece of work, by the one thread that does the work.
///
/// `Send + Sync` because tokio's tasks demand it of what they hold; no two threads ever call it at once.
pub trait Watch: Send + Sync + 'static {
    /// `units` more are done.
    fn seen(&self, units: u64);

    /// A handler has this message of a feed before it.
    #[inline]
    fn message(&self, _payload: &[u8]) {}
}

/// Measures from the moment that `from` units are done until `until` are: connecting, warming up and the
/// last stragglers stay outside.
#[derive(Debug)]
pub struct Meter {
    seen: AtomicU64,
    next_mark: AtomicU64,
    until: u64,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    opened: Option<(Stopwatch, u64)>,
    closed: Option<(Duration, Duration, u64)>,
}

impl Meter {
    /// A meter whose window is still to open.
    #[must_use]
    pub fn new(from: u64, until: u64) -> Self {
        Self {
            seen: AtomicU64::new(0),
            next_mark: AtomicU64::new(from),
            until,
            window: Mutex::default(),
        }
    }

    /// Cost and rate of one operation of `units` units within the window.
    ///
    /// # Errors
    /// If the window never closed: the server saw less than it was sent.
    pub fn sample(&self, units: u64) -> Result<Sample, Fault> {
        let seen = self.seen_so_far();
        let window = self.window.lock().map_err(|error| error.to_string())?;
        let (cpu, wall, total) = window
            .closed
            .ok_or_else(|| format!("saw {seen} units, and {} were expected", self.until))?;
        Ok(Sample::new(cpu, wall, total / units))
    }

    /// How many units are done.
    #[must_use]
    pub fn seen_so_far(&self) -> u64 {
        self.seen.load(Relaxed)
    }

    #[cold]
    fn mark(&self, seen: u64) {
        let Ok(mut window) = self.window.lock() else {
            return;
        };
        match window.opened {
            None => {
                window.opened = Some((Stopwatch::start(), seen));
                self.next_mark.store(self.until, Relaxed);
            }
            Some((watch, from)) => {
                let (cpu, wall) = watch.elapsed();
                window.closed = Some((cpu, wall, seen - from));
                self.next_mark.store(u64::MAX, Relaxed);
            }
        }
    }
}

impl Watch for Meter {
    fn seen(&self, units: u64) {
        // One thread: a load and a store, no locked instruction.
        let seen = self.seen.load(Relaxed) + units;
        self.seen.store(seen, Relaxed);
        if seen >= self.next_mark.load(Relaxed) {
            self.mark(seen);
        }
    }
}

/// How old each message was when its handler had it, by its stamp: nanoseconds after a moment that sender and
/// receiver share.
#[derive(Debug)]
pub struct Ages {
    since: Instant,
    seen: AtomicUsize,
    each_ns: Box<[AtomicU64]>,
}

impl Ages {
    /// Room for the ages of `messages` messages whose stamps count from `since`.
    #[must_use]
    pub fn new(since: Instant, messages: usize) -> Self {
        Self {
            since,
            seen: AtomicUsize::new(0),
            each_ns: (0..messages).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The median and the 99th percentile in nanoseconds, of all but the first `warm_up` messages.
    ///
    /// # Errors
    /// If not as many messages came as there is room for.
    pub fn samples(&self, warm_up: usize) -> Result<[Sample; 2], Fault> {
        let (seen, wanted) = (self.seen.load(Relaxed), self.each_ns.len());
        if seen != wanted || warm_up >= wanted {
            return Err(format!("saw {seen} messages, and {wanted} were expected").into());
        }
        let ages = self.each_ns[warm_up..].iter();
        let ages: Vec<u64> = ages.map(|age| age.load(Relaxed)).collect();
        Ok(Sample::middle_and_tail(&ages))
    }
}

impl Watch for Ages {
    fn seen(&self, _: u64) {}

    #[inline]
    fn message(&self, payload: &[u8]) {
        let now = nanoseconds(self.since.elapsed());
        let seen = self.seen.load(Relaxed);
        self.seen.store(seen + 1, Relaxed);
        if let (Some(age), Some(stamp)) = (self.each_ns.get(seen), frames::stamp(payload)) {
            age.store(now.saturating_sub(stamp), Relaxed);
        }
    }
}

/// A duration as a stamp: 584 years of them fit.
#[inline]
#[must_use]
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_of_all_messages_or_an_error() {
        let ages = Ages::new(Instant::now(), 2);
        let mut payload = [0; 16];
        ages.message(&payload);
        assert!(ages.samples(0).is_err());
        // From the future: as good as new.
        payload[8..].copy_from_slice(&u64::MAX.to_le_bytes());
        ages.message(&payload);
        let [middle, tail] = ages.samples(1).expect("two came");
        assert!(middle.cost < 1.0 && tail.cost < 1.0);
    }

    #[test]
    fn the_window_counts_what_came_after_it_opened() {
        let meter = Meter::new(10, 20);
        for _ in 0..9 {
            meter.seen(3);
        }
        // Opened at 12, closed at 21.
        let window = meter.window.lock().expect("no panic under the lock");
        assert_eq!(window.closed.map(|(_, _, units)| units), Some(9));
    }

    #[test]
    fn a_window_that_never_closed_is_an_error() {
        let meter = Meter::new(1, 5);
        meter.seen(2);
        assert!(meter.sample(1).is_err());
    }
}
