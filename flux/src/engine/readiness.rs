//! The engine for kernels that say "you may try now": the syscall is made here, and ops complete as they do
//! elsewhere.
//!
//! An op is tried when it is submitted, and if it would have to wait it stands in one of two queues of its
//! descriptor until the kernel says that something has changed there. Descriptors are registered once, for
//! edges in both directions; what came of an edge is remembered, so that a read that is known to find
//! nothing is not tried. Where the kernel's list of registrations is full, ops line up in one queue, in
//! which nothing overtakes: while it holds an op, later ones of any descriptor stand behind it.
//!
//! ```text
//! submit ──▶ try ──done──▶ Done            edge ──▶ try the first of the queue, then the next, until one
//!   │         └──would wait──▶ queue of the descriptor ◀──would still wait───┘
//!   └──▶ overflow ──room in the list──▶ try
//! ```
//!
//! Owns the table of descriptors and the line. What is known of each, and its queues, is in [`slot`](super::slot);
//! how the kernel is asked is a [`Poller`]'s business, and who waits for an op is nobody's here.

#![allow(
    unsafe_code,
    reason = "keeps lists of ops, which lie in suspended frames"
)]

use std::io;
use std::os::fd::RawFd;

use super::attempt::{First, pause};
use super::poller::{Added, Poller, Told};
pub(crate) use super::slot::closed_unseen;
use super::slot::{Begun, Slot, slot_of};
use super::{CancelOutcome, Counters, Wait, left};
use crate::list::List;
use crate::op::{Op, Overflow, Request, State};
use crate::sys::limits::{self, Limit};

/// The most descriptors that the table has room for; a system may allow more, and hardly gives them.
const DESCRIPTORS_MAX: usize = 1 << 20;
/// The most batches of events taken in a turn: then the fibers get their share again.
const BATCHES_MAX: usize = 4;

pub(crate) struct Readiness<P> {
    poller: P,
    slots: Box<[Slot]>,
    overflow: List<Op, Overflow>,
    in_flight: usize,
    counters: Counters,
}

impl<P: Poller> Readiness<P> {
    pub(crate) fn new(poller: P) -> Self {
        let count = descriptors_max();
        // Zeroed by the system, page by page as they are touched: the table costs what is used of it.
        let slots = Box::<[Slot]>::new_zeroed_slice(count);
        Self {
            poller,
            // SAFETY: all zeroes is a valid `Slot`: null pointers, zero counts and false flags.
            slots: unsafe { slots.assume_init() },
            overflow: List::new(),
            in_flight: 0,
            counters: Counters::default(),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            overflow_depth: self.overflow.len() as u64,
            ..self.counters
        }
    }

    /// # Safety
    /// As [`super::Engine::submit`].
    #[inline]
    pub(crate) unsafe fn submit(&mut self, op: &Op) {
        if self.overflow.is_empty() {
            // SAFETY: the caller's promise is passed on, and the op is in no list yet.
            match unsafe { self.begin(op, First::Yes) } {
                Begun::Done(result) => {
                    op.complete(result);
                    self.counters.completions += 1;
                    return;
                }
                Begun::Waits => {
                    self.in_flight += 1;
                    return;
                }
                Begun::NoRoom => {}
            }
        }
        self.in_flight += 1;
        op.set_state(State::Queued);
        // SAFETY: the caller promised that the op stays until it is done; it leaves this list before.
        unsafe { self.overflow.push_back(op) };
        self.counters.overflows += 1;
        let depth = self.overflow.len() as u64;
        self.counters.overflow_high_water = self.counters.overflow_high_water.max(depth);
    }

    /// Tries an op whose turn has come, and puts it into the queue of its descriptor if it has to wait.
    ///
    /// # Safety
    /// As [`super::Engine::submit`]; the op is in no list.
    #[inline]
    unsafe fn begin(&mut self, op: &Op, first: First) -> Begun {
        let Some(fd) = op.request().fd() else {
            // SAFETY: the caller's promise is passed on.
            return unsafe { self.begin_timeout(op) };
        };
        let Some(slot) = slot_of(&self.slots, fd) else {
            return Begun::Done(-libc::EMFILE);
        };
        slot.forget_if_in_doubt();
        let direction = slot.direction(op.request().writes());
        let turn_has_come = direction.waiting.is_empty();
        // What is remembered of edges counts only where edges come.
        let worth_a_try = !slot.registered.get() || !direction.idle.get() || slot.ended.get();
        // A connection is attempted once: there has to be room for its end before.
        if matches!(op.request(), Request::Connect { .. })
            && !slot.registered.get()
            && let Err(begun) = slot.register(fd, &mut self.poller)
        {
            return begun;
        }
        if turn_has_come
            && worth_a_try
            && let Some(result) = slot.attempt::<P>(fd, op, first)
        {
            return Begun::Done(result);
        }
        if !slot.registered.get()
            && let Err(begun) = slot.register(fd, &mut self.poller)
        {
            return begun;
        }
        op.set_state(State::InKernel);
        // SAFETY: the caller promised that the op stays until it is done; it leaves this list before.
        unsafe { direction.waiting.push_back(op) };
        Begun::Waits
    }

    /// Begins an op that is about no descriptor: one whose moment has come, or none was asked for, is done.
    ///
    /// # Safety
    /// As [`begin`](Self::begin).
    #[cold]
    unsafe fn begin_timeout(&mut self, op: &Op) -> Begun {
        if left(op).is_none() {
            return Begun::Done(0);
        }
        // SAFETY: the op stays until it is done (caller), and before that it is told of, or removed by `cancel`.
        match unsafe { self.poller.add_timer(op) } {
            Ok(Added::Registered) => {
                op.set_state(State::InKernel);
                Begun::Waits
            }
            Ok(Added::Full) => Begun::NoRoom,
            Err(error) => Begun::Done(-error.raw_os_error().unwrap_or(libc::EIO)),
        }
    }

