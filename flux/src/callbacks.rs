//! Closures that run when their time has come: a fixed number of places, made at init.
//!
//! A place holds the closure itself, so that none needs memory, and knows when it is due and how often. It does
//! not know what the time is, nor who looks: `sched` tells when one is due, and the reactor runs it.
//!
//! **Invariant:** a closure stays in its place from [`Callbacks::add`] until it is dropped there, once, by
//! [`Callbacks::finish`] or [`Callbacks::remove`]; while it runs neither drops it: removing then leaves a mark.

#![allow(
    unsafe_code,
    reason = "closures pass through the untyped slot of a place"
)]

use std::cell::{Cell, UnsafeCell};
use std::mem::{self, MaybeUninit};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes that a closure may capture.
pub(crate) const CAPTURE_BYTES: usize = 64;
/// A closure, and what its shape adds.
const SLOT_BYTES: usize = CAPTURE_BYTES + 16;
const SLOT_ALIGN: usize = 16;
/// No place.
const NIL: u32 = u32::MAX;

/// Where the next reactor of this process starts counting: a handle that outlives its reactor must not fit a
/// place of the next one.
static NEXT_RANGE: AtomicU64 = AtomicU64::new(0);
/// How many numbers a reactor takes at a time. There are sixteen million such ranges.
const RANGE: u64 = 1 << 40;

/// When a closure is due, and what was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) at_ns: u64,
    pub(crate) missed: u64,
}

/// A closure in whatever shape.
pub(crate) trait Call {
    /// Runs it; whether it wants to be called again.
    fn call(&mut self, due: Due) -> bool;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// Set, with its closure in place.
    Set,
    Running,
    /// Its closure is being dropped in its place, by a destructor that may use flux, and suspend.
    Dropping,
    /// Called for the last time; somebody still holds a handle.
    Done,
}

#[repr(C, align(16))]
struct Slot(UnsafeCell<MaybeUninit<[u8; SLOT_BYTES]>>);

struct Place {
    closure: Slot,
    call: Cell<unsafe fn(*mut (), Due) -> bool>,
    /// Drops the closure, if that does anything.
    discard: Cell<Option<unsafe fn(*mut ())>>,
    /// Which timer this is: never the same number twice in a process.
    id: Cell<u64>,
    due_ns: Cell<u64>,
    /// 0 for one that is called once.
    period_ns: Cell<u64>,
    made_at: Cell<&'static Location<'static>>,
    next_free: Cell<u32>,
    state: Cell<State>,
    has_handle: Cell<bool>,
    /// Removed while it ran.
    removed: Cell<bool>,
    /// The kernel tells when it is due.
    by_kernel: Cell<bool>,
}

/// All places of a reactor.
pub(crate) struct Callbacks {
    places: Box<[Place]>,
    free: Cell<u32>,
    in_use: Cell<u32>,
    high_water: Cell<u32>,
    panics: Cell<u64>,
    next_id: Cell<u64>,
}

unsafe fn nothing_to_call(_: *mut (), _: Due) -> bool {
    false
}

/// # Safety
/// An `F` stands at the address, and nothing else refers to it.
unsafe fn call<F: Call>(closure: *mut (), due: Due) -> bool {
    // SAFETY: as the caller promised.
    let closure = unsafe { &mut *closure.cast::<F>() };
    closure.call(due)
}

/// # Safety
/// As [`call`]; and it is not used again.
unsafe fn discard<F>(closure: *mut ()) {
    // SAFETY: as the caller promised.
    unsafe { closure.cast::<F>().drop_in_place() };
}

