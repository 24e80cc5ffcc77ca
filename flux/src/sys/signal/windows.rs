//! Windows: a handler of exceptions, called on the stack that overflowed, where its guard has room for that.
//!
//! See `memory` for the guard: the system opens it to whoever handles the overflow.

#![allow(unsafe_code, reason = "installs a handler of exceptions")]

use std::ffi::c_void;
use std::io::{self, Write as _};
use std::mem;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use windows_sys::Win32::Foundation::EXCEPTION_STACK_OVERFLOW;
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, EXCEPTION_CONTINUE_SEARCH, EXCEPTION_POINTERS,
    RemoveVectoredExceptionHandler,
};

use crate::sys::signal::FaultHandler;

/// A [`FaultHandler`], as a pointer; null while nothing is installed.
static HANDLER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// The handler, until this is dropped. One at a time.
#[derive(Debug)]
pub(crate) struct FaultGuard(NonNull<c_void>);

impl FaultGuard {
    /// Lets `handler` look at each overflow of a stack of this process first.
    pub(crate) fn install(handler: FaultHandler) -> io::Result<Self> {
        HANDLER.store(handler as *mut (), Ordering::Release);
        // SAFETY: the function has the type that is asked for, and stays where it is.
        let handle = unsafe { AddVectoredExceptionHandler(1, Some(on_exception)) };
        NonNull::new(handle)
            .map(Self)
            .ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        // SAFETY: a handle of `AddVectoredExceptionHandler`, given back once.
        let _was_there = unsafe { RemoveVectoredExceptionHandler(self.0.as_ptr()) };
        HANDLER.store(ptr::null_mut(), Ordering::Release);
    }
}

unsafe extern "system" fn on_exception(information: *mut EXCEPTION_POINTERS) -> i32 {
    // SAFETY: the system passes what is valid for the length of the call.
    let record = unsafe { (*information).ExceptionRecord };
    // SAFETY: as above.
    let record = unsafe { &*record };
    let handler = HANDLER.load(Ordering::Acquire);
    // What was tried, and at which address, as for every fault of memory.
    if record.ExceptionCode == EXCEPTION_STACK_OVERFLOW
        && record.NumberParameters >= 2
        && !handler.is_null()
    {
        // SAFETY: `install` stored a `FaultHandler` as this very pointer.
        let handler: FaultHandler = unsafe { mem::transmute::<*mut (), FaultHandler>(handler) };
        handler(record.ExceptionInformation[1]);
    }
    EXCEPTION_CONTINUE_SEARCH
}

/// Writes to stderr, whole or in part.
pub(crate) fn write_stderr(text: &[u8]) {
    let _best_effort = io::stderr().write(text);
}