    /// # Safety
    /// As [`super::Engine::cancel`].
    pub(crate) unsafe fn cancel(&mut self, op: &Op) -> CancelOutcome {
        match op.state() {
            // SAFETY: `submit` put it into this very list.
            State::Queued => unsafe { self.overflow.remove(op) },
            State::InKernel => {
                let slot = op.request().fd().and_then(|fd| slot_of(&self.slots, fd));
                if op.timeout().is_some() {
                    self.poller.remove_timer(op);
                } else if let Some(slot) = slot {
                    let direction = slot.direction(op.request().writes());
                    // SAFETY: `begin` put it into this very list.
                    unsafe { direction.waiting.remove(op) };
                }
            }
            State::Idle | State::Done => return CancelOutcome::Pending,
        }
        self.in_flight -= 1;
        self.counters.completions += 1;
        op.complete(-libc::ECANCELED);
        CancelOutcome::Done
    }

    /// Forgets what is known of a descriptor that is about to be closed, or given away.
    pub(crate) fn detach(&mut self, fd: RawFd) {
        if let Some(slot) = slot_of(&self.slots, fd) {
            if slot.registered.get() {
                self.poller.remove(fd);
            }
            slot.forget();
        }
    }

    /// Waits as told, and completes what can go on: see [`super::Engine::turn`].
    ///
    /// Ends when nothing waits for room and no event is left behind, or after [`BATCHES_MAX`] batches: what
    /// is left then is taken up in the next turn.
    #[inline]
    pub(crate) fn turn(&mut self, wait: Wait, mut done: impl FnMut(&Op)) -> io::Result<()> {
        let mut wait = wait;
        for _ in 0..BATCHES_MAX {
            if !self.overflow.is_empty() && self.begin_those_behind(&mut done) {
                wait = Wait::Poll;
            }
            if wait == Wait::Poll && self.in_flight == 0 {
                break;
            }
            // While ops stand in line for room, what is waited for may be among them.
            let room_is_wanted = !self.overflow.is_empty();
            let patience = if room_is_wanted { Wait::Poll } else { wait };
            self.counters.enters += 1;
            let (slots, counters, line) = (&self.slots, &mut self.counters, &self.overflow);
            let mut completed = 0;
            let more = self.poller.wait(patience, |told| match told {
                Told::Edge(fd, edge) => {
                    if let Some(slot) = slot_of(slots, fd) {
                        completed += slot.go_on::<P>(fd, edge, &mut done);
                    }
                }
                Told::Timer(op, refused) => completed += go_off(op, refused, line, &mut done),
            });
            self.in_flight -= completed;
            counters.completions += completed as u64;
            match more {
                Ok(more) if more || room_is_wanted => wait = Wait::Poll,
                Ok(_) => break,
                Err(error) => match error.raw_os_error() {
                    // A signal: a turn with nothing.
                    Some(libc::EINTR) => break,
                    // Short of something at the moment: nothing was taken, and the next turn asks again.
                    Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::ENOMEM) => {
                        counters.refusals += 1;
                        if wait != Wait::Poll {
                            pause();
                        }
                        break;
                    }
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Begins what waits for room, in its order, until there is none again; whether an op is done.
    #[cold]
    fn begin_those_behind(&mut self, done: &mut impl FnMut(&Op)) -> bool {
        let mut any = false;
        loop {
            // Not tied to the list: it stays in its frame until it is done, by its submitter's promise.
            let Some(op) = self.overflow.pop_front().map(std::ptr::from_ref) else {
                return any;
            };
            // SAFETY: alive, as said.
            let op = unsafe { &*op };
            // What was tried before it stood here is tried anew: the edge that it would wait for may have come
            // meanwhile. A connection attempt has not been made.
            let first = match op.request() {
                Request::Connect { .. } => First::Yes,
                _ => First::No,
            };
            // SAFETY: submitted under the promise that `begin` wants, and in no list since the line above.
            match unsafe { self.begin(op, first) } {
                Begun::Done(result) => {
                    op.complete(result);
                    self.in_flight -= 1;
                    self.counters.completions += 1;
                    any = true;
                    done(op);
                }
                Begun::Waits => {}
                Begun::NoRoom => {
                    // SAFETY: it was in this list a moment ago, by the promise of its submitter.
                    unsafe { self.overflow.push_front(op) };
                    return any;
                }
            }
        }
    }
}

/// Ends a timeout whose timer has gone off, or was refused; the number of ops that are done. One that the kernel
/// took for due too early stands in line to be asked for anew.
#[cold]
fn go_off(op: &Op, refused: i32, line: &List<Op, Overflow>, done: &mut impl FnMut(&Op)) -> usize {
    if refused == 0 && left(op).is_some() {
        op.set_state(State::Queued);
        // SAFETY: its submitter promised that it stays until it is done; it leaves this list before, and was in
        // none while its timer ran.
        unsafe { line.push_back(op) };
        return 0;
    }
    op.complete(-refused);
    done(op);
    1
}

/// How many descriptors this process can ever have.
fn descriptors_max() -> usize {
    limits::soft_and_hard(Limit::Descriptors)
        .1
        .and_then(|most| usize::try_from(most).ok())
        .map_or(DESCRIPTORS_MAX, |most| most.min(DESCRIPTORS_MAX))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[path = "readiness_tests.rs"]
mod tests;
