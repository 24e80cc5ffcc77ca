//! The socket calls that never wait: one attempt each, an answer at once.
//!
//! What may have to wait is an [`Op`](crate::op::Op), and an engine's work. Does not know fibers.

#![allow(unsafe_code, reason = "calls into libc")]

use std::io::{self, IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use socket2::{SockAddr, SockAddrStorage};

/// What a send is told: not to wait, and not to raise `SIGPIPE` when the other side has gone.
#[cfg(not(target_os = "macos"))]
pub(crate) const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
/// What a send is told: not to wait. The signal is forbidden to the socket itself, by [`adopt`].
#[cfg(target_os = "macos")]
pub(crate) const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT;

/// The most parts of one message (`UIO_MAXIOV` of Linux, `IOV_MAX` of the others).
pub(crate) const PARTS_MAX: usize = 1024;

/// What a receive is told: not to wait, and to leave in place what it gives if it only peeks.
pub(crate) const fn receive_flags(peek: bool) -> libc::c_int {
    libc::MSG_DONTWAIT | if peek { libc::MSG_PEEK } else { 0 }
}

/// What the calls on messages are handed: where the parts are, and where the address is.
pub(crate) type MessageHeader = libc::msghdr;

/// Parts of memory that leave as one, to an address or to the other side.
pub(crate) struct Outgoing<'a> {
    header: MessageHeader,
    borrowed: PhantomData<&'a [u8]>,
}

impl<'a> Outgoing<'a> {
    /// No more than [`PARTS_MAX`] of the parts are taken.
    pub(crate) fn new(parts: &'a [IoSlice<'_>], to: Option<&'a SockAddr>) -> Self {
        let mut header = header(parts.as_ptr().cast_mut().cast(), parts.len());
        if let Some(to) = to {
            header.msg_name = to.as_ptr().cast_mut().cast();
            header.msg_namelen = to.len();
        }
        Self {
            header,
            borrowed: PhantomData,
        }
    }

    /// Good for as long as this is.
    pub(crate) fn header(&self) -> *const MessageHeader {
        &raw const self.header
    }
}

/// Parts of memory that are filled as one, one after the other, and the sender's address.
pub(crate) struct Incoming<'a> {
    header: MessageHeader,
    borrowed: PhantomData<&'a mut [u8]>,
}

impl<'a> Incoming<'a> {
    /// No more than [`PARTS_MAX`] of the parts are taken.
    pub(crate) fn new(
        parts: &'a mut [IoSliceMut<'_>],
        from: Option<&'a mut SockAddrStorage>,
    ) -> Self {
        let mut header = header(parts.as_mut_ptr().cast(), parts.len());
        if let Some(from) = from {
            header.msg_namelen = from.size_of();
            header.msg_name = (&raw mut *from).cast();
        }
        Self {
            header,
            borrowed: PhantomData,
        }
    }

    /// Good for as long as this is.
    pub(crate) fn header(&mut self) -> *mut MessageHeader {
        &raw mut self.header
    }

    /// The length of the address that the last receive has filled in.
    pub(crate) fn address_len(&self) -> u32 {
        self.header.msg_namelen
    }
}

/// A header of parts, which have the layout of an `iovec`, as std promises.
fn header(parts: *mut libc::iovec, count: usize) -> MessageHeader {
    // SAFETY: all zeroes is a valid header: no name, no parts, no control data.
    let mut header: MessageHeader = unsafe { mem::zeroed() };
    header.msg_iov = parts;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "at most PARTS_MAX, whatever the system's type for it"
    )]
    {
        header.msg_iovlen = count.min(PARTS_MAX) as _;
    }
    header
}

/// Makes a socket one that the calls below do what they say with. Nothing to do on systems where
/// each call can say it.
#[cfg(not(target_os = "macos"))]
pub(crate) fn adopt(_: BorrowedFd<'_>) {}

/// Makes a socket one that the calls below do what they say with: it raises no signal when the
/// other side has gone, and it does not wait, since send(2) of macOS promises no flag for either.
#[cfg(target_os = "macos")]
pub(crate) fn adopt(fd: BorrowedFd<'_>) {
    let mut on: libc::c_int = 1;
    // SAFETY: the value and its length are those of an integer in this frame.
    let _no_socket_no_signal = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NOSIGPIPE,
            (&raw const on).cast(),
            4,
        )
    };
    // SAFETY: the argument is the integer that FIONBIO wants.
    let _open_descriptors_take_it =
        unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONBIO, &raw mut on) };
}

