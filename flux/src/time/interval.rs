//! Waiting for every moment of a period, in the fiber's own flow.
//!
//! Owns where in its period it is. Knows neither how a fiber waits, nor callbacks.

use std::time::Duration;

use crate::callbacks::latest_due;
use crate::error::Stopped;
use crate::reactor::current;
use crate::time::Instant;

/// The moments of a period, one after the other: see [`interval`].
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    next_ns: u64,
    period_ns: u64,
}

/// A moment of an [`Interval`] that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moment {
    /// When it was due.
    pub due: Instant,
    /// How many earlier moments had come as well, and are passed over.
    pub missed: u64,
}

/// An interval whose first moment is now, and whose others follow at a period.
///
/// Nothing runs between two calls of [`tick`](Interval::tick). It does not drift: every moment is a whole number
/// of periods after the first, however late the fiber came to wait for it.
///
/// # Panics
/// For a period of zero.
///
/// # Example
/// ```
/// use flux::time::interval;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let mut every_ms = interval(Duration::from_millis(1));
///     let first = every_ms.tick().unwrap();
///     let later = every_ms.tick().unwrap();
///     let periods = 1 + u32::try_from(later.missed).unwrap();
///     assert_eq!(later.due - first.due, periods * Duration::from_millis(1));
/// })
/// # }
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// An interval whose first moment is `first`, which may have passed.
///
/// # Panics
/// For a period of zero.
#[track_caller]
pub fn interval_at(first: Instant, period: Duration) -> Interval {
    Interval {
        next_ns: first.as_monotonic_nanos(),
        period_ns: period_ns(period),
    }
}

/// A period as the clock counts it; one beyond what it can count is that.
#[track_caller]
pub(crate) fn period_ns(period: Duration) -> u64 {
    assert!(
        !period.is_zero(),
        "a period of zero would never let anybody else run; for each turn there is `flux::yield_now`"
    );
    u64::try_from(period.as_nanos()).unwrap_or(u64::MAX)
}

impl Interval {
    /// Waits for the next moment; for the latest one that has come, if any has.
    ///
    /// # Suspends
    /// Until then, the fiber is cancelled, or the deadline of an enclosing [`timeout`](crate::timeout) passes. Not
    /// at all if the moment has come already; but after 64 of those in a row it lets the other fibers run.
    ///
    /// # Errors
    /// [`Stopped`], when the wait ended early. The moment is not lost: the next call waits for it.
    ///
    /// # Panics
    /// Outside of a fiber, and inside [`no_suspend`](crate::no_suspend).
    #[track_caller]
    pub fn tick(&mut self) -> Result<Moment, Stopped> {
        current::with(|reactor| {
            if reactor.clock.precise() < self.next_ns {
                reactor.wait_until(self.next_ns)?;
            } else {
                reactor.may_wait()?;
                reactor.spend();
            }
            let due = latest_due(self.next_ns, self.period_ns, reactor.clock.precise());
            self.next_ns = due.at_ns.saturating_add(self.period_ns);
            Ok(Moment {
                due: Instant::from_monotonic_nanos(due.at_ns),
                missed: due.missed,
            })
        })
    }

    /// Begins anew: the next moment is one period from now.
    pub fn reset(&mut self) {
        let now_ns = Instant::now().as_monotonic_nanos();
        self.next_ns = now_ns.saturating_add(self.period_ns);
    }

    /// The period.
    #[must_use]
    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.period_ns)
    }
}
