//! Nothing on flux's way from a frame to the book asks for memory, plain and over TLS, once it is under way.

#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use flux_benches::harness::Size;
use flux_benches::hot::{Library, Receiver, Run, Secure, Tape, Way};
use flux_benches::load::Pace;
use flux_benches::raw_uring::Wait;
use flux_benches::watch::Watch;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that is ending has nothing to count with, and is none of those that are looked at.
    let _counted = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: the system's allocator does all of it; counting asks for no memory, since the cell needs no initialiser.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A process has one reactor at a time, and tests run in parallel.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the receiver's thread had asked for at one message, and at the last.
struct Marks {
    from: u64,
    seen: AtomicU64,
    at_from: AtomicU64,
    at_last: AtomicU64,
}

impl Watch for Marks {
    fn seen(&self, units: u64) {
        let seen = self.seen.load(Relaxed) + units;
        self.seen.store(seen, Relaxed);
        let count = COUNT.get();
        if seen <= self.from {
            self.at_from.store(count, Relaxed);
        }
        self.at_last.store(count, Relaxed);
    }
}

/// How often the receiver's thread asked for memory over the last three quarters of the messages, and how many these
/// were.
fn allocations(receiver: Receiver, per_send: usize, secure: bool) -> (u64, u64) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let tape = Arc::new(Tape::load(Size::Smoke).expect("messages"));
    let messages = tape.messages() as u64;
    let marks = Arc::new(Marks {
        from: messages / 4,
        seen: AtomicU64::new(0),
        at_from: AtomicU64::new(0),
        at_last: AtomicU64::new(0),
    });
    let run = Run {
        receiver,
        tape,
        pace: Pace::FlatOut(per_send),
        secure: secure.then(|| Secure::of_process().expect("a certificate")),
    };
    run.watch(&marks).expect("the right book");
    assert_eq!(marks.seen.load(Relaxed), messages);
    let asked = marks.at_last.load(Relaxed) - marks.at_from.load(Relaxed);
    println!(
        "{}{}, {per_send} a send: asked {asked} times for memory over {} messages",
        receiver.name(),
        if secure { ", TLS" } else { "" },
        messages - marks.from
    );
    (asked, messages - marks.from)
}

#[test]
fn from_frame_to_book_flux_asks_for_no_memory() {
    for way in [
        Way::Ring(Wait::Block),
        Way::Ring(Wait::Spin),
        Way::Hot,
        Way::Epoll,
    ] {
        for secure in [false, true] {
            for per_send in [1, 16] {
                let (asked, _) = allocations(Receiver::Flux(way), per_send, secure);
                assert_eq!(asked, 0, "{way:?}, over TLS: {secure}");
            }
        }
    }
}

#[test]
fn the_count_sees_what_others_ask_for() {
    let (asked, messages) = allocations(Receiver::Tokio(Library::Tungstenite), 16, false);
    assert!(
        asked > messages,
        "owned strings are memory: {asked} for {messages}"
    );
    for library in [Library::FastWebSockets, Library::TungsteniteLeast] {
        for secure in [false, true] {
            allocations(Receiver::Tokio(library), 16, secure);
        }
    }
}
