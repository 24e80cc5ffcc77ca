//! What one run of one contender gave.

#![allow(
    clippy::cast_precision_loss,
    reason = "nanoseconds and counts of one run are far below 2^52"
)]

use std::ops::Deref;
use std::time::Duration;

use super::stats::{median, percentile};
use crate::sys::Stopwatch;

/// Latencies of which percentiles are taken.
const WINDOW: usize = 1000;

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

    /// The median and the 99th percentile of a thousand latencies that came one after the other: of many such
    /// thousands, in which they come in the order of time, the median of each.
    ///
    /// So that other programs, which take the core away for milliseconds now and then, are not in the figures, as
    /// long as more than half of the thousands know nothing of them. What a contender does to one in a hundred of
    /// its own messages is in every thousand.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn middle_and_tail(latencies: &[u64]) -> [Self; 2] {
        let whole = latencies.len() / WINDOW * WINDOW;
        let counted = if whole == 0 {
            latencies
        } else {
            &latencies[..whole]
        };
        let sorted: Vec<Vec<u64>> = counted
            .chunks(WINDOW)
            .map(|window| {
                let mut window = window.to_vec();
                window.sort_unstable();
                window
            })
            .collect();
        [50, 99].map(|percent| {
            let of_windows = sorted
                .iter()
                .map(|window| percentile(window, percent) as f64);
            Self::cost(median(of_windows), 1)
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(latencies: &[u64]) -> [f64; 2] {
        Sample::middle_and_tail(latencies).map(|sample| sample.cost)
    }

    #[test]
    fn one_bad_window_is_not_in_the_figures_and_a_tail_in_each_is() {
        let mut latencies = Vec::new();
        for window in 0..5_u64 {
            for message in 0..WINDOW as u64 {
                let slow = message < 20;
                latencies.push(match (window, slow) {
                    (3, _) => 1_000_000,
                    (_, true) => 700,
                    (_, false) => 50,
                });
            }
        }
        let [middle, tail] = of(&latencies);
        assert!((middle - 50.0).abs() < 1e-9 && (tail - 700.0).abs() < 1e-9);
    }

    #[test]
    fn fewer_than_a_window_are_one_and_a_broken_one_at_the_end_is_left_out() {
        assert!((of(&[5])[1] - 5.0).abs() < 1e-9);
        let mut latencies = vec![5; WINDOW];
        latencies.push(9);
        assert!((of(&latencies)[1] - 5.0).abs() < 1e-9);
    }
}