impl Callbacks {
    /// `count` free places; `Config::check` keeps the count far below `u32::MAX`.
    #[track_caller]
    pub(crate) fn new(count: usize) -> Self {
        let here = Location::caller();
        let places: Box<[Place]> = (1..=u32::try_from(count).unwrap_or(0))
            .map(|next| Place {
                closure: Slot(UnsafeCell::new(MaybeUninit::uninit())),
                call: Cell::new(nothing_to_call),
                discard: Cell::new(None),
                id: Cell::new(0),
                due_ns: Cell::new(0),
                period_ns: Cell::new(0),
                made_at: Cell::new(here),
                next_free: Cell::new(next),
                state: Cell::new(State::Free),
                has_handle: Cell::new(false),
                removed: Cell::new(false),
                by_kernel: Cell::new(false),
            })
            .collect();
        if let Some(last) = places.last() {
            last.next_free.set(NIL);
        }
        Self {
            free: Cell::new(if places.is_empty() { NIL } else { 0 }),
            places,
            in_use: Cell::new(0),
            high_water: Cell::new(0),
            panics: Cell::new(0),
            next_id: Cell::new(NEXT_RANGE.fetch_add(RANGE, Ordering::Relaxed) + 1),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Places whose closure has still to be called, or whose handle is still held.
    pub(crate) fn in_use(&self) -> u32 {
        self.in_use.get()
    }

    pub(crate) fn high_water(&self) -> u32 {
        self.high_water.get()
    }

    /// Closures that panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.get()
    }

    #[inline]
    fn place(&self, index: u32) -> &Place {
        &self.places[index as usize]
    }

    /// The place of a timer that a handle names, unless that timer is gone.
    #[inline]
    fn find(&self, index: u32, id: u64) -> Option<&Place> {
        let place = self.places.get(index as usize)?;
        (place.id.get() == id && place.state.get() != State::Free).then_some(place)
    }

    /// Moves a closure into a free place: its index, and the number of the timer that it is now. It stays where it is
    /// when no place is free.
    #[inline]
    pub(crate) fn add<F: Call + 'static>(
        &self,
        closure: &mut Option<F>,
        due_ns: u64,
        period_ns: u64,
        made_at: &'static Location<'static>,
    ) -> Option<(u32, u64)> {
        const { assert!(size_of::<F>() <= SLOT_BYTES && align_of::<F>() <= SLOT_ALIGN) };
        let index = self.free.get();
        let place = self.places.get(index as usize)?;
        let closure = closure.take()?;
        self.free.set(place.next_free.get());
        let id = self.next_id.get();
        let following = id + 1;
        self.next_id.set(if following.is_multiple_of(RANGE) {
            NEXT_RANGE.fetch_add(RANGE, Ordering::Relaxed) + 1
        } else {
            following
        });
        place.id.set(id);
        // SAFETY: large and aligned enough (checked while compiling), and the place is free, so that nothing
        // stands there, and nobody refers to it.
        unsafe { place.closure.0.get().cast::<F>().write(closure) };
        place.call.set(call::<F>);
        place.discard.set(if mem::needs_drop::<F>() {
            Some(discard::<F>)
        } else {
            None
        });
        place.due_ns.set(due_ns);
        place.period_ns.set(period_ns);
        place.made_at.set(made_at);
        place.state.set(State::Set);
        place.has_handle.set(true);
        place.removed.set(false);
        place.by_kernel.set(false);
        let in_use = self.in_use.get() + 1;
        self.in_use.set(in_use);
        self.high_water.set(self.high_water.get().max(in_use));
        Some((index, id))
    }

    /// Notes that the kernel tells when a timer is due.
    pub(crate) fn set_by_kernel(&self, index: u32) {
        self.place(index).by_kernel.set(true);
    }

    pub(crate) fn by_kernel(&self, index: u32) -> bool {
        self.place(index).by_kernel.get()
    }

    /// When a timer is due next.
    pub(crate) fn due_ns(&self, index: u32) -> u64 {
        self.place(index).due_ns.get()
    }

    /// Moves a timer that waits to another moment.
    pub(crate) fn set_due(&self, index: u32, due_ns: u64) {
        self.place(index).due_ns.set(due_ns);
    }

    /// Whether the timer will not be called any more.
    pub(crate) fn is_done(&self, index: u32, id: u64) -> bool {
        self.find(index, id).is_none_or(|place| {
            matches!(place.state.get(), State::Dropping | State::Done) || place.removed.get()
        })
    }

    /// Lets a timer go on without a handle.
    pub(crate) fn detach(&self, index: u32, id: u64) {
        if let Some(place) = self.find(index, id) {
            place.has_handle.set(false);
            if place.state.get() == State::Done {
                self.release(index, place);
            }
        }
    }

    /// Takes a timer back, with its handle; `clear` takes its deadline back, if it has one.
    ///
    /// # Panics
    /// With what the closure's destructor panics with; the timer is gone all the same.
    #[inline]
    pub(crate) fn remove(&self, index: u32, id: u64, clear: impl FnOnce(u32)) {
        let Some(place) = self.find(index, id) else {
            return;
        };
        place.has_handle.set(false);
        match place.state.get() {
            State::Set => {
                place.state.set(State::Dropping);
                clear(index);
                let release = ReleaseOnDrop(self, index, place);
                if let Some(discard) = place.discard.take() {
                    // SAFETY: `add` wrote the closure together with this very function, which is taken out here,
                    // so that it is called once.
                    unsafe { discard(place.closure.0.get().cast()) };
                }
                drop(release);
            }
            State::Running => place.removed.set(true),
            State::Done => self.release(index, place),
            // Who drops the closure releases the place.
            State::Dropping | State::Free => {}
        }
    }

