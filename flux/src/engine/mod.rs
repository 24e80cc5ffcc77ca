//! How the reactor talks to the kernel: one enum, so that every public type stays free of generics and
//! one `match` lists the engines.
//!
//! An engine takes ops and completes each exactly once. It knows neither fibers nor the scheduler: the
//! reactor tells it what to do with a finished op.

#![allow(unsafe_code, reason = "passes on the promises that ops need")]

pub(crate) mod uring;

use std::io;
use std::time::Duration;

use crate::config::{Config, EventEngine};
use crate::error::InitError;
use crate::op::Op;
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
}

impl Engine {
    /// Makes the engine that was asked for, and lets it prove itself.
    pub(crate) fn new(config: &Config) -> Result<Self, InitError> {
        match config.engine {
            EventEngine::Auto | EventEngine::IoUring => {
                Uring::new(config.submission_entries).map(Self::Uring)
            }
            EventEngine::Epoll => Err(InitError::EngineUnavailable {
                engine: "epoll",
                why: "this version of flux has `io_uring` alone; use that, or `auto`".into(),
            }),
            EventEngine::Kqueue => Err(InitError::EngineUnavailable {
                engine: "kqueue",
                why: "it belongs to macOS and the BSDs; use `io_uring`, or `auto`".into(),
            }),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Uring(_) => EventEngine::IoUring.name(),
        }
    }

    /// Takes an op; it completes in a later [`turn`](Self::turn). Never fails, never completes at once.
    ///
    /// # Safety
    /// The op, and all that its request points to, stays where it is, alive and unused by others, until
    /// the op is done.
    #[inline]
    pub(crate) unsafe fn submit(&mut self, op: &Op) {
        match self {
            // SAFETY: the caller's promise is passed on.
            Self::Uring(uring) => unsafe { uring.submit(op) },
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
        }
    }

    /// Hands over what was submitted, waits if told to, and reports each op that is done.
    #[inline]
    pub(crate) fn turn(&mut self, wait: Wait, done: impl FnMut(&Op)) -> io::Result<()> {
        match self {
            Self::Uring(uring) => uring.turn(wait, done),
        }
    }

    /// Ops submitted and not yet done.
    #[inline]
    pub(crate) fn in_flight(&self) -> usize {
        match self {
            Self::Uring(uring) => uring.in_flight(),
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        match self {
            Self::Uring(uring) => uring.counters(),
        }
    }
}
