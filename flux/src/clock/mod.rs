//! The one place that reads the clock.
//!
//! [`Clock`] is a reactor's: nanoseconds of `CLOCK_MONOTONIC`, reckoned from the processor's counter, which takes
//! half the time to read. All else, on whatever thread, asks the system by [`monotonic_ns`]; the scale is the same.
//! The arithmetic is in [`line`], which takes numbers and gives numbers; reading is in [`reading`].
//!
//! Owns no timer, and knows nothing of who waits.

#![allow(
    clippy::disallowed_methods,
    reason = "this is the file that the rest of the crate asks for the time"
)]

mod line;
mod reading;

pub(crate) use crate::sys::counter::monotonic_ns;
pub(crate) use reading::Clock;

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// Brackets from which that of the least width is taken.
const BRACKETS: u32 = 32;

/// One moment as std says it, and as [`monotonic_ns`] does: the same two for as long as the process.
///
/// The first caller takes them, in about 2 us. They are one moment to within half the time that two readings of
/// the clock take, some 25 ns; so is every conversion by them, and there and back again is exact.
pub(crate) fn as_in_std() -> (Instant, u64) {
    static SAME_MOMENT: OnceLock<(Instant, u64)> = OnceLock::new();
    *SAME_MOMENT.get_or_init(|| {
        let bracket = || {
            let before = monotonic_ns();
            let moment = Instant::now();
            let width = monotonic_ns() - before;
            (width, moment, before + width / 2)
        };
        let mut best = bracket();
        for _ in 1..BRACKETS {
            let next = bracket();
            if next.0 < best.0 {
                best = next;
            }
        }
        (best.1, best.2)
    })
}

/// How long it is since 1970 began, by the wall clock, which whoever may can set; nothing before that.
pub(crate) fn wall() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back() {
        let mut last = monotonic_ns();
        for _ in 0..10_000 {
            let now = monotonic_ns();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn std_and_the_monotonic_clock_are_one_scale() {
        let (moment, ns) = as_in_std();
        assert_eq!(as_in_std(), (moment, ns));
        // Between two readings of one clock a reading of the other lies, to within the error of the pair.
        let error = 1_000_000;
        let before = monotonic_ns();
        let since = u64::try_from(moment.elapsed().as_nanos()).unwrap();
        let after = monotonic_ns();
        assert!(ns + since + error >= before);
        assert!(ns + since <= after + error);
    }
}
