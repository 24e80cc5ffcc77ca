//! Where a feed's packets come from: a slot of the reactor's feeds, whose buffers the kernel fills by itself; or one
//! buffer there, and a receive of one datagram at a time.
//!
//! Owns the slot. Does not know what stands in front of a payload, nor what was lost before it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::Duration;

use crate::feeds::Feeds;
use crate::net::UdpSocket;
use crate::net::io::{again, once, with};
use crate::op::Request;
use crate::reactor::{Reactor, current};
use crate::sys::datagram::{Arrived, PAYLOAD_AT, Slip};
use crate::sys::errno;
use crate::sys::socket::receive_into_now;
use crate::tray::{Landed, Tray};

/// The fewest buffers of a feed: the kernel fills one while another is read.
const BUFFERS_MIN: usize = 2;

/// What a source gives.
pub(super) enum Taken {
    /// A buffer that a datagram has filled, good until the next is asked for.
    Buffer(NonNull<u8>, Arrived),
    /// No buffer was free for a while.
    Starved,
}

pub(super) struct Source {
    /// There until the end.
    socket: Option<UdpSocket>,
    /// Keeps the memory, also should this outlive the reactor.
    feeds: Rc<Feeds>,
    slot: u32,
    by_kernel: bool,
    /// The buffer that was given last, if it is one of the kernel's.
    reading: Option<u16>,
}

