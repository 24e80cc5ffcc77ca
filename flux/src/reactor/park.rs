//! What a running fiber may ask of the reactor: to wait, for an op or for another fiber, and to stop
//! waiting early.
//!
//! The rules that hold for every wait stand here, once: a cancelled fiber is told at once, the nearest
//! deadline ends the wait, nothing switches while a panic unwinds, nor where `no_suspend` forbids it.

#![allow(
    unsafe_code,
    reason = "submits ops that live in the calling fiber's frame, and suspends it"
)]

use std::io;
#[cfg(unix)]
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

use crate::error::Stopped;
use crate::fiber::block::{Block, Deadline, NIL, State, Waiting};
use crate::op::{Moment, Op, Request, State as OpState};
use crate::reactor::{Reactor, current};
use crate::sys::{errno, say};

/// The deadlines around, and inside, a `timeout`.
#[derive(Clone, Copy)]
pub(crate) struct Enclosed {
    outer: *const Deadline,
    inner: *const Deadline,
}

/// The moment at which a wait ends early, and whose moment it is.
#[derive(Clone, Copy)]
struct Limit {
    at_ns: u64,
    /// An enclosing `timeout`, rather than the call's own.
    enclosing: bool,
}

impl Reactor {
    /// The block of the fiber that runs. Fibers alone reach the reactor, so there is one.
    #[inline]
    fn me(&self) -> &Block {
        debug_assert_ne!(self.sched.current(), NIL);
        self.sched.arena.block(self.sched.current())
    }

    /// Refuses to wait when the fiber was cancelled, its deadline has passed, or a panic unwinds.
    ///
    /// # Panics
    /// Inside `no_suspend`.
    #[inline]
    #[track_caller]
    pub(crate) fn may_wait(&self) -> Result<(), Stopped> {
        may_wait(self.me())
    }

    /// Refuses to go on when the fiber was cancelled, its deadline has passed, or a panic unwinds; for calls that
    /// may do without waiting.
    #[inline]
    pub(crate) fn may_go_on(&self) -> Result<(), Stopped> {
        may_go_on(self.me())
    }

    /// Whether the running fiber could be suspended at all, should it have to wait.
    #[inline]
    pub(crate) fn can_suspend(&self) -> bool {
        self.me().suspend_bans.get() == 0 && !std::thread::panicking()
    }

    /// Suspends the running fiber until something wakes it.
    #[inline]
    pub(crate) fn park(&self, waiting: Waiting) {
        // SAFETY: it is the block of the fiber that runs.
        unsafe { park(self.me(), waiting) };
    }

    /// Lets every fiber run that is ready now, then goes on.
    #[inline]
    pub(crate) fn yield_now(&self) {
        let block = self.me();
        self.sched.requeue(self.sched.current());
        // SAFETY: `block` is that of the fiber that runs, so this is its own stack.
        unsafe { block.context.suspend() };
    }

    /// Counts a call that succeeded without waiting; after [`BUDGET`](super::BUDGET) of those in a row
    /// the fiber lets the others run, or they would starve.
    #[inline]
    pub(crate) fn spend(&self) {
        let block = self.me();
        let left = block.budget.get().saturating_sub(1);
        block.budget.set(left);
        if left == 0 && self.can_suspend() {
            self.yield_now();
        }
    }

    /// Waits until `done`, or until the wait is ended early. Whoever makes `done` true wakes the fiber.
    ///
    /// What is done when the fiber runs again counts as done, whatever ended the wait.
    // Inlined, as all that stands between a caller and the switch: after a switch the processor predicts
    // no return, and each one costs more than the rest of the call.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "see the comment above")]
    #[track_caller]
    pub(crate) fn wait(
        &self,
        waiting: Waiting,
        own_end_ns: Option<u64>,
        mut done: impl FnMut() -> bool,
    ) -> Result<(), Stopped> {
        let me = self.sched.current();
        // Looked up once: what follows uses it throughout, over the switch too.
        let block = self.sched.arena.block(me);
        may_wait(block)?;
        let limit = self.arm(me, block, own_end_ns);
        let outcome = loop {
            // SAFETY: it is the block of the fiber that runs.
            unsafe { park(block, waiting) };
            if done() {
                break Ok(());
            }
            if block.hears_cancel() {
                break Err(Stopped::Cancelled);
            }
            if block.timed_out.get() {
                break Err(Stopped::TimedOut);
            }
        };
        self.disarm(me, block, limit, outcome == Err(Stopped::TimedOut));
        outcome
    }

    /// Waits until a moment. Earlier ends are told as in [`wait`](Self::wait).
    #[inline]
    #[track_caller]
    pub(crate) fn wait_until(&self, at_ns: u64) -> Result<(), Stopped> {
        let own_comes_first = enclosing(self.me()).is_none_or(|deadline| at_ns <= deadline.at_ns);
        match self.wait(Waiting::Time, Some(at_ns), || false) {
            Err(Stopped::TimedOut) if own_comes_first => Ok(()),
            outcome => outcome,
        }
    }

