//! A test double of `kqueue` for Linux, over `epoll`: what `kqueue.rs` uses of it, so that the code there
//! runs in tests on a system without it.
//!
//! Compiled under `--cfg flux_kqueue_compat` alone. A queue is two epoll descriptors, one for each filter, so
//! that an edge of one direction does not show in the other, as it would from one epoll entry for both.
//!
//! What it models: changes before events, in one call; `EV_ADD | EV_CLEAR`, also of what is there already;
//! `EV_DELETE`; `EV_RECEIPT`; a refusal as an `EV_ERROR` event for that change alone, or as the call's own
//! failure where there is no room for one, which leaves the rest unmade; no look at events in a call that
//! reports refusals; `EV_EOF` together with the last bytes; a registration that ends with the close of its
//! descriptor's number, whoever else has the file open; timers, in `kqueue_double_timers.rs`.
//!
//! What it does not model, and so says nothing about:
//! - other filters, and other flags: refused with `EINVAL`;
//! - files that epoll does not take (`EPERM`), though a `kqueue` would;
//! - `data` and `fflags` of an event (bytes, room, the socket's error): always 0;
//! - low-water marks, the order of events, how many edges a burst makes: those are Linux's;
//! - waits that are exact: a call may return early with nothing, when all that came was of closed files;
//! - the close of a queue: it has to be told, by [`about_to_close`];
//! - several threads at one queue.
//!
//! [`script`] makes it nasty, on the calling thread, call by call.

#![allow(unsafe_code, reason = "a C interface, and calls into libc")]
#![allow(
    clippy::cast_possible_truncation,
    reason = "halves of an entry's 64 bits are taken apart"
)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::kqueue::system::{
    EV_ADD, EV_CLEAR, EV_DELETE, EV_EOF, EV_ERROR, EV_RECEIPT, EVFILT_READ, EVFILT_TIMER,
    EVFILT_WRITE, Event,
};
use super::kqueue_double_timers::Timers;

#[cfg(test)]
use super::refusals;

/// The queues that a process has at a time.
const QUEUES_MAX: usize = 256;
/// The events fetched from epoll at a time.
const FETCH_MAX: usize = 64;

/// What a call of `kevent` does instead of what it should.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), allow(dead_code, reason = "tests alone are nasty"))]
pub(super) enum Nasty {
    /// Refuses a change of this filter of this descriptor with a code.
    Refuse { fd: i32, filter: i16, code: i32 },
    /// Refuses a change that sets a timer with a code.
    RefuseTimer(i32),
    /// Takes the next timer for due, when it looks at events.
    Early,
    /// Is interrupted after the changes, and before it looks at events.
    Interrupt,
    /// Has so few events for the caller, whatever its room.
    Short(usize),
}

thread_local! {
    static SCRIPT: RefCell<VecDeque<Nasty>> = const { RefCell::new(VecDeque::new()) };
}

/// Each of these happens once, in this order, to the next call that it fits.
#[cfg(test)]
pub(super) fn script(nasty: &[Nasty]) {
    SCRIPT.with_borrow_mut(|script| script.extend(nasty));
}

/// The next of the script, if `fits` takes it.
fn scripted<T>(fits: impl FnOnce(Nasty) -> Option<T>) -> Option<T> {
    SCRIPT.with_borrow_mut(|script| {
        let found = script.front().copied().and_then(fits)?;
        script.pop_front();
        Some(found)
    })
}

/// A queue: its number is the descriptor of the first epoll, which the caller closes.
struct Queue {
    read: AtomicI32,
    write: AtomicI32,
    timers: Timers,
}

const NO_QUEUE: i32 = -1;
static QUEUES: [Queue; QUEUES_MAX] = [const {
    Queue {
        read: AtomicI32::new(NO_QUEUE),
        write: AtomicI32::new(NO_QUEUE),
        timers: Timers::new(),
    }
}; QUEUES_MAX];
static MAKING: Mutex<()> = Mutex::new(());

#[unsafe(no_mangle)]
extern "C" fn kqueue() -> libc::c_int {
    let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(queue) = QUEUES
        .iter()
        .find(|queue| queue.read.load(Ordering::Acquire) == NO_QUEUE)
    else {
        return fail(libc::EMFILE);
    };
    let (Ok(read), Ok(write)) = (new_epoll(), new_epoll()) else {
        return -1;
    };
    // The number goes to the caller, who closes it; the other one stays here.
    let read = read.into_raw_fd();
    queue.timers.open();
    queue.write.store(write.into_raw_fd(), Ordering::Release);
    queue.read.store(read, Ordering::Release);
    read
}

