//! Messages: several buffers by one call, and datagrams with addresses.
//!
//! A message's header, its address, and the list of its parts stand in the frame that waits.

#![allow(
    unsafe_code,
    reason = "hands the caller's buffers, and headers in its frame, to the kernel for the length of a call"
)]

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use socket2::{SockAddr, SockAddrStorage};

use crate::net::io::{Kind, again, once, receive, send, send_by, with};
use crate::op::Request;
use crate::sys::socket::{self, Incoming, Outgoing, PARTS_MAX};

/// Sends the parts of a stream in their order, or what the socket takes of them.
#[track_caller]
pub(super) fn send_vectored(
    fd: BorrowedFd<'_>,
    kind: Kind,
    parts: &[IoSlice<'_>],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    match cut(parts) {
        [] => Ok(0),
        [part] => send(fd, kind, part, timeout),
        parts => send_message(fd, parts, None, timeout),
    }
}

/// Sends a datagram to an address.
#[track_caller]
pub(super) fn send_to(
    fd: BorrowedFd<'_>,
    datagram: &[u8],
    address: SocketAddr,
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let parts = [IoSlice::new(datagram)];
    send_message(fd, &parts, Some(&address.into()), timeout)
}

/// Fills the buffers from a stream in their order, waiting for at least one byte; 0 at the end.
#[track_caller]
pub(super) fn receive_vectored(
    fd: BorrowedFd<'_>,
    kind: Kind,
    buffers: &mut [IoSliceMut<'_>],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let empty = buffers.iter().take_while(|part| part.is_empty()).count();
    let count = (buffers.len() - empty).min(PARTS_MAX);
    match &mut buffers[empty..empty + count] {
        [] => Ok(0),
        [buffer] => receive(fd, kind, buffer, false, timeout),
        buffers => receive_message(fd, buffers, None, false, timeout),
    }
}

/// Receives a datagram, and the address of its sender.
#[track_caller]
pub(super) fn receive_from(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    peek: bool,
    timeout: Option<Duration>,
) -> io::Result<(usize, SocketAddr)> {
    let mut from = SockAddrStorage::zeroed();
    let mut len = from.size_of();
    let mut parts = [IoSliceMut::new(buffer)];
    let count = receive_message(fd, &mut parts, Some((&mut from, &mut len)), peek, timeout)?;
    // SAFETY: zeroed above, and filled by the kernel, which said how much of it is the address.
    let from = unsafe { SockAddr::new(from, len) };
    let from = from.as_socket().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the sender of a datagram has an address that is not of the internet",
        )
    })?;
    Ok((count, from))
}

/// The parts that one call takes: none that are empty at the head, since they alone would look like an end.
fn cut<'a, 'b>(parts: &'a [IoSlice<'b>]) -> &'a [IoSlice<'b>] {
    let empty = parts.iter().take_while(|part| part.is_empty()).count();
    let count = (parts.len() - empty).min(PARTS_MAX);
    &parts[empty..empty + count]
}

/// Sends a message: tries at once first, as [`send`] does.
#[track_caller]
fn send_message(
    fd: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    address: Option<&SockAddr>,
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let message = Outgoing::new(parts, address);
    let request = || Request::SendMessage {
        fd: fd.as_raw_fd(),
        message: message.header(),
    };
    // SAFETY: the header stands in this frame, which borrows all that it names.
    unsafe {
        send_by(
            fd,
            timeout,
            || socket::send_message_now(fd, &message),
            request,
        )
    }
}

/// Receives a message, and the sender's address with its length if that is wanted.
#[track_caller]
fn receive_message(
    fd: BorrowedFd<'_>,
    parts: &mut [IoSliceMut<'_>],
    from: Option<(&mut SockAddrStorage, &mut u32)>,
    peek: bool,
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let (from, len) = from.unzip();
    let mut message = Incoming::new(parts, from);
    let count = with(|reactor| {
        loop {
            let request = Request::ReceiveMessage {
                fd: fd.as_raw_fd(),
                message: message.header(),
                peek,
            };
            // SAFETY: the header stands in this frame, which borrows all that it names for writing; the
            // descriptor is kept open by it.
            match unsafe { reactor.perform(request, timeout) } {
                Ok(count) => return Ok(count as usize),
                // Refused before it began: a destructor has one attempt.
                Err(_) if std::thread::panicking() => {
                    return once(socket::receive_message_now(fd, &mut message, peek));
                }
                Err(error) => again(reactor, fd, false, timeout, error)?,
            }
        }
    })?;
    if let Some(len) = len {
        *len = message.address_len();
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_parts_at_the_head_and_those_beyond_the_systems_limit_are_left_for_later() {
        let (none, one) = (IoSlice::new(b""), IoSlice::new(b"x"));
        assert!(cut(&[]).is_empty());
        assert!(cut(&vec![none; 2000]).is_empty());
        let mut parts = vec![none; 2000];
        parts.resize(2000 + PARTS_MAX + 1, one);
        parts[2001] = none;
        let taken = cut(&parts);
        assert_eq!(taken.len(), PARTS_MAX);
        assert_eq!(&*taken[0], b"x");
        assert!(taken[1].is_empty(), "only those at the head");
    }
}
