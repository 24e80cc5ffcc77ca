//! Spawning: into a control block, with a closure in its slot, at the end of the ready queue.
//!
//! No stack is taken and nothing runs here; what runs is [`run_body`], when the reactor comes to it. That
//! catches the panic of a fiber at its root, and leaves its result, or the panic, in the slot.

#![allow(
    unsafe_code,
    reason = "closures, results and panics pass through the untyped slot of a control block"
)]

use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::ptr;

use crate::budget::FiberFn;
use crate::config::StackClass;
use crate::error::{Full, Limit};
use crate::fiber::block::{Block, Children, Payload, SlotFn, Waiting};
use crate::reactor::{Reactor, current};
use crate::task::fiber::{CLOSURE, Fiber, IntoFiber};
use crate::task::handle::JoinHandle;

/// Spawns a fiber, or a closure as a fiber, and returns a handle to join it by.
///
/// It runs when the calling fiber suspends, behind all that are ready now. Dropping the handle detaches
/// the fiber; it runs on, and its result is dropped at its end.
///
/// # Suspends
/// Only when all control blocks (`fibers`) are in use, or as many fibers of this `#[flux::fiber]` function live as
/// its `max` allows: until one is free, or ends. This wait is back-pressure, and neither a cancel nor a deadline
/// ends it.
///
/// # Panics
/// Outside of a fiber; for a class of which there are no stacks; and when it would have to wait where the caller cannot suspend: in
/// [`no_suspend`](crate::no_suspend), in the callback of a timer, and in a destructor that runs while a panic
/// unwinds.
///
/// # Example
/// ```
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let bids = flux::spawn(|| 61_659.7_f64);
///     let asks = flux::spawn(|| 61_659.8_f64);
///     assert!(bids.join().unwrap() < asks.join().unwrap());
/// })
/// # }
/// ```
#[track_caller]
pub fn spawn<S: IntoFiber>(fiber: S) -> JoinHandle<S::Output> {
    let Fiber {
        class,
        name,
        bound,
        body,
    } = fiber.into_fiber();
    let at = Location::caller();
    current::with(|reactor| {
        if let Some(function) = bound {
            let index = wait_for_both(reactor, function, at);
            return fill_bounded(reactor, index, class, body, ptr::null());
        }
        let index = wait_for_block(reactor, class, name, at);
        fill(reactor, index, class, body, ptr::null())
    })
}

/// Spawns a fiber as [`spawn`] does, or gives it back when all control blocks are in use, or as many fibers of
/// its function live as may.
///
/// # Errors
/// [`Full`], which holds the fiber, and whose sentence names the limit.
///
/// # Panics
/// Outside of a fiber, and for a class of which there are no stacks.
#[track_caller]
pub fn try_spawn<S: IntoFiber>(fiber: S) -> Result<JoinHandle<S::Output>, Full<S>> {
    let fiber = fiber.into_fiber();
    let at = Location::caller();
    current::with(|reactor| {
        has_stacks(reactor, fiber.class, fiber.name);
        let taken = match fiber.bound {
            None => reactor
                .sched
                .take_block(fiber.name, at)
                .ok_or(Limit::Fibers(reactor.config.fibers)),
            Some(function) => take_both(reactor, function, at),
        };
        match taken {
            Ok(index) if fiber.bound.is_some() => Ok(fill_bounded(
                reactor,
                index,
                fiber.class,
                fiber.body,
                ptr::null(),
            )),
            Ok(index) => Ok(fill(reactor, index, fiber.class, fiber.body, ptr::null())),
            Err(limit) => {
                let name = fiber.name;
                Err(Full::new(S::from_fiber(fiber), name, limit))
            }
        }
    })
}

