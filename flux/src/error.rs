//! What can go wrong in flux itself, as types that a caller can match and sentences that a person can
//! act on.
//!
//! I/O keeps to [`std::io::Result`], so that the ecosystem fits; everything else has a small enum here.
//! Knows nothing of where an error arises.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::Location;

use crate::sys::errno;

/// Why a suspending call ended before the thing that it waited for happened.
///
/// I/O says the same as an [`io::Error`]: `ECANCELED` for [`Cancelled`](Stopped::Cancelled) (`ERROR_CANCELLED` on
/// Windows) and [`io::ErrorKind::TimedOut`] for [`TimedOut`](Stopped::TimedOut). Neither conversion allocates.
///
/// # Example
/// ```
/// let error = std::io::Error::from(flux::Stopped::TimedOut);
/// assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The fiber was cancelled: every later suspending call returns this too.
    Cancelled,
    /// The deadline of an enclosing [`timeout`](crate::timeout) has passed.
    TimedOut,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "the fiber was cancelled",
            Self::TimedOut => "the deadline passed",
        })
    }
}

impl std::error::Error for Stopped {}

impl From<Stopped> for io::Error {
    fn from(stopped: Stopped) -> Self {
        // Raw codes, since `io::Error::new` allocates. Not `Interrupted`, which std's helpers retry for
        // ever, and not `WouldBlock`, which TLS and WebSocket libraries read as "later".
        Self::from_raw_os_error(match stopped {
            Stopped::Cancelled => errno::ECANCELED,
            Stopped::TimedOut => errno::ETIMEDOUT,
        })
    }
}

/// The deadline of [`timeout`](crate::timeout) ended at least one call inside its closure.
///
/// Holds what the closure returned all the same: nothing that it made is lost.
#[derive(Debug)]
pub struct Elapsed<T>(T);

impl<T> Elapsed<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }

    /// What the closure returned.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Display for Elapsed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline passed")
    }
}

impl<T: fmt::Debug> std::error::Error for Elapsed<T> {}

impl<T> From<Elapsed<T>> for io::Error {
    fn from(_: Elapsed<T>) -> Self {
        Stopped::TimedOut.into()
    }
}

/// Why [`JoinHandle::join`](crate::JoinHandle::join) has no result to give.
pub enum JoinError {
    /// The fiber panicked; this is what it panicked with, as from [`std::thread::JoinHandle::join`].
    Panicked(Box<dyn Any + Send + 'static>),
    /// The *waiting* fiber was stopped. The fiber that it waited for runs on, detached.
    Stopped(Stopped),
}

impl JoinError {
    /// The message of the panic, when it was a string, as that of `panic!("..")` is.
    pub fn panic_message(&self) -> Option<&str> {
        match self {
            Self::Panicked(payload) => Some(panic_message(payload.as_ref())),
            Self::Stopped(_) => None,
        }
    }
}

/// The text of a panic payload, or a word that says that it has none.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(a payload that is no string)")
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => f
                .debug_tuple("Panicked")
                .field(&panic_message(payload.as_ref()))
                .finish(),
            Self::Stopped(stopped) => f.debug_tuple("Stopped").field(stopped).finish(),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => {
                write!(f, "the fiber panicked: {}", panic_message(payload.as_ref()))
            }
            Self::Stopped(stopped) => write!(f, "cannot join: {stopped}"),
        }
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Stopped(stopped) => stopped.into(),
            panicked @ JoinError::Panicked(_) => Self::other(panicked.to_string()),
        }
    }
}

/// There was no room for the fiber: it comes back, unstarted, in [`into_inner`](Full::into_inner).
pub struct Full<F> {
    fiber: F,
    name: &'static str,
    limit: Limit,
}

/// The limit that a fiber met, and how many it allows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// `fibers`.
    Fibers(usize),
    /// `max` of its function.
    Max(u32),
}

impl<F> Full<F> {
    pub(crate) fn new(fiber: F, name: &'static str, limit: Limit) -> Self {
        Self { fiber, name, limit }
    }

    /// The fiber, or the closure, that could not be spawned.
    pub fn into_inner(self) -> F {
        self.fiber
    }

    pub(crate) fn map<G>(self, f: impl FnOnce(F) -> G) -> Full<G> {
        Full {
            fiber: f(self.fiber),
            name: self.name,
            limit: self.limit,
        }
    }
}

impl<F> fmt::Debug for Full<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Full")
            .field("name", &self.name)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Display for Full<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot spawn fiber `{}`: ", self.name)?;
        match self.limit {
            Limit::Fibers(most) => write!(
                f,
                "all {most} control blocks are in use; raise `fibers` in `#[flux::main]` or join some"
            ),
            Limit::Max(most) => write!(
                f,
                "all {most} that may live at once do; raise `max` in its `#[flux::fiber]` or let some end"
            ),
        }
    }
}

impl<F> std::error::Error for Full<F> {}

