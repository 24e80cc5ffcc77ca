//! Moments, and the calls that read them.
//!
//! Arithmetic on nanoseconds, with std's names, and std's answers where there is no room. Knows nothing of
//! waiting, and of clocks only that the reactor has one.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use crate::clock;
use crate::reactor::current;

/// A moment on the monotonic clock, in nanoseconds.
///
/// Eight bytes, and the nanosecond as its unit, where [`std::time::Instant`] is opaque; the names are std's, and so
/// is what happens at the edges: durations saturate at zero, and sums panic when there is no such moment. The last
/// one is 584 years after the first.
///
/// All moments of a process are on one scale, that of `CLOCK_MONOTONIC`, whatever reads it: a fiber, or another
/// thread. Those of one thread never go back; those of two may disagree by less than a microsecond. The scale
/// stands still while the machine is suspended.
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
    /// This moment, as [`now_precise`] reads it.
    #[inline]
    #[must_use]
    pub fn now() -> Self {
        now_precise()
    }

    /// How long ago this was, by [`now_precise`]; zero if it is yet to come.
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

    /// The time from `earlier` to this moment; zero if that is later, as [`duration_since`](Self::duration_since).
    #[inline]
    #[must_use]
    pub const fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }

    /// The time from `earlier` to this moment; `None` if that is later.
    #[inline]
    #[must_use]
    pub const fn checked_duration_since(&self, earlier: Self) -> Option<Duration> {
        match self.0.checked_sub(earlier.0) {
            Some(ns) => Some(Duration::from_nanos(ns)),
            None => None,
        }
    }

    /// The moment so much later; `None` if it is beyond the last one.
    #[inline]
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        let ns = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_add(ns).map(Self)
    }

    /// The moment so much earlier; `None` if it is before the first one.
    #[inline]
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        let ns = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_sub(ns).map(Self)
    }

    /// The same moment for std; the way back ([`from_std`](Self::from_std)) leads to this one exactly.
    ///
    /// std's instants cannot be looked into, so both clocks were read once, one right after the other: what is
    /// converted is off by as much as those two readings are apart, the same for all in a process, and some 25 ns
    /// on common machines.
    ///
    /// # Panics
    /// If std has no such moment on this system. On Linux, macOS and the BSDs it has them all.
    #[must_use]
    #[track_caller]
    pub fn into_std(self) -> std::time::Instant {
        let (same, base) = clock::as_in_std();
        let moment = match self.0.checked_sub(base) {
            Some(later) => same.checked_add(Duration::from_nanos(later)),
            None => same.checked_sub(Duration::from_nanos(base - self.0)),
        };
        moment.expect("std has no such moment on this system")
    }

    /// The same moment for flux, as exact as [`into_std`](Self::into_std) is.
    ///
    /// What is before the first moment, or beyond the last one, becomes that one. (std can name more years than
    /// there are nanoseconds here; its clock is never there.)
    #[must_use]
    pub fn from_std(moment: std::time::Instant) -> Self {
        let (same, base) = clock::as_in_std();
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(match moment.checked_duration_since(same) {
            Some(later) => base.saturating_add(ns(later)),
            None => base.saturating_sub(ns(same.duration_since(moment))),
        })
    }

    /// The nanoseconds that the monotonic clock shows at this moment.
    ///
    /// On Linux that is what `clock_gettime(CLOCK_MONOTONIC)` says: about the time since the machine was started,
    /// without the time that it was suspended. Fit to be compared with what another process of this machine, the
    /// kernel, or a trace says; not after a restart, and not with another machine.
    #[inline]
    #[must_use]
    pub const fn as_monotonic_nanos(self) -> u64 {
        self.0
    }

    /// The moment at which the monotonic clock shows so many nanoseconds: see
    /// [`as_monotonic_nanos`](Self::as_monotonic_nanos).
    #[inline]
    #[must_use]
    pub const fn from_monotonic_nanos(ns: u64) -> Self {
        Self(ns)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({:?})", Duration::from_nanos(self.0))
    }
}

impl From<std::time::Instant> for Instant {
    /// See [`from_std`](Instant::from_std).
    fn from(moment: std::time::Instant) -> Self {
        Self::from_std(moment)
    }
}

