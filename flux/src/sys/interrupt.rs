//! Signals of the process, counted by a handler and told through a descriptor that becomes readable.
//!
//! A handler rather than `signalfd`: a signal goes to any thread that has not blocked it, and a program has
//! threads that never heard of flux. Does not know who waits.

#![allow(unsafe_code, reason = "installs signal handlers")]

use std::io;
use std::mem;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

pub(crate) use libc::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

/// One more than the highest number of a signal (`SIGRTMAX` is 64 on Linux).
const SIGNALS: usize = 65;

/// How often each signal came and was not taken.
static CAME: [AtomicU32; SIGNALS] = [const { AtomicU32::new(0) }; SIGNALS];
/// The descriptor that becomes readable when a signal comes: written to by handlers, open for ever.
static BELL: AtomicI32 = AtomicI32::new(-1);
/// Which signals are caught already.
static CAUGHT: Mutex<[bool; SIGNALS]> = Mutex::new([false; SIGNALS]);

/// Catches a signal from now on, for as long as the process lives.
pub(crate) fn catch(signal: i32) -> io::Result<()> {
    let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
    let index = usize::try_from(signal).map_err(|_| invalid())?;
    let mut caught = CAUGHT.lock().unwrap_or_else(PoisonError::into_inner);
    let caught = caught.get_mut(index).ok_or_else(invalid)?;
    if *caught {
        return Ok(());
    }
    bell()?;
    // SAFETY: all zeroes is a valid `sigaction`: the default one, with an empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the action is valid, and its handler async-signal-safe.
    if unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    *caught = true;
    Ok(())
}

/// Takes one coming of a signal, if it came.
pub(crate) fn take(signal: i32) -> bool {
    let came = usize::try_from(signal)
        .ok()
        .and_then(|index| CAME.get(index));
    came.is_some_and(|came| came.swap(0, Ordering::AcqRel) > 0)
}

/// The descriptor that becomes readable when a caught signal comes; made by the first call.
pub(crate) fn bell() -> io::Result<BorrowedFd<'static>> {
    let bell = match BELL.load(Ordering::Acquire) {
        made if made >= 0 => made,
        _ => hang_bell()?,
    };
    // SAFETY: once made it is open for as long as the process lives.
    Ok(unsafe { BorrowedFd::borrow_raw(bell) })
}

fn hang_bell() -> io::Result<RawFd> {
    // SAFETY: takes numbers, and answers with a new descriptor or an error.
    let bell = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if bell < 0 {
        return Err(io::Error::last_os_error());
    }
    match BELL.compare_exchange(-1, bell, Ordering::AcqRel, Ordering::Acquire) {
        // Given to the handlers, which may run for as long as the process does.
        Ok(_) => Ok(bell),
        Err(other) => {
            // SAFETY: made just now, so that it is open and nobody else's; another thread was faster.
            drop(unsafe { OwnedFd::from_raw_fd(bell) });
            Ok(other)
        }
    }
}

/// Makes the descriptor wait for the next signal. What came before is seen by [`take`].
pub(crate) fn silence() {
    let mut count = 0_u64;
    // SAFETY: the buffer is as long as it says. Nothing to read is fine: then nobody has rung.
    let _rung = unsafe {
        libc::read(
            BELL.load(Ordering::Acquire),
            (&raw mut count).cast(),
            mem::size_of::<u64>(),
        )
    };
}

extern "C" fn on_signal(signal: libc::c_int) {
    // SAFETY: the address of this thread's error code, which the interrupted code may be about to read.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: valid for this thread, as said.
    let before = unsafe { errno.read() };
    if let Some(came) = usize::try_from(signal)
        .ok()
        .and_then(|index| CAME.get(index))
    {
        came.fetch_add(1, Ordering::AcqRel);
    }
    let one = 1_u64;
    // SAFETY: the buffer is as long as it says. A bell that is full rings already.
    let _rung = unsafe {
        libc::write(
            BELL.load(Ordering::Acquire),
            (&raw const one).cast(),
            mem::size_of::<u64>(),
        )
    };
    // SAFETY: valid for this thread, as said.
    unsafe { errno.write(before) };
}
