//! The socket calls that never wait: one attempt each, an answer at once.
//!
//! What may have to wait is an [`Op`](crate::op::Op), and an engine's work. Does not know fibers.

#![allow(unsafe_code, reason = "calls into libc")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sends what the socket takes now. `WouldBlock` when it takes nothing; never a `SIGPIPE`.
pub(crate) fn send_now(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length are those of a slice that is alive during the call.
    let sent = unsafe {
        libc::send(
            fd.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Receives what has arrived. `WouldBlock` when nothing has; 0 at the end of the stream.
pub(crate) fn receive_now(fd: BorrowedFd<'_>, buffer: &mut [u8], peek: bool) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | if peek { libc::MSG_PEEK } else { 0 };
    // SAFETY: the pointer and the length are those of a slice that is alive, and borrowed for writing,
    // during the call.
    let received = unsafe {
        libc::recv(
            fd.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            flags,
        )
    };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
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
