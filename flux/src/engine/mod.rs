//! How the reactor talks to the kernel: one enum, so that every public type stays free of generics and
//! one `match` lists the engines.
//!
//! An engine takes ops and completes each exactly once. It knows neither fibers nor the scheduler: the
//! reactor tells it what to do with a finished op.

#![allow(unsafe_code, reason = "passes on the promises that ops need")]

#[cfg(unix)]
mod attempt;
#[cfg(target_os = "linux")]
mod epoll;
#[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
mod kqueue;
#[cfg(flux_kqueue_compat)]
mod kqueue_double;
#[cfg(flux_kqueue_compat)]
mod kqueue_double_timers;
#[cfg(unix)]
mod lending;
#[cfg(any(windows, test))]
mod park;
#[cfg(unix)]
pub(crate) mod poller;
#[cfg(all(test, unix))]
mod property_tests;
#[cfg(unix)]
pub(crate) mod readiness;
#[cfg(all(test, unix))]
pub(crate) mod refusals;
#[cfg(unix)]
mod slot;
#[cfg(all(test, unix))]
mod timeout_tests;
#[cfg(target_os = "linux")]
mod uring;

use std::io;
#[cfg(unix)]
use std::os::fd::RawFd;
use std::time::Duration;

use crate::clock;
use crate::config::{Config, EventEngine};
use crate::error::InitError;
use crate::op::Op;
#[cfg(unix)]
use crate::sys::limits::{self, Limit};
#[cfg(target_os = "linux")]
use epoll::Epoll;
#[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
use kqueue::Kqueue;
#[cfg(windows)]
use park::Park;
#[cfg(unix)]
use readiness::Readiness;
#[cfg(target_os = "linux")]
use uring::Uring;

/// How long a turn may wait in the kernel when nothing has completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    Poll,
    /// At most so long.
    AtMost(Duration),
    /// Until something completes.
    Forever,
}

/// What an engine counted since it was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// Entries into the kernel.
    pub(crate) enters: u64,
    /// Ops completed.
    pub(crate) completions: u64,
    /// Ops and cancels waiting for room in the submission queue now, at worst, and how often one had to.
    pub(crate) overflow_depth: u64,
    pub(crate) overflow_high_water: u64,
    pub(crate) overflows: u64,
    /// Times that the kernel refused to take more for the moment (`EBUSY`, `EAGAIN`).
    pub(crate) refusals: u64,
    /// Times that the kernel had more completions than the completion queue holds.
    pub(crate) completion_overflows: u64,
}

/// What became of a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelOutcome {
    /// The op had not left for the kernel; it is done, with `ECANCELED`.
    Done,
    /// The op's own completion is still to come, and says what happened.
    Pending,
}

/// How long it is until the moment of a timeout, by its clock; `None` when that has come, or there is none.
fn left(op: &Op) -> Option<Duration> {
    let (at, wall) = op.timeout()?;
    let now = if wall {
        clock::wall()
    } else {
        Duration::from_nanos(clock::monotonic_ns())
    };
    at.since_zero()
        .checked_sub(now)
        .filter(|left| !left.is_zero())
}

pub(crate) enum Engine {
    #[cfg(target_os = "linux")]
    Uring(Uring),
    #[cfg(target_os = "linux")]
    Epoll(Readiness<Epoll>),
    #[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
    Kqueue(Readiness<Kqueue>),
    #[cfg(windows)]
    Park(Park),
}

/// The engine that `auto` takes, and why it is not a better one.
type Chosen = Result<(Engine, Option<InitError>), InitError>;

#[cfg(target_os = "linux")]
mod system {
    use super::{
        Chosen, Config, Engine, Epoll, EventEngine, InitError, Readiness, Uring, refused_by_kernel,
    };

    pub(super) fn auto(config: &Config) -> Chosen {
        match uring(config) {
            Ok(engine) => Ok((engine, None)),
            Err(refused) => match epoll(config) {
                Ok(engine) => Ok((engine, Some(refused))),
                Err(InitError::EngineUnavailable { engine, why }) => {
                    // Both reasons: the second may be the first one's doing.
                    let why = format!("{why}; and {refused}");
                    Err(InitError::EngineUnavailable { engine, why })
                }
                Err(other) => Err(other),
            },
        }
    }

    pub(super) fn uring(config: &Config) -> Result<Engine, InitError> {
        Uring::new(config.submission_entries).map(Engine::Uring)
    }

    pub(super) fn epoll(config: &Config) -> Result<Engine, InitError> {
        match Epoll::new(config.submission_entries) {
            Ok(epoll) => Ok(Engine::Epoll(Readiness::new(epoll))),
            Err(error) => Err(refused_by_kernel(EventEngine::Epoll, &error)),
        }
    }
}

