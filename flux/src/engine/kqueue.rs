//! `kqueue`, of macOS and FreeBSD: one filter for each direction, cleared as it is told of (`EV_CLEAR`).
//!
//! Owns the queue, a list of changes that have not left yet, and one batch of events; what is more is the
//! next batch. Does not know what an edge means.
//!
//! - **Adding is batched:** it leaves with the next wait, in the same syscall. The kernel refuses each change
//!   for itself, and that comes back as an event of the direction that was refused. While the list is full
//!   there is no room, and ops stand in line as they do behind a full submission queue.
//! - **Removing is not:** the descriptor is about to be closed, and a change that left after that would be
//!   one of nothing, or of the next file of that number.
//!
//! Checked for macOS and FreeBSD, and run against the double of `kqueue_double.rs`; never run on a BSD by
//! those who wrote it.

#![allow(unsafe_code, reason = "calls into libc")]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use super::Wait;
use super::readiness::{Added, Edge, Poller};
#[cfg(test)]
use super::refusals::{Entry, ask};
use system::{
    EV_ADD, EV_CLEAR, EV_DELETE, EV_EOF, EV_ERROR, EV_RECEIPT, EVFILT_READ, EVFILT_WRITE, Event,
    kevent, kqueue,
};

/// The C interface, as the system's own library has it.
#[cfg(any(target_os = "macos", target_os = "freebsd"))]
mod system {
    pub(super) use libc::{
        EV_ADD, EV_CLEAR, EV_DELETE, EV_EOF, EV_ERROR, EV_RECEIPT, EVFILT_READ, EVFILT_WRITE,
        kevent as Event, kevent, kqueue,
    };
}

/// The C interface, as libkqueue has it on other systems. The double defines it, so that there is nothing
/// to link; with `flux_kqueue_compat = "libkqueue"` it is that library's.
#[cfg(flux_kqueue_compat)]
pub(super) mod system {
    /// `struct kevent`.
    #[derive(Clone, Copy, Debug)]
    #[repr(C)]
    pub(in crate::engine) struct Event {
        pub(in crate::engine) ident: usize,
        pub(in crate::engine) filter: i16,
        pub(in crate::engine) flags: u16,
        pub(in crate::engine) fflags: u32,
        pub(in crate::engine) data: isize,
        pub(in crate::engine) udata: *mut libc::c_void,
    }

    pub(in crate::engine) const EVFILT_READ: i16 = -1;
    pub(in crate::engine) const EVFILT_WRITE: i16 = -2;
    pub(in crate::engine) const EV_ADD: u16 = 0x1;
    pub(in crate::engine) const EV_DELETE: u16 = 0x2;
    pub(in crate::engine) const EV_CLEAR: u16 = 0x20;
    pub(in crate::engine) const EV_RECEIPT: u16 = 0x40;
    pub(in crate::engine) const EV_ERROR: u16 = 0x4000;
    pub(in crate::engine) const EV_EOF: u16 = 0x8000;

    #[cfg_attr(flux_kqueue_compat = "libkqueue", link(name = "kqueue"))]
    unsafe extern "C" {
        pub(super) fn kqueue() -> libc::c_int;
        pub(super) fn kevent(
            queue: libc::c_int,
            changes: *const Event,
            changes_count: libc::c_int,
            events: *mut Event,
            events_max: libc::c_int,
            timeout: *const libc::timespec,
        ) -> libc::c_int;
    }
}

/// The events of one batch.
const EVENTS_MAX: u16 = 256;
/// The changes that wait to leave, at the most: two for each descriptor.
const CHANGES_MAX: u16 = 128;
/// Each change may come back as a refusal, and a refusal that finds no room ends the call half-way.
const _: () = assert!(CHANGES_MAX <= EVENTS_MAX);
/// The directions of a descriptor.
const FILTERS: [i16; 2] = [EVFILT_READ, EVFILT_WRITE];
/// The longest that one wait is asked to take: macOS refuses more than about three years. A wait that ends
/// early is followed by another.
const WAIT_MAX: Duration = Duration::from_hours(24);

pub(crate) struct Kqueue {
    descriptor: OwnedFd,
    events: Box<[Event; EVENTS_MAX as usize]>,
    changes: Box<[Event]>,
    /// How many of the changes are to leave; two of one descriptor stand side by side.
    changes_count: usize,
}

impl Kqueue {
    /// With room for `entries` registrations that have not left yet, or as many as fit a batch.
    pub(crate) fn new(entries: u32) -> io::Result<Self> {
        // SAFETY: takes nothing, and answers with a new descriptor or an error.
        let fd = unsafe { kqueue() };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: made just now, so that it is open and nobody else's.
        let descriptor = unsafe { OwnedFd::from_raw_fd(fd) };
        // A child of `fork` has no queue anyway; this is for `exec` alone.
        // SAFETY: takes numbers.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let nothing = change(0, EVFILT_READ, 0);
        let pairs = entries.clamp(1, u32::from(CHANGES_MAX) / 2) as usize;
        Ok(Self {
            descriptor,
            events: Box::new([nothing; EVENTS_MAX as usize]),
            changes: vec![nothing; pairs * FILTERS.len()].into(),
            changes_count: 0,
        })
    }

