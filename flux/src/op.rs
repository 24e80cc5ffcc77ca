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
#[cfg(unix)]
use std::os::fd::RawFd;
use std::time::Duration;

#[cfg(unix)]
use crate::landing::Landing;
use crate::list::{Linked, Links};
use crate::sys::say;
#[cfg(unix)]
use crate::sys::socket::MessageHeader;
#[cfg(unix)]
use crate::tray::Tray;

/// A moment on one of the system's clocks: so long after its zero. Laid out as the kernel's `timespec` is, which
/// reads it out of the op.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub(crate) struct Moment {
    // Neither is negative, and there are fewer nanoseconds than make a second: kernels refuse all else.
    seconds: i64,
    nanoseconds: i64,
}

impl Moment {
    /// The moment so long after the clock's zero; after 292 billion years, the last one that there is.
    pub(crate) const fn new(since_zero: Duration) -> Self {
        let seconds = since_zero.as_secs().cast_signed();
        Self {
            seconds: if seconds < 0 { i64::MAX } else { seconds },
            nanoseconds: since_zero.subsec_nanos() as i64,
        }
    }

    /// How long it is after the clock's zero.
    pub(crate) fn since_zero(self) -> Duration {
        // As `new` has left them.
        let nanoseconds = u32::try_from(self.nanoseconds).unwrap_or(0);
        Duration::new(self.seconds.cast_unsigned(), nanoseconds)
    }
}

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
    #[cfg(unix)]
    Receive {
        fd: RawFd,
        buffer: *mut u8,
        len: u32,
        peek: bool,
    },
    /// A datagram, or bytes of a stream up to a seam, into a buffer. Fewer than the buffer holds say nothing
    /// of what is left, and none can be a datagram.
    #[cfg(unix)]
    ReceiveOne {
        fd: RawFd,
        buffer: *mut u8,
        len: u32,
        peek: bool,
    },
    /// As [`ReceiveOne`](Self::ReceiveOne), into several buffers, and with the sender's address if the header
    /// has room for it.
    #[cfg(unix)]
    ReceiveMessage {
        fd: RawFd,
        message: *mut MessageHeader,
        peek: bool,
    },
    /// Bytes out of a buffer; waits until at least one is taken.
    #[cfg(unix)]
    Send {
        fd: RawFd,
        bytes: *const u8,
        len: u32,
    },
    /// Bytes out of several buffers, or to an address; waits until at least one is taken, or the datagram.
    #[cfg(unix)]
    SendMessage {
        fd: RawFd,
        message: *const MessageHeader,
    },
    /// Bytes of a stream into the memory of a feed, again and again, until they end or no memory is left.
    ///
    /// For engines that can ([`Engine::feeds_by_kernel`](crate::engine::Engine::feeds_by_kernel)).
    #[cfg(unix)]
    Stream { fd: RawFd, landing: *const Landing },
    /// Datagrams into the buffers of a feed, again and again, until it fails or no buffer is left.
    ///
    /// For engines that can, as [`Stream`](Self::Stream).
    #[cfg(unix)]
    Datagrams {
        fd: RawFd,
        landing: *const Landing,
        tray: *const Tray,
    },
    /// A connection from a listener, and its peer's address.
    #[cfg(unix)]
    Accept {
        fd: RawFd,
        address: *mut socket2::SockAddrStorage,
        len: *mut u32,
    },
    /// A connection to an address.
    #[cfg(unix)]
    Connect {
        fd: RawFd,
        address: *const socket2::SockAddrStorage,
        len: u32,
    },
    /// The descriptor's being readable, or writable.
    #[cfg(unix)]
    Ready { fd: RawFd, write: bool },
    /// A moment of the monotonic clock ([`monotonic_ns`](crate::clock::monotonic_ns)), or of the wall clock, by
    /// which it moves when that is set. Done with 0, and never before.
    Timeout { at: Moment, wall: bool },
}

#[cfg(unix)]
impl Request {
    /// Whether it goes on after it has brought something; and if so, the account of the feed that it is for.
    #[inline]
    pub(crate) fn lasts(&self) -> Option<*const Landing> {
        match *self {
            Self::Stream { landing, .. } | Self::Datagrams { landing, .. } => Some(landing),
            _ => None,
        }
    }

    /// The descriptor that it is about.
    #[inline]
    pub(crate) fn fd(&self) -> Option<RawFd> {
        match *self {
            Self::Nothing | Self::Timeout { .. } => None,
            Self::Receive { fd, .. }
            | Self::ReceiveOne { fd, .. }
            | Self::ReceiveMessage { fd, .. }
            | Self::Send { fd, .. }
            | Self::SendMessage { fd, .. }
            | Self::Stream { fd, .. }
            | Self::Datagrams { fd, .. }
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
            | Self::Timeout { .. }
            | Self::Receive { .. }
            | Self::ReceiveOne { .. }
            | Self::ReceiveMessage { .. }
            | Self::Stream { .. }
            | Self::Datagrams { .. }
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
    fiber: Cell<u32>,
    state: Cell<State>,
    cancel_asked: Cell<bool>,
    result: Cell<i32>,
    /// The descriptor that an engine has made for it, or one that is none.
    #[cfg(target_os = "linux")]
    descriptor: Cell<RawFd>,
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
            fiber: Cell::new(fiber),
            state: Cell::new(State::Idle),
            cancel_asked: Cell::new(false),
            result: Cell::new(0),
            #[cfg(target_os = "linux")]
            descriptor: Cell::new(-1),
            links: Links::new(),
        }
    }

    #[inline]
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// The moment that it waits for, in its place, where it stays until the op is done, and whether it is one of
    /// the wall clock.
    #[inline]
    pub(crate) fn timeout(&self) -> Option<(&Moment, bool)> {
        match &self.request {
            Request::Timeout { at, wall } => Some((at, *wall)),
            _ => None,
        }
    }

    /// Where an engine keeps a descriptor that it has made for this op alone; negative for none.
    #[cfg(target_os = "linux")]
    pub(crate) fn descriptor(&self) -> &Cell<RawFd> {
        &self.descriptor
    }

    /// The index of the fiber that waits.
    #[inline]
    pub(crate) fn fiber(&self) -> u32 {
        self.fiber.get()
    }

    /// Who waits from now on, for a request that lasts.
    #[cfg(unix)]
    #[inline]
    pub(crate) fn set_fiber(&self, fiber: u32) {
        self.fiber.set(fiber);
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