#[cfg(windows)]
mod system {
    use super::{Chosen, Config, Engine, EventEngine, InitError, Park, of_another_system};

    #[allow(
        clippy::unnecessary_wraps,
        reason = "as on other systems, where it may fail"
    )]
    pub(super) fn auto(_: &Config) -> Chosen {
        Ok((Engine::Park(Park::new()), None))
    }

    pub(super) fn uring(_: &Config) -> Result<Engine, InitError> {
        Err(of_another_system(EventEngine::IoUring, "Linux"))
    }

    pub(super) fn epoll(_: &Config) -> Result<Engine, InitError> {
        Err(of_another_system(EventEngine::Epoll, "Linux"))
    }
}

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
mod system {
    use super::{Chosen, Config, Engine, EventEngine, InitError, kqueue, of_another_system};

    pub(super) fn auto(config: &Config) -> Chosen {
        Ok((kqueue(config)?, None))
    }

    pub(super) fn uring(_: &Config) -> Result<Engine, InitError> {
        Err(of_another_system(EventEngine::IoUring, "Linux"))
    }

    pub(super) fn epoll(_: &Config) -> Result<Engine, InitError> {
        Err(of_another_system(EventEngine::Epoll, "Linux"))
    }
}

#[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
fn kqueue(config: &Config) -> Result<Engine, InitError> {
    match Kqueue::new(config.submission_entries) {
        Ok(kqueue) => Ok(Engine::Kqueue(Readiness::new(kqueue))),
        Err(error) => Err(refused_by_kernel(EventEngine::Kqueue, &error)),
    }
}

#[cfg(not(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat)))]
fn kqueue(_: &Config) -> Result<Engine, InitError> {
    Err(of_another_system(EventEngine::Kqueue, "macOS and the BSDs"))
}

#[cfg(unix)]
fn refused_by_kernel(engine: EventEngine, error: &io::Error) -> InitError {
    let why = match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => format!(
            "no file descriptor is left for it (`ulimit -n` is {}); raise that limit",
            limits::in_words(Limit::Descriptors)
        ),
        _ => format!("the kernel says: {error}"),
    };
    InitError::EngineUnavailable {
        engine: engine.name(),
        why,
    }
}

#[cfg_attr(
    all(target_os = "linux", flux_kqueue_compat),
    allow(dead_code, reason = "with the double, this system has every engine")
)]
fn of_another_system(engine: EventEngine, systems: &str) -> InitError {
    InitError::EngineUnavailable {
        engine: engine.name(),
        why: format!("it belongs to {systems}; use `auto`, which takes the best there is"),
    }
}

/// Tries a request at once, whatever the engine; `None` when it would have to wait.
///
/// # Safety
/// The pointers of the request are good.
#[cfg(unix)]
pub(crate) unsafe fn try_now(op: &Op) -> Option<i32> {
    let fd = op.request().fd()?;
    // SAFETY: the caller's promise is passed on.
    let tried = unsafe { attempt::call(fd, op.request(), attempt::First::No) };
    let again = tried.would_wait() || tried.result == -libc::EINTR;
    (!again).then_some(tried.result)
}

/// Tries a request at once, as [`Park`] does, which completes all.
///
/// # Safety
/// None needed; other systems do.
#[cfg(windows)]
#[allow(
    clippy::unnecessary_wraps,
    reason = "on other systems it may have to wait"
)]
pub(crate) unsafe fn try_now(op: &Op) -> Option<i32> {
    Some(Park::answer(op))
}

impl Engine {
    /// Makes the engine that was asked for, and lets it prove itself; with `auto`, the best that does. Answers
    /// too why a better one is not in use.
    pub(crate) fn new(config: &Config) -> Result<(Self, Option<InitError>), InitError> {
        let chosen = |engine| (engine, None);
        let (engine, refused) = match config.engine {
            EventEngine::Auto => system::auto(config),
            EventEngine::IoUring => system::uring(config).map(chosen),
            EventEngine::Epoll => system::epoll(config).map(chosen),
            EventEngine::Kqueue => kqueue(config).map(chosen),
        }?;
        if let Some(longest) = config.napi_busy_poll {
            engine.busy_poll(longest, refused.as_ref())?;
        }
        Ok((engine, refused))
    }

