//! `epoll`, asked for edges, with nanoseconds where the kernel has them.
//!
//! Owns the epoll descriptor and one batch of events; what is more is the next batch. Does not know what
//! an edge means.

#![allow(unsafe_code, reason = "calls into libc")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use super::Wait;
use super::readiness::{Added, Edge, Poller};
#[cfg(test)]
use super::refusals::{Entry, ask};

/// The events of one batch, at the most; small enough for the kernel's integers.
const EVENTS_MAX: u16 = 256;
/// What a descriptor is registered for: changes in both directions, urgent data, and the other side's end.
const INTEREST: libc::c_int =
    libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLPRI | libc::EPOLLRDHUP | libc::EPOLLET;
/// What says that a read that got less than it asked for may have left something: the end may have come
/// with the last bytes, and a read stops where urgent data stood.
const ENDED: libc::c_int = libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLPRI;

const NOTHING: libc::epoll_event = libc::epoll_event { events: 0, u64: 0 };

pub(crate) struct Epoll {
    descriptor: OwnedFd,
    events: Box<[libc::epoll_event]>,
    /// Whether the kernel has `epoll_pwait2` (Linux 5.11), found out by the first wait that wants it.
    nanoseconds: bool,
}

impl Epoll {
    /// With batches of at most `entries` events.
    pub(crate) fn new(entries: u32) -> io::Result<Self> {
        // SAFETY: takes a flag, and answers with a new descriptor or an error.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            // SAFETY: made just now, so that it is open and nobody else's.
            descriptor: unsafe { OwnedFd::from_raw_fd(fd) },
            events: vec![NOTHING; entries.clamp(1, EVENTS_MAX.into()) as usize].into(),
            nanoseconds: true,
        })
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, events: libc::c_int) -> io::Result<()> {
        #[cfg(test)]
        if operation != libc::EPOLL_CTL_DEL {
            ask(Entry::Register)?;
        }
        let mut event = libc::epoll_event {
            events: events.cast_unsigned(),
            // A descriptor is not negative.
            u64: u64::from(fd.cast_unsigned()),
        };
        // SAFETY: the event is in this frame, and the kernel copies it.
        match unsafe { libc::epoll_ctl(self.descriptor.as_raw_fd(), operation, fd, &raw mut event) }
        {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Fills the batch; the number of events in it.
    fn fill(&mut self, wait: Wait) -> io::Result<usize> {
        #[cfg(test)]
        ask(Entry::Wait)?;
        let count = match wait {
            Wait::Poll => self.wait_ms(0),
            Wait::Forever => self.wait_ms(-1),
            Wait::AtMost(time) => self.wait_at_most(time),
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    fn events_max(&self) -> libc::c_int {
        // At most EVENTS_MAX, which fits.
        libc::c_int::try_from(self.events.len()).unwrap_or(1)
    }

    fn wait_ms(&mut self, milliseconds: libc::c_int) -> libc::c_int {
        // SAFETY: the buffer has room for as many events as it says.
        unsafe {
            libc::epoll_wait(
                self.descriptor.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events_max(),
                milliseconds,
            )
        }
    }

    fn wait_at_most(&mut self, time: Duration) -> libc::c_int {
        if self.nanoseconds {
            let timespec = libc::timespec {
                tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: libc::c_long::from(time.subsec_nanos().cast_signed()),
            };
            // SAFETY: the buffer has room for as many events as it says, the time is in this frame, and no
            // signal mask is passed.
            let count = unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    self.descriptor.as_raw_fd(),
                    self.events.as_mut_ptr(),
                    self.events_max(),
                    &raw const timespec,
                    ptr::null::<libc::sigset_t>(),
                    0_usize,
                )
            };
            if count >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS) {
                // At most the size of the buffer, or -1.
                return libc::c_int::try_from(count).unwrap_or(-1);
            }
            self.nanoseconds = false;
        }
        // Rounded up: never early.
        let milliseconds = time.as_nanos().div_ceil(1_000_000);
        self.wait_ms(libc::c_int::try_from(milliseconds).unwrap_or(libc::c_int::MAX))
    }
}

impl Poller for Epoll {
    const SHORT_MEANS_EMPTY: bool = true;

    fn add(&mut self, fd: RawFd) -> io::Result<Added> {
        let made = match self.control(libc::EPOLL_CTL_ADD, fd, INTEREST) {
            // Registered before, and not known to be: what has changed meanwhile is reported anew.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                self.control(libc::EPOLL_CTL_MOD, fd, INTEREST)
            }
            result => result,
        };
        made.map(|()| Added::Registered)
    }

    fn remove(&mut self, fd: RawFd) {
        // What is not there any more needs no removing.
        let _gone = self.control(libc::EPOLL_CTL_DEL, fd, 0);
    }

    #[inline]
    fn wait(&mut self, wait: Wait, mut report: impl FnMut(RawFd, Edge)) -> io::Result<bool> {
        let count = self.fill(wait)?;
        for event in &self.events[..count] {
            // Copied out: the struct is packed on some architectures.
            let (events, data) = (event.events.cast_signed(), event.u64);
            let edge = Edge {
                readable: events & libc::EPOLLIN != 0,
                writable: events & libc::EPOLLOUT != 0,
                ended: events & ENDED != 0,
                refused: 0,
            };
            // The data is a descriptor, as `control` stored it.
            #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
            report((data as u32).cast_signed(), edge);
        }
        Ok(count == self.events.len())
    }
}
