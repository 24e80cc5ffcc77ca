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
//! Owns the table of descriptors and the queues. How the kernel is asked is a [`Poller`]'s business, how an
//! op is tried is that of [`attempt`](super::attempt), and who waits for an op is nobody's here.

#![allow(
    unsafe_code,
    reason = "keeps lists of ops, which lie in suspended frames"
)]

use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};

use super::attempt::{First, call, pause};
use super::{CancelOutcome, Counters, Wait};
use crate::list::List;
use crate::op::{Op, Overflow, Request, State};
use crate::sys::limits::{self, Limit};

/// The most descriptors that the table has room for; a system may allow more, and hardly gives them.
const DESCRIPTORS_MAX: usize = 1 << 20;
/// The most batches of events taken in a turn: then the fibers get their share again.
const BATCHES_MAX: usize = 4;

/// Counts descriptors that were closed, or given away, where the engine could not be told: on another
/// thread. What is known of a registration from before may be of another file.
static CLOSED_UNSEEN: AtomicU32 = AtomicU32::new(0);

/// Tells every engine of this process that a descriptor may have been closed behind its back.
pub(crate) fn closed_unseen() {
    CLOSED_UNSEEN.fetch_add(1, Ordering::Release);
}

/// What has changed at a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The other side has finished, or the socket has failed: nothing will ever have to wait again, and no
    /// further edge may come.
    pub(crate) ended: bool,
    /// The error code with which the kernel refused to tell of these directions, after [`Poller::add`] had
    /// promised it; 0 if it did not.
    pub(crate) refused: i32,
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is made, or will be with the next wait.
    Registered,
    /// There is no room for it before the next wait.
    #[cfg_attr(
        not(any(target_os = "macos", target_os = "freebsd", flux_kqueue_compat)),
        allow(dead_code, reason = "epoll registers at once")
    )]
    Full,
}

/// The kernel's way of telling what has changed.
pub(crate) trait Poller: Sized {
    /// Whether a read that got less than it asked for has emptied the socket, unless an [`Edge`] said that
    /// it `ended`. A read stops where urgent data stood, and not every system tells of those.
    const SHORT_MEANS_EMPTY: bool;

    /// Registers a descriptor for edges in both directions, now or with the next wait, which then reports a
    /// refusal. One that is registered already is fine: what has changed meanwhile is reported anew.
    fn add(&mut self, fd: RawFd) -> io::Result<Added>;

    /// Forgets a descriptor that is about to be closed.
    fn remove(&mut self, fd: RawFd);

    /// Waits as told, and reports what has changed: at most one batch. Answers whether there may be more.
    fn wait(&mut self, wait: Wait, report: impl FnMut(RawFd, Edge)) -> io::Result<bool>;
}

/// One direction of a descriptor.
struct Direction {
    waiting: List<Op, Overflow>,
    /// The last attempt found nothing, and no edge has come since.
    idle: Cell<bool>,
}

/// What is known of a descriptor. All zeroes is a descriptor of which nothing is known.
struct Slot {
    read: Direction,
    write: Direction,
    /// Registered, and as of which count of [`CLOSED_UNSEEN`] that is known.
    registered: Cell<bool>,
    as_of: Cell<u32>,
    /// What an attempt found says nothing of what comes next, so that everything is tried.
    ended: Cell<bool>,
}

pub(crate) struct Readiness<P> {
    poller: P,
    slots: Box<[Slot]>,
    overflow: List<Op, Overflow>,
    in_flight: usize,
    counters: Counters,
}

