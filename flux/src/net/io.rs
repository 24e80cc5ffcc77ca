//! What every socket does: one attempt at once where that is best, an op for what has to wait.
//!
//! `WouldBlock` and `Interrupted` never leave this file.

#![allow(
    unsafe_code,
    reason = "hands the caller's buffers to the kernel for the length of a call"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use socket2::{SockAddr, SockAddrStorage, Socket};

use crate::error::Stopped;
use crate::op::Request;
use crate::reactor::{Reactor, current};
use crate::sys::{errno, socket};

/// The most bytes of one request; the kernel takes no more at a time (`MAX_RW_COUNT`).
const BYTES_MAX: usize = 0x7fff_f000;

/// The first pause before a full listener is asked again, and the longest: each is twice the one before.
const PAUSE_NS: u64 = 50_000;
const PAUSE_MAX_NS: u64 = 5_000_000;

/// What a receive may take for granted of the bytes that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A stream of TCP: who receives fewer bytes than asked for has received all.
    Stream,
    /// The same, of a socket that the core itself asks while it spins.
    HotStream,
    /// A stream of this machine: a receive stops where a descriptor was passed along.
    LocalStream,
    /// One datagram at a time, which may be empty.
    Datagrams,
}

/// Runs `f` with the reactor, or says that there is none here.
#[inline]
pub(super) fn with<R>(f: impl FnOnce(&Reactor) -> io::Result<R>) -> io::Result<R> {
    current::try_with(f).unwrap_or_else(|| Err(current::outside_error()))
}

fn length(bytes: usize) -> u32 {
    // Fits: the limit is below `u32::MAX`.
    #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
    let length = bytes.min(BYTES_MAX) as u32;
    length
}

/// Receives into `buffer`, waiting for at least one byte, or a datagram; 0 at the end of a stream.
#[inline]
#[track_caller]
pub(super) fn receive(
    fd: BorrowedFd<'_>,
    kind: Kind,
    buffer: &mut [u8],
    peek: bool,
    timeout: Option<Duration>,
) -> io::Result<usize> {
    if buffer.is_empty() && kind != Kind::Datagrams {
        return Ok(0);
    }
    with(|reactor| {
        loop {
            let (fd_number, len) = (fd.as_raw_fd(), length(buffer.len()));
            let request = match kind {
                Kind::Stream | Kind::HotStream => Request::Receive {
                    fd: fd_number,
                    buffer: buffer.as_mut_ptr(),
                    len,
                    peek,
                },
                Kind::LocalStream | Kind::Datagrams => Request::ReceiveOne {
                    fd: fd_number,
                    buffer: buffer.as_mut_ptr(),
                    len,
                    peek,
                },
            };
            let received = if kind == Kind::HotStream {
                // SAFETY: `buffer` is borrowed for writing, and the descriptor kept open, by this frame.
                unsafe { reactor.perform_hot(request, timeout) }
            } else {
                // SAFETY: as above.
                unsafe { reactor.perform(request, timeout) }
            };
            match received {
                Ok(count) => return Ok(count as usize),
                // Refused before it began: a destructor has one attempt.
                Err(_) if std::thread::panicking() => {
                    return once(socket::receive_now(fd, buffer, peek));
                }
                Err(error) => again(reactor, fd, false, timeout, error)?,
            }
        }
    })
}

/// Sends what the socket takes, waiting until it takes at least one byte, or the datagram.
///
/// Tries at once first: that is cheaper than a request, and the order leaves now rather than at the end of
/// the turn.
#[inline]
#[track_caller]
pub(super) fn send(
    fd: BorrowedFd<'_>,
    kind: Kind,
    bytes: &[u8],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    if bytes.is_empty() && kind != Kind::Datagrams {
        return Ok(0);
    }
    let request = || Request::Send {
        fd: fd.as_raw_fd(),
        bytes: bytes.as_ptr(),
        len: length(bytes.len()),
    };
    // SAFETY: `bytes` is borrowed by this frame.
    unsafe { send_by(fd, timeout, || socket::send_now(fd, bytes), request) }
}

