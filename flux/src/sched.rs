//! Who runs next, who waits for what, and who is woken by whom.
//!
//! Owns the queues and the deadlines; every queue is linked through the control blocks, so that none has
//! a limit of its own or needs memory. Makes no syscall, reads no clock and switches to nobody, so that
//! tests script it.

pub(crate) mod bounds;

use std::cell::{Cell, RefCell};
use std::panic::Location;

use crate::config::StackClass;
use crate::fiber::arena::Arena;
use crate::fiber::block::{Block, NIL, State, Waiting};
use crate::op::Op;
use crate::wheel::{LAST_NS, Wheel};

/// First in, first out, linked through `Block::next`. A block stands in one queue at a time.
struct Queue {
    head: Cell<u32>,
    tail: Cell<u32>,
    len: Cell<u32>,
}

impl Queue {
    const fn new() -> Self {
        Self {
            head: Cell::new(NIL),
            tail: Cell::new(NIL),
            len: Cell::new(0),
        }
    }

    #[inline]
    fn push(&self, arena: &Arena, index: u32) {
        debug_assert_eq!(arena.block(index).next.get(), NIL);
        let tail = self.tail.replace(index);
        if tail == NIL {
            self.head.set(index);
        } else {
            arena.block(tail).next.set(index);
        }
        self.len.set(self.len.get() + 1);
    }

    #[inline]
    fn pop(&self, arena: &Arena) -> Option<u32> {
        let index = self.head.get();
        if index == NIL {
            return None;
        }
        let next = arena.block(index).next.replace(NIL);
        self.head.set(next);
        if next == NIL {
            self.tail.set(NIL);
        }
        self.len.set(self.len.get() - 1);
        Some(index)
    }
}

pub(crate) struct Sched {
    pub(crate) arena: Arena,
    ready: Queue,
    stack_waits: [Queue; 3],
    block_waits: Queue,
    pub(crate) bounds: bounds::Bounds,
    /// Blocks that were freed for a fiber in `block_waits`, which has been woken and not yet run.
    reserved: Cell<u32>,
    current: Cell<u32>,
    live: Cell<u32>,
    /// Those of fibers, by their index, and behind them those of callback timers.
    deadlines: RefCell<Wheel>,
    /// The nearest of the deadlines, or `NEVER`: read each turn.
    nearest_ns: Cell<u64>,
    /// Whether new fibers are born cancelled: the main fiber has ended.
    closing: Cell<bool>,
}

/// Later than any deadline.
const NEVER: u64 = u64::MAX;
const _: () = assert!(LAST_NS < NEVER);

/// Whose deadline has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// A fiber's, which has been told, or is told so.
    Fiber(CancelPath),
    /// A callback timer's, by its place.
    Timer(u32),
}

/// How a cancel reaches its fiber.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CancelPath {
    /// It will see the flag at its next suspending call, or has been woken to see it now.
    Flag,
    /// It is parked in this op, which the engine must be asked to end.
    Op(*const Op),
}

impl Sched {
    #[track_caller]
    pub(crate) fn new(fibers_max: usize, timers_max: usize) -> Self {
        Self {
            arena: Arena::new(fibers_max),
            ready: Queue::new(),
            stack_waits: [const { Queue::new() }; 3],
            block_waits: Queue::new(),
            bounds: bounds::Bounds::default(),
            reserved: Cell::new(0),
            current: Cell::new(NIL),
            live: Cell::new(0),
            deadlines: RefCell::new(Wheel::new(fibers_max + timers_max)),
            nearest_ns: Cell::new(NEVER),
            closing: Cell::new(false),
        }
    }

    /// The fiber that runs, or `NIL` while the loop does.
    #[inline]
    pub(crate) fn current(&self) -> u32 {
        self.current.get()
    }

    #[inline]
    pub(crate) fn set_current(&self, index: u32) {
        self.current.set(index);
    }

    /// Fibers that have not ended.
    pub(crate) fn live(&self) -> u32 {
        self.live.get()
    }

    // Spawning and ending.

    /// A block for a new fiber, unless all are in use, or spoken for by those that have waited longer.
    #[inline]
    pub(crate) fn take_block(
        &self,
        name: &'static str,
        at: &'static Location<'static>,
    ) -> Option<u32> {
        // As many as `Config::check` allows, far below `u32::MAX`.
        let free = self.arena.len() - self.arena.in_use() as usize;
        if free <= self.reserved.get() as usize {
            return None;
        }
        self.arena.take(name, at)
    }

    /// Makes a fiber, whose block is filled, ready to run for the first time.
    #[inline]
    pub(crate) fn admit(&self, index: u32) {
        let block = self.arena.block(index);
        block.cancelled.set(self.closing.get());
        block.state.set(State::Ready);
        self.live.set(self.live.get() + 1);
        self.ready.push(&self.arena, index);
    }

