//! What following the feeds costs: the time of the core, and allocations, by an allocator that counts
//! when it is told to.
//!
//! What counts is all that happens on the reactor's thread, the runtime's part included, while
//! nothing is under way that may allocate: connecting, a snapshot, printing. Each of those holds
//! [`Cold`] meanwhile, and the main fiber does so by itself except while it [waits](waiting).
//!
//! Knows nothing of feeds.

#![allow(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use flux_examples::report::grouped;

thread_local! {
    /// How many things are under way that may allocate. Every thread begins with one that never
    /// ends, so that nothing counts on those of the embedded exchange; on the reactor's thread it is
    /// the main fiber's.
    static COLD: Cell<u32> = const { Cell::new(1) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static MESSAGES: Cell<u64> = const { Cell::new(0) };
}

/// Something that may allocate is under way, until this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Cold(());

/// From now on, allocations don't count.
pub(crate) fn cold() -> Cold {
    COLD.set(COLD.get() + 1);
    Cold(())
}

impl Drop for Cold {
    fn drop(&mut self) {
        COLD.set(COLD.get() - 1);
    }
}

/// The main fiber waits: what is allocated meanwhile is others' doing.
pub(crate) fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    COLD.set(COLD.get() - 1);
    let result = wait();
    COLD.set(COLD.get() + 1);
    result
}

/// A message has come.
pub(crate) fn message() {
    if COLD.get() == 0 {
        MESSAGES.set(MESSAGES.get() + 1);
    }
}

/// What was counted, in a sentence.
pub(crate) fn sentence() -> String {
    match (ALLOCATIONS.get(), MESSAGES.get()) {
        (_, 0) => "allocations: not counted, since there was always a book to be built".to_owned(),
        (allocations, messages) => format!(
            "allocations after init: {} over {} messages; connecting, REST snapshots and printing apart",
            grouped(allocations),
            grouped(messages)
        ),
    }
}

/// How long this thread has been on its core; none where the system does not say.
pub(crate) fn on_the_core() -> Option<Duration> {
    // proc_pid_schedstat: the time on the processor in nanoseconds, and two more numbers.
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(
        text.split_whitespace().next()?.parse().ok()?,
    ))
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    if COLD.get() == 0 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    }
}

// SAFETY: counts, and passes everything on to the system's allocator unchanged. The counters are
// plain values of the thread, whose use allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) };
    }
}
