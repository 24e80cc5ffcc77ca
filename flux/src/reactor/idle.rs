//! What the core does while nothing is ready: how long it waits in the kernel, and what it watches while it
//! spins.
//!
//! Owns the policy, and the few receives that are tried in each idle turn instead of being left to the engine.
//! Does not know whose they are.

#![allow(
    unsafe_code,
    reason = "makes the syscalls of ops whose addresses come from suspended frames"
)]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::{Reactor, current};
use crate::config::Idle;
use crate::engine::{Wait, try_now};
use crate::op::{Op, State};

/// The most hot sockets: each costs a syscall in every idle turn.
const HOT_MAX: usize = 4;

/// What the core does while nothing is ready, and since when it has done so.
pub(crate) struct Idling {
    policy: Cell<Idle>,
    /// Since when nothing was ready, while spinning for a limited time.
    since_ns: Cell<Option<u64>>,
    hot: RefCell<Hot>,
}

/// The receives that are tried in each idle turn. An op in it is `Queued`, and no engine's.
struct Hot {
    ops: [*const Op; HOT_MAX],
    len: usize,
}

impl Idling {
    pub(crate) fn new(policy: Idle) -> Self {
        Self {
            policy: Cell::new(policy),
            since_ns: Cell::new(None),
            hot: RefCell::new(Hot {
                ops: [std::ptr::null(); HOT_MAX],
                len: 0,
            }),
        }
    }

    /// Something is ready.
    #[inline]
    pub(crate) fn over(&self) {
        self.since_ns.set(None);
    }

    /// How many receives are tried here.
    #[inline]
    pub(crate) fn hot(&self) -> usize {
        self.hot.borrow().len
    }

    /// Takes a receive over, if there is room and the core spins.
    ///
    /// # Safety
    /// As [`Engine::submit`](crate::engine::Engine::submit).
    unsafe fn add(&self, op: &Op) -> bool {
        let mut hot = self.hot.borrow_mut();
        let len = hot.len;
        if self.policy.get() == Idle::Block || len == HOT_MAX {
            return false;
        }
        op.set_state(State::Queued);
        hot.ops[len] = op;
        hot.len = len + 1;
        true
    }

    /// Takes a receive back; whether it was here.
    fn remove(&self, op: *const Op) -> bool {
        let mut hot = self.hot.borrow_mut();
        let len = hot.len;
        let Some(at) = hot.ops[..len].iter().position(|other| *other == op) else {
            return false;
        };
        hot.ops.copy_within(at + 1..len, at);
        hot.len = len - 1;
        true
    }
}

impl Reactor {
    /// How long to wait in the kernel; `None` when that would be for ever and for nothing.
    #[inline]
    pub(super) fn patience(&self) -> Option<Wait> {
        if self.sched.ready_len() > 0 {
            return Some(Wait::Poll);
        }
        let deadline = self.sched.next_deadline();
        if deadline.is_none() && self.awaited() == 0 && self.idling.hot() == 0 {
            return None;
        }
        let spin = match self.idling.policy.get() {
            Idle::Block => false,
            Idle::Spin => true,
            Idle::SpinThenBlock(time) => self.still_spinning(time),
        };
        if spin {
            std::hint::spin_loop();
            return Some(Wait::Poll);
        }
        self.sched.settle_deadlines();
        let deadline = self.sched.next_deadline();
        let deadline = match (deadline, self.grace_ends_ns.get()) {
            (Some(deadline), Some(grace)) => Some(deadline.min(grace)),
            (deadline, grace) => deadline.or(grace),
        };
        Some(deadline.map_or(
            Wait::Forever,
            |at| match at.saturating_sub(self.clock.precise()) {
                0 => Wait::Poll,
                ns => Wait::AtMost(Duration::from_nanos(ns)),
            },
        ))
    }

    /// How many requests are in flight that could wake somebody.
    #[inline]
    fn awaited(&self) -> usize {
        let in_flight = self.engine.borrow().in_flight();
        #[cfg(unix)]
        let in_flight = in_flight - self.feeds.unheard();
        in_flight
    }

    fn still_spinning(&self, time: Duration) -> bool {
        let now = self.clock.precise();
        let since = self.idling.since_ns.get().unwrap_or(now);
        self.idling.since_ns.set(Some(since));
        u128::from(now - since) < time.as_nanos()
    }

    /// Submits a receive of a hot socket: it is tried in each idle turn while the core spins, and is the engine's
    /// like any other otherwise.
    ///
    /// # Safety
    /// As [`Engine::submit`](crate::engine::Engine::submit).
    pub(super) unsafe fn submit_hot(&self, op: &Op) {
        // SAFETY: the caller's promise is passed on.
        if !unsafe { self.idling.add(op) } {
            // SAFETY: the caller's promise is passed on.
            unsafe { self.engine.borrow_mut().submit(op) };
        }
    }

    /// Takes back a receive that is tried here, for its cancel; false if it is the engine's.
    pub(super) fn withdraw_hot(&self, op: &Op) -> bool {
        self.idling.hot() > 0 && self.idling.remove(op)
    }

    /// Tries the receives of hot sockets, or leaves them to the engine before the core goes to sleep. Whether
    /// any is done.
    #[cold]
    pub(super) fn see_to_hot(&self, wait: Wait) -> bool {
        let mut any = false;
        let (ops, len) = {
            let hot = self.idling.hot.borrow();
            (hot.ops, hot.len)
        };
        for op in &ops[..len] {
            // SAFETY: alive: submitted by the fiber that is parked in it, and taken out here before it is done.
            let op = unsafe { &**op };
            if wait != Wait::Poll {
                self.idling.remove(op);
                // SAFETY: submitted under the promise that the engine wants, and in no list.
                unsafe { self.engine.borrow_mut().submit(op) };
                if op.state() == State::Done {
                    any = true;
                    self.sched.wake(op.fiber());
                }
                continue;
            }
            // SAFETY: the pointers of the request are good until the op is done, by its submitter's promise.
            if let Some(result) = unsafe { try_now(op) } {
                self.idling.remove(op);
                op.complete(result);
                any = true;
                self.sched.wake(op.fiber());
            }
        }
        any
    }
}

/// Changes what the core does while nothing is ready, from the next turn on: to spin while the market is open,
/// say, and to sleep when it is closed.
///
/// # Panics
/// Outside of a fiber and of a callback.
///
/// # Example
/// ```
/// use flux::{Idle, idle, set_idle};
///
/// # fn main() -> Result<(), flux::RunError> {
/// flux::Config::new().idle(Idle::Block).run(|| {
///     let before = idle();
///     set_idle(Idle::Spin);
///     // .. the hour that counts ..
///     set_idle(before);
/// })
/// # }
/// ```
#[track_caller]
pub fn set_idle(idle: Idle) {
    current::with(|reactor| {
        reactor.idling.policy.set(idle);
        reactor.idling.over();
    });
}

/// What the core does now while nothing is ready: as configured, or as [`set_idle`] said last.
///
/// # Panics
/// Outside of a fiber and of a callback.
#[track_caller]
#[must_use]
pub fn idle() -> Idle {
    current::with(|reactor| reactor.idling.policy.get())
}