    /// Lets a fiber, whose block is filled, run for the first time when a moment has come, or it is cancelled.
    pub(crate) fn admit_at(&self, index: u32, start_ns: u64) {
        let block = self.arena.block(index);
        if self.closing.get() {
            return self.admit(index);
        }
        block.cancelled.set(false);
        block.state.set(State::Parked);
        block.waiting.set(Waiting::Time);
        self.live.set(self.live.get() + 1);
        self.set_deadline(index, start_ns);
    }

    /// Marks a fiber as ended and wakes who waits for that. Its stack has been seen to.
    #[inline]
    pub(crate) fn end(&self, index: u32) {
        let block = self.arena.block(index);
        block.state.set(State::Done);
        self.live.set(self.live.get() - 1);
        let joiner = block.joiner.get();
        if joiner != NIL {
            self.wake_from(joiner, Waiting::Join);
        }
        if !block.has_handle.get() {
            self.release(index);
        }
    }

    /// Frees the block of a fiber that has ended and whose result is gone.
    #[inline]
    pub(crate) fn release(&self, index: u32) {
        self.arena.release(index);
        if let Some(waiter) = self.block_waits.pop(&self.arena) {
            self.reserved.set(self.reserved.get() + 1);
            self.wake(waiter);
        }
    }

    /// Lines the current fiber up for a control block. When it runs again, one is reserved for it.
    pub(crate) fn queue_for_block(&self) {
        self.block_waits.push(&self.arena, self.current.get());
    }

    /// Gives up the reservation that waking from `queue_for_block` brought, in order to use it.
    pub(crate) fn use_reservation(&self) {
        self.reserved.set(self.reserved.get() - 1);
    }

    /// Lines an unstarted fiber up for a stack of its class.
    pub(crate) fn queue_for_stack(&self, index: u32) {
        let block = self.arena.block(index);
        block.state.set(State::Parked);
        block.waiting.set(Waiting::Stack);
        self.stack_waits[block.class.get().index()].push(&self.arena, index);
    }

    /// Hands a stack that has become free to the fiber of its class that waited longest; false when none
    /// waits.
    #[inline]
    pub(crate) fn hand_over_stack(&self, class: StackClass, stack: u32) -> bool {
        let Some(index) = self.stack_waits[class.index()].pop(&self.arena) else {
            return false;
        };
        self.arena.block(index).stack.set(stack);
        self.wake(index);
        true
    }

    /// How many fibers of a class wait for a stack.
    pub(crate) fn waiting_for_stack(&self, class: StackClass) -> u32 {
        self.stack_waits[class.index()].len.get()
    }

    // Ready or not.

    #[inline]
    pub(crate) fn ready_len(&self) -> u32 {
        self.ready.len.get()
    }

    #[inline]
    pub(crate) fn pop_ready(&self) -> Option<u32> {
        self.ready.pop(&self.arena)
    }

    /// Puts the running fiber behind all that are ready.
    #[inline]
    pub(crate) fn requeue(&self, index: u32) {
        self.arena.block(index).state.set(State::Ready);
        self.ready.push(&self.arena, index);
    }

    /// Makes a parked fiber ready. One that is not parked needs no waking: it was woken already.
    ///
    /// Not for one that stands in a queue of this file: who takes it out wakes it.
    #[inline]
    pub(crate) fn wake(&self, index: u32) {
        let block = self.arena.block(index);
        if block.state.get() == State::Parked {
            debug_assert_eq!(block.next.get(), NIL, "it stands in a queue");
            block.state.set(State::Ready);
            self.ready.push(&self.arena, index);
        }
    }

    /// Wakes a fiber if it is parked for this reason; it may be busy with something else meanwhile.
    #[inline]
    pub(crate) fn wake_from(&self, index: u32, waiting: Waiting) {
        if self.arena.block(index).waiting.get() == waiting {
            self.wake(index);
        }
    }

    // Ending a wait early.

    /// Sets the flag that every suspending call of this fiber returns from now on.
    pub(crate) fn cancel(&self, index: u32) -> CancelPath {
        let block = self.arena.block(index);
        block.cancelled.set(true);
        if block.state.get() != State::Parked || !block.hears_cancel() {
            return CancelPath::Flag;
        }
        self.interrupt(block, index)
    }

    /// Whether the main fiber has ended, or all are to.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// From now on, every new fiber is born cancelled.
    pub(crate) fn close(&self) {
        self.closing.set(true);
    }

    #[inline]
    pub(crate) fn set_deadline(&self, index: u32, at_ns: u64) {
        self.set_on_wheel(index, at_ns);
    }

    #[inline]
    pub(crate) fn clear_deadline(&self, index: u32) {
        self.clear_on_wheel(index);
    }

