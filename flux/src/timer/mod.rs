//! Timers: closures that run when their time has come, once or again and again.
//!
//! | | runs | may suspend | costs |
//! |---|---|---|---|
//! | `.callback(..)` | on the loop, between fibers | no: an attempt is a panic that says where the timer was made | a place of `timers` |
//! | `.fiber(..)` | as a fiber of class small | yes | a control block, and a stack from its first tick on |
//!
//! A [`Timer`] that is dropped is cancelled; [`detach`](Timer::detach) lets it go on by itself. When the main
//! fiber ends, or [`shutdown`](crate::shutdown) was called, all timers end, and what is set from then on never runs.
//!
//! Periodic timers do not drift: each tick is due a period after the last one was *due*, however late that ran.
//! Ticks whose time has passed by the time the timer runs are not made up for, but counted: see [`Tick`].
//!
//! # Example
//! ```
//! use flux::timer;
//! use std::cell::Cell;
//! use std::ops::ControlFlow;
//! use std::rc::Rc;
//! use std::time::{Duration, SystemTime};
//!
//! # fn main() -> Result<(), flux::RunError> {
//! flux::Config::new().run(|| {
//!     let beats = Rc::new(Cell::new(0));
//!     let counted = Rc::clone(&beats);
//!     let _heartbeat = timer::every(Duration::from_millis(1))
//!         .callback(move |_| counted.set(counted.get() + 1))
//!         .expect("there are places: `timers` is 256");
//!     let work = timer::every(Duration::from_millis(1))
//!         .fiber(|tick| {
//!             // This one may read a socket, or sleep.
//!             if tick.missed > 3 {
//!                 ControlFlow::Break(())
//!             } else {
//!                 ControlFlow::Continue(())
//!             }
//!         })
//!         .expect("there are control blocks");
//!     flux::time::sleep(Duration::from_millis(5)).unwrap();
//!     assert!(beats.get() >= 4);
//!     drop(work); // is cancelled
//! })
//! # }
//! ```

mod handle;
mod set;

use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use crate::callbacks::Due;
use crate::reactor::{current, park};
use crate::time::{Instant, period_ns};

pub use handle::{Timer, TimersFull};
pub use set::{Every, Once};

/// What a timer is told when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tick {
    /// When it was due: the latest moment of its period that has come.
    pub due: Instant,
    /// How many earlier moments of its period had come since its last tick, and were passed over: 0 unless the
    /// core was busy for longer than a period.
    pub missed: u64,
}

impl From<Due> for Tick {
    fn from(due: Due) -> Self {
        Self {
            due: Instant::from_monotonic_nanos(due.at_ns),
            missed: due.missed,
        }
    }
}

/// What a periodic timer's closure may return: nothing, to go on, or whether to go on.
///
/// For `()` and [`ControlFlow<()>`].
pub trait Outcome: sealed::Outcome {}
impl Outcome for () {}
impl Outcome for ControlFlow<()> {}

mod sealed {
    pub trait Outcome {
        fn goes_on(self) -> bool;
    }
    impl Outcome for () {
        fn goes_on(self) -> bool {
            true
        }
    }
    impl Outcome for std::ops::ControlFlow<()> {
        fn goes_on(self) -> bool {
            self.is_continue()
        }
    }
}

/// A timer that runs once, after a time: `Duration::ZERO` in the next turn.
///
/// Counted from [`time::now`](crate::time::now), the moment that all of this turn share, which is a load rather
/// than a reading of the clock. A fiber that has computed for long since its turn began, and wants to count from
/// now, says `at(Instant::now() + duration)`. A time beyond the clock's end, 292 years from its start, is that.
///
/// # Panics
/// Outside of a fiber and of a callback.
#[inline]
#[track_caller]
pub fn after(duration: Duration) -> Once {
    let now_ns = current::with(|reactor| reactor.clock.cached());
    Once::at(When::wheel(park::end_of(now_ns, duration)))
}

/// A timer that runs once, at a moment; one that has passed is due in the next turn.
#[inline]
pub fn at(moment: Instant) -> Once {
    Once::at(When::wheel(moment.as_monotonic_nanos()))
}

/// A timer that runs once, when the wall clock shows a moment: the session's open, say, however the clock is set
/// meanwhile.
///
/// The kernel's own clock tells ([`TimerSource::Kernel`]). Where the kernel refuses, for lack of descriptors under
/// epoll for example, the time that is left by then is waited for instead, and the clock's being set later is not
/// seen; nor is it for up to a minute under kqueue. A moment that has passed is due in the next turn.
///
/// # Example
/// ```
/// use flux::timer;
/// use std::time::{Duration, SystemTime};
///
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let open = SystemTime::now() + Duration::from_millis(2);
///     let opened = timer::at_wall(open).fiber(|_| println!("open")).unwrap();
///     # while !opened.is_finished() { flux::time::sleep(Duration::from_millis(1)).unwrap() }
/// })
/// # }
/// ```
pub fn at_wall(moment: SystemTime) -> Once {
    let since_1970 = moment.duration_since(SystemTime::UNIX_EPOCH);
    Once::at(When {
        ns: 0,
        source: TimerSource::Kernel,
        wall: Some(since_1970.unwrap_or_default()),
    })
}

/// Who tells when a timer's time has come.
///
/// | | kept by | setting and cancelling | for |
/// |---|---|---|---|
/// | `Wheel` | the loop, which tells the kernel of the nearest alone | some nanoseconds, however many there are | nearly all |
/// | `Kernel` | a request of its own: `IORING_OP_TIMEOUT`, timerfd, `EVFILT_TIMER` | 0.4 us, and with a thousand 6 us | the few that want the kernel's clock |
///
/// Neither is early, and neither drifts: each tick of a periodic timer is asked for by its own moment, since the
/// kernel's repeating timeouts drift (20 us and more a tick, as measured). While the core spins the wheel is the
/// more precise one. Where the kernel refuses a timer, the wheel serves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimerSource {
    /// The loop's own wheel.
    #[default]
    Wheel,
    /// The kernel.
    Kernel,
}

/// The moment that a timer waits for, and by whom.
#[derive(Clone, Copy, Debug)]
struct When {
    ns: u64,
    source: TimerSource,
    /// Since 1970, in place of `ns`.
    wall: Option<Duration>,
}

impl When {
    #[inline]
    fn wheel(ns: u64) -> Self {
        Self {
            ns,
            source: TimerSource::Wheel,
            wall: None,
        }
    }
}

/// A timer that runs again and again, first after one period: counted as [`after`] counts.
///
/// # Panics
/// For a period of zero. Outside of a fiber and of a callback.
#[inline]
#[track_caller]
pub fn every(period: Duration) -> Every {
    let now_ns = current::with(|reactor| reactor.clock.cached());
    Every::from(When::wheel(park::end_of(now_ns, period)), period_ns(period))
}
