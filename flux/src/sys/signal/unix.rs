//! Unix: a handler on a stack of its own, and the way back to whoever handled before.

#![allow(unsafe_code, reason = "installs a signal handler")]

use std::io;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::sys::memory::{Mapping, page_size};
use crate::sys::signal::FaultHandler;

/// The bytes of the handler's own stack; the stack that overflowed has none left.
const STACK_BYTES: usize = 64 * 1024;
/// The signals that a touch of forbidden memory brings.
const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// A [`FaultHandler`], as a pointer; null while nothing is installed.
static HANDLER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
/// What handled those signals before, in the order of [`SIGNALS`]; written before the handler is installed.
static BEFORE: [AtomicPtr<libc::sigaction>; 2] = [const { AtomicPtr::new(ptr::null_mut()) }; 2];

/// The handler on its stack, until this is dropped. For one thread at a time.
#[derive(Debug)]
pub(crate) struct FaultGuard {
    _stack: Mapping,
    stack_before: libc::stack_t,
}

impl FaultGuard {
    /// Lets `handler` look at each memory fault of the calling thread first.
    pub(crate) fn install(handler: FaultHandler) -> io::Result<Self> {
        let stack = Mapping::new(STACK_BYTES.next_multiple_of(page_size()))?;
        let alternate = libc::stack_t {
            ss_sp: ptr::with_exposed_provenance_mut(stack.start()),
            ss_flags: 0,
            ss_size: stack.len(),
        };
        let mut stack_before = alternate;
        // SAFETY: the new stack is a mapping that lives until the drop of this guard puts the old one back.
        check(unsafe { libc::sigaltstack(&raw const alternate, &raw mut stack_before) })?;
        let guard = Self {
            _stack: stack,
            stack_before,
        };
        HANDLER.store(handler as *mut (), Ordering::Release);
        for (signal, before) in SIGNALS.into_iter().zip(&BEFORE) {
            // SAFETY: all zeroes is a valid `sigaction`: the default one, with an empty mask.
            let mut action: libc::sigaction = unsafe { mem::zeroed() };
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            // SAFETY: all zeroes is a valid `sigaction`.
            let mut old: libc::sigaction = unsafe { mem::zeroed() };
            // SAFETY: both are valid, and the handler is async-signal-safe as long as `handler` is.
            check(unsafe { libc::sigaction(signal, &raw const action, &raw mut old) })?;
            // A reactor that gave up fibers leaves its guard behind: that is not who handled before.
            if old.sa_sigaction != on_fault as *const () as usize {
                // One for each reactor that this process ever makes, one after the other: it is kept so
                // that the handler never reads what is being freed.
                before.store(Box::leak(Box::new(old)), Ordering::Release);
            }
        }
        Ok(guard)
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        for (signal, before) in SIGNALS.into_iter().zip(&BEFORE) {
            hand_back(signal, before);
        }
        HANDLER.store(ptr::null_mut(), Ordering::Release);
        // SAFETY: what was there before was valid when it was replaced, and belongs to the thread.
        let _still_there =
            unsafe { libc::sigaltstack(&raw const self.stack_before, ptr::null_mut()) };
    }
}

/// Lets whoever handled a signal before handle it again.
fn hand_back(signal: libc::c_int, before: &AtomicPtr<libc::sigaction>) {
    let before = before.load(Ordering::Acquire);
    if !before.is_null() {
        // SAFETY: `before` is what this signal's action was, leaked so that it stays readable.
        let _cannot_fail = unsafe { libc::sigaction(signal, before, ptr::null_mut()) };
    }
}

extern "C" fn on_fault(
    signal: libc::c_int,
    information: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    let handler = HANDLER.load(Ordering::Acquire);
    if !handler.is_null() {
        // SAFETY: the kernel passes valid information to a handler that was installed with SA_SIGINFO.
        let information = unsafe { &*information };
        // SAFETY: SIGSEGV and SIGBUS, the signals that this handles, carry an address.
        let address = unsafe { information.si_addr() };
        // SAFETY: `install` stored a `FaultHandler` as this very pointer.
        let handler: FaultHandler = unsafe { mem::transmute::<*mut (), FaultHandler>(handler) };
        handler(address.addr());
    }
    // Not ours: the instruction is tried again, and faults into the handler that was there before.
    for (ours, before) in SIGNALS.into_iter().zip(&BEFORE) {
        if ours == signal {
            hand_back(signal, before);
        }
    }
}

/// Writes to stderr, as a signal handler may: whole or in part, without a lock.
pub(crate) fn write_stderr(text: &[u8]) {
    // SAFETY: the pointer and the length are those of a slice that is alive during the call.
    let _best_effort = unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
