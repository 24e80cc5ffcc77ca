//! One kernel request in flight, and the slot that its answer lands in.
//!
//! An [`Op`] lives in the frame of the fiber that waits for it: no allocation and no lookup, since the
//! completion carries its address back. It says what is wanted, never how an engine gets it.
//!
//! ```text
//! Idle ──submit──▶ Queued ──enter──▶ InKernel ──complete──▶ Done
//!                    └───cancel───────────┴──────cancel────▶ Done
//! ```
//!
//! **Invariant:** the frame outlives `Queued` and `InKernel`. An `Op` dropped in either state aborts the
//! process: the kernel, or the queue, would write into whatever stands there next.
//!
//! Knows nothing of sockets or timers: `net` fills it, an engine completes it, `sched` wakes.

use std::cell::Cell;
use std::os::fd::RawFd;

use crate::list::{Linked, Links};
use crate::sys::say;
use crate::sys::socket::MessageHeader;

/// What is asked of the kernel. Pointers lead into the frame that holds the op, or to what it borrows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    /// Nothing: completes at once. Tells whether the engine works.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "engines test themselves with it")
    )]
    Nothing,
    /// Bytes of a stream into a buffer; waits for at least one.
    Receive {
        fd: RawFd,
        buffer: *mut u8,
        len: u32,
        peek: bool,
    },
    /// A datagram, or bytes of a stream up to a seam, into a buffer. Fewer than the buffer holds say nothing
    /// of what is left, and none can be a datagram.
    ReceiveOne {
        fd: RawFd,
        buffer: *mut u8,
        len: u32,
        peek: bool,
    },
    /// As [`ReceiveOne`](Self::ReceiveOne), into several buffers, and with the sender's address if the header
    /// has room for it.
    ReceiveMessage {
        fd: RawFd,
        message: *mut MessageHeader,
        peek: bool,
    },
    /// Bytes out of a buffer; waits until at least one is taken.
    Send {
        fd: RawFd,
        bytes: *const u8,
        len: u32,
    },
    /// Bytes out of several buffers, or to an address; waits until at least one is taken, or the datagram.
    SendMessage {
        fd: RawFd,
        message: *const MessageHeader,
    },
    /// A connection from a listener, and its peer's address.
    Accept {
        fd: RawFd,
        address: *mut socket2::SockAddrStorage,
        len: *mut u32,
    },
    /// A connection to an address.
    Connect {
        fd: RawFd,
        address: *const socket2::SockAddrStorage,
        len: u32,
    },
    /// The descriptor's being readable, or writable.
    Ready { fd: RawFd, write: bool },
}

impl Request {
    /// The descriptor that it is about.
    #[inline]
    pub(crate) fn fd(&self) -> Option<RawFd> {
        match *self {
            Self::Nothing => None,
            Self::Receive { fd, .. }
            | Self::ReceiveOne { fd, .. }
            | Self::ReceiveMessage { fd, .. }
            | Self::Send { fd, .. }
            | Self::SendMessage { fd, .. }
            | Self::Accept { fd, .. }
            | Self::Connect { fd, .. }
            | Self::Ready { fd, .. } => Some(fd),
        }
    }

    /// Whether it waits for room to write, rather than for something to read.
    #[inline]
    pub(crate) fn writes(&self) -> bool {
        match *self {
            Self::Send { .. } | Self::SendMessage { .. } | Self::Connect { .. } => true,
            Self::Ready { write, .. } => write,
            Self::Nothing
            | Self::Receive { .. }
            | Self::ReceiveOne { .. }
            | Self::ReceiveMessage { .. }
            | Self::Accept { .. } => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Idle,
    Queued,
    InKernel,
    Done,
}

/// The list of ops that wait for room in a submission queue.
pub(crate) struct Overflow;

/// The list of ops whose cancel waits for room in a submission queue.
pub(crate) struct Cancels;

/// A request, the fiber that waits for it, and the answer.
///
/// Aligned so that the low bits of its address are free for an engine's tag.
#[repr(align(16))]
pub(crate) struct Op {
    request: Request,
    fiber: u32,
    state: Cell<State>,
    cancel_asked: Cell<bool>,
    result: Cell<i32>,
    // One pair serves both lists: an op waits for room itself, or, being in the kernel, its cancel does.
    links: Links<Self>,
}

impl Linked<Overflow> for Op {
    fn links(&self) -> &Links<Self> {
        &self.links
    }
}

impl Linked<Cancels> for Op {
    fn links(&self) -> &Links<Self> {
        &self.links
    }
}

impl Op {
    #[inline]
    pub(crate) const fn new(request: Request, fiber: u32) -> Self {
        Self {
            request,
            fiber,
            state: Cell::new(State::Idle),
            cancel_asked: Cell::new(false),
            result: Cell::new(0),
            links: Links::new(),
        }
    }

    #[inline]
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// The index of the fiber that waits.
    pub(crate) fn fiber(&self) -> u32 {
        self.fiber
    }

    pub(crate) fn state(&self) -> State {
        self.state.get()
    }

    /// Engines alone move an op along.
    pub(crate) fn set_state(&self, state: State) {
        self.state.set(state);
    }

    /// Remembers that a cancel was asked for; false when one had been already.
    pub(crate) fn ask_cancel(&self) -> bool {
        !self.cancel_asked.replace(true)
    }

    /// Records the answer, a count or a negated error code. Happens once.
    #[inline]
    pub(crate) fn complete(&self, result: i32) {
        debug_assert_ne!(self.state.get(), State::Done, "an op completes once");
        self.result.set(result);
        self.state.set(State::Done);
    }

    /// What the kernel answered: a count, a descriptor, or a negated error code.
    pub(crate) fn result(&self) -> i32 {
        debug_assert_eq!(self.state.get(), State::Done);
        self.result.get()
    }

    /// Whether the links are in use, in either list.
    pub(crate) fn is_linked(&self) -> bool {
        self.links.is_linked()
    }
}

impl Drop for Op {
    #[inline]
    fn drop(&mut self) {
        if matches!(self.state.get(), State::Queued | State::InKernel) {
            left_in_flight(self.state.get());
        }
    }
}

#[cold]
#[inline(never)]
fn left_in_flight(state: State) -> ! {
    say(format_args!(
        "flux: a frame ended while a request of it was {state:?}: the kernel would write into memory \
         that is no longer its own; aborting"
    ));
    std::process::abort();
}
