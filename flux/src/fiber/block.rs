//! The control block: all that the runtime keeps of one fiber, in four cache lines.
//!
//! The first line is what scheduling touches, the second holds the context, the last two the inline slot:
//! the fiber's closure until it first runs, then its result, or what it panicked with.
//!
//! ```text
//! Free ──spawn──▶ Ready ──resume──▶ Running ──return──▶ Done ──join or detach──▶ Free
//!                   ▲                  │
//!                   └──wake── Parked ◀─┘ suspend
//! ```
//!
//! Knows nothing of queues, engines, or who calls.

#![allow(
    unsafe_code,
    reason = "the slot holds values whose types the compiler does not see"
)]

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::mem::{MaybeUninit, align_of, size_of};
use std::ptr;

use crate::config::StackClass;
use crate::fiber::context::{Context, Entry};
use crate::op::Op;

/// No fiber, no stack, no block.
pub(crate) const NIL: u32 = u32::MAX;

/// The bytes of the inline slot: closures and results must fit.
pub(crate) const SLOT_BYTES: usize = 128;
/// The alignment of the inline slot.
pub(crate) const SLOT_ALIGN: usize = 64;

/// What a panicking fiber leaves behind.
pub(crate) type Payload = Box<dyn Any + Send + 'static>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Free,
    Ready,
    Running,
    Parked,
    Done,
}

/// What a parked fiber waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Waiting {
    Nothing,
    /// The kernel.
    Op,
    /// A moment.
    Time,
    /// Another fiber's end.
    Join,
    /// A channel's having room, or something in it.
    Channel,
    /// Bytes of a feed.
    #[cfg(unix)]
    Feed,
    /// The end of the children of a scope.
    Scope,
    /// A control block for a fiber that it spawns.
    ControlBlock,
    /// One of the fibers of a function to end, in order to spawn another.
    Place,
    /// A stack to run on, unstarted.
    Stack,
}

impl Waiting {
    /// What to say of a fiber that waits so.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Op => "the kernel",
            Self::Time => "a moment",
            Self::Join => "another fiber, in `join`",
            Self::Channel => "a channel",
            #[cfg(unix)]
            Self::Feed => "bytes of a feed",
            Self::Scope => "the children of its `scope`",
            Self::ControlBlock => "a control block, in `spawn`",
            Self::Place => "a place among the `max` of a function, in `spawn`",
            Self::Stack => "a stack",
        }
    }

    /// Whether a cancel or a deadline ends this wait by waking the fiber. An op ends by its completion.
    pub(crate) const fn ends_early(self) -> bool {
        match self {
            Self::Time | Self::Join | Self::Channel => true,
            #[cfg(unix)]
            Self::Feed => true,
            _ => false,
        }
    }
}

/// A moment after which suspending calls fail, and whether one has; lives in the frame of `timeout`.
#[derive(Debug)]
pub(crate) struct Deadline {
    pub(crate) at_ns: u64,
    pub(crate) passed: Cell<bool>,
}

/// The children of a scope that have not ended; lives in the frame of `scope`.
#[derive(Debug)]
pub(crate) struct Children {
    pub(crate) parent: u32,
    pub(crate) live: Cell<u32>,
    /// Children that panicked and whom nobody joined.
    pub(crate) unheard_panics: Cell<u32>,
}

/// What runs a fiber's closure in place of the slot, or drops what stands there once it has ended; called with
/// the address of the [`Block`].
pub(crate) type SlotFn = Entry;