    /// Does a request, waiting for as long as it takes, and returns what the kernel answered.
    ///
    /// The op stands in this very frame, which does not end before the op is done: that is what makes the
    /// pointers in the request good.
    ///
    /// # Errors
    /// What the kernel answered; `TimedOut` when the time is over, `ECANCELED` when the fiber was
    /// cancelled. A request that succeeded while it was being ended early counts as having succeeded.
    ///
    /// # Safety
    /// What the request points to is alive, and borrowed by the caller as the request uses it, until this
    /// returns.
    // Inlined for the reason that `wait` gives.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "see the comment above")]
    #[track_caller]
    pub(crate) unsafe fn perform(
        &self,
        request: Request,
        timeout: Option<Duration>,
    ) -> io::Result<u32> {
        // SAFETY: the caller's promise is passed on.
        let submit = |op: &Op| unsafe { self.engine.borrow_mut().submit(op) };
        self.perform_by(request, timeout, submit)
    }

    /// Does a receive on a socket that the core itself asks while it spins: see [`perform`](Self::perform).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Safety
    /// As there.
    #[track_caller]
    pub(crate) unsafe fn perform_hot(
        &self,
        request: Request,
        timeout: Option<Duration>,
    ) -> io::Result<u32> {
        // SAFETY: the caller's promise is passed on.
        self.perform_by(request, timeout, |op| unsafe { self.submit_hot(op) })
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "for the reason that `wait` gives")]
    #[track_caller]
    fn perform_by(
        &self,
        request: Request,
        timeout: Option<Duration>,
        submit: impl FnOnce(&Op),
    ) -> io::Result<u32> {
        let me = self.sched.current();
        let block = self.sched.arena.block(me);
        may_wait(block)?;
        let op = Op::new(request, me);
        let own_end = timeout.map(|timeout| end_of(self.clock.precise(), timeout));
        let limit = self.arm(me, block, own_end);
        block.op.set(&raw const op);
        // The op stays in this frame until it is done (the loop below): a suspended frame is neither unwound
        // nor left. What it points to stays for as long, by the promise of who calls.
        submit(&op);
        if op.state() == OpState::Done {
            // An engine that makes the syscall itself did so at once.
            self.spend();
        }
        while op.state() != OpState::Done {
            // SAFETY: it is the block of the fiber that runs.
            unsafe { park(block, Waiting::Op) };
        }
        block.op.set(ptr::null());
        let result = op.result();
        let ended_early = result == -errno::ECANCELED;
        // A cancel that came with the deadline wins: it is for ever.
        let late = ended_early && block.timed_out.get() && !block.hears_cancel();
        self.disarm(me, block, limit, late);
        match u32::try_from(result) {
            Ok(count) => Ok(count),
            Err(_) if late => Err(Stopped::TimedOut.into()),
            Err(_) => Err(io::Error::from_raw_os_error(-result)),
        }
    }

    /// Waits until the kernel's monotonic clock, or its wall clock, shows a moment.
    ///
    /// # Errors
    /// As [`perform`](Self::perform).
    #[track_caller]
    pub(crate) fn wait_by_kernel(&self, at_ns: u64, wall: Option<Duration>) -> io::Result<()> {
        let request = Request::Timeout {
            at: Moment::new(wall.unwrap_or(Duration::from_nanos(at_ns))),
            wall: wall.is_some(),
        };
        // SAFETY: the request points to nothing.
        unsafe { self.perform(request, None) }.map(drop)
    }

    /// Waits until a descriptor is readable, or writable.
    ///
    /// # Errors
    /// As [`perform`](Self::perform).
    #[cfg(unix)]
    #[track_caller]
    pub(crate) fn wait_ready(
        &self,
        fd: BorrowedFd<'_>,
        write: bool,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let fd = fd.as_raw_fd();
        // SAFETY: the request points to nothing, and its descriptor is borrowed, so that it stays open.
        unsafe { self.perform(Request::Ready { fd, write }, timeout) }.map(drop)
    }

    /// Sets the alarm for the nearer of the call's own end and the enclosing deadline, if there is one.
    #[inline]
    fn arm(&self, me: u32, block: &Block, own_end_ns: Option<u64>) -> Option<Limit> {
        block.timed_out.set(false);
        let outer = enclosing(block).map(|deadline| deadline.at_ns);
        let limit = match (own_end_ns, outer) {
            (None, None) => return None,
            (Some(own), None) => Limit {
                at_ns: own,
                enclosing: false,
            },
            (Some(own), Some(outer)) if own <= outer => Limit {
                at_ns: own,
                enclosing: false,
            },
            (_, Some(outer)) => Limit {
                at_ns: outer,
                enclosing: true,
            },
        };
        self.sched.set_deadline(me, limit.at_ns);
        Some(limit)
    }

    /// Takes the alarm back, and tells the `timeout` whose deadline ended the wait.
    #[inline]
    fn disarm(&self, me: u32, block: &Block, limit: Option<Limit>, late: bool) {
        let Some(limit) = limit else {
            return;
        };
        self.sched.clear_deadline(me);
        if late
            && limit.enclosing
            && let Some(deadline) = enclosing(block)
        {
            deadline.passed.set(true);
        }
    }

    /// Puts a deadline around what follows, if it is nearer than the one that is there; answers what to
    /// [`restore`](Self::restore) afterwards.
    ///
    /// # Safety
    /// `deadline` stays in place, and alive, until `restore` was called.
    pub(crate) unsafe fn enclose(&self, deadline: &Deadline) -> Enclosed {
        let block = self.me();
        let outer = block.deadline.get();
        let outer_is_nearer = enclosing(block).is_some_and(|outer| outer.at_ns <= deadline.at_ns);
        if !outer_is_nearer {
            block.deadline.set(deadline);
        }
        Enclosed {
            outer,
            inner: block.deadline.get(),
        }
    }

    /// Takes a deadline back. Aborts if what is there is not what was put there: then frames have not ended
    /// in the order in which they began (a coroutine of another library was dropped, or moved to another
    /// fiber), and the pointers that deadlines are do not hold.
    pub(crate) fn restore(&self, enclosed: Enclosed) {
        let deadline = &self.me().deadline;
        if deadline.get() != enclosed.inner {
            not_nested("timeout");
        }
        deadline.set(enclosed.outer);
    }

    /// Hides (or, undoing that, shows) the cancelled flag of the running fiber.
    pub(crate) fn shield(&self, on: bool) {
        let shields = &self.me().shields;
        shields.set(if on {
            shields
                .get()
                .checked_add(1)
                .expect("`shielded` nests 255 deep at the most")
        } else {
            shields.get() - 1
        });
    }

    /// Forbids (or, undoing that, allows) the running fiber to suspend.
    pub(crate) fn ban_suspending(&self, on: bool) {
        let bans = &self.me().suspend_bans;
        bans.set(if on {
            bans.get()
                .checked_add(1)
                .expect("`no_suspend` nests 255 deep at the most")
        } else {
            bans.get() - 1
        });
    }
}

