//! Callback timers that wait by the kernel's own clocks, each with a request of its own.
//!
//! A request is set aside here rather than in a frame, since nobody's frame waits for it. When it is done, for
//! whatever reason, the timer's deadline is set on the wheel: so it runs as all do, never early by the reactor's
//! clock, and a request that the kernel refuses costs it nothing.
//!
//! **Invariant:** a request stays in its entry until it is done; an entry whose timer was taken back meanwhile is
//! nobody's, and free again only then.
//!
//! Owns the entries. Does not know what a timer does.

#![allow(
    unsafe_code,
    reason = "hands the engine ops that live in the entries here"
)]

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;
use std::time::Duration;

use super::Reactor;
use crate::clock;
use crate::engine::CancelOutcome;
use crate::fiber::block::NIL;
use crate::op::{Moment, Op, Request, State};

struct Entry {
    op: UnsafeCell<MaybeUninit<Op>>,
    /// The timer that it is for, or `NIL` once that was taken back.
    timer: Cell<u32>,
    /// The moment of the wall clock that is waited for, since 1970, if it is one of that clock.
    wall: Cell<Option<Duration>>,
    next_free: Cell<u32>,
}

/// Twice as many as there are callback timers: one that is taken back keeps its entry until the kernel has answered.
pub(crate) struct KernelTimers {
    entries: Box<[Entry]>,
    /// The entry of each timer, or `NIL`.
    of_timer: Box<[Cell<u32>]>,
    free: Cell<u32>,
    in_use: Cell<u32>,
}

impl KernelTimers {
    /// For so many timers; `Config::check` keeps the count far below `u32::MAX`.
    pub(crate) fn new(count: usize) -> Self {
        let entries: Box<[Entry]> = (1..=u32::try_from(2 * count).unwrap_or(0))
            .map(|next| Entry {
                op: UnsafeCell::new(MaybeUninit::uninit()),
                timer: Cell::new(NIL),
                wall: Cell::new(None),
                next_free: Cell::new(next),
            })
            .collect();
        if let Some(last) = entries.last() {
            last.next_free.set(NIL);
        }
        Self {
            free: Cell::new(if entries.is_empty() { NIL } else { 0 }),
            of_timer: (0..count).map(|_| Cell::new(NIL)).collect(),
            entries,
            in_use: Cell::new(0),
        }
    }

    fn entry(&self, index: u32) -> &Entry {
        &self.entries[index as usize]
    }

    /// Puts a request into a free entry, whose index and op are answered; `None` if there is none.
    fn take(&self, timer: u32, request: Request, first_index: u32) -> Option<(u32, &Op)> {
        let index = self.free.get();
        let entry = self.entries.get(index as usize)?;
        self.free.set(entry.next_free.get());
        self.in_use.set(self.in_use.get() + 1);
        entry.timer.set(timer);
        self.of_timer[timer as usize].set(index);
        // SAFETY: the entry is free, so that no engine, and nobody else, refers to what stands there.
        let place = unsafe { &mut *entry.op.get() };
        Some((index, place.write(Op::new(request, first_index + index))))
    }

    /// Takes an entry back, whose request is done.
    fn release(&self, index: u32) {
        let entry = self.entry(index);
        entry.timer.set(NIL);
        entry.next_free.set(self.free.replace(index));
        self.in_use.set(self.in_use.get() - 1);
    }
}

impl Reactor {
    /// Whose ops these are is told by the index that stands for the waiting fiber: behind all of those.
    fn first_of_kernel_timers(&self) -> u32 {
        self.sched.arena.loops_own() + 1
    }

    /// Lets the kernel tell when a timer is due: at its own moment, or at one of the wall clock.
    pub(crate) fn set_kernel_timer(&self, timer: u32, due_ns: u64, wall: Option<Duration>) {
        let request = Request::Timeout {
            at: Moment::new(wall.unwrap_or(Duration::from_nanos(due_ns))),
            wall: wall.is_some(),
        };
        let first = self.first_of_kernel_timers();
        let Some((index, op)) = self.kernel_timers.take(timer, request, first) else {
            // Those of timers that were taken back are not done yet.
            return self.set_on_wheel(timer, due_ns, wall);
        };
        self.kernel_timers.entry(index).wall.set(wall);
        // SAFETY: the op stays in its entry, and that in the reactor, until it is done: `release` alone makes room
        // for another. It points to nothing but itself.
        unsafe { self.engine.borrow_mut().submit(op) };
        if op.state() == State::Done {
            self.kernel_timer_done(first + index);
        }
    }

    /// Sets a timer on the wheel instead.
    fn set_on_wheel(&self, timer: u32, due_ns: u64, wall: Option<Duration>) {
        let due_ns = wall.map_or(due_ns, |moment| {
            let left = moment.saturating_sub(clock::wall());
            super::park::end_of(self.clock.precise(), left)
        });
        self.callbacks.set_due(timer, due_ns);
        self.set_timer(timer, due_ns);
    }

    /// Sets a timer on the wheel. One that a callback sets comes in the next turn at the earliest: the fibers have
    /// theirs between.
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "a frame of its own is a tenth of what setting a timer costs"
    )]
    pub(crate) fn set_timer(&self, timer: u32, due_ns: u64) {
        let by_callback = self.sched.current() == self.sched.arena.loops_own();
        let earliest_ns = if by_callback {
            self.clock.cached() + 1
        } else {
            0
        };
        self.sched.set_timer(timer, due_ns.max(earliest_ns));
    }

    /// The request of a timer is done: the wheel does the rest.
    #[cold]
    pub(super) fn kernel_timer_done(&self, waiter: u32) {
        let index = waiter - self.first_of_kernel_timers();
        let entry = self.kernel_timers.entry(index);
        let (timer, wall) = (entry.timer.get(), entry.wall.get());
        self.kernel_timers.release(index);
        if timer != NIL {
            self.kernel_timers.of_timer[timer as usize].set(NIL);
            self.set_on_wheel(timer, self.callbacks.due_ns(timer), wall);
        }
    }

    /// Takes back the deadline of a timer, wherever it waits.
    #[inline]
    pub(crate) fn clear_timer(&self, timer: u32) {
        self.sched.clear_timer(timer);
        if self.kernel_timers.in_use.get() > 0 {
            self.clear_kernel_timer(timer);
        }
    }

    #[cold]
    fn clear_kernel_timer(&self, timer: u32) {
        let index = self.kernel_timers.of_timer[timer as usize].replace(NIL);
        if index == NIL {
            return;
        }
        let entry = self.kernel_timers.entry(index);
        entry.timer.set(NIL);
        // SAFETY: in use, as its timer knew it, so that an op stands there.
        let place = unsafe { &*entry.op.get() };
        // SAFETY: as above: `take` has written it.
        let op = unsafe { place.assume_init_ref() };
        // SAFETY: `set_kernel_timer` submitted it to this engine.
        let outcome = unsafe { self.engine.borrow_mut().cancel(op) };
        if outcome == CancelOutcome::Done {
            self.kernel_timers.release(index);
        }
    }
}