#[repr(C, align(64))]
pub(crate) struct Block {
    // The first line: touched at each switch.
    /// The next block in whichever queue this one stands in, or `NIL`.
    pub(crate) next: Cell<u32>,
    pub(crate) state: Cell<State>,
    pub(crate) waiting: Cell<Waiting>,
    pub(crate) class: Cell<StackClass>,
    /// Inline successes left before the fiber yields to the others.
    pub(crate) budget: Cell<u8>,
    /// Which fiber this is: never the same number twice in a process.
    pub(crate) id: Cell<u64>,
    /// The stack's slot in its class's slab, or `NIL` until the fiber has one.
    pub(crate) stack: Cell<u32>,
    pub(crate) started: Cell<bool>,
    pub(crate) cancelled: Cell<bool>,
    /// The deadline of the wait has come.
    pub(crate) timed_out: Cell<bool>,
    pub(crate) panicked: Cell<bool>,
    /// Somebody may still join.
    pub(crate) has_handle: Cell<bool>,
    /// Depth of `shielded`: the cancelled flag is hidden above 0.
    pub(crate) shields: Cell<u8>,
    /// Depth of `no_suspend`.
    pub(crate) suspend_bans: Cell<u8>,
    /// The fiber that waits for this one's end, or `NIL`.
    pub(crate) joiner: Cell<u32>,
    /// The op that the fiber is parked in.
    pub(crate) op: Cell<*const Op>,
    /// The nearest deadline around the code that runs, or null.
    pub(crate) deadline: Cell<*const Deadline>,
    /// Runs the closure; from the fiber's end on, drops the result.
    pub(crate) run: Cell<SlotFn>,
    /// The scope that this fiber is a child of, or null.
    pub(crate) family: Cell<*const Children>,

    // The second line.
    pub(crate) context: Context,

    // The third and the fourth.
    slot: Slot,
}

#[repr(C, align(64))]
struct Slot(UnsafeCell<MaybeUninit<[u8; SLOT_BYTES]>>);

const _: () = assert!(size_of::<Block>() == 256 && align_of::<Block>() == 64);

/// A function that is never called: what `run` holds in a free block.
unsafe fn nothing_to_run(_: *const ()) {}

impl Block {
    pub(crate) const fn new() -> Self {
        Self {
            next: Cell::new(NIL),
            state: Cell::new(State::Free),
            waiting: Cell::new(Waiting::Nothing),
            class: Cell::new(StackClass::Small),
            budget: Cell::new(0),
            id: Cell::new(0),
            stack: Cell::new(NIL),
            started: Cell::new(false),
            cancelled: Cell::new(false),
            timed_out: Cell::new(false),
            panicked: Cell::new(false),
            has_handle: Cell::new(false),
            shields: Cell::new(0),
            suspend_bans: Cell::new(0),
            joiner: Cell::new(NIL),
            op: Cell::new(ptr::null()),
            deadline: Cell::new(ptr::null()),
            run: Cell::new(nothing_to_run),
            family: Cell::new(ptr::null()),
            context: Context::new(),
            slot: Slot(UnsafeCell::new(MaybeUninit::uninit())),
        }
    }

    /// Whether the fiber is to hear that it was cancelled.
    #[inline]
    pub(crate) fn hears_cancel(&self) -> bool {
        self.cancelled.get() && self.shields.get() == 0
    }

    /// Puts a value into the slot, without dropping what stood there.
    #[inline]
    pub(crate) fn write_slot<T>(&self, value: T) {
        const { assert_fits::<T>() };
        // SAFETY: the slot is large and aligned enough (checked above while compiling), and nothing holds
        // a reference into it: it is read and written by value alone.
        unsafe { self.slot.0.get().cast::<T>().write(value) };
    }

    /// Takes a value out of the slot.
    ///
    /// # Safety
    /// The slot holds a `T`, and it is not taken out a second time.
    #[inline]
    pub(crate) unsafe fn take_slot<T>(&self) -> T {
        // SAFETY: a `T` stands there (caller), aligned as the slot is.
        unsafe { self.slot.0.get().cast::<T>().read() }
    }
}

const fn assert_fits<T>() {
    assert!(
        size_of::<T>() <= SLOT_BYTES,
        "what this fiber captures, or returns, does not fit its control block (128 bytes): put the large \
         parts in a `Box`"
    );
    assert!(
        align_of::<T>() <= SLOT_ALIGN,
        "what this fiber captures, or returns, is aligned too strictly for its control block (64 bytes): \
         put it in a `Box`"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_gives_back_what_was_put_in() {
        let block = Block::new();
        block.write_slot([7_u64; 16]);
        // SAFETY: just written, with this type, and taken once.
        let value: [u64; 16] = unsafe { block.take_slot() };
        assert_eq!(value, [7; 16]);
    }

    #[test]
    fn scheduling_touches_one_cache_line() {
        assert!(std::mem::offset_of!(Block, context) == 64);
        assert!(std::mem::offset_of!(Block, slot) == 128);
    }
}
