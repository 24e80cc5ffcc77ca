//! The one place that reads the clock.
//!
//! Gives monotonic nanoseconds since a base that is fixed when the process first asks. The arithmetic that reckons
//! time from the processor's counter is in [`line`], which takes numbers and gives numbers. Owns no timer, and
//! knows nothing of who waits.

#![allow(
    clippy::disallowed_methods,
    reason = "this is the file that the rest of the crate asks for the time"
)]

#[cfg_attr(
    not(test),
    allow(
        dead_code,
        reason = "pure arithmetic, which the tests script; no reactor reads a counter"
    )
)]
mod line;

use std::sync::LazyLock;
use std::time::Instant;

static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds of `CLOCK_MONOTONIC` since the base; never goes back, and lasts 584 years.
#[inline]
pub(crate) fn now_ns() -> u64 {
    // Read after the base, which the first caller sets: `elapsed` cannot saturate.
    let elapsed = BASE.elapsed();
    elapsed
        .as_secs()
        .wrapping_mul(1_000_000_000)
        .wrapping_add(u64::from(elapsed.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back() {
        let mut last = now_ns();
        for _ in 0..10_000 {
            let now = now_ns();
            assert!(now >= last);
            last = now;
        }
    }
}