/// Where an op stands after it was begun.
enum Begun {
    Done(i32),
    Waits,
    /// Its descriptor is not registered, and there is no room to do so.
    NoRoom,
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
            return Begun::Done(0);
        };
        let Some(slot) = slot_of(&self.slots, fd) else {
            return Begun::Done(-libc::EMFILE);
        };
        if slot.registered.get() && slot.as_of.get() != CLOSED_UNSEEN.load(Ordering::Acquire) {
            slot.forget();
        }
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

    /// # Safety
    /// As [`super::Engine::cancel`].
    pub(crate) unsafe fn cancel(&mut self, op: &Op) -> CancelOutcome {
        match op.state() {
            // SAFETY: `submit` put it into this very list.
            State::Queued => unsafe { self.overflow.remove(op) },
            State::InKernel => {
                let slot = op.request().fd().and_then(|fd| slot_of(&self.slots, fd));
                if let Some(slot) = slot {
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
            let (slots, counters) = (&self.slots, &mut self.counters);
            let mut completed = 0;
            let more = self.poller.wait(patience, |fd, edge| {
                if let Some(slot) = slot_of(slots, fd) {
                    completed += slot.go_on::<P>(fd, edge, &mut done);
                }
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

/// What is known of a descriptor, unless its number is beyond the table.
#[inline]
fn slot_of(slots: &[Slot], fd: RawFd) -> Option<&Slot> {
    usize::try_from(fd).ok().and_then(|fd| slots.get(fd))
}

impl Slot {
    #[inline]
    fn direction(&self, write: bool) -> &Direction {
        if write { &self.write } else { &self.read }
    }

    /// Asks the kernel to tell of the descriptor; what becomes of an op that needs it, if that fails.
    fn register<P: Poller>(&self, fd: RawFd, poller: &mut P) -> Result<(), Begun> {
        // Read before: a close that comes in between is seen as one that came after.
        let as_of = CLOSED_UNSEEN.load(Ordering::Acquire);
        match poller.add(fd) {
            Ok(Added::Registered) => {}
            Ok(Added::Full) => return Err(Begun::NoRoom),
            Err(error) => {
                return Err(Begun::Done(-error.raw_os_error().unwrap_or(libc::EIO)));
            }
        }
        self.registered.set(true);
        self.as_of.set(as_of);
        Ok(())
    }

    fn forget(&self) {
        self.registered.set(false);
        self.ended.set(false);
        self.read.idle.set(false);
        self.write.idle.set(false);
    }

    /// Tries what waits, after an edge; the number of ops that are done.
    #[inline]
    fn go_on<P: Poller>(&self, fd: RawFd, edge: Edge, done: &mut impl FnMut(&Op)) -> usize {
        if edge.ended {
            self.ended.set(true);
        }
        if edge.refused != 0 {
            // The next op that has to wait asks once more: memory may have been short.
            self.registered.set(false);
        }
        let mut completed = 0;
        if edge.readable || edge.ended {
            completed += self.go_on_in::<P>(&self.read, fd, edge, done);
        }
        if edge.writable || edge.ended {
            completed += self.go_on_in::<P>(&self.write, fd, edge, done);
        }
        completed
    }

    /// Tries what waits in one direction, which has changed.
    #[inline]
    fn go_on_in<P: Poller>(
        &self,
        direction: &Direction,
        fd: RawFd,
        edge: Edge,
        done: &mut impl FnMut(&Op),
    ) -> usize {
        direction.idle.set(false);
        let mut completed = 0;
        while let Some(op) = direction.waiting.front() {
            let result = match edge.refused {
                0 => self.attempt::<P>(fd, op, First::No),
                code => Some(-code),
            };
            let Some(result) = result else {
                break;
            };
            direction.waiting.pop_front();
            op.complete(result);
            completed += 1;
            done(op);
            if direction.idle.get() {
                break;
            }
        }
        completed
    }

    /// Tries an op; `None` when it would have to wait.
    #[inline]
    fn attempt<P: Poller>(&self, fd: RawFd, op: &Op, first: First) -> Option<i32> {
        let tried = loop {
            // SAFETY: the pointers of the request are good until the op is done, by the promise of its
            // submitter, and it is not done.
            let tried = unsafe { call(fd, op.request(), first) };
            if tried.result != -libc::EINTR {
                break tried;
            }
        };
        if tried.ended {
            self.ended.set(true);
        }
        let would_wait = tried.would_wait();
        let emptied = P::SHORT_MEANS_EMPTY && tried.short && !self.ended.get();
        self.direction(op.request().writes())
            .idle
            .set(would_wait || emptied);
        (!would_wait).then_some(tried.result)
    }
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
