//! The syscalls of ops, none of which waits: what an engine does itself that the kernel merely tells when.
//!
//! Owns the way in which each request is tried, and what its answer says of the descriptor. Knows neither
//! queues nor registrations.

#![allow(
    unsafe_code,
    reason = "makes the syscalls of ops, whose addresses come from suspended frames"
)]

use std::io;
use std::os::fd::RawFd;

#[cfg(test)]
use super::refusals;
use crate::op::Request;
use crate::sys::socket;

/// Whether an op is tried for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    Yes,
    No,
}

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tried {
    /// A count, a descriptor, or a negated error code.
    pub(super) result: i32,
    /// The descriptor had less than was asked for: what comes next is a change.
    pub(super) short: bool,
    /// The other side will send nothing more, which is told once.
    pub(super) ended: bool,
}

impl Tried {
    fn whole(result: i32) -> Self {
        Self {
            result,
            short: false,
            ended: false,
        }
    }

    fn transfer(result: i32, asked: u32) -> Self {
        Self {
            result,
            short: result >= 0 && result.cast_unsigned() != asked,
            ended: false,
        }
    }

    /// Whether the request would have to wait.
    pub(super) fn would_wait(self) -> bool {
        matches!(-self.result, libc::EAGAIN | libc::EINPROGRESS)
    }
}

/// Makes one syscall.
///
/// # Safety
/// The request's pointers are good.
// Inlined as far as the receive, which is what there is most of.
#[inline]
pub(super) unsafe fn call(fd: RawFd, request: &Request, first: First) -> Tried {
    #[cfg(test)]
    if let Some(code) = refusals::next(refusals::Entry::of(*request, first == First::No)) {
        return Tried::whole(-code);
    }
    match *request {
        Request::Receive {
            buffer, len, peek, ..
        } => {
            let flags = socket::receive_flags(peek);
            // SAFETY: the buffer is good for `len` bytes (caller).
            let received = unsafe { libc::recv(fd, buffer.cast(), len as usize, flags) };
            let result = result_of(received);
            Tried {
                // The end of the stream stays, and brings no second edge.
                ended: result == 0 && len > 0,
                short: !peek && Tried::transfer(result, len).short,
                result,
            }
        }
        // SAFETY: the caller's promise is passed on.
        _ => unsafe { call_other(fd, request, first) },
    }
}

/// The calls that are no receive of a stream.
///
/// # Safety
/// As [`call`].
#[inline(never)]
unsafe fn call_other(fd: RawFd, request: &Request, first: First) -> Tried {
    match *request {
        // Neither has a descriptor that this could be asked of.
        Request::Nothing | Request::Timeout { .. } => Tried::whole(0),
        Request::Receive { .. } => unreachable!("`call` makes the receives of streams itself"),
        // Asked of an engine that cannot.
        Request::Stream { .. } | Request::Datagrams { .. } => Tried::whole(-libc::EOPNOTSUPP),
        // What was received ended at a seam, so that it says nothing of what is left.
        Request::ReceiveOne {
            buffer, len, peek, ..
        } => {
            let flags = socket::receive_flags(peek);
            // SAFETY: the buffer is good for `len` bytes (caller).
            let received = unsafe { libc::recv(fd, buffer.cast(), len as usize, flags) };
            Tried::whole(result_of(received))
        }
        Request::ReceiveMessage { message, peek, .. } => {
            // SAFETY: the header, and what it names, are good (caller).
            let received = unsafe { libc::recvmsg(fd, message, socket::receive_flags(peek)) };
            Tried::whole(result_of(received))
        }
        Request::Send { bytes, len, .. } => {
            // The caller has tried a moment ago: the first try is that after an edge.
            if first == First::Yes {
                return Tried::whole(-libc::EAGAIN);
            }
            // SAFETY: the bytes are good for `len` (caller).
            let sent = unsafe { libc::send(fd, bytes.cast(), len as usize, socket::SEND_FLAGS) };
            Tried::transfer(result_of(sent), len)
        }
        Request::SendMessage { message, .. } => {
            // As above.
            if first == First::Yes {
                return Tried::whole(-libc::EAGAIN);
            }
            // SAFETY: the header, and what it names, are good (caller).
            let sent = unsafe { libc::sendmsg(fd, message, socket::SEND_FLAGS) };
            Tried::whole(result_of(sent))
        }
        Request::Accept { address, len, .. } => {
            if let Err(code) = make_nonblocking(fd) {
                return Tried::whole(-code);
            }
            // SAFETY: the address and its length are good (caller).
            let accepted = unsafe { socket::accept_now(fd, address.cast(), len.cast()) };
            Tried::whole(result_of(accepted as isize))
        }
        Request::Connect { address, len, .. } => {
            if let Err(code) = make_nonblocking(fd) {
                return Tried::whole(-code);
            }
            if first == First::No {
                return Tried::whole(-pending_error(fd));
            }
            // SAFETY: the address is good for `len` bytes (caller).
            let connected = unsafe { libc::connect(fd, address.cast(), len) };
            Tried::whole(result_of(connected as isize))
        }
        Request::Ready { write, .. } => Tried::whole(ready_now(fd, write)),
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

/// Lets a kernel that is short of something have a millisecond.
#[cold]
pub(super) fn pause() {
    // SAFETY: no entries, so that nothing is read or written.
    let _nothing_came = unsafe { libc::poll(std::ptr::null_mut(), 0, 1) };
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
