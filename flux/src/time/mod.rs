//! Moments, and waiting for them.

mod instant;
mod interval;

use std::time::Duration;

use crate::error::Stopped;
use crate::reactor::{current, park};

pub use crate::task::timeout;
pub use instant::{Instant, cycles, cycles_per_us, now, now_precise};
pub(crate) use interval::period_ns;
pub use interval::{Interval, Moment, interval, interval_at};

/// Waits for so long; never shorter.
///
/// # Suspends
/// Until the time is over, the fiber is cancelled, or the deadline of an enclosing
/// [`timeout`] passes. A time of zero lets the other fibers run once.
///
/// # Errors
/// [`Stopped`], when it ended early.
///
/// # Panics
/// Outside of a fiber, and inside [`no_suspend`](crate::no_suspend).
///
/// # Example
/// ```
/// use flux::time::{Instant, sleep};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let start = Instant::now();
///     sleep(Duration::from_millis(2)).unwrap();
///     assert!(start.elapsed() >= Duration::from_millis(2));
/// })
/// # }
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Result<(), Stopped> {
    current::with(|reactor| reactor.wait_until(park::end_of(reactor.clock.precise(), duration)))
}

/// Waits for a moment; one in the past lets the other fibers run once.
///
/// # Suspends
/// As [`sleep`].
///
/// # Errors
/// [`Stopped`], when it ended early.
///
/// # Panics
/// As [`sleep`].
#[track_caller]
pub fn sleep_until(moment: Instant) -> Result<(), Stopped> {
    current::with(|reactor| reactor.wait_until(moment.as_monotonic_nanos()))
}
