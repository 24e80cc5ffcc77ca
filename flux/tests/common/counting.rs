//! An allocator that counts what each thread asks of it by itself: the test harness has one of its own, which says after
//! a minute that it still waits.

#![allow(dead_code, reason = "each test takes what it needs of this")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code, reason = "an allocator is an unsafe trait")]
// SAFETY: counts, and passes everything on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) };
    }
}

/// How often this thread has asked for memory, or given it back.
pub(crate) fn so_far() -> u64 {
    ASKED.get()
}

/// Runs `work`, once to warm up and once to count, and expects that it neither allocates nor frees.
#[track_caller]
pub(crate) fn allocates_nothing(what: &str, mut work: impl FnMut()) {
    work();
    let before = so_far();
    work();
    let made = so_far() - before;
    assert_eq!(made, 0, "{what}: {made} allocations");
}