    #[inline]
    pub(crate) fn set_timer(&self, timer: u32, at_ns: u64) {
        self.set_on_wheel(self.arena.count() + timer, at_ns);
    }

    #[inline]
    pub(crate) fn clear_timer(&self, timer: u32) {
        self.clear_on_wheel(self.arena.count() + timer);
    }

    #[inline]
    fn set_on_wheel(&self, id: u32, at_ns: u64) {
        self.deadlines.borrow_mut().set(id, at_ns);
        self.nearest_ns
            .set(self.nearest_ns.get().min(at_ns.min(LAST_NS)));
    }

    #[inline]
    fn clear_on_wheel(&self, id: u32) {
        let mut deadlines = self.deadlines.borrow_mut();
        deadlines.remove(id);
        if deadlines.len() == 0 {
            self.nearest_ns.set(NEVER);
        }
    }

    /// A moment not after the nearest deadline: what was taken back since the last
    /// [`settle_deadlines`](Self::settle_deadlines) may have been nearer.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let nearest = self.nearest_ns.get();
        (nearest != NEVER).then_some(nearest)
    }

    /// Finds out what the nearest deadline is: before the core sleeps, rather than at each change.
    pub(crate) fn settle_deadlines(&self) {
        let next = self.deadlines.borrow().next();
        self.nearest_ns.set(next.unwrap_or(NEVER));
    }

    pub(crate) fn deadlines(&self) -> usize {
        self.deadlines.borrow().len()
    }

    /// Takes out one deadline that has come; `None` when there is none, or when the work is used up: each
    /// deadline that is looked at costs 1.
    #[inline]
    pub(crate) fn expire_one(&self, now_ns: u64, work: &mut u32) -> Option<Expired> {
        if self.nearest_ns.get() > now_ns {
            return None;
        }
        let expired = self.deadlines.borrow_mut().expire(now_ns, work);
        let Some(id) = expired else {
            self.settle_deadlines();
            return None;
        };
        if self.deadlines.borrow().len() == 0 {
            self.nearest_ns.set(NEVER);
        }
        let count = self.arena.count();
        if id >= count {
            return Some(Expired::Timer(id - count));
        }
        let block = self.arena.block(id);
        block.timed_out.set(true);
        Some(Expired::Fiber(self.interrupt(block, id)))
    }

    fn interrupt(&self, block: &Block, index: u32) -> CancelPath {
        match block.waiting.get() {
            Waiting::Op => CancelPath::Op(block.op.get()),
            waiting => {
                if waiting.ends_early() {
                    self.wake(index);
                }
                CancelPath::Flag
            }
        }
    }

    // Saying why nothing moves.

    /// Who holds what, and who waits for what: for a reactor in which nothing can happen any more.
    pub(crate) fn deadlock_report(&self, stacks: &[(StackClass, usize, usize); 3]) -> String {
        use std::fmt::Write as _;
        /// More lines than these help nobody.
        const LINES_MAX: usize = 32;
        let mut report = format!(
            "deadlock: nothing is ready, nothing is in flight, and {} fibers wait",
            self.live()
        );
        let arena = &self.arena;
        for (class, in_use, count) in stacks {
            let waiting = self.waiting_for_stack(*class);
            if waiting > 0 {
                // Writing to a `String` cannot fail, here and below.
                let _infallible = write!(
                    report,
                    "\n  {class}: {in_use} of {count} stacks in use, {waiting} fibers wait for one; \
                     raise `stacks({class} = ..)` or let a holder end first"
                );
            }
        }
        if self.block_waits.len.get() > 0 {
            let _infallible = write!(
                report,
                "\n  fibers: {} of {} control blocks in use, {} spawns wait for one; raise `fibers`, or \
                 join or drop handles of fibers that have ended",
                arena.in_use(),
                arena.len(),
                self.block_waits.len.get()
            );
        }
        for (name, max, waiting) in self.waiting_for_place() {
            let _infallible = write!(
                report,
                "\n  fiber `{name}`: all {max} (`max`) live, {waiting} spawns wait for one to end; raise `max`"
            );
        }
        let mut waiters = arena
            .used()
            .filter(|index| arena.block(*index).state.get() == State::Parked);
        for index in waiters.by_ref().take(LINES_MAX) {
            let block = arena.block(index);
            let _infallible = write!(
                report,
                "\n  fiber `{}` ({}, spawned at {}) waits for {}",
                arena.name(index),
                block.class.get(),
                arena.spawned_at(index),
                block.waiting.get().describe()
            );
        }
        let more = waiters.count();
        if more > 0 {
            let _infallible = write!(report, "\n  and {more} more");
        }
        report
    }
}

#[cfg(test)]
#[path = "sched_tests.rs"]
mod tests;
