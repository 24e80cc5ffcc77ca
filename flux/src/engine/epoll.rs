//! `epoll`, asked for edges, with nanoseconds where the kernel has them; a timer is a `timerfd`.
//!
//! Owns the epoll descriptor, one batch of events, of which what is more is the next one, and a descriptor for
//! each timer, whose number is kept in its op. Does not know what an edge means.

#![allow(unsafe_code, reason = "calls into libc")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use super::Wait;
use super::poller::{Added, Edge, Poller, Told};
#[cfg(test)]
use super::refusals::{Entry, ask};
use crate::op::Op;

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

    fn control(
        &self,
        operation: libc::c_int,
        fd: RawFd,
        events: libc::c_int,
        data: u64,
    ) -> io::Result<()> {
        #[cfg(test)]
        if operation != libc::EPOLL_CTL_DEL {
            ask(Entry::Register)?;
        }
        let mut event = libc::epoll_event {
            events: events.cast_unsigned(),
            u64: data,
        };
        // SAFETY: the event is in this frame, and the kernel copies it.
        match unsafe { libc::epoll_ctl(self.descriptor.as_raw_fd(), operation, fd, &raw mut event) }
        {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The op whose timer has gone off; the timer is no more.
    #[cold]
    fn timer_gone_off(&self, data: u64) -> &Op {
        // An address of this process, so it fits.
        #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
        let op: *const Op = ptr::with_exposed_provenance(data as usize);
        // SAFETY: stored by `add_timer`, whose caller promised that the op stays until it is reported, which is
        // now, or removed; a removed one has no event, and none is removed while a batch is gone through.
        let op = unsafe { &*op };
        self.end_timer(op);
        op
    }

    /// Closes what was made for a timeout, if anything was.
    fn end_timer(&self, op: &Op) {
        let fd = op.descriptor().replace(-1);
        if fd < 0 {
            return;
        }
        // SAFETY: made by `add_timer` for this op, which gave it away just now: nobody else's.
        let timer = unsafe { OwnedFd::from_raw_fd(fd) };
        // A child that this process has forked keeps the file open: closing it does not end the registration, whose
        // events would name an op that is no more.
        let _made = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
        drop(timer);
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
            let timespec = timespec(time);
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

/// What an event carries for a descriptor: an odd number.
fn data_of(fd: RawFd) -> u64 {
    // A descriptor is not negative.
    u64::from(fd.cast_unsigned()) << 1 | 1
}

/// The descriptor of an event; `None` for that of a timer, which carries the address of an op: an even number.
#[inline]
fn descriptor_of(data: u64) -> Option<RawFd> {
    // As `data_of` has put it there.
    #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
    (data & 1 == 1).then_some((data >> 1) as RawFd)
}

const _: () = assert!(align_of::<Op>() > 1);

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(time.subsec_nanos().cast_signed()),
    }
}

/// A descriptor that can be read once the moment of a timeout has come.
fn timer(op: &Op) -> io::Result<OwnedFd> {
    let Some((at, wall)) = op.timeout() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let clock = if wall {
        libc::CLOCK_REALTIME
    } else {
        libc::CLOCK_MONOTONIC
    };
    // SAFETY: takes numbers, and answers with a new descriptor or an error.
    let fd = unsafe { libc::timerfd_create(clock, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: made just now, so that it is open and nobody else's.
    let timer = unsafe { OwnedFd::from_raw_fd(fd) };
    let once = libc::itimerspec {
        it_interval: timespec(Duration::ZERO),
        it_value: timespec(at.since_zero()),
    };
    // SAFETY: the time is in this frame, and what was set before is not asked for.
    match unsafe {
        libc::timerfd_settime(
            fd,
            libc::TFD_TIMER_ABSTIME,
            &raw const once,
            ptr::null_mut(),
        )
    } {
        0 => Ok(timer),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Poller for Epoll {
    const SHORT_MEANS_EMPTY: bool = true;

    fn add(&mut self, fd: RawFd) -> io::Result<Added> {
        let made = match self.control(libc::EPOLL_CTL_ADD, fd, INTEREST, data_of(fd)) {
            // Registered before, and not known to be: what has changed meanwhile is reported anew.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                self.control(libc::EPOLL_CTL_MOD, fd, INTEREST, data_of(fd))
            }
            result => result,
        };
        made.map(|()| Added::Registered)
    }

    fn remove(&mut self, fd: RawFd) {
        // What is not there any more needs no removing.
        let _gone = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
    }

    unsafe fn add_timer(&mut self, op: &Op) -> io::Result<Added> {
        let timer = timer(op)?;
        let address = ptr::from_ref(op).expose_provenance() as u64;
        let interest = libc::EPOLLIN | libc::EPOLLET;
        self.control(libc::EPOLL_CTL_ADD, timer.as_raw_fd(), interest, address)?;
        op.descriptor().set(timer.into_raw_fd());
        Ok(Added::Registered)
    }

    fn remove_timer(&mut self, op: &Op) {
        self.end_timer(op);
    }

    #[inline]
    fn wait(&mut self, wait: Wait, mut report: impl FnMut(Told<'_>)) -> io::Result<bool> {
        let count = self.fill(wait)?;
        for event in &self.events[..count] {
            // Copied out: the struct is packed on some architectures.
            let (events, data) = (event.events.cast_signed(), event.u64);
            let Some(fd) = descriptor_of(data) else {
                report(Told::Timer(self.timer_gone_off(data), 0));
                continue;
            };
            let edge = Edge {
                readable: events & libc::EPOLLIN != 0,
                writable: events & libc::EPOLLOUT != 0,
                ended: events & ENDED != 0,
                refused: 0,
            };
            report(Told::Edge(fd, edge));
        }
        Ok(count == self.events.len())
    }
}
