//! What one run of one contender gave.

#![allow(
    clippy::cast_precision_loss,
    reason = "nanoseconds and counts of one run are far below 2^52"
)]

use std::ops::Deref;
use std::time::Duration;

use super::stats::percentile;
use crate::sys::Stopwatch;

/// What one run of one contender gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Cost of one operation: CPU nanoseconds of the measured thread, unless the group's unit says otherwise.
    pub cost: f64,
    /// Operations per second of wall time; 0 where that means nothing.
    pub rate: f64,
}

impl Sample {
    /// A sample from totals.
    #[must_use]
    pub fn new(cpu: Duration, wall: Duration, operations: u64) -> Self {
        Self {
            cost: cpu.as_nanos() as f64 / operations as f64,
            rate: operations as f64 / wall.as_secs_f64(),
        }
    }

    /// A sample that is a cost alone: of a counted `total` over `operations`.
    #[must_use]
    pub fn cost_of_count(total: u64, operations: u64) -> Self {
        Self::cost(total as f64, operations)
    }

    /// A sample that is a cost alone: of `total` (any unit) over `operations`.
    #[must_use]
    pub fn cost(total: f64, operations: u64) -> Self {
        Self {
            cost: total / operations as f64,
            rate: 0.0,
        }
    }

    /// The median of some figures, of which there is at least one, and their 99th percentile.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn middle_and_tail(mut figures: Vec<u64>) -> [Self; 2] {
        figures.sort_unstable();
        [50, 99].map(|percent| Self::cost(percentile(&figures, percent) as f64, 1))
    }
}

/// What one run of one contender gave, for each side of its group.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples(Vec<Sample>);

impl Deref for Samples {
    type Target = [Sample];

    fn deref(&self) -> &[Sample] {
        &self.0
    }
}

impl From<Sample> for Samples {
    fn from(sample: Sample) -> Self {
        Self(vec![sample])
    }
}

impl<const SIDES: usize> From<[Sample; SIDES]> for Samples {
    fn from(samples: [Sample; SIDES]) -> Self {
        Self(samples.into())
    }
}

/// Runs `work`, which does `operations` operations on this thread, against the thread's CPU clock.
pub fn timed<T>(operations: u64, work: impl FnOnce() -> T) -> (Sample, T) {
    let watch = Stopwatch::start();
    let result = work();
    let (cpu, wall) = watch.elapsed();
    (Sample::new(cpu, wall, operations), result)
}
