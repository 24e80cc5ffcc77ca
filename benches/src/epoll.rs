//! `epoll` itself: an instance, its registrations, one wait.
//!
//! Shared by the limit on epoll and by the load. Knows neither what is registered nor what an event means.

#![allow(unsafe_code, reason = "epoll through libc")]

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Room for the events of one wait.
pub(crate) const EVENTS_MAX: u16 = 256;

/// How long to wait when nothing has happened yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Not at all.
    Now,
    /// Until something has.
    Event,
}

/// What a wait has found.
pub(crate) struct Events(Box<[libc::epoll_event; EVENTS_MAX as usize]>);

impl Default for Events {
    fn default() -> Self {
        let none = libc::epoll_event { events: 0, u64: 0 };
        Self(Box::new([none; EVENTS_MAX as usize]))
    }
}

/// An epoll instance.
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// From now on, events of `interest` at this socket are reported with this token.
    pub(crate) fn add(&self, socket: &TcpStream, interest: i32, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, interest, token)
    }

    /// No event of this socket is reported any more.
    pub(crate) fn remove(&self, socket: &TcpStream) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, socket, 0, 0)
    }

    fn control(&self, what: i32, socket: &TcpStream, interest: i32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest.cast_unsigned(),
            u64: token,
        };
        // SAFETY: both descriptors are open; the event is only read.
        let result = unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), what, socket.as_raw_fd(), &raw mut event)
        };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// What has happened, as pairs of a token and of flags; nothing if a signal came first.
    #[inline]
    pub(crate) fn wait<'e>(
        &self,
        events: &'e mut Events,
        until: Until,
    ) -> io::Result<impl ExactSizeIterator<Item = (u64, i32)> + 'e> {
        let milliseconds = match until {
            Until::Now => 0,
            Until::Event => -1,
        };
        let (epoll, room) = (self.0.as_raw_fd(), EVENTS_MAX.into());
        // SAFETY: the buffer has room for as many events as is said.
        let found = unsafe { libc::epoll_wait(epoll, events.0.as_mut_ptr(), room, milliseconds) };
        let found = match usize::try_from(found) {
            Ok(found) => found,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => 0,
                error => return Err(error),
            },
        };
        // Copied out: the struct is packed on some architectures.
        Ok(events.0[..found]
            .iter()
            .map(|event| (event.u64, event.events.cast_signed())))
    }
}
