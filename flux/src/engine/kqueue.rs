//! `kqueue`, of macOS and FreeBSD: one filter for each direction, cleared as it is told of (`EV_CLEAR`), and one
//! for timers, each of which goes off once (`EV_ONESHOT`) and is known by the address of its op.
//!
//! Owns the queue, a list of changes that have not left yet, and one batch of events; what is more is the
//! next batch. Does not know what an edge means.
//!
//! - **Adding is batched:** it leaves with the next wait, in the same syscall. The kernel refuses each change
//!   for itself, and that comes back as an event of the direction that was refused. While the list is full
//!   there is no room, and ops stand in line as they do behind a full submission queue.
//! - **Removing is not:** the descriptor is about to be closed, and a change that left after that would be
//!   one of nothing, or of the next file of that number. So with the address of an op.
//! - **A timer is told how long to wait**, reckoned as it leaves. Moments of the wall clock are handed over as
//!   such, but both kernels reckon the time to wait as they take them, and stay with that when the clock is set:
//!   so they are asked anew each minute.
//!
//! Checked for macOS and FreeBSD, and run against the double of `kqueue_double.rs`; never run on a BSD by
//! those who wrote it.

#![allow(unsafe_code, reason = "calls into libc")]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use super::poller::{Added, Edge, Poller, Told};
#[cfg(test)]
use super::refusals::{Entry, ask};
use super::{Wait, left};
use crate::clock;
use crate::op::Op;
use crate::sys::say;
use system::{
    EV_ADD, EV_CLEAR, EV_DELETE, EV_EOF, EV_ERROR, EV_ONESHOT, EV_RECEIPT, EVFILT_READ,
    EVFILT_TIMER, EVFILT_WRITE, Event, NOTE_AT, NOTE_EXACT, NOTE_NSECONDS, kevent, kqueue,
};

/// The C interface, as the system's own library has it.
#[cfg(any(target_os = "macos", target_os = "freebsd"))]
mod system {
    #[cfg(target_os = "macos")]
    pub(super) use libc::NOTE_ABSOLUTE as NOTE_AT;
    /// A moment of the wall clock, rather than a time to wait.
    #[cfg(target_os = "freebsd")]
    pub(super) use libc::NOTE_ABSTIME as NOTE_AT;
    /// Not put off to save power.
    #[cfg(target_os = "macos")]
    pub(super) use libc::NOTE_CRITICAL as NOTE_EXACT;
    pub(super) use libc::{
        EV_ADD, EV_CLEAR, EV_DELETE, EV_EOF, EV_ERROR, EV_ONESHOT, EV_RECEIPT, EVFILT_READ,
        EVFILT_TIMER, EVFILT_WRITE, NOTE_NSECONDS, kevent as Event, kevent, kqueue,
    };
    #[cfg(target_os = "freebsd")]
    pub(super) const NOTE_EXACT: u32 = 0;
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
    pub(in crate::engine) const EVFILT_TIMER: i16 = -7;
    pub(in crate::engine) const EV_ADD: u16 = 0x1;
    pub(in crate::engine) const EV_DELETE: u16 = 0x2;
    pub(in crate::engine) const EV_ONESHOT: u16 = 0x10;
    pub(in crate::engine) const EV_CLEAR: u16 = 0x20;
    pub(in crate::engine) const EV_RECEIPT: u16 = 0x40;
    pub(in crate::engine) const EV_ERROR: u16 = 0x4000;
    pub(in crate::engine) const EV_EOF: u16 = 0x8000;
    pub(in crate::engine) const NOTE_NSECONDS: u32 = 0x4;
    pub(in crate::engine) const NOTE_AT: u32 = 0x8;
    pub(super) const NOTE_EXACT: u32 = 0;

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
/// The longest that a timer for a moment of the wall clock runs: then it is seen whether that was set.
const WALL_MAX: Duration = Duration::from_mins(1);

pub(crate) struct Kqueue {
    descriptor: OwnedFd,
    events: Box<[Event; EVENTS_MAX as usize]>,
    changes: Box<[Event]>,
    /// How many of the changes are to leave.
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
        let nothing = nothing();
        let pairs = entries.clamp(1, u32::from(CHANGES_MAX) / 2) as usize;
        Ok(Self {
            descriptor,
            events: Box::new([nothing; EVENTS_MAX as usize]),
            changes: vec![nothing; pairs * FILTERS.len()].into(),
            changes_count: 0,
        })
    }

    /// Takes back what has not left yet, of what is named.
    fn take_back(&mut self, named: impl Fn(Event) -> bool) {
        let mut at = 0;
        while at < self.changes_count {
            // Copied out of each: on macOS the struct is packed, and a field in it has no reference.
            if named(self.changes[at]) {
                // The order among changes says nothing: the last one takes the place.
                self.changes_count -= 1;
                self.changes[at] = self.changes[self.changes_count];
            } else {
                at += 1;
            }
        }
    }

