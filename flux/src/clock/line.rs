//! The line that turns counts into nanoseconds: pure arithmetic, so that tests script both clocks.
//!
//! A [`Line`] holds for a second of counts. Then the caller compares the clocks anew, and [`Line::next`] says how
//! it goes on:
//!
//! ```text
//! off by up to 1 ms            the rate changes a little, so that the error is gone a second later
//! off by more                  the true time at once: after a suspension, or a stop of the virtual machine
//! the rate is off by 500 ppm   a doubt: so is a counter that went back, or a pair that is too wide to tell
//! four doubts in a row         no line any more: the counter is of no use
//! ```
//!
//! **Invariant:** a line never answers for counts that it does not hold for. So a product fits 64 bits, and a
//! process that slept for days, or whose counter ran on while the machine was suspended, answers right at once.
//!
//! A line may begin lower than the one before ended (after a step back): who promises that time never goes back
//! remembers what he answered last.

/// How long a line holds.
pub(super) const PERIOD_NS: u64 = 1_000_000_000;
/// The most that is put right by a change of rate; it is a thousandth of a period, so that rates hardly change.
const SLEW_MAX_NS: u64 = PERIOD_NS / 1000;
/// A pair that took longer says too little.
const WIDTH_MAX_NS: u64 = 20_000;
/// The most that time servers make a kernel's clock differ from its counter, as long as nothing is wrong.
const TRUST_PPM: u64 = 500;
/// The most that Linux lets them, to put right a clock that is wrong: such a rate is doubted, and followed.
const FOLLOW_PPM: u64 = 100_000;
/// Doubts in a row that are one too many.
const DOUBTS_MAX: u32 = 4;
/// Binary places of a rate.
const PLACES: u32 = 32;
/// A counter of 100 GHz.
const MULT_MIN: u64 = (1 << PLACES) / 100;
/// A counter of 1 MHz.
const MULT_MAX: u64 = (1 << PLACES) * 1000;

// What `Line::at` multiplies: counts that make a period, by a rate that is slewed by a thousandth at most.
const _: () = assert!((PERIOD_NS + SLEW_MAX_NS) < u64::MAX >> PLACES);
// An error of that size, in binary places, fits as well.
const _: () = assert!(SLEW_MAX_NS < u64::MAX >> PLACES);

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The counter, in the middle of the time that the reading took.
    pub(super) counter: u64,
    /// `CLOCK_MONOTONIC`.
    pub(super) ns: u64,
    /// The counts that the reading took: the two are one moment to within half of it.
    pub(super) width: u64,
}

/// Nanoseconds in a count, in 2^-32: between a hundredth and a thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(u64);

impl Rate {
    /// The rate from one moment to a later one, to the nearest; `None` if no counter runs like that.
    pub(super) fn between(first: Pair, second: Pair) -> Option<Self> {
        let counts = forward(first.counter, second.counter)?;
        let ns = u128::from(second.ns.checked_sub(first.ns)?);
        let mult = ((ns << PLACES) + u128::from(counts / 2)).checked_div(u128::from(counts))?;
        let mult = u64::try_from(mult).ok()?;
        (MULT_MIN..=MULT_MAX).contains(&mult).then_some(Self(mult))
    }

    /// Counts in a microsecond.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a rate has at most 43 bits, and a float has 52"
    )]
    pub(super) fn counts_per_us(self) -> f64 {
        1000.0 * (1_u64 << PLACES) as f64 / self.0 as f64
    }

    /// The nanoseconds of so many counts.
    pub(super) fn ns(self, counts: u64) -> u64 {
        scale(counts, self.0)
    }

    /// The counts of a whole period.
    fn period(self) -> u64 {
        (PERIOD_NS << PLACES) / self.0
    }

    /// By how many millionths this differs from another one.
    fn differs_ppm(self, from: Self) -> u64 {
        // 43 bits, and 20.
        self.0.abs_diff(from.0) * 1_000_000 / from.0
    }
}

/// Counts from one moment to a later one; `None` for an earlier one.
///
/// The counter may wrap: of the two ways around, the shorter one is meant.
fn forward(from: u64, to: u64) -> Option<u64> {
    let counts = to.wrapping_sub(from);
    (counts <= u64::MAX / 2).then_some(counts)
}

/// So many counts at a rate, whatever both are.
fn scale(counts: u64, mult: u64) -> u64 {
    let ns = (u128::from(counts) * u128::from(mult)) >> PLACES;
    u64::try_from(ns).unwrap_or(u64::MAX)
}

/// From counts to nanoseconds, for a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    // What is read each time.
    from: u64,
    ns: u64,
    mult: u64,
    /// The counts that it holds for.
    holds: u64,
    // What the next one is made from.
    rate: Rate,
    /// Where the next rate is measured from.
    pair: Pair,
    doubts: u32,
}

impl Line {
    /// The line through a moment, at a rate.
    pub(super) fn new(pair: Pair, rate: Rate) -> Self {
        Self {
            from: pair.counter,
            ns: pair.ns,
            mult: rate.0,
            holds: rate.period(),
            rate,
            pair,
            doubts: 0,
        }
    }

    /// The time; `None` if the line does not hold there, and the clocks are to be compared.
    #[inline]
    pub(super) fn at(&self, counter: u64) -> Option<u64> {
        // A counter that went back is far above.
        let counts = counter.wrapping_sub(self.from);
        // Fits: counts that make less than a period, by the rate that makes them one, give or take a thousandth.
        (counts < self.holds).then(|| self.ns.saturating_add((counts * self.mult) >> PLACES))
    }

    /// How it goes on from a moment on; `None` if the counter is of no use.
    pub(super) fn next(&self, pair: Pair) -> Option<Self> {
        let (rate, doubted) = self.judge(pair);
        let mut next = Self::new(pair, rate);
        if doubted {
            next.doubts = self.doubts + 1;
            if next.doubts == DOUBTS_MAX {
                return None;
            }
            if self.too_wide(pair) && forward(self.pair.counter, pair.counter).is_some() {
                next.pair = self.pair;
            }
            return Some(next);
        }
        let expected = self.beyond(pair.counter);
        let error_ns = pair.ns.abs_diff(expected);
        if error_ns <= SLEW_MAX_NS {
            // Goes on where the old line is, and is true at its end.
            let change = (error_ns << PLACES) / next.holds;
            next.ns = expected;
            next.mult = if pair.ns >= expected {
                rate.0 + change
            } else {
                rate.0 - change
            };
        }
        Some(next)
    }

    /// The rate, as measured if it can be believed; and whether something is wrong.
    fn judge(&self, pair: Pair) -> (Rate, bool) {
        let measured = Rate::between(self.pair, pair).filter(|_| !self.too_wide(pair));
        match measured.map(|rate| (rate, rate.differs_ppm(self.rate))) {
            Some((rate, 0..=TRUST_PPM)) => (rate, false),
            Some((rate, 0..=FOLLOW_PPM)) => (rate, true),
            _ => (self.rate, true),
        }
    }

    fn too_wide(&self, pair: Pair) -> bool {
        self.rate.ns(pair.width) > WIDTH_MAX_NS
    }

    /// Where the line leads if it is drawn on: at its own rate while it holds, at the true one from there.
    fn beyond(&self, counter: u64) -> u64 {
        let counts = counter.wrapping_sub(self.from);
        let held = counts.min(self.holds);
        self.ns
            .saturating_add(scale(held, self.mult))
            .saturating_add(self.rate.ns(counts - held))
    }

    /// The rate as last measured, free of what is added to it for a second to put an error right.
    pub(super) fn rate(&self) -> Rate {
        self.rate
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
