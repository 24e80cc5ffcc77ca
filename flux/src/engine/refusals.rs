//! What the kernel refuses in tests: engines ask here before they enter it, and are told by a script.
//!
//! Owns the script of the calling thread, and the account of what was refused. Each [`Entry`] is refused
//! with what a kernel answers there on a bad day, and with nothing else: never an `EAGAIN` for a socket that
//! has something, since no kernel says that, and the edge is gone when one does.
//!
//! Does not know what an engine makes of a refusal.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;

use crate::op::Request;

/// A kind of entry into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// `io_uring_enter`, where there is one; nothing is taken.
    Ring,
    /// A wait for events; of a `kevent`, nothing of the list of changes is taken either.
    Wait,
    /// The same of a `kevent` that has made its changes.
    #[cfg(flux_kqueue_compat)]
    WaitAfterChanges,
    /// The registration of one descriptor, or of one direction of it.
    Register,
    /// The syscall of an op.
    Attempt,
    /// The syscall of an op that sends.
    Send,
}

impl Entry {
    /// What the syscall of a request is; the first attempt of a send is none.
    pub(super) fn of(request: Request, again: bool) -> Self {
        match request {
            Request::Send { .. } | Request::SendMessage { .. } if again => Self::Send,
            _ => Self::Attempt,
        }
    }

    /// The error codes that a kernel may refuse it with.
    fn codes(self) -> &'static [i32] {
        match self {
            #[cfg(not(target_os = "linux"))]
            Self::Ring => &[],
            #[cfg(target_os = "linux")]
            Self::Ring => &[
                libc::EBUSY,
                libc::EAGAIN,
                libc::EINTR,
                libc::ETIME,
                libc::ENOBUFS,
                libc::ENOMEM,
            ],
            Self::Wait => &[libc::EINTR, libc::EAGAIN, libc::ENOBUFS, libc::ENOMEM],
            #[cfg(flux_kqueue_compat)]
            Self::WaitAfterChanges => &[libc::EINTR],
            Self::Register => &[libc::ENOMEM],
            Self::Attempt => &[libc::EINTR],
            Self::Send => &[libc::EINTR, libc::ENOBUFS],
        }
    }
}

struct Script {
    /// What the next entries of a kind are told: error codes, 0 to enter.
    listed: VecDeque<(Entry, i32)>,
    /// The state of the generator, and one entry in how many is refused; 0 for none.
    random: u64,
    one_in: u64,
    /// Everything that was refused.
    given: Vec<(Entry, i32)>,
}

thread_local! {
    static SCRIPT: RefCell<Script> = const { RefCell::new(Script {
        listed: VecDeque::new(),
        random: 0,
        one_in: 0,
        given: Vec::new(),
    }) };
}

/// A script for the calling thread; it ends, and is forgotten, with this value.
#[must_use]
pub(crate) struct Refusals(PhantomData<*mut ()>);

impl Refusals {
    /// Tells the next entries of a kind so, one after the other: error codes, 0 to enter.
    pub(crate) fn listed(entry: Entry, codes: impl IntoIterator<Item = i32>) -> Self {
        let listed = codes.into_iter().map(|code| (entry, code));
        SCRIPT.with_borrow_mut(|script| script.listed.extend(listed));
        Self(PhantomData)
    }

    /// Refuses one entry in so many, whatever its kind, as the seed has it; 0 for none.
    pub(crate) fn at_random(seed: u64, one_in: u64) -> Self {
        assert_ne!(one_in, 1, "what is always refused is tried for ever");
        SCRIPT.with_borrow_mut(|script| {
            script.random = seed;
            script.one_in = one_in;
        });
        Self(PhantomData)
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        SCRIPT.with_borrow_mut(|script| {
            script.listed.clear();
            script.one_in = 0;
            script.given.clear();
        });
    }
}

/// How often an entry of this kind was refused with one of these codes, by the script of the calling thread.
pub(crate) fn given(entry: Entry, codes: &[i32]) -> u64 {
    SCRIPT.with_borrow(|script| {
        let fits = |(of, code): &&(Entry, i32)| *of == entry && codes.contains(code);
        script.given.iter().filter(fits).count() as u64
    })
}

/// What an entry of this kind is refused with, if it is.
pub(super) fn next(entry: Entry) -> Option<i32> {
    SCRIPT.with_borrow_mut(|script| {
        let listed = script.listed.iter().position(|(of, _)| *of == entry);
        let code = match listed {
            Some(at) => script.listed.remove(at).map_or(0, |(_, code)| code),
            None => script.draw(entry),
        };
        if code == 0 {
            return None;
        }
        script.given.push((entry, code));
        Some(code)
    })
}

/// The same, as the error that the syscall would have ended with.
pub(super) fn ask(entry: Entry) -> io::Result<()> {
    next(entry).map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
}

impl Script {
    /// An error code, or 0.
    fn draw(&mut self, entry: Entry) -> i32 {
        if self.one_in == 0 {
            return 0;
        }
        // SplitMix64, by Steele, Lea and Flood.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.random;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        drawn ^= drawn >> 31;
        if !drawn.is_multiple_of(self.one_in) {
            return 0;
        }
        let codes = entry.codes();
        // Below the number of codes, so it fits.
        #[allow(clippy::cast_possible_truncation, reason = "see the line above")]
        let which = (drawn / self.one_in) as usize % codes.len();
        codes[which]
    }
}

#[test]
fn a_script_is_told_in_its_order_and_forgotten_with_its_value() {
    let refusals = Refusals::listed(Entry::Wait, [libc::EINTR, 0, libc::ENOMEM]);
    let told: Vec<_> = (0..4).map(|_| next(Entry::Wait)).collect();
    assert_eq!(told, [Some(libc::EINTR), None, Some(libc::ENOMEM), None]);
    assert_eq!(next(Entry::Register), None, "another kind");
    assert_eq!(given(Entry::Wait, &[libc::ENOMEM, libc::EAGAIN]), 1);
    drop(refusals);
    drop(Refusals::listed(Entry::Wait, [libc::EINTR]));
    assert_eq!(next(Entry::Wait), None);
    assert_eq!(given(Entry::Wait, &[libc::ENOMEM]), 0);
}

#[test]
fn a_seed_refuses_the_same_each_time_and_about_as_much_as_it_should() {
    let run = |seed| {
        let refusals = Refusals::at_random(seed, 4);
        let told: Vec<_> = (0..4000).map(|_| next(Entry::Wait)).collect();
        let all = given(Entry::Wait, Entry::Wait.codes());
        assert_eq!(all, told.iter().flatten().count() as u64);
        assert!((800..1200).contains(&all), "{all}");
        drop(refusals);
        told
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