/// Lets go of what belongs to a queue, beside the descriptor that its caller has.
pub(super) fn about_to_close(queue: RawFd) {
    let Some(queue) = QUEUES
        .iter()
        .find(|one| one.read.load(Ordering::Acquire) == queue)
    else {
        return;
    };
    queue.timers.close();
    let write = queue.write.swap(NO_QUEUE, Ordering::AcqRel);
    queue.read.store(NO_QUEUE, Ordering::Release);
    // SAFETY: made by `kqueue` for this queue, and taken out of it just now: nobody else's.
    drop(unsafe { OwnedFd::from_raw_fd(write) });
}

/// # Safety
/// As of the C function: the pointers are good for as many entries as their counts say.
#[unsafe(no_mangle)]
unsafe extern "C" fn kevent(
    queue: libc::c_int,
    changes: *const Event,
    changes_count: libc::c_int,
    events: *mut Event,
    events_max: libc::c_int,
    timeout: *const libc::timespec,
) -> libc::c_int {
    let Some(queue) = QUEUES
        .iter()
        .find(|one| one.read.load(Ordering::Acquire) == queue)
    else {
        return fail(libc::EBADF);
    };
    // SAFETY: good for so many (caller).
    let changes = unsafe { slice_of(changes, changes_count) };
    let mut out = Out {
        events,
        room: usize::try_from(events_max).unwrap_or(0),
        count: 0,
    };
    for change in changes {
        let code = queue.change(change);
        if code == 0 && change.flags & EV_RECEIPT == 0 {
            continue;
        }
        let answer = Event {
            flags: EV_ERROR,
            data: code as isize,
            ..*change
        };
        // SAFETY: the events are good for the room (caller).
        if !unsafe { out.put(answer) } {
            return if code == 0 { 0 } else { fail(code) };
        }
    }
    if out.count > 0 || events_max == 0 {
        return out.count();
    }
    if scripted(|nasty| matches!(nasty, Nasty::Interrupt).then_some(())).is_some() {
        return fail(libc::EINTR);
    }
    #[cfg(test)]
    if let Some(code) = refusals::next(refusals::Entry::WaitAfterChanges) {
        return fail(code);
    }
    let short = scripted(|nasty| match nasty {
        Nasty::Short(room) => Some(room),
        _ => None,
    });
    out.room = out.room.min(short.unwrap_or(usize::MAX));
    let mut polled = [&queue.read, &queue.write].map(|epoll| libc::pollfd {
        fd: epoll.load(Ordering::Acquire),
        events: libc::POLLIN,
        revents: 0,
    });
    let early = scripted(|nasty| matches!(nasty, Nasty::Early).then_some(())).is_some();
    // SAFETY: null, or good (caller).
    let sooner = queue.timers.sooner(unsafe { timeout.as_ref() }, early);
    let timeout = sooner.as_ref().map_or(timeout, ptr::from_ref);
    // SAFETY: two entries, in this frame; the time is null, good (caller), or in this frame; no signal mask.
    if unsafe { libc::ppoll(polled.as_mut_ptr(), 2, timeout, ptr::null()) } < 0 {
        return -1;
    }
    for (epoll, filter) in polled.into_iter().zip([EVFILT_READ, EVFILT_WRITE]) {
        // SAFETY: the events are good for the room (caller).
        if let Err(()) = unsafe { collect(epoll.fd, filter, &mut out) } {
            return -1;
        }
    }
    while out.count < out.room
        && let Some(event) = queue.timers.take_due(early && out.count == 0)
    {
        // SAFETY: the events are good for the room (caller).
        unsafe { out.put(event) };
    }
    out.count()
}

/// The caller's room for events, and how much of it is filled.
struct Out {
    events: *mut Event,
    room: usize,
    count: usize,
}

impl Out {
    /// Whether there was room.
    ///
    /// # Safety
    /// The events are good for the room.
    unsafe fn put(&mut self, event: Event) -> bool {
        if self.count == self.room {
            return false;
        }
        // SAFETY: below the room, which the events are good for (caller).
        let place = unsafe { self.events.add(self.count) };
        // SAFETY: as above.
        unsafe { place.write(event) };
        self.count += 1;
        true
    }

    fn count(&self) -> libc::c_int {
        libc::c_int::try_from(self.count).unwrap_or(libc::c_int::MAX)
    }
}

