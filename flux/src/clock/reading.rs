//! A reactor's clock: reads the counter, and compares it with the system's clock once a second.
//!
//! ```text
//! counter ──▸ line holds? ──yes──▸ nanoseconds ──▸ not less than the last answer
//!                  └──no──▸ best of four pairs ──▸ the next line, or CLOCK_MONOTONIC for good
//! ```
//!
//! **Invariant:** no answer is less than one before, whatever either clock does. Should the counter have run ahead
//! (by more than a millisecond: less is slewed), time stands still until `CLOCK_MONOTONIC` has caught up.
//!
//! Of one thread, so its state is made of cells. Knows nothing of turns: the reactor says when one begins.

use std::cell::Cell;
use std::sync::OnceLock;

use crate::clock::line::{Line, Pair, Rate};
use crate::sys::counter;

/// How long the first comparison takes.
const CALIBRATION_NS: u64 = 10_000_000;
/// Readings of which the best is taken, at both ends of it.
const CALIBRATION_TRIES: u32 = 200;
/// Readings of which the best is taken, once a second.
const TRIES: u32 = 4;

/// What a clock reckons from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The processor's counter: `rdtsc`, or `cntvct_el0`.
    Counter,
    /// The system's monotonic clock.
    Monotonic,
}

impl Source {
    /// The counter where it is usable, else the system's clock.
    pub(crate) fn best() -> Self {
        if counter::usable() {
            Self::Counter
        } else {
            Self::Monotonic
        }
    }

    /// What it is called where it is shown.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counter if cfg!(target_arch = "x86_64") => "tsc",
            Self::Counter => "cntvct_el0",
            Self::Monotonic => "monotonic",
        }
    }
}

/// What a clock reads; the tests have their own.
pub(crate) trait Readings {
    fn counter(&self) -> u64;
    fn monotonic_ns(&self) -> u64;
}

/// The processor and the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine;

impl Readings for Machine {
    #[inline]
    fn counter(&self) -> u64 {
        counter::counter()
    }

    #[inline]
    fn monotonic_ns(&self) -> u64 {
        counter::monotonic_ns()
    }
}

/// The clock of a reactor, on the scale of [`monotonic_ns`](crate::clock::monotonic_ns).
#[derive(Debug)]
pub(crate) struct Clock<R = Machine> {
    readings: R,
    /// `None` where the system's clock is read.
    line: Cell<Option<Line>>,
    /// The rate of the counter; `None` for a clock that never used one.
    rate: Cell<Option<Rate>>,
    /// The last answer.
    last_ns: Cell<u64>,
    /// The answer at the last refresh; 0 once that was forgotten.
    cached_ns: Cell<u64>,
}

impl Clock {
    /// A clock of the best source that this machine has.
    ///
    /// The first one in a process that uses the counter takes 10 ms to find its rate.
    pub(crate) fn new() -> Self {
        Self::with_source(Source::best())
    }

    /// A clock of a certain source; of the system's, where the counter is asked for and not usable.
    pub(crate) fn with_source(source: Source) -> Self {
        static RATE: OnceLock<Option<Rate>> = OnceLock::new();
        let rate = match source {
            Source::Counter if counter::usable() => *RATE.get_or_init(|| calibrate(&Machine)),
            Source::Counter | Source::Monotonic => None,
        };
        Self::reading(Machine, rate)
    }
}

impl<R: Readings> Clock<R> {
    fn reading(readings: R, rate: Option<Rate>) -> Self {
        let line = rate.map(|rate| Line::new(best_pair(&readings, CALIBRATION_TRIES), rate));
        let clock = Self {
            readings,
            line: Cell::new(line),
            rate: Cell::new(rate),
            last_ns: Cell::new(0),
            cached_ns: Cell::new(0),
        };
        clock.refresh();
        clock
    }

    /// The time now; never less than any answer before.
    ///
    /// Compares the clocks first, when that was not done for a second.
    #[inline]
    pub(crate) fn precise(&self) -> u64 {
        let ns = match self.line.get() {
            Some(line) => match line.at(self.readings.counter()) {
                Some(ns) => ns,
                None => self.compare(&line),
            },
            None => self.readings.monotonic_ns(),
        };
        let ns = ns.max(self.last_ns.get());
        self.last_ns.set(ns);
        ns
    }

    /// The time now, which is what [`cached`](Self::cached) answers from here on.
    #[inline]
    pub(crate) fn refresh(&self) -> u64 {
        let ns = self.precise();
        self.cached_ns.set(ns);
        ns
    }

    /// The time at the last refresh, or now if that was forgotten.
    #[inline]
    pub(crate) fn cached(&self) -> u64 {
        match self.cached_ns.get() {
            0 => self.refresh(),
            ns => ns,
        }
    }

    /// Lets the next to ask for the cached time read it: a turn in which nobody does pays nothing.
    #[inline]
    pub(crate) fn forget(&self) {
        self.cached_ns.set(0);
    }

    /// The counter as it is, or nanoseconds for a clock that never used one.
    ///
    /// Which of the two does not change, so that two of them can always be compared.
    #[inline]
    pub(crate) fn cycles(&self) -> u64 {
        match self.rate.get() {
            Some(_) => self.readings.counter(),
            None => self.readings.monotonic_ns(),
        }
    }

    /// How many [`cycles`](Self::cycles) make a microsecond, as last measured.
    pub(crate) fn cycles_per_us(&self) -> f64 {
        self.rate.get().map_or(1000.0, Rate::counts_per_us)
    }

    /// What the time is reckoned from: the counter may prove to be of no use later, but never of use again.
    pub(crate) fn source(&self) -> Source {
        match self.line.get() {
            Some(_) => Source::Counter,
            None => Source::Monotonic,
        }
    }

    /// The time, by a new line.
    #[cold]
    #[inline(never)]
    fn compare(&self, line: &Line) -> u64 {
        let pair = best_pair(&self.readings, TRIES);
        let next = line.next(pair);
        self.line.set(next);
        let Some(next) = next else {
            return self.readings.monotonic_ns();
        };
        self.rate.set(Some(next.rate()));
        // None only if this thread was stopped for a second since it read the pair: the next answer is better.
        next.at(self.readings.counter()).unwrap_or(pair.ns)
    }
}

/// The pair of several that took the least time to read.
fn best_pair<R: Readings>(readings: &R, tries: u32) -> Pair {
    let mut best = pair(readings);
    for _ in 1..tries {
        let next = pair(readings);
        if next.width < best.width {
            best = next;
        }
    }
    best
}

fn pair<R: Readings>(readings: &R) -> Pair {
    let before = readings.counter();
    let ns = readings.monotonic_ns();
    // Huge, if the counter went back.
    let width = readings.counter().wrapping_sub(before);
    Pair {
        counter: before.wrapping_add(width / 2),
        ns,
        width,
    }
}

/// Finds the rate of the counter; `None` if it has none.
fn calibrate<R: Readings>(readings: &R) -> Option<Rate> {
    let first = best_pair(readings, CALIBRATION_TRIES);
    while readings.monotonic_ns().saturating_sub(first.ns) < CALIBRATION_NS {
        std::hint::spin_loop();
    }
    let second = best_pair(readings, CALIBRATION_TRIES);
    Rate::between(first, second)
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
