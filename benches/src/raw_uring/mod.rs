//! The limit: a callback loop written by hand on `io_uring`, with the ring that flux has.
//!
//! Same set-up flags, same registered ring descriptor, same ops: one plain RECV per connection into the
//! connection's own buffer, re-armed after each message; `send` tried inline first. One enter per turn: what
//! task work is left over, the next enter picks up. `stream` is the limit of feeds that never copy: one multishot
//! RECV per connection into memory that is mapped twice. No fibers, no queue between completion and handler, no
//! timers, no cancellation: less than this nobody can do with these ops.

#![allow(unsafe_code, reason = "submission of requests that point into buffers")]

mod echo;
mod feed;
mod ring;
mod stream;

pub use echo::echo;
pub use feed::feed;
pub use stream::feed_in_place;
pub(crate) use stream::{Sink, stream};

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::RawFd;

use io_uring::{CompletionQueue, EnterFlags, IoUring, SubmissionQueue, Submitter, opcode, types};

use crate::Fault;

const SUBMISSION_ENTRIES: u32 = 512;
const COMPLETION_ENTRIES: u32 = 8 * SUBMISSION_ENTRIES;

/// What a thread does while nothing is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Sleeps in the kernel.
    Block,
    /// Watches the ring's flags, and enters only if task work is pending.
    Spin,
}

/// Where callbacks put their next requests.
pub(crate) struct Requests<'r> {
    queue: SubmissionQueue<'r>,
}

impl Requests<'_> {
    /// Asks for bytes into `buffer`. The answer is the callback's `token` and a length or `-errno`.
    ///
    /// # Safety
    /// The buffer stays where it is, untouched, until the answer has come.
    pub(crate) unsafe fn recv(&mut self, fd: RawFd, buffer: &mut [u8], token: u64) {
        let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let entry = opcode::Recv::new(types::Fd(fd), buffer.as_mut_ptr(), length)
            .build()
            .user_data(token);
        // SAFETY: the caller's promise.
        unsafe { self.push(&entry) };
    }

    /// Sends what an inline attempt could not. The answer is as for [`recv`](Self::recv).
    ///
    /// # Safety
    /// The bytes stay where and what they are until the answer has come.
    pub(crate) unsafe fn send(&mut self, fd: RawFd, bytes: &[u8], token: u64) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(types::Fd(fd), bytes.as_ptr(), length)
            .flags(libc::MSG_NOSIGNAL)
            .build()
            .user_data(token);
        // SAFETY: the caller's promise.
        unsafe { self.push(&entry) };
    }

    unsafe fn push(&mut self, entry: &io_uring::squeue::Entry) {
        // SAFETY: the caller promises that what the entry points to outlives the request.
        let pushed = unsafe { self.queue.push(entry) };
        assert!(
            pushed.is_ok(),
            "more than {SUBMISSION_ENTRIES} requests in one turn: each connection has one at most"
        );
    }
}

/// What the kernel has to say about a request.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    /// A length, or `-errno`.
    pub(crate) result: i32,
    /// The completion's flags.
    pub(crate) flags: u32,
}

/// What a loop calls back.
pub(crate) trait Handler {
    /// Registers what the requests need.
    fn prepare(&mut self, _: &Submitter<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Puts in the first requests.
    fn begin(&mut self, requests: &mut Requests<'_>);

    /// Takes the answer to the request with this token, and may put in more. `false`: nothing is in flight
    /// any more and nothing will be, so the loop ends.
    fn done(
        &mut self,
        requests: &mut Requests<'_>,
        token: u64,
        answer: Answer,
    ) -> Result<bool, Fault>;
}

/// Runs a loop on a fresh ring to its end, and gives the handler back.
pub(crate) fn run<H: Handler>(wait: Wait, handler: H) -> Result<H, Fault> {
    // Not dropped on an error: the kernel may still write to its buffers then.
    let mut handler = ManuallyDrop::new(handler);
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_no_sqarray()
        .setup_cqsize(COMPLETION_ENTRIES)
        .build(SUBMISSION_ENTRIES)?;
    // Split once: the registration lives in this `Submitter`, another one would not have it.
    let (mut submitter, queue, mut completions) = ring.split();
    submitter.register_ring_fd()?;
    handler.prepare(&submitter)?;
    let mut requests = Requests { queue };
    let ended = turns(
        wait,
        &submitter,
        &mut completions,
        &mut requests,
        &mut *handler,
    );
    // A registration keeps the ring alive, and a thread has 16 of them: the 17th ring would get EBUSY.
    submitter.unregister_ring_fd()?;
    ended?;
    Ok(ManuallyDrop::into_inner(handler))
}

/// Enter, reap, call back; until the handler has nothing in flight any more.
fn turns(
    wait: Wait,
    submitter: &Submitter<'_>,
    completions: &mut CompletionQueue<'_>,
    requests: &mut Requests<'_>,
    handler: &mut impl Handler,
) -> Result<(), Fault> {
    handler.begin(requests);
    loop {
        enter(submitter, &mut requests.queue, wait)?;
        if !reap(completions, requests, handler)? {
            return Ok(());
        }
    }
}

/// The one kernel entry of a turn.
fn enter(submitter: &Submitter<'_>, queue: &mut SubmissionQueue<'_>, wait: Wait) -> io::Result<()> {
    queue.sync();
    let to_submit = u32::try_from(queue.len()).unwrap_or(u32::MAX);
    let at_least = match wait {
        Wait::Block => 1,
        Wait::Spin => {
            while to_submit == 0 && !queue.taskrun() {
                std::hint::spin_loop();
            }
            0
        }
    };
    let flags = EnterFlags::GETEVENTS.bits();
    // SAFETY: no argument is passed, and every request's memory is pinned by the promise of `Requests`.
    match unsafe { submitter.enter::<libc::sigset_t>(to_submit, at_least, flags, None) } {
        Err(error) if error.raw_os_error() != Some(libc::EINTR) => Err(error),
        _ => Ok(()),
    }
}

/// Calls back for every completion that is there, then gives the entries back to the kernel.
fn reap(
    completions: &mut CompletionQueue<'_>,
    requests: &mut Requests<'_>,
    handler: &mut impl Handler,
) -> Result<bool, Fault> {
    completions.sync();
    let mut go_on = true;
    for completion in &mut *completions {
        let answer = Answer {
            result: completion.result(),
            flags: completion.flags(),
        };
        go_on &= handler.done(requests, completion.user_data(), answer)?;
    }
    // The head is published here and nowhere else: without it the next enter counts consumed entries as
    // new ones and returns at once.
    completions.sync();
    Ok(go_on)
}

/// A result as a length.
pub(crate) fn length(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
