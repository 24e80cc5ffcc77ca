//! The socket calls that never wait: one attempt each, an answer at once.
//!
//! What may have to wait is an [`Op`](crate::op::Op), and an engine's work. Does not know fibers.

#![allow(unsafe_code, reason = "calls into libc")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// What a send is told: not to wait, and not to raise `SIGPIPE` when the other side has gone.
#[cfg(not(target_os = "macos"))]
pub(crate) const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
/// What a send is told: not to wait. The signal is forbidden to the socket itself, by [`adopt`].
#[cfg(target_os = "macos")]
pub(crate) const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT;

/// Makes a connected socket one that the calls below do what they say with. Nothing to do on systems where
/// each call can say it.
#[cfg(not(target_os = "macos"))]
pub(crate) fn adopt(_: BorrowedFd<'_>) {}

/// Makes a connected socket one that the calls below do what they say with: it raises no signal when the
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
    let flags = libc::MSG_DONTWAIT | if peek { libc::MSG_PEEK } else { 0 };
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
