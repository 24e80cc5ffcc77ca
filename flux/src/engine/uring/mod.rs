//! The `io_uring` engine: ops leave as submission entries, in one kernel entry a turn, and come back as
//! completions that carry their address.
//!
//! Owns the ring, the queue of ops that the submission queue had no room for, and the lane in which
//! cancels go ahead of them. Nothing is dropped and nothing overtakes: while the queue holds an op, later
//! ones line up behind it.
//!
//! Traps, each of which cost somebody an hour:
//! - the crate publishes the completion queue's head on `sync()` alone; entering the kernel before that
//!   returns at once, and everything "still works" at twice the syscalls;
//! - the registered ring descriptor lives in the `Submitter` value, so the ring is split once;
//! - with deferred task work one entry into the kernel runs about 20 completions, so turns loop while the
//!   kernel says that there is more.
//!
//! Does not know who waits for an op.

#![allow(
    unsafe_code,
    reason = "the kernel writes through the addresses that are handed to it here"
)]

mod entry;
mod feed;
mod packets;
mod prove;
mod setup;

use std::io;
use std::time::Duration;

use io_uring::types::{Napi, SubmitArgs, Timespec};
use io_uring::{CompletionQueue, EnterFlags, IoUring, SubmissionQueue, Submitter, cqueue, squeue};

use self::entry::{IGNORE, LASTS, answer, cancel_entry, entry, op_of};
use self::feed::BufferRings;
use self::prove::{Parts, prove, prove_feeds};
use self::setup::{build_ring, explain};
use super::{CancelOutcome, Counters, Wait, left};
use crate::error::InitError;
use crate::landing::Landing;
use crate::list::List;
use crate::op::{Cancels, Op, Overflow, State};
use crate::sys::say;

/// The most kernel entries in a turn: at about 20 completions each, the fibers get their share again.
const ROUNDS_MAX: usize = 8;
/// How long to wait for room when the kernel takes no more and nothing has completed.
const REFUSED_PAUSE: Duration = Duration::from_millis(1);

/// The ring itself, on the heap and never moved: the three parts of [`Uring`] borrow from it.
struct Ring(*mut IoUring);

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: made by `Box::into_raw` in `Uring::new`, and dropped once; the parts that borrow from it
        // are fields that stand before this one, so they are gone.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

pub(crate) struct Uring {
    // The order matters: fields are dropped from the top, and the first three borrow from the fourth.
    submitter: Submitter<'static>,
    submissions: SubmissionQueue<'static>,
    completions: CompletionQueue<'static>,
    _ring: Ring,
    overflow: List<Op, Overflow>,
    cancels: List<Op, Cancels>,
    in_flight: usize,
    /// The rings of feeds, if the kernel fills them by itself.
    feeds: Option<BufferRings>,
    /// Whether completions come during an entry of ours alone, so that between two there is none to read.
    deferred: bool,
    counters: Counters,
}

impl Drop for Uring {
    fn drop(&mut self) {
        // A registration keeps the ring alive, and a thread has room for 16 of them.
        let _not_registered = self.submitter.unregister_ring_fd();
    }
}

impl Uring {
    /// Makes a ring of at least `entries` submissions on the calling thread, which alone may use it, and
    /// tries what the runtime needs of it.
    pub(crate) fn new(entries: u32) -> Result<Self, InitError> {
        let unavailable = |why: String| InitError::EngineUnavailable {
            engine: "io_uring",
            why,
        };
        let (ring, setup) = build_ring(entries).map_err(|error| unavailable(explain(&error)))?;
        let ring = Box::into_raw(Box::new(ring));
        // SAFETY: just made from a box; `Ring` frees it after the parts that borrow from it, and nothing
        // else refers to it.
        let (submitter, submissions, completions) = unsafe { &mut *ring }.split();
        let mut uring = Self {
            submitter,
            submissions,
            completions,
            _ring: Ring(ring),
            overflow: List::new(),
            cancels: List::new(),
            in_flight: 0,
            feeds: None,
            deferred: setup.defers(),
            counters: Counters::default(),
        };
        prove(&mut Parts {
            submitter: &uring.submitter,
            submissions: &mut uring.submissions,
            completions: &mut uring.completions,
        })
        .map_err(unavailable)?;
        // Saves a descriptor look-up at each entry; a thread has room for 16, and without it all works.
        let _none_left = uring.submitter.register_ring_fd();
        Ok(uring)
    }

    /// Lets the kernel poll the network cards of this ring's sockets, for so long at a time.
    pub(crate) fn busy_poll(&self, longest: Duration) -> io::Result<()> {
        // `Config` keeps it to a second.
        let micros = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
        let mut napi = Napi::new().set_busy_poll_timeout(micros);
        self.submitter.register_napi(&mut napi)
    }