    /// Makes changes at once; what each was answered, 0 or an error code.
    fn change_now<const N: usize>(&self, changes: [Event; N]) -> io::Result<[i32; N]> {
        let changes = changes.map(|mut change| {
            change.flags |= EV_RECEIPT;
            change
        });
        let mut receipts = changes;
        // One or two, which fits.
        let count = libc::c_int::try_from(N).unwrap_or(0);
        loop {
            // SAFETY: so many changes and room for as many events, in this frame; with a receipt for each, the
            // call does not wait.
            let answered = unsafe {
                kevent(
                    self.descriptor.as_raw_fd(),
                    changes.as_ptr(),
                    count,
                    receipts.as_mut_ptr(),
                    count,
                    &raw const NO_TIME,
                )
            };
            if answered >= 0 {
                return Ok(receipts.map(code_of));
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Takes back what the kernel may have of a timer: afterwards it knows nothing of the op.
    fn delete_timer(&self, op: &Op) {
        match self.change_now([timer(op, EV_DELETE)]) {
            // Gone off and reported before, or never taken.
            Ok([0 | libc::ENOENT]) => {}
            Ok([code]) => timer_stays(&io::Error::from_raw_os_error(code)),
            Err(error) => timer_stays(&error),
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
        for change in &mut self.changes[..self.changes_count] {
            if change.filter == EVFILT_TIMER {
                reckon(change);
            }
        }
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
        // After a failure, an interruption above all, the changes stay: making one twice does no harm, and timers
        // are reckoned anew.
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
        self.take_back(|change| is_of(change, fd));
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
        self.take_back(|change| is_of(change, fd));
        // What is not there any more needs no removing.
        let _gone = self.change_now(FILTERS.map(|filter| change(fd, filter, EV_DELETE)));
    }

    unsafe fn add_timer(&mut self, op: &Op) -> io::Result<Added> {
        let Some(place) = self.changes.get_mut(self.changes_count) else {
            return Ok(Added::Full);
        };
        *place = timer(op, EV_ADD | EV_ONESHOT);
        self.changes_count += 1;
        Ok(Added::Registered)
    }

    fn remove_timer(&mut self, op: &Op) {
        // As above.
        let ident = ptr::from_ref(op).addr();
        self.take_back(|change| change.filter == EVFILT_TIMER && change.ident == ident);
        self.delete_timer(op);
    }

    #[inline]
    fn wait(&mut self, wait: Wait, mut report: impl FnMut(Told<'_>)) -> io::Result<bool> {
        let count = self.fill(wait)?;
        let mut refused_any = false;
        for event in &self.events[..count] {
            // Copied out: on macOS the struct is packed.
            let (filter, flags) = (event.filter, event.flags);
            let refused = code_of(*event);
            refused_any |= refused != 0;
            if filter == EVFILT_TIMER {
                // SAFETY: a timer names the op that it was set for, and the caller of `add_timer` promised that the
                // op stays until it is reported, which is now, or removed; a removed one has no event, and none
                // is removed while a batch is gone through.
                let op = unsafe { op_of(event) };
                if refused != 0 {
                    // What was refused may have been the second time, after an interruption.
                    self.delete_timer(op);
                }
                report(Told::Timer(op, refused));
                continue;
            }
            let edge = Edge {
                readable: filter == EVFILT_READ,
                writable: filter == EVFILT_WRITE,
                ended: flags & EV_EOF != 0 && refused == 0,
                refused,
            };
            report(Told::Edge(ident_of(*event), edge));
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

fn nothing() -> Event {
    // SAFETY: all zeroes is a valid `kevent`: numbers, and a null pointer that nobody follows. FreeBSD's has
    // fields more than the others.
    unsafe { mem::zeroed() }
}

fn change(fd: RawFd, filter: i16, flags: u16) -> Event {
    let mut change = nothing();
    // A descriptor is not negative.
    change.ident = fd.cast_unsigned() as usize;
    change.filter = filter;
    change.flags = flags;
    change
}

fn is_of(change: Event, fd: RawFd) -> bool {
    change.filter != EVFILT_TIMER && ident_of(change) == fd
}

/// A change of the timer of an op; when it goes off is for [`reckon`] to say.
fn timer(op: &Op, flags: u16) -> Event {
    let mut change = nothing();
    change.ident = ptr::from_ref(op).expose_provenance();
    change.filter = EVFILT_TIMER;
    change.flags = flags;
    change.udata = ptr::from_ref(op).cast_mut().cast();
    change
}

/// The op whose timer an event, or a change, is of.
///
/// # Safety
/// The op is alive, and stays while the answer is used.
unsafe fn op_of(event: &Event) -> &Op {
    // Copied out: on macOS the struct is packed.
    let op = event.udata.cast_const().cast::<Op>();
    // SAFETY: `timer` stored the address of an op, which is alive (caller).
    unsafe { &*op }
}

/// Says when a timer that is about to leave goes off, as of now.
fn reckon(change: &mut Event) {
    // SAFETY: the caller of `add_timer` promised that the op stays until it is reported, which wants that the change
    // has left, or removed, which takes the change back.
    let op = unsafe { op_of(change) };
    let left = left(op).unwrap_or_default();
    let wall = op.timeout().is_some_and(|(_, wall)| wall);
    let (kind, time) = if wall {
        (NOTE_AT, clock::wall() + left.min(WALL_MAX))
    } else {
        (0, left.min(WAIT_MAX))
    };
    change.fflags = NOTE_NSECONDS | NOTE_EXACT | kind;
    // A day, or a moment before the year 2262; none at all would be another thing on some systems.
    let nanoseconds = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    #[allow(
        clippy::useless_conversion,
        reason = "as wide as a pointer on one system, 64 bits on another"
    )]
    {
        change.data = nanoseconds.max(1).try_into().unwrap_or(1);
    }
}

#[cold]
fn timer_stays(why: &io::Error) -> ! {
    say(format_args!(
        "flux: the kernel does not take a timer back ({why}), and would tell of a request that is no more; \
         aborting"
    ));
    std::process::abort();
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