/// Spawns a fiber that first runs at a moment, and whose body is made of a value; gives the value back when all
/// control blocks are in use.
///
/// Until its time, or its being cancelled, it has no stack.
#[track_caller]
pub(crate) fn try_spawn_at<V, T, B: FnOnce() -> T>(
    start_ns: u64,
    (class, name): (StackClass, &'static str),
    at: &'static Location<'static>,
    value: V,
    body: impl FnOnce(V) -> B,
) -> Result<JoinHandle<T>, Full<V>> {
    current::with(|reactor| {
        has_stacks(reactor, class, name);
        let Some(index) = reactor.sched.take_block(name, at) else {
            return Err(Full::new(value, name, Limit::Fibers(reactor.config.fibers)));
        };
        let body = body(value);
        let run = run_body::<B, T>;
        let handle = prepare(reactor, index, class, body, run, ptr::null());
        reactor.sched.admit_at(index, start_ns);
        Ok(handle)
    })
}

/// Spawns a closure under a name, and on a stack class, of the caller's choice.
///
/// # Example
/// ```
/// use flux::{Builder, StackClass};
///
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().run(|| {
///     let heartbeat = Builder::new()
///         .name("heartbeat")
///         .stack(StackClass::Small)
///         .spawn(|| flux::time::sleep(std::time::Duration::from_secs(3600)));
///     assert_eq!(heartbeat.name(), "heartbeat");
/// })
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    name: Option<&'static str>,
    class: Option<StackClass>,
}

impl Builder {
    /// A fiber on a medium stack, named `closure`.
    pub const fn new() -> Self {
        Self {
            name: None,
            class: None,
        }
    }

    /// The name that reports show.
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// The stack to run on.
    pub const fn stack(mut self, class: StackClass) -> Self {
        self.class = Some(class);
        self
    }

    /// Spawns as [`spawn`] does, and suspends and panics as that.
    #[track_caller]
    pub fn spawn<T, F>(self, body: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        spawn(self.fiber(body))
    }

    /// Spawns as [`try_spawn`] does.
    ///
    /// # Errors
    /// [`Full`], which holds the closure.
    ///
    /// # Panics
    /// Outside of a fiber.
    #[track_caller]
    pub fn try_spawn<T, F>(self, body: F) -> Result<JoinHandle<T>, Full<F>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        try_spawn(self.fiber(body)).map_err(|full| full.map(|fiber| fiber.body))
    }

    fn fiber<T, F: FnOnce() -> T>(self, body: F) -> Fiber<F> {
        Fiber::new(
            self.class.unwrap_or(StackClass::Medium),
            self.name.unwrap_or(CLOSURE),
            body,
        )
    }
}

/// A control block for a new fiber, suspending until there is one.
#[track_caller]
pub(super) fn wait_for_block(
    reactor: &Reactor,
    class: StackClass,
    name: &'static str,
    at: &'static Location<'static>,
) -> u32 {
    has_stacks(reactor, class, name);
    if let Some(index) = reactor.sched.take_block(name, at) {
        return index;
    }
    assert!(
        reactor.can_suspend(),
        "{}",
        Full::new((), name, Limit::Fibers(reactor.config.fibers))
    );
    reactor.sched.queue_for_block();
    // Nothing wakes it but the block: this wait ends neither early nor by chance.
    reactor.park(Waiting::ControlBlock);
    reactor.sched.use_reservation();
    reactor
        .sched
        .take_block(name, at)
        .expect("the block that woke this fiber is reserved for it")
}

/// Refuses a fiber that could never start.
#[inline]
#[track_caller]
pub(super) fn has_stacks(reactor: &Reactor, class: StackClass, name: &str) {
    assert!(
        reactor.config.stacks[class.index()].count > 0,
        "cannot spawn fiber `{name}`: there are no {class} stacks; raise `stacks({class} = ..)`"
    );
}

/// Fills a block and makes its fiber ready.
#[inline]
pub(super) fn fill<T, F: FnOnce() -> T>(
    reactor: &Reactor,
    index: u32,
    class: StackClass,
    body: F,
    family: *const Children,
) -> JoinHandle<T> {
    let run = run_body::<F, T>;
    let handle = prepare(reactor, index, class, body, run, family);
    reactor.sched.admit(index);
    handle
}

/// As [`fill`], for a fiber that counts among those of its function.
pub(super) fn fill_bounded<T, F: FnOnce() -> T>(
    reactor: &Reactor,
    index: u32,
    class: StackClass,
    body: F,
    family: *const Children,
) -> JoinHandle<T> {
    let run = run_bounded::<F, T>;
    let handle = prepare(reactor, index, class, body, run, family);
    reactor.sched.admit(index);
    handle
}

/// A place among the fibers of a function, and a control block; suspends until there are both.
#[cold]
#[track_caller]
pub(super) fn wait_for_both(
    reactor: &Reactor,
    function: &'static FiberFn,
    at: &'static Location<'static>,
) -> u32 {
    has_stacks(reactor, function.class(), function.name());
    wait_for_place(reactor, function);
    // Should the wait for the block be refused, the place is another one's again.
    let place = Place(reactor, function);
    let index = wait_for_block(reactor, function.class(), function.name(), at);
    mem::forget(place);
    reactor.sched.set_function(index, function);
    index
}

#[track_caller]
fn wait_for_place(reactor: &Reactor, function: &'static FiberFn) {
    if reactor.sched.take_place(function) {
        return;
    }
    assert!(
        reactor.can_suspend(),
        "{}",
        Full::new((), function.name(), limit_of(function))
    );
    reactor.sched.queue_for_place(function);
    // As with blocks: nothing wakes it but the place.
    reactor.park(Waiting::Place);
    reactor.sched.use_reserved_place(function);
}

/// As [`wait_for_both`], without waiting.
#[cold]
#[track_caller]
fn take_both(
    reactor: &Reactor,
    function: &'static FiberFn,
    at: &'static Location<'static>,
) -> Result<u32, Limit> {
    if !reactor.sched.take_place(function) {
        return Err(limit_of(function));
    }
    let place = Place(reactor, function);
    let Some(index) = reactor.sched.take_block(function.name(), at) else {
        drop(place);
        return Err(Limit::Fibers(reactor.config.fibers));
    };
    mem::forget(place);
    reactor.sched.set_function(index, function);
    Ok(index)
}

fn limit_of(function: &FiberFn) -> Limit {
    Limit::Max(function.max().unwrap_or(u32::MAX))
}

/// A place among the fibers of a function, given back when dropped.
struct Place<'a>(&'a Reactor, &'static FiberFn);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.1.place() {
            self.0.sched.leave_place(place);
        }
    }
}