    /// Takes every timer back that is set; the indices of those.
    pub(crate) fn remove_all(&self, mut removed: impl FnMut(u32)) {
        for (index, place) in (0..).zip(self.places.iter()) {
            match place.state.get() {
                State::Set => {
                    place.state.set(State::Dropping);
                    removed(index);
                    self.drop_closure(index, place);
                }
                State::Running => place.removed.set(true),
                State::Dropping | State::Done | State::Free => {}
            }
        }
    }

    /// Where a timer was made.
    pub(crate) fn made_at(&self, index: u32) -> &'static Location<'static> {
        self.place(index).made_at.get()
    }

    /// Calls a closure that is due; whether it wants to be called again.
    ///
    /// A panic ends the timer: the panic hook has said what there was to say.
    pub(crate) fn run(&self, index: u32, now_ns: u64) -> bool {
        let place = self.place(index);
        debug_assert_eq!(place.state.get(), State::Set);
        let due = latest_due(place.due_ns.get(), place.period_ns.get(), now_ns);
        place.state.set(State::Running);
        place.due_ns.set(due.at_ns);
        let (call, closure) = (place.call.get(), place.closure.0.get().cast::<()>());
        // SAFETY: `add` wrote the closure together with this very function; while the state is `Running` nobody
        // else touches it.
        let called = catch_unwind(AssertUnwindSafe(|| unsafe { call(closure, due) }));
        match called {
            Ok(again) => again,
            Err(payload) => {
                self.panics.set(self.panics.get() + 1);
                // The payload of a panic could panic in its destructor.
                mem::forget(payload);
                false
            }
        }
    }

    /// Sets a closure that has run for its next time, which is answered, or drops it.
    pub(crate) fn finish(&self, index: u32, again: bool) -> Option<u64> {
        let place = self.place(index);
        debug_assert_eq!(place.state.get(), State::Running);
        let period_ns = place.period_ns.get();
        if again && period_ns > 0 && !place.removed.get() {
            let next = place.due_ns.get().saturating_add(period_ns);
            place.due_ns.set(next);
            place.state.set(State::Set);
            return Some(next);
        }
        place.state.set(State::Dropping);
        self.drop_closure(index, place);
        None
    }

    /// Drops the closure of a place, which stays that timer's until this is over.
    #[inline]
    fn drop_closure(&self, index: u32, place: &Place) {
        drop_closure(place);
        place.state.set(State::Done);
        // Asked now: the destructor may have dropped the handle.
        if !place.has_handle.get() {
            self.release(index, place);
        }
    }

    #[inline]
    fn release(&self, index: u32, place: &Place) {
        place.state.set(State::Free);
        place.next_free.set(self.free.replace(index));
        self.in_use.set(self.in_use.get() - 1);
    }
}

/// Frees a place, whatever its closure's destructor does.
struct ReleaseOnDrop<'a>(&'a Callbacks, u32, &'a Place);

impl Drop for ReleaseOnDrop<'_> {
    #[inline]
    fn drop(&mut self) {
        let Self(callbacks, index, place) = *self;
        callbacks.release(index, place);
    }
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        for place in &self.places {
            if place.state.get() == State::Set {
                place.state.set(State::Dropping);
                drop_closure(place);
            }
        }
    }
}

/// The last moment of a period that has come, and how many before it were passed over.
pub(crate) fn latest_due(due_ns: u64, period_ns: u64, now_ns: u64) -> Due {
    let late = now_ns.saturating_sub(due_ns);
    let missed = if period_ns == 0 || late < period_ns {
        0
    } else {
        late / period_ns
    };
    Due {
        // Not after `now_ns`.
        at_ns: due_ns + missed * period_ns,
        missed,
    }
}

/// Drops the closure of a place, which has just been marked as done.
#[inline]
fn drop_closure(place: &Place) {
    if let Some(discard) = place.discard.take() {
        // SAFETY: `add` wrote the closure together with this very function, which is taken out here, so that it is
        // called once.
        unsafe { drop_by(discard, place) };
    }
}

/// # Safety
/// The function is for the closure that stands in the place, and is called once.
unsafe fn drop_by(discard: unsafe fn(*mut ()), place: &Place) {
    let closure = place.closure.0.get().cast::<()>();
    // SAFETY: as the caller promised.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| unsafe { discard(closure) })) {
        mem::forget(payload);
    }
}

/// Refuses, while compiling, a closure that does not fit a place.
#[track_caller]
pub(crate) const fn assert_fits<F>() {
    assert!(
        size_of::<F>() <= CAPTURE_BYTES,
        "what this timer's callback captures does not fit its place (64 bytes): put the large parts in a `Box` \
         or an `Rc`"
    );
    assert!(
        align_of::<F>() <= SLOT_ALIGN,
        "what this timer's callback captures is aligned too strictly for its place (16 bytes): put it in a `Box`"
    );
}
