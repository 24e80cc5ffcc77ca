//! Moments, and waiting for them.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use crate::clock;
use crate::error::Stopped;
use crate::reactor::{current, park};

pub use crate::task::timeout;

/// A moment on the monotonic clock, in nanoseconds: it never goes back, and two of them can be compared.
///
/// Eight bytes, and the nanosecond as its unit, where [`std::time::Instant`] is opaque.
///
/// # Example
/// ```
/// use flux::time::Instant;
/// use std::time::Duration;
///
/// let start = Instant::now();
/// let later = start + Duration::from_micros(3);
/// assert_eq!(later.duration_since(start), Duration::from_nanos(3_000));
/// assert_eq!(start.duration_since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// This moment.
    #[inline]
    #[must_use]
    pub fn now() -> Self {
        Self(clock::now_ns())
    }

    /// How long ago this was; zero if it is yet to come.
    #[inline]
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    /// The time from `earlier` to this moment; zero if that is later.
    #[inline]
    #[must_use]
    pub const fn duration_since(&self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time from `earlier` to this moment; `None` if that is later.
    #[must_use]
    pub fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    /// The moment so much later, unless it is beyond what can be said (584 years).
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        let nanoseconds = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_add(nanoseconds).map(Self)
    }

    /// The moment so much earlier, unless it is before the clock's base.
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        let nanoseconds = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_sub(nanoseconds).map(Self)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({:?})", Duration::from_nanos(self.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// # Panics
    /// When the sum is beyond what can be said, as in std.
    #[track_caller]
    fn add(self, duration: Duration) -> Self {
        self.checked_add(duration)
            .expect("overflow when adding a duration to an instant")
    }
}

impl AddAssign<Duration> for Instant {
    #[track_caller]
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    /// # Panics
    /// When the difference is before the clock's base, as in std.
    #[track_caller]
    fn sub(self, duration: Duration) -> Self {
        self.checked_sub(duration)
            .expect("overflow when subtracting a duration from an instant")
    }
}

impl SubAssign<Duration> for Instant {
    #[track_caller]
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Saturates at zero, as [`duration_since`](Instant::duration_since).
    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

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
    let at = park::end_of(clock::now_ns(), duration);
    current::with(|reactor| reactor.wait_until(at))
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
    current::with(|reactor| reactor.wait_until(moment.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_or_panics_as_stds_does() {
        let base = Instant(100);
        assert_eq!(base.checked_sub(Duration::from_nanos(101)), None);
        assert_eq!(base.checked_add(Duration::MAX), None);
        assert_eq!(base - Instant(130), Duration::ZERO);
        assert_eq!(base.checked_duration_since(Instant(130)), None);
        assert!(std::panic::catch_unwind(|| base + Duration::MAX).is_err());
        assert!(std::panic::catch_unwind(|| base - Duration::MAX).is_err());
    }
}