/// Fills a block.
#[inline]
fn prepare<T, F: FnOnce() -> T>(
    reactor: &Reactor,
    index: u32,
    class: StackClass,
    body: F,
    run: SlotFn,
    family: *const Children,
) -> JoinHandle<T> {
    let block = reactor.sched.arena.block(index);
    block.class.set(class);
    block.has_handle.set(true);
    block.family.set(family);
    block.run.set(run);
    block.write_slot(body);
    JoinHandle::new(index, block.id.get())
}

/// A fiber from its first to its last moment.
///
/// # Safety
/// The block is alive, and its slot holds an `F` that has not been taken.
unsafe fn run_body<F: FnOnce() -> T, T>(block: *const ()) {
    // SAFETY: a block, and alive (caller).
    let block = unsafe { &*block.cast::<Block>() };
    // SAFETY: `fill` wrote the closure together with this very function; it is taken once, here.
    let body: F = unsafe { block.take_slot() };
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => leave(block, value),
        Err(payload) => {
            block.panicked.set(true);
            leave::<Payload>(block, payload);
        }
    }
}

/// As [`run_body`], for a fiber that counts among those of its function.
///
/// # Safety
/// As for [`run_body`].
unsafe fn run_bounded<F: FnOnce() -> T, T>(block: *const ()) {
    // SAFETY: as here (caller).
    unsafe { run_body::<F, T>(block) };
    // Who is woken by it runs when this fiber has given back its stack and its block, too.
    current::with(|reactor| {
        let index = reactor.sched.current();
        reactor.sched.leave_place_of(index);
    });
}

/// Leaves a value to whoever joins; with nobody to join, it is dropped in the fiber that made it.
#[inline]
fn leave<T>(block: &Block, value: T) {
    if block.has_handle.get() {
        block.write_slot(value);
        block.run.set(discard::<T>);
    } else if mem::needs_drop::<T>() {
        drop_quietly(value);
    }
}

/// Drops a value whose destructor may panic, where nobody is left to hear of it: the panic hook has said
/// what there was to say.
fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // The payload of a destructor's panic could panic in its own.
        mem::forget(payload);
    }
}

/// Drops what an ended fiber left in its slot.
///
/// # Safety
/// The slot holds a `T` that has not been taken.
unsafe fn discard<T>(block: *const ()) {
    // SAFETY: alive: blocks lie in the arena, and a handle calls this, with a block, while its reactor runs.
    let block = unsafe { &*block.cast::<Block>() };
    // SAFETY: `leave` wrote a `T` together with this very function; it is taken once, here.
    drop(unsafe { block.take_slot::<T>() });
}
