//! How the reactor talks to the kernel: one enum, so that every public type stays free of generics and
//! one `match` lists the engines.
//!
//! An engine takes ops and completes each exactly once. It knows neither fibers nor the scheduler: the
//! reactor tells it what to do with a finished op.

#![allow(unsafe_code, reason = "passes on the promises that ops need")]

mod epoll;
pub(crate) mod readiness;
mod uring;

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use crate::config::{Config, EventEngine};
use crate::error::InitError;
use crate::op::Op;
use epoll::Epoll;
use readiness::Readiness;
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

pub(crate) enum Engine {
    Uring(Uring),
    Epoll(Readiness<Epoll>),
}

fn uring(config: &Config) -> Result<Engine, InitError> {
    Uring::new(config.submission_entries).map(Engine::Uring)
}

fn epoll() -> Result<Engine, InitError> {
    match Epoll::new() {
        Ok(epoll) => Ok(Engine::Epoll(Readiness::new(epoll))),
        Err(error) => Err(InitError::EngineUnavailable {
            engine: EventEngine::Epoll.name(),
            why: format!("the kernel says: {error}"),
        }),
    }
}

impl Engine {
    /// Makes the engine that was asked for, and lets it prove itself; with `auto`, the best that does. Answers
    /// too why a better one is not in use.
    pub(crate) fn new(config: &Config) -> Result<(Self, Option<InitError>), InitError> {
        let chosen = |engine| (engine, None);
        match config.engine {
            EventEngine::IoUring => uring(config).map(chosen),
            EventEngine::Epoll => epoll().map(chosen),
            EventEngine::Auto => match uring(config) {
                Ok(engine) => Ok(chosen(engine)),
                Err(refused) => Ok((epoll()?, Some(refused))),
            },
            EventEngine::Kqueue => Err(InitError::EngineUnavailable {
                engine: "kqueue",
                why: "it belongs to macOS and the BSDs; use `auto`, which takes the best there is"
                    .into(),
            }),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Uring(_) => EventEngine::IoUring.name(),
            Self::Epoll(_) => EventEngine::Epoll.name(),
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
            // SAFETY: the caller's promise is passed on.
            Self::Uring(uring) => unsafe { uring.submit(op) },
            // SAFETY: the caller's promise is passed on.
            Self::Epoll(epoll) => unsafe { epoll.submit(op) },
        }
    }

    /// Asks for an op's end.
    ///
    /// # Safety
    /// The op was submitted to this engine.
    pub(crate) unsafe fn cancel(&mut self, op: &Op) -> CancelOutcome {
        match self {
            // SAFETY: the caller's promise is passed on.
            Self::Uring(uring) => unsafe { uring.cancel(op) },
            // SAFETY: the caller's promise is passed on.
            Self::Epoll(epoll) => unsafe { epoll.cancel(op) },
        }
    }

    /// Hands over what was submitted, waits if told to, and reports each op that is done.
    #[inline]
    pub(crate) fn turn(&mut self, wait: Wait, done: impl FnMut(&Op)) -> io::Result<()> {
        match self {
            Self::Uring(uring) => uring.turn(wait, done),
            Self::Epoll(epoll) => epoll.turn(wait, done),
        }
    }

    /// Forgets what is known of a descriptor that is about to be closed, or given away.
    pub(crate) fn detach(&mut self, fd: RawFd) {
        match self {
            // The kernel keeps the file open for as long as a request uses it.
            Self::Uring(_) => {}
            Self::Epoll(epoll) => epoll.detach(fd),
        }
    }

    /// Ops submitted and not yet done.
    #[inline]
    pub(crate) fn in_flight(&self) -> usize {
        match self {
            Self::Uring(uring) => uring.in_flight(),
            Self::Epoll(epoll) => epoll.in_flight(),
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        match self {
            Self::Uring(uring) => uring.counters(),
            Self::Epoll(epoll) => epoll.counters(),
        }
    }
}
