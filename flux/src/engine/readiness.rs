//! The engine for kernels that say "you may try now": the syscall is made here, and ops complete as they do
//! elsewhere.
//!
//! An op is tried when it is submitted, and if it would have to wait it stands in one of two queues of its
//! descriptor until the kernel says that something has changed there. Descriptors are registered once, for
//! edges in both directions; what came of an edge is remembered, so that a read that is known to find
//! nothing is not tried.
//!
//! ```text
//! submit ──▶ try ──done──▶ Done            edge ──▶ try the first of the queue, then the next, until one
//!             └──would wait──▶ queue of the descriptor ◀──would still wait───┘
//! ```
//!
//! Owns the table of descriptors and the queues. How the kernel is asked is a [`Poller`]'s business, and who
//! waits for an op is nobody's here.

#![allow(
    unsafe_code,
    reason = "makes the syscalls of ops, whose addresses come from suspended frames"
)]

use std::cell::Cell;
use std::io;
use std::mem;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{CancelOutcome, Counters, Wait};
use crate::list::List;
use crate::op::{Op, Overflow, Request, State};
use crate::sys::socket;

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

/// The kernel's way of telling what has changed.
pub(crate) trait Poller: Sized {
    /// Registers a descriptor for edges in both directions, now or with the next wait, which then reports a
    /// refusal. One that is registered already is fine: what has changed meanwhile is reported anew.
    fn add(&mut self, fd: RawFd) -> io::Result<()>;

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
    /// No edge may come any more, so that everything is tried.
    ended: Cell<bool>,
}

pub(crate) struct Readiness<P> {
    poller: P,
    slots: Box<[Slot]>,
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
            in_flight: 0,
            counters: Counters::default(),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    /// # Safety
    /// As [`super::Engine::submit`].
    #[inline]
    pub(crate) unsafe fn submit(&mut self, op: &Op) {
        let Some(fd) = op.request().fd() else {
            finish(&mut self.counters, op, 0);
            return;
        };
        let Some(slot) = slot_of(&self.slots, fd) else {
            finish(&mut self.counters, op, -libc::EMFILE);
            return;
        };
        if slot.registered.get() && slot.as_of.get() != CLOSED_UNSEEN.load(Ordering::Acquire) {
            slot.forget();
        }
        let direction = slot.direction(op.request().writes());
        let turn_has_come = direction.waiting.is_empty();
        // What is remembered of edges counts only where edges come.
        let worth_a_try = !slot.registered.get() || !direction.idle.get() || slot.ended.get();
        if turn_has_come
            && worth_a_try
            && let Some(result) = slot.attempt(fd, op, First::Yes)
        {
            finish(&mut self.counters, op, result);
            return;
        }
        if !slot.registered.get() {
            // Read before: a close that comes in between is seen as one that came after.
            let as_of = CLOSED_UNSEEN.load(Ordering::Acquire);
            if let Err(error) = self.poller.add(fd) {
                finish(
                    &mut self.counters,
                    op,
                    -error.raw_os_error().unwrap_or(libc::EIO),
                );
                return;
            }
            slot.registered.set(true);
            slot.as_of.set(as_of);
        }
        op.set_state(State::Queued);
        self.in_flight += 1;
        // SAFETY: the caller promised that the op stays until it is done; it leaves this list before.
        unsafe { direction.waiting.push_back(op) };
    }