/// See [`Reactor::may_wait`].
#[inline]
#[track_caller]
fn may_wait(block: &Block) -> Result<(), Stopped> {
    // A panic in a destructor that runs while one unwinds would end the process.
    if block.suspend_bans.get() > 0 && !std::thread::panicking() {
        suspended_in_no_suspend();
    }
    may_go_on(block)
}

/// See [`Reactor::may_go_on`].
#[inline]
fn may_go_on(block: &Block) -> Result<(), Stopped> {
    // Other fibers would see `panicking()` true, and poison locks that they drop.
    if block.hears_cancel() || std::thread::panicking() {
        return Err(Stopped::Cancelled);
    }
    if enclosing(block).is_some_and(|deadline| deadline.passed.get()) {
        return Err(Stopped::TimedOut);
    }
    Ok(())
}

/// Suspends the running fiber until something wakes it.
///
/// # Safety
/// The block is that of the fiber that runs.
#[inline]
unsafe fn park(block: &Block, waiting: Waiting) {
    block.waiting.set(waiting);
    block.state.set(State::Parked);
    // SAFETY: the fiber of this block runs (caller), so this is its own stack.
    unsafe { block.context.suspend() };
    block.waiting.set(Waiting::Nothing);
}

/// The deadline around the code that a fiber runs.
fn enclosing(block: &Block) -> Option<&Deadline> {
    let deadline = block.deadline.get();
    // SAFETY: alive: the frame of `timeout` holds it, and takes it back before it returns; frames of a fiber
    // nest, and `restore` aborts where they have not.
    (!deadline.is_null()).then(|| unsafe { &*deadline })
}

/// The moment so long after another, or the end of time.
#[inline]
pub(crate) fn end_of(now_ns: u64, after: Duration) -> u64 {
    // Not `as_nanos`, whose 128 bits cost more than all the rest of setting a timer.
    let ns = after.as_secs().saturating_mul(1_000_000_000);
    ns.saturating_add(after.subsec_nanos().into())
        .saturating_add(now_ns)
}

/// Says that frames did not nest, and aborts: going on would follow pointers into frames that are gone.
#[cold]
pub(crate) fn not_nested(call: &str) -> ! {
    say(format_args!(
        "flux: a `flux::{call}` ended in another fiber, or another order, than it began in: coroutines of \
         other libraries must not be left, or moved, inside it; aborting"
    ));
    std::process::abort();
}

#[cold]
#[track_caller]
fn suspended_in_no_suspend() -> ! {
    let callback = current::try_with(|reactor| {
        let own = reactor.sched.arena.loops_own();
        (reactor.sched.current() == own).then(|| reactor.sched.arena.spawned_at(own))
    });
    match callback.flatten() {
        Some(made_at) => panic!(
            "the callback of the timer made at {made_at} would suspend, and callbacks run on the loop itself: \
             give the timer a `.fiber(..)` instead, or let the callback spawn one"
        ),
        None => panic!(
            "a call inside `flux::no_suspend` would suspend the fiber; move it out of that closure"
        ),
    }
}