impl Source {
    /// Takes a slot for a socket; in it, buffers for packets of so many bytes.
    pub(super) fn open(socket: UdpSocket, packet_bytes: usize) -> io::Result<Self> {
        let buffer_bytes = (packet_bytes + PAYLOAD_AT).next_multiple_of(64);
        with(|reactor| {
            let opened = reactor.open_packets(socket.as_raw_fd(), buffer_bytes, BUFFERS_MIN);
            let (slot, by_kernel) = opened.map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull => no_room(packet_bytes, buffer_bytes, reactor),
                _ => error,
            })?;
            Ok(Self {
                socket: Some(socket),
                feeds: Rc::clone(&reactor.feeds),
                slot,
                by_kernel,
                reading: None,
            })
        })
    }

    #[inline]
    pub(super) fn socket(&self) -> &UdpSocket {
        self.socket
            .as_ref()
            .expect("the socket is taken out at the end alone")
    }

    fn tray(&self) -> &Tray {
        self.feeds.slot(self.slot).tray()
    }

    pub(super) fn packet_bytes(&self) -> usize {
        self.tray().buffer_bytes() - PAYLOAD_AT
    }

    /// How many packets have room; one where each is received by a call.
    pub(super) fn buffers(&self) -> usize {
        if self.by_kernel {
            self.tray().buffers()
        } else {
            1
        }
    }

    #[inline]
    #[track_caller]
    pub(super) fn take(&mut self) -> io::Result<Taken> {
        let timeout = self.socket().read_timeout_now();
        with(|reactor| {
            self.belongs_to(reactor)?;
            if !self.by_kernel {
                return self.receive(reactor, timeout);
            }
            let fd = self.socket().as_raw_fd();
            reactor.packet_was_read(self.slot, fd, self.reading.take());
            loop {
                reactor.wait_for_packet(self.slot, fd, timeout)?;
                if let Some(taken) = self.next_in_line()? {
                    return Ok(taken);
                }
            }
        })
    }

    #[inline]
    pub(super) fn try_take(&mut self) -> io::Result<Option<Taken>> {
        with(|reactor| {
            self.belongs_to(reactor)?;
            if !self.by_kernel {
                return self.receive_now();
            }
            let (fd, reading) = (self.socket().as_raw_fd(), self.reading.take());
            reactor.packet_was_read(self.slot, fd, reading);
            self.next_in_line()
        })
    }

    #[inline]
    fn belongs_to(&self, reactor: &Reactor) -> io::Result<()> {
        if reactor.has_feed_of(&self.feeds) {
            return Ok(());
        }
        Err(current::elsewhere_error())
    }

    /// Takes what stands in line.
    #[inline]
    fn next_in_line(&mut self) -> io::Result<Option<Taken>> {
        let Some(landed) = self.tray().take() else {
            return Ok(None);
        };
        match landed {
            Landed::Buffer(number, bytes) => {
                // Comes back with the next call, whatever stands in it.
                self.reading = Some(number);
                let buffer = self.tray().buffer(number);
                arrived(buffer, bytes as usize)
                    .map(|arrived| Some(Taken::Buffer(buffer, arrived)))
                    .ok_or_else(|| io::Error::from_raw_os_error(errno::EPROTO))
            }
            Landed::Starved => Ok(Some(Taken::Starved)),
            Landed::Failed(code) => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// Receives one datagram into the first buffer.
    #[track_caller]
    fn receive(&mut self, reactor: &Reactor, timeout: Option<Duration>) -> io::Result<Taken> {
        let (fd, buffer) = (self.socket().as_fd(), self.tray().buffer(0));
        let mut slip = Slip::new();
        loop {
            let message = slip.aim(buffer, self.tray().buffer_bytes());
            let request = Request::ReceiveMessage {
                fd: fd.as_raw_fd(),
                message,
                peek: false,
            };
            // SAFETY: the slip stands in this frame, and the buffer belongs to the feed, which this frame has for
            // writing, and whose memory it keeps; the descriptor is kept open by it.
            match unsafe { reactor.perform(request, timeout) } {
                Ok(count) => return Ok(Taken::Buffer(buffer, slip.arrived(count as usize))),
                // Refused before it began: a destructor has one attempt.
                Err(_) if std::thread::panicking() => {
                    // SAFETY: as above.
                    let count = once(unsafe { receive_into_now(fd, message) })?;
                    return Ok(Taken::Buffer(buffer, slip.arrived(count)));
                }
                Err(error) => again(reactor, fd, false, timeout, error)?,
            }
        }
    }

    fn receive_now(&mut self) -> io::Result<Option<Taken>> {
        let buffer = self.tray().buffer(0);
        let mut slip = Slip::new();
        let message = slip.aim(buffer, self.tray().buffer_bytes());
        // SAFETY: as in `receive`.
        match unsafe { receive_into_now(self.socket().as_fd(), message) } {
            Ok(count) => Ok(Some(Taken::Buffer(buffer, slip.arrived(count)))),
            Err(error) if error.raw_os_error() == Some(errno::EAGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else {
            return;
        };
        // Where there is no reactor, or another one, its own has ended and has seen to the kernel.
        let _told = current::try_with(|reactor| {
            if reactor.has_feed_of(&self.feeds) {
                reactor.close_feed(self.slot, self.by_kernel, socket.into());
            }
        });
    }
}

/// What a request that lasts has filled of a buffer.
#[cfg(target_os = "linux")]
#[inline]
fn arrived(buffer: NonNull<u8>, bytes: usize) -> Option<Arrived> {
    // SAFETY: it stood in line, so that the kernel has filled it, by a request that was told a tray's outline; it is
    // the kernel's again only after it was given back.
    unsafe { crate::sys::datagram::of_multishot(buffer, bytes) }
}

/// No engine of these systems has requests that last.
#[cfg(not(target_os = "linux"))]
fn arrived(_: NonNull<u8>, _: usize) -> Option<Arrived> {
    None
}

#[cold]
fn no_room(packet_bytes: usize, buffer_bytes: usize, reactor: &Reactor) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!(
            "a feed for packets of {packet_bytes} bytes needs {} bytes, but `feed_buffer` is {}; raise that (or \
             `FLUX_FEED_BUFFER`), or ask for shorter packets",
            BUFFERS_MIN * buffer_bytes,
            reactor.config.feed_buffer
        ),
    )
}