impl Queue {
    /// Makes a change; 0, or the code that it is refused with.
    fn change(&self, change: &Event) -> i32 {
        if change.filter == EVFILT_TIMER {
            return self.change_timer(change);
        }
        let Ok(fd) = i32::try_from(change.ident) else {
            return libc::EBADF;
        };
        let (epoll, interest) = match change.filter {
            EVFILT_READ => (&self.read, libc::EPOLLIN | libc::EPOLLRDHUP),
            EVFILT_WRITE => (&self.write, libc::EPOLLOUT),
            _ => return libc::EINVAL,
        };
        let refused = scripted(|nasty| match nasty {
            Nasty::Refuse {
                fd: which,
                filter,
                code,
            } => (which == fd && filter == change.filter).then_some(code),
            _ => None,
        });
        if let Some(code) = refused {
            return code;
        }
        #[cfg(test)]
        if change.flags & EV_ADD != 0
            && let Some(code) = refusals::next(refusals::Entry::Register)
        {
            return code;
        }
        let epoll = epoll.load(Ordering::Acquire);

        match change.flags & !EV_RECEIPT {
            flags if flags == EV_ADD | EV_CLEAR => {
                match control(epoll, libc::EPOLL_CTL_ADD, fd, interest | libc::EPOLLET) {
                    libc::EEXIST => {
                        control(epoll, libc::EPOLL_CTL_MOD, fd, interest | libc::EPOLLET)
                    }
                    code => code,
                }
            }
            EV_DELETE => control(epoll, libc::EPOLL_CTL_DEL, fd, 0),
            _ => libc::EINVAL,
        }
    }

    /// The same of a timer.
    fn change_timer(&self, change: &Event) -> i32 {
        let refused = || {
            scripted(|nasty| match nasty {
                Nasty::RefuseTimer(code) => Some(code),
                _ => None,
            })
        };
        #[cfg(test)]
        let refused = || refused().or_else(|| refusals::next(refusals::Entry::Register));
        if change.flags & EV_ADD != 0
            && let Some(code) = refused()
        {
            return code;
        }
        self.timers.change(change)
    }
}

/// Takes what one epoll has, as far as there is room.
///
/// # Safety
/// The events are good for the room.
unsafe fn collect(epoll: i32, filter: i16, out: &mut Out) -> Result<(), ()> {
    let mut ready = [libc::epoll_event { events: 0, u64: 0 }; FETCH_MAX];
    loop {
        let wanted = ready.len().min(out.room - out.count);
        if wanted == 0 {
            return Ok(());
        }
        // At most FETCH_MAX, which fits.
        let room = libc::c_int::try_from(wanted).unwrap_or(1);
        // SAFETY: room for so many events, in this frame.
        let count = unsafe { libc::epoll_wait(epoll, ready.as_mut_ptr(), room, 0) };
        let count = usize::try_from(count).map_err(drop)?;
        for event in &ready[..count] {
            let (events, data) = (event.events.cast_signed(), event.u64);
            // Stored by `control`: the descriptor below, and the file that it was of above.
            let (fd, file) = (data as u32, (data >> 32) as u32);
            if file != file_of(fd.cast_signed()) {
                continue;
            }
            let over = libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLRDHUP;
            let event = Event {
                ident: fd as usize,
                filter,
                flags: EV_CLEAR | if events & over == 0 { 0 } else { EV_EOF },
                fflags: 0,
                data: 0,
                udata: ptr::null_mut(),
            };
            // SAFETY: the events are good for the room (caller).
            unsafe { out.put(event) };
        }
        if count < wanted {
            return Ok(());
        }
    }
}

/// What tells files that are open at the same time apart: the low half of the inode, which for sockets is
/// all of it. 0, which no file has, where the descriptor is of none.
fn file_of(fd: i32) -> u32 {
    // SAFETY: all zeroes is a valid `stat`.
    let mut stat: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: the buffer is in this frame.
    match unsafe { libc::fstat(fd, &raw mut stat) } {
        0 => stat.st_ino as u32,
        _ => 0,
    }
}

fn new_epoll() -> Result<OwnedFd, ()> {
    // SAFETY: takes a flag, and answers with a new descriptor or an error.
    match unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) } {
        -1 => Err(()),
        // SAFETY: made just now, so that it is open and nobody else's.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

/// 0, or an error code.
fn control(epoll: i32, operation: libc::c_int, fd: i32, events: libc::c_int) -> i32 {
    let mut event = libc::epoll_event {
        events: events.cast_unsigned(),
        u64: u64::from(file_of(fd)) << 32 | u64::from(fd.cast_unsigned()),
    };
    // SAFETY: the event is in this frame, and the kernel copies it.
    match unsafe { libc::epoll_ctl(epoll, operation, fd, &raw mut event) } {
        0 => 0,
        _ => std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO),
    }
}

/// # Safety
/// The pointer is good for so many entries, or there are none.
unsafe fn slice_of<'a>(start: *const Event, count: libc::c_int) -> &'a [Event] {
    match usize::try_from(count) {
        // SAFETY: good for so many (caller).
        Ok(count) if count > 0 => unsafe { slice::from_raw_parts(start, count) },
        _ => &[],
    }
}

fn fail(code: i32) -> libc::c_int {
    // SAFETY: takes nothing.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the address of this thread's error code.
    unsafe { errno.write(code) };
    -1
}
