//! Where a feed's packets come from: one buffer, and a receive of one datagram at a time.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::time::Duration;

use crate::net::UdpSocket;
use crate::net::io::{again, once, with};
use crate::op::Request;
use crate::sys::datagram::{Arrived, PAYLOAD_AT, Slip};
use crate::sys::errno;
use crate::sys::memory::{Mapping, round_to_pages};
use crate::sys::socket::receive_into_now;

/// What a source gives.
pub(super) enum Taken {
    /// A buffer that a datagram has filled, good until the next is asked for.
    Buffer(NonNull<u8>, Arrived),
    /// No buffer was free for a while.
    Starved,
}

pub(super) struct Source {
    memory: Mapping,
    buffer_bytes: usize,
}

impl Source {
    pub(super) fn open(_: &UdpSocket, packet_bytes: usize) -> io::Result<Self> {
        let buffer_bytes = (packet_bytes + PAYLOAD_AT).next_multiple_of(64);
        let len = round_to_pages(buffer_bytes).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            memory: with(|_| Mapping::new(len))?,
            buffer_bytes,
        })
    }

    pub(super) fn packet_bytes(&self) -> usize {
        self.buffer_bytes - PAYLOAD_AT
    }

    pub(super) fn buffers(&self) -> usize {
        self.memory.len() / self.buffer_bytes
    }

    fn buffer(&self) -> NonNull<u8> {
        // A mapping does not begin at zero.
        NonNull::new(std::ptr::with_exposed_provenance_mut(self.memory.start()))
            .unwrap_or(NonNull::dangling())
    }

    #[track_caller]
    pub(super) fn take(
        &mut self,
        socket: &UdpSocket,
        timeout: Option<Duration>,
    ) -> io::Result<Taken> {
        let (fd, buffer) = (socket.as_fd(), self.buffer());
        let mut slip = Slip::new();
        with(|reactor| {
            loop {
                let message = slip.aim(buffer, self.buffer_bytes);
                let request = Request::ReceiveMessage {
                    fd: fd.as_raw_fd(),
                    message,
                    peek: false,
                };
                // SAFETY: the slip stands in this frame, and the buffer belongs to the feed, which this frame has
                // for writing; the descriptor is kept open by it.
                match unsafe { reactor.perform(request, timeout) } {
                    Ok(count) => {
                        return Ok(Taken::Buffer(buffer, slip.arrived(count as usize)));
                    }
                    // Refused before it began: a destructor has one attempt.
                    Err(_) if std::thread::panicking() => {
                        // SAFETY: as above.
                        let count = once(unsafe { receive_into_now(fd, message) })?;
                        return Ok(Taken::Buffer(buffer, slip.arrived(count)));
                    }
                    Err(error) => again(reactor, fd, false, timeout, error)?,
                }
            }
        })
    }

    pub(super) fn try_take(&mut self, socket: &UdpSocket) -> io::Result<Option<Taken>> {
        let buffer = self.buffer();
        let mut slip = Slip::new();
        let message = slip.aim(buffer, self.buffer_bytes);
        // SAFETY: as in `take`.
        match unsafe { receive_into_now(socket.as_fd(), message) } {
            Ok(count) => Ok(Some(Taken::Buffer(buffer, slip.arrived(count)))),
            Err(error) if error.raw_os_error() == Some(errno::EAGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