    /// Takes back what has not left yet for a descriptor; whether that was anything.
    fn take_back(&mut self, fd: RawFd) -> bool {
        let pending = &self.changes[..self.changes_count];
        // Copied out of each: on macOS the struct is packed, and a field in it has no reference.
        let Some(at) = pending.iter().position(|change| ident_of(*change) == fd) else {
            return false;
        };
        // The order among descriptors says nothing: the last pair takes the place.
        self.changes_count -= FILTERS.len();
        let last = self.changes_count;
        self.changes.copy_within(last..last + FILTERS.len(), at);
        true
    }

    /// Makes a change in both directions at once; what each was answered, 0 or an error code.
    fn change_now(&self, fd: RawFd, flags: u16) -> io::Result<[i32; 2]> {
        let changes = FILTERS.map(|filter| change(fd, filter, flags | EV_RECEIPT));
        let mut receipts = changes;
        loop {
            // SAFETY: two changes and room for two events, in this frame; with a receipt for each, the call
            // does not wait.
            let count = unsafe {
                kevent(
                    self.descriptor.as_raw_fd(),
                    changes.as_ptr(),
                    2,
                    receipts.as_mut_ptr(),
                    2,
                    &raw const NO_TIME,
                )
            };
            if count >= 0 {
                return Ok(receipts.map(code_of));
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Hands over the changes and fills the batch; the number of events in it.
    fn fill(&mut self, wait: Wait) -> io::Result<usize> {
        #[cfg(test)]
        ask(Entry::Wait)?;
        let time;
        let timeout = match wait {
            Wait::Poll => &raw const NO_TIME,
            Wait::Forever => ptr::null(),
            Wait::AtMost(longest) => {
                time = timespec(longest.min(WAIT_MAX));
                &raw const time
            }
        };
        // SAFETY: as many changes, and room for as many events, as is said; the time outlives the call.
        let count = unsafe {
            kevent(
                self.descriptor.as_raw_fd(),
                self.changes.as_ptr(),
                // At most CHANGES_MAX, which fits.
                libc::c_int::try_from(self.changes_count).unwrap_or(0),
                self.events.as_mut_ptr(),
                EVENTS_MAX.into(),
                timeout,
            )
        };
        // After a failure, an interruption above all, the changes stay: making one twice does no harm.
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        self.changes_count = 0;
        Ok(count)
    }
}

/// The double does not see a descriptor being closed, and has one more to close with it.
#[cfg(flux_kqueue_compat)]
impl Drop for Kqueue {
    fn drop(&mut self) {
        super::kqueue_double::about_to_close(self.descriptor.as_raw_fd());
    }
}

impl Poller for Kqueue {
    const SHORT_MEANS_EMPTY: bool = false;

    fn add(&mut self, fd: RawFd) -> io::Result<Added> {
        self.take_back(fd);
        let end = self.changes_count + FILTERS.len();
        let Some(room) = self.changes.get_mut(self.changes_count..end) else {
            return Ok(Added::Full);
        };
        for (place, filter) in room.iter_mut().zip(FILTERS) {
            *place = change(fd, filter, EV_ADD | EV_CLEAR);
        }
        self.changes_count = end;
        Ok(Added::Registered)
    }

    fn remove(&mut self, fd: RawFd) {
        // What has left once may have to be taken back from the kernel though more was about to leave.
        self.take_back(fd);
        // What is not there any more needs no removing.
        let _gone = self.change_now(fd, EV_DELETE);
    }

    #[inline]
    fn wait(&mut self, wait: Wait, mut report: impl FnMut(RawFd, Edge)) -> io::Result<bool> {
        let count = self.fill(wait)?;
        let mut refused_any = false;
        for event in &self.events[..count] {
            // Copied out: on macOS the struct is packed.
            let (filter, flags) = (event.filter, event.flags);
            let refused = code_of(*event);
            refused_any |= refused != 0;
            let edge = Edge {
                readable: filter == EVFILT_READ,
                writable: filter == EVFILT_WRITE,
                ended: flags & EV_EOF != 0 && refused == 0,
                refused,
            };
            report(ident_of(*event), edge);
        }
        // A call that has to report refusals does not look for events.
        Ok(refused_any || count == usize::from(EVENTS_MAX))
    }
}

static NO_TIME: libc::timespec = libc::timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(time.subsec_nanos().cast_signed()),
    }
}

fn change(fd: RawFd, filter: i16, flags: u16) -> Event {
    // SAFETY: all zeroes is a valid `kevent`: numbers, and a null pointer that nobody follows. FreeBSD's has
    // fields more than the others.
    let mut change: Event = unsafe { mem::zeroed() };
    // A descriptor is not negative.
    change.ident = fd.cast_unsigned() as usize;
    change.filter = filter;
    change.flags = flags;
    change
}

fn ident_of(event: Event) -> RawFd {
    RawFd::try_from(event.ident).unwrap_or(-1)
}

/// The error code that a change was refused with; 0 for a receipt of one that was made, and for an event.
fn code_of(event: Event) -> i32 {
    if event.flags & EV_ERROR == 0 {
        return 0;
    }
    // As wide as a pointer on one system, 64 bits on another.
    let data = event.data;
    i32::try_from(data).unwrap_or(libc::EIO)
}

#[cfg(all(test, flux_kqueue_compat))]
#[path = "kqueue_tests.rs"]
mod tests;