impl From<Instant> for std::time::Instant {
    /// See [`into_std`](Instant::into_std).
    #[track_caller]
    fn from(moment: Instant) -> Self {
        moment.into_std()
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// # Panics
    /// When the sum is beyond the last moment.
    #[inline]
    #[track_caller]
    fn add(self, duration: Duration) -> Self {
        self.checked_add(duration)
            .expect("overflow when adding a duration to an instant")
    }
}

impl AddAssign<Duration> for Instant {
    #[inline]
    #[track_caller]
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    /// # Panics
    /// When the difference is before the first moment.
    #[inline]
    #[track_caller]
    fn sub(self, duration: Duration) -> Self {
        self.checked_sub(duration)
            .expect("overflow when subtracting a duration from an instant")
    }
}

impl SubAssign<Duration> for Instant {
    #[inline]
    #[track_caller]
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Saturates at zero, as [`duration_since`](Instant::duration_since).
    #[inline]
    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

/// The moment at which the clock was first read in the present turn of the loop: all but the first to ask are
/// answered without a reading.
///
/// All fibers that run in one turn see the same moment, as do the timers. It is older than the truth by what has
/// run in this turn; a fiber that computes for long has [`now_precise`]. Outside of a fiber there are no turns,
/// and the two are the same.
///
/// # Suspends
/// Never.
///
/// # Example
/// ```
/// use flux::time::{now, now_precise};
///
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let turn = now();
///     assert_eq!(turn, now(), "nothing has suspended");
///     assert!(now_precise() >= turn);
/// })
/// # }
/// ```
#[inline]
#[must_use]
pub fn now() -> Instant {
    let cached = current::try_with(|reactor| reactor.clock.cached());
    Instant(cached.unwrap_or_else(clock::monotonic_ns))
}

/// This moment.
///
/// In a fiber it is reckoned from the processor's counter, where that is invariant and the kernel's own clock
/// source, at half the price of [`std::time::Instant::now`]. Once a second the counter is compared with
/// `CLOCK_MONOTONIC`: an error of up to a millisecond is put right by a slight change of rate over the next second,
/// a larger one at once. It never goes back: had the counter run ahead by more, time would stand still meanwhile.
/// A counter that proves bad four seconds in a row is given up for `CLOCK_MONOTONIC`. Without such a counter, and
/// outside of a fiber, `CLOCK_MONOTONIC` is read each time.
///
/// # Suspends
/// Never.
#[inline]
#[must_use]
pub fn now_precise() -> Instant {
    let precise = current::try_with(|reactor| reactor.clock.precise());
    Instant(precise.unwrap_or_else(clock::monotonic_ns))
}

/// The processor's counter, as it is: what is cheapest to read, for measuring what takes nanoseconds.
///
/// [`cycles_per_us`] says what a count is worth. Take differences by `wrapping_sub`. On x86_64 this is `rdtsc`, on
/// aarch64 `cntvct_el0`; where the counter is not usable (see [`now_precise`]) it is nanoseconds of
/// `CLOCK_MONOTONIC`, and `cycles_per_us` is 1000. Which of the two is settled when the reactor is made. The
/// processor may read its counter some instructions early or late: below 20 ns a single difference says little.
///
/// **Pinning is what makes two counts comparable.** Every core has a counter of its own, and nothing makes them
/// agree but the hardware's good will: a thread that is moved between two readings subtracts the counter of one
/// core from that of another. The reactor's thread stays on one core, so all its fibers read one counter. With
/// `core = "none"` that is given up; then measure by [`now_precise`], which never goes back.
///
/// # Suspends
/// Never.
///
/// # Panics
/// Outside of a fiber, where nothing pins the thread.
///
/// # Example
/// ```
/// use flux::time::{cycles, cycles_per_us};
///
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let start = cycles();
///     let sum: u64 = std::hint::black_box((0..1000).sum());
///     let counts = cycles().wrapping_sub(start);
///     println!("{sum} took {:.3} us", counts as f64 / cycles_per_us());
/// })
/// # }
/// ```
#[inline]
#[must_use]
#[track_caller]
pub fn cycles() -> u64 {
    current::with(|reactor| reactor.clock.cycles())
}

/// How many [`cycles`] make a microsecond, as last compared with `CLOCK_MONOTONIC`.
///
/// Changes by some millionths from second to second, as the system's clock is kept in time; and by much only if
/// the system's clock is.
///
/// # Suspends
/// Never.
///
/// # Panics
/// Outside of a fiber, as [`cycles`].
#[must_use]
#[track_caller]
pub fn cycles_per_us() -> f64 {
    current::with(|reactor| reactor.clock.cycles_per_us())
}

#[cfg(test)]
#[path = "instant_tests.rs"]
mod tests;