/// Why a reactor could not be made. Nothing is left half-started.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// This process has a reactor already, made at the place given.
    AlreadyRunning(&'static Location<'static>),
    /// A setting makes no sense, or contradicts another one; the sentence says which and how.
    Config(String),
    /// An environment variable (`FLUX_..`) holds what flux cannot read.
    Environment {
        /// The name of the variable.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// The core does not exist, or this process may not use it.
    Core {
        /// The core that was asked for.
        core: usize,
        /// The cores that this process may use.
        allowed: Vec<usize>,
        /// The environment variable that asked for it, if one did.
        variable: Option<&'static str>,
    },
    /// The kernel refused to pin the thread.
    Pin(io::Error),
    /// The engine is not part of this build, or not of this system.
    EngineUnavailable {
        /// The engine's name, as in `engine = ".."`.
        engine: &'static str,
        /// Why, and what to do.
        why: String,
    },
    /// Memory for stacks could not be had.
    Memory {
        /// What the memory was for.
        what: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// The system refused the priority of [`Config::realtime`](crate::Config::realtime).
    Realtime {
        /// The priority that was asked for.
        priority: u8,
        /// What the system said.
        error: io::Error,
        /// What the limit is, and what to do.
        remedy: String,
    },
    /// The system refused to keep the program's memory where it is:
    /// [`Config::lock_memory`](crate::Config::lock_memory).
    LockMemory {
        /// What the system said.
        error: io::Error,
        /// What the limit is, and what to do.
        remedy: String,
    },
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRunning(at) => write!(
                f,
                "there is a reactor in this process already, made at {at}: flux runs one; \
                 spawn fibers on that one instead"
            ),
            Self::Config(sentence) => f.write_str(sentence),
            Self::Environment {
                variable,
                value,
                expected,
            } => write!(f, "`{variable}` is `{value}`, which is not {expected}"),
            Self::Core {
                core,
                allowed,
                variable,
            } => {
                write!(f, "core {core}")?;
                if let Some(variable) = variable {
                    write!(f, " (from `{variable}`)")?;
                }
                write!(
                    f,
                    " is not one that this process may use; it may use {}",
                    Ranges(allowed)
                )
            }
            Self::Pin(error) => write!(
                f,
                "the kernel refused to pin the thread: {error}; \
                 `core = \"none\"` or `FLUX_CORE=none` runs unpinned"
            ),
            Self::EngineUnavailable { engine, why } => {
                write!(f, "the `{engine}` engine cannot be used here: {why}")
            }
            Self::Memory { what, error } => write!(f, "cannot get memory for {what}: {error}"),
            Self::Realtime {
                priority,
                error,
                remedy,
            } => write!(
                f,
                "cannot run at the real-time priority {priority}: {error}; {remedy}"
            ),
            Self::LockMemory { error, remedy } => {
                write!(f, "cannot lock the program's memory: {error}; {remedy}")
            }
        }
    }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Pin(error)
            | Self::Memory { error, .. }
            | Self::Realtime { error, .. }
            | Self::LockMemory { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<InitError> for io::Error {
    fn from(error: InitError) -> Self {
        Self::other(error.to_string())
    }
}

/// Why [`Config::run`](crate::Config::run) has nothing to return.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The reactor could not be made.
    Init(InitError),
    /// Every fiber waited for another one: the report says who held what and who waited for what.
    ///
    /// While a timer is set, or a request is in flight, that cannot be known: what comes of it may wake somebody.
    Deadlock(String),
    /// The main fiber was told to end by [`shutdown`](crate::shutdown), and had not when the grace period was
    /// over.
    MainLeft,
    /// The kernel refused to go on with the engine.
    Engine(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init(error) => error.fmt(f),
            Self::Deadlock(report) => f.write_str(report),
            Self::MainLeft => f.write_str(
                "the main fiber had not ended when the grace period after `flux::shutdown` was over; \
                 raise `grace`, or let it leave when its calls fail",
            ),
            Self::Engine(error) => write!(f, "the engine failed: {error}"),
        }
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Init(error) => Some(error),
            Self::Engine(error) => Some(error),
            Self::Deadlock(_) | Self::MainLeft => None,
        }
    }
}

impl From<InitError> for RunError {
    fn from(error: InitError) -> Self {
        Self::Init(error)
    }
}

impl From<RunError> for io::Error {
    fn from(error: RunError) -> Self {
        Self::other(error.to_string())
    }
}

/// Core numbers as people write them: `0-3, 6`.
struct Ranges<'a>(&'a [usize]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let mut separator = "";
        let mut rest = self.0;
        while let [first, ..] = rest {
            let run = rest
                .iter()
                .enumerate()
                .take_while(|(offset, core)| **core == first + offset)
                .count();
            f.write_str(separator)?;
            match run {
                1 => write!(f, "{first}")?,
                _ => write!(f, "{first}-{}", first + run - 1)?,
            }
            separator = ", ";
            rest = &rest[run..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_read_as_ranges() {
        assert_eq!(Ranges(&[0, 1, 2, 3, 6]).to_string(), "0-3, 6");
        assert_eq!(Ranges(&[0, 2]).to_string(), "0, 2");
        assert_eq!(Ranges(&[]).to_string(), "none");
    }

    #[test]
    fn being_stopped_reads_as_the_codes_that_no_library_retries() {
        assert_eq!(
            io::Error::from(Stopped::Cancelled).raw_os_error(),
            Some(errno::ECANCELED)
        );
        let late = io::Error::from(Stopped::TimedOut);
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_panic_says_its_message_when_it_becomes_an_io_error() {
        let error = JoinError::Panicked(Box::new(String::from("no quotes")));
        assert_eq!(
            io::Error::from(error).to_string(),
            "the fiber panicked: no quotes"
        );
        assert_eq!(
            JoinError::Panicked(Box::new(7)).panic_message(),
            Some("(a payload that is no string)")
        );
    }
}
