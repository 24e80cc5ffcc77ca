//! Finding the reactor again, and that there is one.
//!
//! Every fiber of a process runs on the thread that made the reactor, for ever; so a pointer in that
//! thread's local storage, constant to initialise, is all that a call needs.

#![allow(
    unsafe_code,
    reason = "the pointer to the running reactor is followed here, and nowhere else"
)]

use std::cell::Cell;
use std::io;
use std::panic::Location;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use crate::error::InitError;
use crate::reactor::Reactor;

thread_local! {
    static CURRENT: Cell<*const Reactor> = const { Cell::new(ptr::null()) };
}

/// Where the process's reactor was made, while there is one.
static MADE_AT: Mutex<Option<&'static Location<'static>>> = Mutex::new(None);

/// The right to be the reactor of this process; given up when dropped.
#[derive(Debug)]
pub(crate) struct Claim(());

impl Claim {
    pub(crate) fn take(at: &'static Location<'static>) -> Result<Self, InitError> {
        let mut made_at = MADE_AT.lock().unwrap_or_else(PoisonError::into_inner);
        match *made_at {
            Some(first) => Err(InitError::AlreadyRunning(first)),
            None => {
                *made_at = Some(at);
                Ok(Self(()))
            }
        }
    }

    /// Lets another reactor be made, while what is left of this one stays in memory.
    pub(crate) fn give_up() {
        *MADE_AT.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        Self::give_up();
    }
}

/// Makes a reactor the current one of this thread, until it is dropped.
pub(crate) struct Entered(());

impl Entered {
    pub(crate) fn new(reactor: &Reactor) -> Self {
        CURRENT.set(reactor);
        Self(())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(ptr::null());
    }
}

/// Calls `f` with the reactor of this thread, if it has one that runs.
#[inline]
pub(crate) fn try_with<R>(f: impl FnOnce(&Reactor) -> R) -> Option<R> {
    let reactor = CURRENT.get();
    if reactor.is_null() {
        return None;
    }
    // SAFETY: alive: `Entered` set the pointer, and clears it before `Reactor::run` lets go of the reactor.
    // Should `f` suspend and never be resumed, it does not come back to use the reference.
    Some(f(unsafe { &*reactor }))
}

/// As [`try_with`], for calls that make no sense elsewhere.
#[inline]
#[track_caller]
pub(crate) fn with<R>(f: impl FnOnce(&Reactor) -> R) -> R {
    match try_with(f) {
        Some(result) => result,
        None => outside(),
    }
}

#[cold]
#[track_caller]
fn outside() -> ! {
    panic!(
        "this works inside a fiber alone: put it into the body of `#[flux::main]`, of `Config::run`, or of \
         a fiber spawned there"
    );
}

/// The error of I/O that is tried outside of a fiber.
#[cold]
pub(crate) fn outside_error() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "sockets of flux work inside a fiber alone; on another thread, take the std socket with `into_std`",
    )
}

/// The error of a feed that is tried inside of another reactor than its own.
#[cfg(unix)]
#[cold]
pub(crate) fn elsewhere_error() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "this feed belongs to a reactor that has ended: make another one, of a new connection",
    )
}