/// Sends by an attempt at once, and where that would wait, by a request.
///
/// # Safety
/// What the request points to is alive, and borrowed by the caller as the request uses it, until this returns.
#[inline]
#[track_caller]
pub(super) unsafe fn send_by(
    fd: BorrowedFd<'_>,
    timeout: Option<Duration>,
    now: impl Fn() -> io::Result<usize>,
    request: impl Fn() -> Request,
) -> io::Result<usize> {
    with(|reactor| {
        if let Err(stopped) = reactor.may_go_on() {
            return if std::thread::panicking() {
                once(now())
            } else {
                Err(stopped.into())
            };
        }
        match now() {
            Ok(count) => {
                reactor.spend();
                return Ok(count);
            }
            Err(error) if retry(&error) => {}
            Err(error) => return Err(error),
        }
        loop {
            // SAFETY: the caller's promise is passed on, and the descriptor is kept open by this frame.
            match unsafe { reactor.perform(request(), timeout) } {
                Ok(count) => return Ok(count as usize),
                Err(error) => again(reactor, fd, true, timeout, error)?,
            }
        }
    })
}

/// Waits for a connection and takes it.
#[track_caller]
pub(super) fn accept(fd: BorrowedFd<'_>) -> io::Result<(Socket, SockAddr)> {
    use std::os::fd::FromRawFd as _;
    with(|reactor| {
        loop {
            let mut storage = SockAddrStorage::zeroed();
            let mut len = storage.size_of();
            let request = Request::Accept {
                fd: fd.as_raw_fd(),
                address: &raw mut storage,
                len: &raw mut len,
            };
            // SAFETY: the address and its length stand in this frame, and are not read before it returns.
            match unsafe { reactor.perform(request, None) } {
                Ok(descriptor) => {
                    // A descriptor is a non-negative `i32`.
                    let descriptor = descriptor.cast_signed();
                    // SAFETY: accepted just now, so that it is open and nobody else's.
                    let socket = unsafe { Socket::from_raw_fd(descriptor) };
                    // SAFETY: the kernel filled the storage, and said how much of it.
                    let address = unsafe { SockAddr::new(storage, len) };
                    return Ok((socket, address));
                }
                Err(error) => again(reactor, fd, false, None, error)?,
            }
        }
    })
}

/// Connects, waiting for the answer of the other side.
#[track_caller]
pub(super) fn connect(
    fd: BorrowedFd<'_>,
    address: &SockAddr,
    timeout: Option<Duration>,
) -> io::Result<()> {
    with(|reactor| {
        let request = Request::Connect {
            fd: fd.as_raw_fd(),
            address: address.as_ptr().cast(),
            len: address.len(),
        };
        // SAFETY: the address is borrowed, and the descriptor kept open, by this frame.
        unsafe { reactor.perform(request, timeout) }.map(drop)
    })
}

/// Connects to a listener of this machine, which answers at once unless its queue is full.
///
/// No system tells when there is room again, so that it is asked after a pause. The socket must not block.
#[track_caller]
pub(super) fn connect_local(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    with(|reactor| {
        reactor.may_wait()?;
        let mut pause_ns = PAUSE_NS;
        loop {
            match socket.connect(address) {
                Ok(()) => {
                    reactor.spend();
                    return Ok(());
                }
                Err(error) if retry(&error) => {
                    reactor.wait_until(reactor.clock.precise().saturating_add(pause_ns))?;
                    pause_ns = (2 * pause_ns).min(PAUSE_MAX_NS);
                }
                Err(error) => return Err(error),
            }
        }
    })
}

/// Whether an attempt is to be followed by a wait rather than reported.
fn retry(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(errno::EAGAIN | errno::EINTR))
}

/// After a failed request: waits for readiness if it may succeed after that, else passes the error on.
///
/// An engine's request waits by itself, but a kernel may answer `EAGAIN` all the same where a descriptor
/// is non-blocking.
#[cold]
#[track_caller]
pub(super) fn again(
    reactor: &Reactor,
    fd: BorrowedFd<'_>,
    write: bool,
    timeout: Option<Duration>,
    error: io::Error,
) -> io::Result<()> {
    if !retry(&error) {
        return Err(error);
    }
    reactor.wait_ready(fd, write, timeout)
}

/// The one attempt that a destructor has while a panic unwinds: nothing may switch to other fibers then,
/// since they would see a panic that is not theirs.
pub(super) fn once(attempt: io::Result<usize>) -> io::Result<usize> {
    attempt.map_err(|error| {
        if retry(&error) {
            Stopped::Cancelled.into()
        } else {
            error
        }
    })
}
