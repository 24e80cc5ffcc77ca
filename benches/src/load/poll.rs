//! Which of some sockets can be read, without waiting.

#![allow(unsafe_code, reason = "epoll through libc")]
#![allow(
    clippy::cast_possible_truncation,
    reason = "tokens are made of indices"
)]

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const EVENTS_MAX: i32 = 128;

/// An epoll instance over sockets that are known by their index.
pub(super) struct Poll {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poll {
    pub(super) fn new(streams: &[TcpStream]) -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        let readable = libc::EPOLLIN.unsigned_abs();
        for (index, stream) in streams.iter().enumerate() {
            let mut event = libc::epoll_event {
                events: readable,
                u64: index as u64,
            };
            let (ctl, socket) = (libc::EPOLL_CTL_ADD, stream.as_raw_fd());
            // SAFETY: both descriptors are open; the event is only read.
            let added = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), ctl, socket, &raw mut event) };
            if added < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self {
            epoll,
            events: vec![
                libc::epoll_event { events: 0, u64: 0 };
                EVENTS_MAX.unsigned_abs() as usize
            ],
        })
    }

    /// Calls `on` with the index of each socket that can be read now; returns how many these were.
    pub(super) fn ready(
        &mut self,
        mut on: impl FnMut(usize) -> Result<(), crate::Fault>,
    ) -> Result<usize, crate::Fault> {
        let (epoll, room) = (self.epoll.as_raw_fd(), EVENTS_MAX);
        // SAFETY: the buffer has room for as many events as is said.
        let found = unsafe { libc::epoll_wait(epoll, self.events.as_mut_ptr(), room, 0) };
        let found = match usize::try_from(found) {
            Ok(found) => found,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => 0,
                error => return Err(error.into()),
            },
        };
        for event in &self.events[..found] {
            on(event.u64 as usize)?;
        }
        Ok(found)
    }
}
