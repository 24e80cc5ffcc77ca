//! The timers of the double of `kqueue`: `EVFILT_TIMER`, as far as `kqueue.rs` uses it.
//!
//! What it models: `EV_ADD | EV_ONESHOT`, which sets a timer anew that is there already; `EV_DELETE`, also of one
//! that has gone off and was not fetched; times to wait and moments of the wall clock, in nanoseconds, both reckoned
//! as the change is made, so that a clock that is set later changes nothing, as with the kernels; a bound on how many
//! there are (`ENOMEM`), as FreeBSD has one; timers reported in the order of their moments.
//!
//! What it does not model: other units and flags, refused with `EINVAL`; timers that repeat; how often one has gone
//! off: `data` is 1.

use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::kqueue::system::{
    EV_ADD, EV_DELETE, EV_ONESHOT, EV_RECEIPT, EVFILT_TIMER, Event, NOTE_AT, NOTE_NSECONDS,
};
use crate::clock;

/// The timers of a queue at a time: the default of FreeBSD's `kern.kq_calloutmax`.
const TIMERS_MAX: usize = 4096;

struct Timer {
    ident: usize,
    /// An address, with its provenance exposed.
    udata: usize,
    /// On the monotonic clock.
    due_ns: u64,
}

/// The timers of one queue, the next one last.
pub(super) struct Timers(Mutex<Vec<Timer>>);

impl Timers {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Makes room once, so that no timer allocates.
    pub(super) fn open(&self) {
        *self.all() = Vec::with_capacity(TIMERS_MAX);
    }

    pub(super) fn close(&self) {
        *self.all() = Vec::new();
    }

    fn all(&self) -> MutexGuard<'_, Vec<Timer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change; 0, or the code that it is refused with.
    pub(super) fn change(&self, change: &Event) -> i32 {
        let mut all = self.all();
        let there = all.iter().position(|timer| timer.ident == change.ident);
        match change.flags & !EV_RECEIPT {
            EV_DELETE => match there {
                Some(at) => {
                    all.remove(at);
                    0
                }
                None => libc::ENOENT,
            },
            flags if flags == EV_ADD | EV_ONESHOT => {
                let Some(due_ns) = due_ns(change) else {
                    return libc::EINVAL;
                };
                if let Some(at) = there {
                    all.remove(at);
                }
                if all.len() == TIMERS_MAX {
                    return libc::ENOMEM;
                }
                let at = all.partition_point(|timer| timer.due_ns > due_ns);
                let timer = Timer {
                    ident: change.ident,
                    udata: change.udata.expose_provenance(),
                    due_ns,
                };
                all.insert(at, timer);
                0
            }
            _ => libc::EINVAL,
        }
    }

    /// How long to wait for the next timer, if that is sooner than this time, of which none is for ever. No time at
    /// all, if it is `early`.
    pub(super) fn sooner(
        &self,
        timeout: Option<&libc::timespec>,
        early: bool,
    ) -> Option<libc::timespec> {
        let all = self.all();
        let next = all.last()?;
        let left = if early {
            0
        } else {
            next.due_ns.saturating_sub(clock::monotonic_ns())
        };
        let left = timespec(Duration::from_nanos(left));
        match timeout {
            Some(time) if (time.tv_sec, time.tv_nsec) <= (left.tv_sec, left.tv_nsec) => None,
            _ => Some(left),
        }
    }

    /// Takes the next timer that is due, or that it is `early` for.
    pub(super) fn take_due(&self, early: bool) -> Option<Event> {
        let mut all = self.all();
        let is_due = |timer: &mut Timer| early || timer.due_ns <= clock::monotonic_ns();
        let timer = all.pop_if(is_due)?;
        Some(Event {
            ident: timer.ident,
            filter: EVFILT_TIMER,
            flags: EV_ONESHOT,
            fflags: 0,
            data: 1,
            udata: ptr::with_exposed_provenance_mut(timer.udata),
        })
    }
}

/// When a timer goes off; `None` for what this does not model.
fn due_ns(change: &Event) -> Option<u64> {
    let data = Duration::from_nanos(u64::try_from(change.data).ok()?);
    let wait = match change.fflags {
        NOTE_NSECONDS => data,
        flags if flags == NOTE_NSECONDS | NOTE_AT => data.saturating_sub(clock::wall()),
        _ => return None,
    };
    let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
    Some(clock::monotonic_ns().saturating_add(wait))
}

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(time.subsec_nanos().cast_signed()),
    }
}