    /// Lets the kernel fill so many feeds by itself, if it proves that it does; whether it will.
    pub(crate) fn take_feeds(&mut self, feeds: usize) -> io::Result<bool> {
        let proved = prove_feeds(&mut Parts {
            submitter: &self.submitter,
            submissions: &mut self.submissions,
            completions: &mut self.completions,
        });
        self.feeds = match proved {
            Ok(()) => Some(BufferRings::new(feeds)?),
            Err(why) => {
                log::info!("feeds are received piece by piece: {why}");
                None
            }
        };
        Ok(self.feeds.is_some())
    }

    pub(crate) fn open_feed(&mut self, landing: &Landing) -> io::Result<()> {
        match &self.feeds {
            Some(rings) => rings.open(&self.submitter, landing),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(crate) fn lend(&mut self, landing: &Landing) {
        if let Some(rings) = &self.feeds {
            rings.lend(landing);
        }
    }

    pub(crate) fn close_feed(&mut self, landing: &Landing) {
        feed::close(&self.submitter, landing);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            overflow_depth: self.depth(),
            ..self.counters
        }
    }

    fn depth(&self) -> u64 {
        (self.overflow.len() + self.cancels.len()) as u64
    }

    /// # Safety
    /// As [`super::Engine::submit`].
    #[inline]
    pub(crate) unsafe fn submit(&mut self, op: &Op) {
        if op.timeout().is_some() && left(op).is_none() {
            // Has come: nothing to wait for.
            op.complete(0);
            self.counters.completions += 1;
            return;
        }
        self.in_flight += 1;
        if self.overflow.is_empty() && self.push(&entry(op)) {
            op.set_state(State::InKernel);
        } else {
            op.set_state(State::Queued);
            // SAFETY: the caller promised that the op stays until it is done; it leaves this list before.
            unsafe { self.overflow.push_back(op) };
            self.count_overflow();
        }
    }

    /// # Safety
    /// As [`super::Engine::cancel`].
    pub(crate) unsafe fn cancel(&mut self, op: &Op) -> CancelOutcome {
        match op.state() {
            State::Queued => {
                // SAFETY: a queued op was submitted to this engine, so it is in this very list.
                unsafe { self.overflow.remove(op) };
                op.complete(-libc::ECANCELED);
                self.in_flight -= 1;
                self.counters.completions += 1;
                CancelOutcome::Done
            }
            State::InKernel => {
                // A second cancel would find nothing that the first one did not.
                if op.ask_cancel() && !(self.cancels.is_empty() && self.push(&cancel_entry(op))) {
                    // SAFETY: an op in the kernel stays until it is done, and leaves this list before.
                    unsafe { self.cancels.push_back(op) };
                    self.count_overflow();
                }
                CancelOutcome::Pending
            }
            State::Idle | State::Done => CancelOutcome::Pending,
        }
    }

    #[cold]
    fn count_overflow(&mut self) {
        self.counters.overflows += 1;
        self.counters.overflow_high_water = self.counters.overflow_high_water.max(self.depth());
    }

    /// Submits, waits, reaps: see [`super::Engine::turn`].
    ///
    /// Ends when the kernel has all that was queued and no completion is left behind, or after
    /// [`ROUNDS_MAX`] entries: what is left then is taken up in the next turn.
    #[inline]
    pub(crate) fn turn(&mut self, wait: Wait, mut done: impl FnMut(&Op)) -> io::Result<()> {
        let mut wait = wait;
        for _ in 0..ROUNDS_MAX {
            self.fill();
            if !self.deferred && self.reap(&mut done) {
                wait = Wait::Poll;
            }
            // Counts what this side has pushed and not seen taken; publishing it waits for the entry.
            let nothing_to_submit = self.submissions.is_empty();
            if wait == Wait::Poll && nothing_to_submit && !self.completions_wait() {
                break;
            }
            self.submissions.sync();
            let to_submit = self.submissions.len();
            // While ops stand in line behind the queue, what is waited for may be among them.
            let patience = if self.depth() == 0 { wait } else { Wait::Poll };
            match self.enter(to_submit, patience) {
                Ok(()) => {}
                Err(error) => match error.raw_os_error() {
                    // A signal, or the time given is over: a turn with nothing.
                    Some(libc::EINTR | libc::ETIME) => {}
                    Some(code) if is_refusal(code) => {
                        self.counters.refusals += 1;
                        if !self.reap(&mut done) {
                            if wait == Wait::Poll {
                                // There is other work to do; the next turn asks again.
                                return Ok(());
                            }
                            self.pause()?;
                        }
                    }
                    Some(libc::EBADR) => completions_lost(),
                    _ => return Err(error),
                },
            }
            wait = Wait::Poll;
            self.submissions.sync();
            self.reap(&mut done);
        }
        Ok(())
    }

    /// Moves what waits for room into the submission queue: cancels first, then ops in their order.
    #[inline]
    fn fill(&mut self) {
        if self.depth() != 0 {
            self.fill_from_overflow();
        }
    }

    #[cold]
    fn fill_from_overflow(&mut self) {
        while !self.full() {
            if let Some(op) = self.cancels.pop_front() {
                let entry = cancel_entry(op);
                self.push(&entry);
            } else if let Some(op) = self.overflow.pop_front() {
                op.set_state(State::InKernel);
                let entry = entry(op);
                self.push(&entry);
            } else {
                break;
            }
        }
    }

    fn full(&mut self) -> bool {
        if self.submissions.is_full() {
            self.submissions.sync();
        }
        self.submissions.is_full()
    }

    /// Appends an entry, if there is room for one.
    #[inline]
    fn push(&mut self, entry: &squeue::Entry) -> bool {
        if self.full() {
            return false;
        }
        // SAFETY: what the entry points to belongs to an op whose submitter promised that it stays until
        // the op is done; a cancel points to nothing.
        unsafe { self.submissions.push(entry) }.is_ok()
    }

    /// Whether completions wait until the kernel is entered.
    #[inline]
    fn completions_wait(&mut self) -> bool {
        if self.submissions.cq_overflow() {
            if self.counters.completion_overflows == 0 {
                say_that_completions_overflow();
            }
            self.counters.completion_overflows += 1;
            return true;
        }
        self.submissions.taskrun()
    }

    fn enter(&mut self, to_submit: usize, wait: Wait) -> io::Result<()> {
        self.counters.enters += 1;
        #[cfg(test)]
        super::refusals::ask(super::refusals::Entry::Ring)?;
        // At most the submission queue's length, which is a `u32`.
        #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
        let to_submit = to_submit as u32;
        let flags = EnterFlags::GETEVENTS.bits();
        match wait {
            Wait::Poll | Wait::Forever => {
                let want = u32::from(wait == Wait::Forever);
                // SAFETY: no argument is passed; entries were pushed by `push`, which says why they hold.
                unsafe {
                    self.submitter
                        .enter::<libc::sigset_t>(to_submit, want, flags, None)
                }
            }
            Wait::AtMost(time) => {
                let time = Timespec::from(time);
                let arguments = SubmitArgs::new().timespec(&time);
                let flags = flags | EnterFlags::EXT_ARG.bits();
                // SAFETY: the argument is of the kind that EXT_ARG announces, and outlives the call.
                unsafe { self.submitter.enter(to_submit, 1, flags, Some(&arguments)) }
            }
        }
        .map(drop)
    }

    /// Waits a moment for something to complete, handing over nothing.
    #[cold]
    fn pause(&mut self) -> io::Result<()> {
        match self.enter(0, Wait::AtMost(REFUSED_PAUSE)) {
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR | libc::ETIME) => Ok(()),
                Some(code) if is_refusal(code) => Ok(()),
                _ => Err(error),
            },
            Ok(()) => Ok(()),
        }
    }

    /// Completes every op whose completion is there, and tells the kernel that it was read. True when
    /// there was one.
    #[inline]
    fn reap(&mut self, done: &mut impl FnMut(&Op)) -> bool {
        let mut any = false;
        loop {
            // Publishes what the last round read, and sees what has come since.
            self.completions.sync();
            if self.completions.is_empty() {
                return any;
            }
            for completion in &mut self.completions {
                let user_data = completion.user_data();
                if user_data == IGNORE {
                    continue;
                }
                // SAFETY:
                // - alive: whoever submitted the op promised that it stays until it is done, and it is
                //   not done yet: the kernel completes a request once;
                // - no alias: an op is made of cells, so that the fiber's shared reference is fine.
                let op = unsafe { &*op_of(user_data) };
                if user_data & LASTS != 0 {
                    feed::landed(op, completion.result(), completion.flags());
                    if cqueue::more(completion.flags()) {
                        self.counters.completions += 1;
                        any = true;
                        done(op);
                        continue;
                    }
                    feed::ended(&self.submitter, op);
                }
                if op.is_linked() {
                    // Its cancel still waits for room, and would reach whatever has this address next.
                    // SAFETY: an op in the kernel is in the list of cancels, or in none.
                    unsafe { self.cancels.remove(op) };
                }
                op.complete(answer(op, completion.result()));
                self.in_flight -= 1;
                self.counters.completions += 1;
                any = true;
                done(op);
            }
        }
    }
}

/// Whether the kernel has taken nothing, and may another time: it has no room for completions, or no memory for
/// requests or for what it keeps of a thread. What completes makes room.
fn is_refusal(code: i32) -> bool {
    matches!(
        code,
        libc::EBUSY | libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM
    )
}

#[cold]
fn say_that_completions_overflow() {
    say(format_args!(
        "flux: the kernel has more completions than its queue holds; none is lost, but each costs more: \
         raise `submission_entries` (said once, counted in `flux::stats`)"
    ));
}

#[cold]
fn completions_lost() -> ! {
    say(format_args!(
        "flux: the kernel ran out of memory for completions and dropped some: requests are lost, and the \
         fibers that wait for them would hang; aborting. A larger `submission_entries` gives a longer \
         completion queue"
    ));
    std::process::abort();
}

#[cfg(test)]
mod tests;
