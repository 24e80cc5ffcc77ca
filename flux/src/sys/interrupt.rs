//! Signals of the process, counted by a handler and told through a descriptor that becomes readable.
//!
//! A handler rather than `signalfd`: a signal goes to any thread that has not blocked it, and a program has
//! threads that never heard of flux. Does not know who waits.

#![allow(unsafe_code, reason = "installs signal handlers")]

use std::io;
use std::mem;
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

pub(crate) use libc::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

/// One more than the highest number of a signal (`SIGRTMAX` is 64 on Linux).
pub(crate) const SIGNALS: usize = 65;

/// How often each signal came and was not taken.
static CAME: [AtomicU32; SIGNALS] = [const { AtomicU32::new(0) }; SIGNALS];
/// The descriptor that becomes readable when a signal comes; open for ever.
static BELL: AtomicI32 = AtomicI32::new(-1);
/// The descriptor that handlers write to: on Linux the same one. Set before [`BELL`].
static ROPE: AtomicI32 = AtomicI32::new(-1);
/// One thread at a time makes the two.
static HANGING: Mutex<()> = Mutex::new(());
/// The bytes that a handler writes; with an `eventfd`, the number 1.
const RING: [u8; 8] = 1_u64.to_ne_bytes();
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

/// Whether a signal came that nobody has taken.
pub(crate) fn has_come(signal: usize) -> bool {
    CAME.get(signal)
        .is_some_and(|came| came.load(Ordering::Acquire) > 0)
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
    let _one_at_a_time = HANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let made = BELL.load(Ordering::Acquire);
    if made >= 0 {
        return Ok(made);
    }
    // Given to the handlers, which may run for as long as the process does.
    let (bell, rope) = new_bell()?;
    ROPE.store(rope, Ordering::Release);
    BELL.store(bell, Ordering::Release);
    Ok(bell)
}

/// What becomes readable, and what is written to so that it does.
#[cfg(target_os = "linux")]
fn new_bell() -> io::Result<(RawFd, RawFd)> {
    // SAFETY: takes numbers, and answers with a new descriptor or an error.
    match unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) } {
        -1 => Err(io::Error::last_os_error()),
        bell => Ok((bell, bell)),
    }
}

/// What becomes readable, and what is written to so that it does.
#[cfg(not(target_os = "linux"))]
fn new_bell() -> io::Result<(RawFd, RawFd)> {
    use std::os::fd::IntoRawFd as _;
    use std::os::unix::net::UnixStream;
    // A pair of sockets: std gives neither to `exec`, and makes them not wait by a call of its own.
    let (bell, rope) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    rope.set_nonblocking(true)?;
    Ok((bell.into_raw_fd(), rope.into_raw_fd()))
}

/// Makes the descriptor readable, as a signal does. Async-signal-safe.
pub(crate) fn ring() {
    // SAFETY: the buffer is as long as it says. A bell that is full rings already.
    let _rung = unsafe {
        libc::write(
            ROPE.load(Ordering::Acquire),
            RING.as_ptr().cast(),
            RING.len(),
        )
    };
}

/// Makes the descriptor wait for the next signal. What came before is seen by [`take`].
pub(crate) fn silence() {
    let mut rings = [0_u8; 64];
    loop {
        // SAFETY: the buffer is as long as it says. Nothing to read is fine: then nobody has rung.
        let read = unsafe {
            libc::read(
                BELL.load(Ordering::Acquire),
                rings.as_mut_ptr().cast(),
                rings.len(),
            )
        };
        if read.cast_unsigned() != rings.len() {
            return;
        }
    }
}

/// The address of this thread's error code.
fn errno() -> *mut libc::c_int {
    #[cfg(target_os = "linux")]
    // SAFETY: takes nothing, and is async-signal-safe.
    let address = unsafe { libc::__errno_location() };
    #[cfg(not(target_os = "linux"))]
    // SAFETY: as above.
    let address = unsafe { libc::__error() };
    address
}

extern "C" fn on_signal(signal: libc::c_int) {
    // The interrupted code may be about to read it.
    let errno = errno();
    // SAFETY: valid for this thread, as said.
    let before = unsafe { errno.read() };
    if let Some(came) = usize::try_from(signal)
        .ok()
        .and_then(|index| CAME.get(index))
    {
        came.fetch_add(1, Ordering::AcqRel);
    }
    ring();
    // SAFETY: valid for this thread, as said.
    unsafe { errno.write(before) };
}
