//! Switching to a fiber and back; the one file that names corosensei's coroutines.
//!
//! A context is empty until [`start`](Context::start), then holds a coroutine that is resumed until it
//! has ended. It is never unwound from outside and never dropped while suspended: the frames on its stack
//! are what the kernel writes into.
//!
//! Knows nothing of scheduling: who runs next is decided elsewhere.

#![allow(
    unsafe_code,
    reason = "a coroutine in a cell is started, resumed and ended by hand"
)]

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::ptr;

use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::stack::Stack;

type Body = Coroutine<(), (), (), Stack>;

/// What a context runs, with its argument.
pub(crate) type Entry = unsafe fn(*const ());

/// What an empty context holds; never called.
unsafe fn nothing(_: *const ()) {}

/// Room for one coroutine.
pub(crate) struct Context {
    coroutine: UnsafeCell<MaybeUninit<Body>>,
    /// The way back out, at the base of the fiber's own stack; null when nothing has started.
    yielder: Cell<*const Yielder<(), ()>>,
    entry: Cell<Entry>,
    argument: Cell<*const ()>,
}

impl Context {
    pub(crate) const fn new() -> Self {
        Self {
            coroutine: UnsafeCell::new(MaybeUninit::uninit()),
            yielder: Cell::new(ptr::null()),
            entry: Cell::new(nothing),
            argument: Cell::new(ptr::null()),
        }
    }

    /// Places a coroutine on a stack; the next [`resume`](Self::resume) calls `entry(argument)` there.
    ///
    /// # Safety
    /// - this context is empty: never started, or ended;
    /// - the stack is nobody else's until the coroutine has ended;
    /// - `self` stays where it is until then;
    /// - `entry` may be called with `argument`, and does not unwind.
    #[inline]
    pub(crate) unsafe fn start(&self, stack: Stack, entry: Entry, argument: *const ()) {
        // Kept here rather than captured: one pointer is all that has to be moved to the new stack.
        self.entry.set(entry);
        self.argument.set(argument);
        let context: *const Self = self;
        let body = move |yielder: &Yielder<(), ()>, ()| {
            // SAFETY: alive: the caller keeps the context in place until the coroutine has ended.
            let context = unsafe { &*context };
            context.yielder.set(yielder);
            let entry = context.entry.get();
            // SAFETY: the caller of `start` allowed this very call.
            unsafe { entry(context.argument.get()) };
        };
        // SAFETY: the closure borrows nothing that ends: it has a pointer alone, whose target the caller
        // keeps.
        let coroutine = unsafe { Body::with_stack_unchecked(stack, body) };
        // SAFETY: the context is empty (caller), so that nothing refers to the cell's inside.
        let place = unsafe { &mut *self.coroutine.get() };
        place.write(coroutine);
    }

    /// Runs the fiber until it suspends (false) or ends (true), after which the context is empty.
    ///
    /// # Safety
    /// The context holds a coroutine that has not ended, and that is not running.
    #[inline]
    pub(crate) unsafe fn resume(&self) -> bool {
        // SAFETY: the only reference to the cell's inside: the fiber itself reaches its context through
        // `yielder` alone, and nobody resumes a fiber that runs (caller).
        let place = unsafe { &mut *self.coroutine.get() };
        // SAFETY: a coroutine was placed by `start` and has not ended (caller).
        let coroutine = unsafe { place.assume_init_mut() };
        match coroutine.resume(()) {
            CoroutineResult::Yield(()) => false,
            CoroutineResult::Return(()) => {
                self.yielder.set(ptr::null());
                // SAFETY: initialised, and not used again: the context is empty from here on. The
                // coroutine is done, so that dropping it unwinds nothing.
                unsafe { place.assume_init_drop() };
                true
            }
        }
    }

    /// Goes back to where this context was resumed, until it is resumed again.
    ///
    /// # Safety
    /// The caller runs on this context's own stack.
    #[inline]
    pub(crate) unsafe fn suspend(&self) {
        // SAFETY: alive: the yielder stands at the base of the stack that the caller runs on (caller), and
        // was stored there before the fiber's body began.
        let yielder = unsafe { &*self.yielder.get() };
        yielder.suspend(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Slab;

    struct Shared {
        context: Context,
        trace: std::cell::RefCell<Vec<&'static str>>,
    }

    unsafe fn body(shared: *const ()) {
        // SAFETY: the test passes a `Shared`, and keeps it alive until the context has ended.
        let shared = unsafe { &*shared.cast::<Shared>() };
        shared.trace.borrow_mut().push("first");
        // SAFETY: this function runs on the context's stack.
        unsafe { shared.context.suspend() };
        shared.trace.borrow_mut().push("second");
    }

    #[test]
    fn a_context_runs_suspends_ends_and_can_start_again() {
        let mut slab = Slab::new(0, 1, 64 * 1024, 0).unwrap();
        let slot = slab.take().unwrap();
        let shared = Shared {
            context: Context::new(),
            trace: std::cell::RefCell::default(),
        };
        for _ in 0..2 {
            // SAFETY: the context is empty, the stack is ours, `shared` outlives both, `body` is harmless.
            unsafe {
                shared
                    .context
                    .start(slab.stack(slot), body, (&raw const shared).cast());
            };
            // SAFETY: started, and not running.
            assert!(!unsafe { shared.context.resume() });
            shared.trace.borrow_mut().push("between");
            // SAFETY: not ended, and not running.
            assert!(unsafe { shared.context.resume() });
        }
        let once = ["first", "between", "second"];
        assert_eq!(*shared.trace.borrow(), [once, once].concat());
    }
}