    /// Lets the kernel poll network cards for the engine; refuses where it cannot.
    fn busy_poll(&self, longest: Duration, refused: Option<&InitError>) -> Result<(), InitError> {
        let why = match self {
            #[cfg(target_os = "linux")]
            Self::Uring(uring) => match uring.busy_poll(longest) {
                Ok(()) => return Ok(()),
                Err(error) => format!(
                    "the kernel has no such thing for a ring ({error}); it came with Linux 6.9"
                ),
            },
            _ => match refused {
                Some(refused) => format!("the engine is `{}`, since {refused}", self.name()),
                None => format!("the engine is `{}`", self.name()),
            },
        };
        Err(InitError::Config(format!(
            "`napi_busy_poll` of {longest:?} cannot be had: it is io_uring's, and {why}; leave it out"
        )))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            #[cfg(target_os = "linux")]
            Self::Uring(_) => EventEngine::IoUring.name(),
            #[cfg(target_os = "linux")]
            Self::Epoll(_) => EventEngine::Epoll.name(),
            #[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
            Self::Kqueue(_) => EventEngine::Kqueue.name(),
            #[cfg(windows)]
            Self::Park(_) => park::NAME,
        }
    }

    /// Takes an op; it completes at once, where that needs no waiting, or in a later [`turn`](Self::turn).
    /// Never fails.
    ///
    /// # Safety
    /// The op, and all that its request points to, stays where it is, alive and unused by others, until
    /// the op is done.
    #[inline]
    pub(crate) unsafe fn submit(&mut self, op: &Op) {
        match self {
            #[cfg(target_os = "linux")]
            // SAFETY: the caller's promise is passed on.
            Self::Uring(uring) => unsafe { uring.submit(op) },
            #[cfg(target_os = "linux")]
            // SAFETY: the caller's promise is passed on.
            Self::Epoll(epoll) => unsafe { epoll.submit(op) },
            #[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
            // SAFETY: the caller's promise is passed on.
            Self::Kqueue(kqueue) => unsafe { kqueue.submit(op) },
            #[cfg(windows)]
            Self::Park(park) => park.submit(op),
        }
    }

    /// Asks for an op's end.
    ///
    /// # Safety
    /// The op was submitted to this engine.
    pub(crate) unsafe fn cancel(&mut self, op: &Op) -> CancelOutcome {
        match self {
            #[cfg(target_os = "linux")]
            // SAFETY: the caller's promise is passed on.
            Self::Uring(uring) => unsafe { uring.cancel(op) },
            #[cfg(target_os = "linux")]
            // SAFETY: the caller's promise is passed on.
            Self::Epoll(epoll) => unsafe { epoll.cancel(op) },
            #[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
            // SAFETY: the caller's promise is passed on.
            Self::Kqueue(kqueue) => unsafe { kqueue.cancel(op) },
            #[cfg(windows)]
            Self::Park(_) => Park::cancel(op),
        }
    }

    /// Hands over what was submitted, waits if told to, and reports each op that is done; one that lasts, each time
    /// that something has landed.
    #[cfg_attr(
        windows,
        allow(clippy::unnecessary_wraps, reason = "the other engines may fail")
    )]
    #[inline]
    pub(crate) fn turn(&mut self, wait: Wait, done: impl FnMut(&Op)) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Uring(uring) => uring.turn(wait, done),
            #[cfg(target_os = "linux")]
            Self::Epoll(epoll) => epoll.turn(wait, done),
            #[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
            Self::Kqueue(kqueue) => kqueue.turn(wait, done),
            #[cfg(windows)]
            Self::Park(park) => {
                park.turn(wait);
                // It has none that would be done later.
                drop(done);
                Ok(())
            }
        }
    }

    /// Forgets what is known of a descriptor that is about to be closed, or given away.
    #[cfg(unix)]
    pub(crate) fn detach(&mut self, fd: RawFd) {
        match self {
            #[cfg(target_os = "linux")]
            // The kernel keeps the file open for as long as a request uses it.
            Self::Uring(_) => {}
            #[cfg(target_os = "linux")]
            Self::Epoll(epoll) => epoll.detach(fd),
            #[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
            Self::Kqueue(kqueue) => kqueue.detach(fd),
        }
    }

    /// Ops submitted and not yet done.
    #[inline]
    pub(crate) fn in_flight(&self) -> usize {
        match self {
            #[cfg(target_os = "linux")]
            Self::Uring(uring) => uring.in_flight(),
            #[cfg(target_os = "linux")]
            Self::Epoll(epoll) => epoll.in_flight(),
            #[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
            Self::Kqueue(kqueue) => kqueue.in_flight(),
            #[cfg(windows)]
            Self::Park(_) => 0,
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        match self {
            #[cfg(target_os = "linux")]
            Self::Uring(uring) => uring.counters(),
            #[cfg(target_os = "linux")]
            Self::Epoll(epoll) => epoll.counters(),
            #[cfg(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat))]
            Self::Kqueue(kqueue) => kqueue.counters(),
            #[cfg(windows)]
            Self::Park(park) => park.counters(),
        }
    }
}