/// Takes a connection from a listener that does not block: a descriptor that `exec` closes, or -1 and an
/// error code.
///
/// # Safety
/// The address is good for as many bytes as its length says.
#[cfg(not(target_os = "macos"))]
pub(crate) unsafe fn accept_now(
    listener: RawFd,
    address: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
) -> RawFd {
    // SAFETY: the address and its length are good (caller).
    unsafe { libc::accept4(listener, address, len, libc::SOCK_CLOEXEC) }
}

/// As on other systems; between the two calls a `fork` and `exec` on another thread would pass it on.
///
/// # Safety
/// The address is good for as many bytes as its length says.
#[cfg(target_os = "macos")]
pub(crate) unsafe fn accept_now(
    listener: RawFd,
    address: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
) -> RawFd {
    // SAFETY: the address and its length are good (caller).
    let accepted = unsafe { libc::accept(listener, address, len) };
    if accepted >= 0 {
        // SAFETY: takes numbers; a descriptor that is open takes the flag.
        let _taken = unsafe { libc::fcntl(accepted, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    accepted
}

/// Sends what the socket takes now. `WouldBlock` when it takes nothing; never a `SIGPIPE`.
pub(crate) fn send_now(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    uninterrupted(|| {
        // SAFETY: the pointer and the length are those of a slice that is alive during the call.
        unsafe {
            libc::send(
                fd.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                SEND_FLAGS,
            )
        }
    })
}

/// Receives what has arrived. `WouldBlock` when nothing has; 0 at the end of the stream.
pub(crate) fn receive_now(fd: BorrowedFd<'_>, buffer: &mut [u8], peek: bool) -> io::Result<usize> {
    let flags = receive_flags(peek);
    uninterrupted(|| {
        // SAFETY: the pointer and the length are those of a slice that is alive, and borrowed for writing,
        // during the call.
        unsafe {
            libc::recv(
                fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                flags,
            )
        }
    })
}

/// Sends a message, or what the socket takes of it now. `WouldBlock` when it takes nothing; never a `SIGPIPE`.
pub(crate) fn send_message_now(fd: BorrowedFd<'_>, message: &Outgoing<'_>) -> io::Result<usize> {
    uninterrupted(|| {
        // SAFETY: the header names what the message borrows, and nothing is written to it.
        unsafe { libc::sendmsg(fd.as_raw_fd(), message.header(), SEND_FLAGS) }
    })
}

/// Receives what has arrived, and from whom. `WouldBlock` when nothing has; 0 at the end of a stream.
pub(crate) fn receive_message_now(
    fd: BorrowedFd<'_>,
    message: &mut Incoming<'_>,
    peek: bool,
) -> io::Result<usize> {
    uninterrupted(|| {
        // SAFETY: the header names what the message borrows for writing.
        unsafe { libc::recvmsg(fd.as_raw_fd(), message.header(), receive_flags(peek)) }
    })
}

/// Receives what has arrived, into what a header names. `WouldBlock` when nothing has.
///
/// # Safety
/// The header, and what it names, are good, and nobody else's during the call.
pub(crate) unsafe fn receive_into_now(
    fd: BorrowedFd<'_>,
    header: *mut MessageHeader,
) -> io::Result<usize> {
    // SAFETY: the header is good (caller).
    uninterrupted(|| unsafe { libc::recvmsg(fd.as_raw_fd(), header, receive_flags(false)) })
}

/// Makes a call again that a signal interrupted: it did nothing, and to wait for an edge would be in vain.
#[inline]
fn uninterrupted(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        if let Ok(count) = usize::try_from(call()) {
            return Ok(count);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn neither_call_ever_waits() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut buffer = [0; 8];
        let nothing = receive_now(b.as_fd(), &mut buffer, false).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(send_now(a.as_fd(), b"abc").unwrap(), 3);
        assert_eq!(receive_now(b.as_fd(), &mut buffer, true).unwrap(), 3);
        assert_eq!(receive_now(b.as_fd(), &mut buffer, false).unwrap(), 3);
        let full = loop {
            if let Err(error) = send_now(a.as_fd(), &[0; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        drop(b);
        let gone = send_now(a.as_fd(), b"abc").unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }
}