    /// # Safety
    /// As [`super::Engine::cancel`].
    pub(crate) unsafe fn cancel(&mut self, op: &Op) -> CancelOutcome {
        if op.state() != State::Queued {
            return CancelOutcome::Pending;
        }
        let slot = op.request().fd().and_then(|fd| slot_of(&self.slots, fd));
        if let Some(slot) = slot {
            let direction = slot.direction(op.request().writes());
            // SAFETY: an op that is queued was put into this very list by `submit`.
            unsafe { direction.waiting.remove(op) };
        }
        self.in_flight -= 1;
        finish(&mut self.counters, op, -libc::ECANCELED);
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
    #[inline]
    pub(crate) fn turn(&mut self, wait: Wait, mut done: impl FnMut(&Op)) -> io::Result<()> {
        let mut wait = wait;
        for _ in 0..BATCHES_MAX {
            if wait == Wait::Poll && self.in_flight == 0 {
                break;
            }
            self.counters.enters += 1;
            let (slots, counters) = (&self.slots, &mut self.counters);
            let mut completed = 0;
            let more = self.poller.wait(wait, |fd, edge| {
                if let Some(slot) = slot_of(slots, fd) {
                    completed += slot.go_on(fd, edge, &mut done);
                }
            });
            self.in_flight -= completed;
            counters.completions += completed as u64;
            match more {
                Ok(true) => wait = Wait::Poll,
                Ok(false) => break,
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What is known of a descriptor, unless its number is beyond the table.
#[inline]
fn slot_of(slots: &[Slot], fd: RawFd) -> Option<&Slot> {
    usize::try_from(fd).ok().and_then(|fd| slots.get(fd))
}

fn finish(counters: &mut Counters, op: &Op, result: i32) {
    op.complete(result);
    counters.completions += 1;
}

/// Whether an op is tried for the first time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Yes,
    No,
}

impl Slot {
    fn direction(&self, write: bool) -> &Direction {
        if write { &self.write } else { &self.read }
    }

    fn forget(&self) {
        self.registered.set(false);
        self.ended.set(false);
        self.read.idle.set(false);
        self.write.idle.set(false);
    }

    /// Tries what waits, after an edge; the number of ops that are done.
    fn go_on(&self, fd: RawFd, edge: Edge, done: &mut impl FnMut(&Op)) -> usize {
        if edge.ended {
            self.ended.set(true);
        }
        if edge.refused != 0 {
            // The next op that has to wait asks once more: memory may have been short.
            self.registered.set(false);
        }
        let mut completed = 0;
        for (direction, changed) in [(&self.read, edge.readable), (&self.write, edge.writable)] {
            if !(changed || edge.ended) {
                continue;
            }
            direction.idle.set(false);
            while !direction.idle.get()
                && let Some(op) = direction.waiting.pop_front()
            {
                let result = match edge.refused {
                    0 => self.attempt(fd, op, First::No),
                    code => Some(-code),
                };
                match result {
                    Some(result) => {
                        op.complete(result);
                        completed += 1;
                        done(op);
                    }
                    None => {
                        // SAFETY: it was in this list a moment ago, by the promise of its submitter.
                        unsafe { direction.waiting.push_front(op) };
                        break;
                    }
                }
            }
        }
        completed
    }

    /// Makes an op's syscall; `None` when it would have to wait.
    fn attempt(&self, fd: RawFd, op: &Op, first: First) -> Option<i32> {
        let direction = self.direction(op.request().writes());
        loop {
            // SAFETY: the pointers of the request are good until the op is done, by the promise of its
            // submitter, and it is not done.
            let (result, all_taken) = unsafe { self.call(fd, op.request(), first) };
            if result == -libc::EINTR {
                continue;
            }
            let would_wait = matches!(-result, libc::EAGAIN | libc::EINPROGRESS);
            // A read that got less than it asked for has emptied the socket: what comes next is an edge.
            direction
                .idle
                .set(would_wait || (!all_taken && !self.ended.get()));
            return (!would_wait).then_some(result);
        }
    }

    /// One syscall: its result as an op wants it, and whether it got all that it asked for.
    ///
    /// # Safety
    /// The request's pointers are good.
    unsafe fn call(&self, fd: RawFd, request: Request, first: First) -> (i32, bool) {
        match request {
            Request::Nothing => (0, true),
            Request::Receive {
                buffer, len, peek, ..
            } => {
                let flags = libc::MSG_DONTWAIT | if peek { libc::MSG_PEEK } else { 0 };
                // SAFETY: the buffer is good for `len` bytes (caller).
                let received = unsafe { libc::recv(fd, buffer.cast(), len as usize, flags) };
                let result = result_of(received);
                if received == 0 && len > 0 {
                    // The end of the stream stays, and brings no second edge.
                    self.ended.set(true);
                }
                (
                    result,
                    peek || result < 0 || received.cast_unsigned() == len as usize,
                )
            }
            Request::Send { bytes, len, .. } => {
                // The caller has tried a moment ago: the first try is that after an edge.
                if first == First::Yes {
                    return (-libc::EAGAIN, false);
                }
                // SAFETY: the bytes are good for `len` (caller).
                let sent =
                    unsafe { libc::send(fd, bytes.cast(), len as usize, socket::SEND_FLAGS) };
                let result = result_of(sent);
                (result, result < 0 || sent.cast_unsigned() == len as usize)
            }
            Request::Accept { address, len, .. } => {
                if let Err(code) = make_nonblocking(fd) {
                    return (-code, true);
                }
                // SAFETY: the address and its length are good (caller).
                let accepted = unsafe { socket::accept_now(fd, address.cast(), len.cast()) };
                (result_of(accepted as isize), true)
            }
            Request::Connect { address, len, .. } => {
                if let Err(code) = make_nonblocking(fd) {
                    return (-code, true);
                }
                let result = if first == First::Yes {
                    // SAFETY: the address is good for `len` bytes (caller).
                    result_of(unsafe { libc::connect(fd, address.cast(), len) } as isize)
                } else {
                    -pending_error(fd)
                };
                (result, true)
            }
            Request::Ready { write, .. } => (ready_now(fd, write), true),
        }
    }
}

/// For the calls that have no flag of their own for it. Asked each time: the mode belongs to the open file,
/// which another descriptor may have changed.
fn make_nonblocking(fd: RawFd) -> Result<(), i32> {
    let mut on: libc::c_int = 1;
    // SAFETY: the argument is the integer that FIONBIO wants.
    match unsafe { libc::ioctl(fd, libc::FIONBIO, &raw mut on) } {
        0 => Ok(()),
        _ => Err(errno()),
    }
}

fn errno() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

/// A count as it is, a failure as the negated error code.
fn result_of(returned: isize) -> i32 {
    if returned < 0 {
        -errno()
    } else {
        // No call here answers with more: requests are cut to what an `i32` can tell.
        i32::try_from(returned).unwrap_or(i32::MAX)
    }
}

/// How a connection attempt that was under way has ended: 0, or an error code.
fn pending_error(fd: RawFd) -> i32 {
    let mut code: libc::c_int = 0;
    let mut len = 4;
    // SAFETY: the value and its length are those of an integer in this frame.
    let failed = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            (&raw mut code).cast(),
            &raw mut len,
        )
    };
    if failed != 0 {
        return errno();
    }
    if code != 0 {
        return code;
    }
    // An edge may come before the answer of the other side does.
    if ready_now(fd, true) < 0 {
        return libc::EINPROGRESS;
    }
    0
}

/// 0 when the descriptor is ready, `-EAGAIN` when it is not.
fn ready_now(fd: RawFd, write: bool) -> i32 {
    let mut poll = libc::pollfd {
        fd,
        events: if write { libc::POLLOUT } else { libc::POLLIN },
        revents: 0,
    };
    // SAFETY: one entry, in this frame, and no waiting.
    match unsafe { libc::poll(&raw mut poll, 1, 0) } {
        0 => -libc::EAGAIN,
        1 => 0,
        _ => -errno(),
    }
}

/// How many descriptors this process can ever have.
fn descriptors_max() -> usize {
    // SAFETY: all zeroes is a valid `rlimit`.
    let mut limit: libc::rlimit = unsafe { mem::zeroed() };
    // SAFETY: the limit is in this frame.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if failed != 0 {
        return DESCRIPTORS_MAX;
    }
    usize::try_from(limit.rlim_max).map_or(DESCRIPTORS_MAX, |max| max.min(DESCRIPTORS_MAX))
}
