//! Trying what the runtime needs of a ring, on a pair of sockets, before anything depends on it.
//!
//! A version number would not tell: a filter may let a ring be made and refuse to enter it, or refuse
//! registrations alone, and a distribution's kernel has what it has. So a buffer ring is registered, a
//! multishot receive armed, and bytes sent through both; and, apart, through buffers that are used up bit by bit.
//!
//! Owns the trial, and the sentences for what fails in it. Does not know what the ring is used for later.

#![allow(
    unsafe_code,
    reason = "lends the kernel a page for as long as the trial takes"
)]

use std::io::{self, Write as _};
use std::mem;
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::atomic::Ordering;

use io_uring::types::{BufRingEntry, Fd, SubmitArgs, Timespec};
use io_uring::{CompletionQueue, EnterFlags, SubmissionQueue, Submitter, cqueue, opcode};

use super::entry::entry;
use super::feed::{BufferRings, group, tail};
use super::setup::explain;
use crate::config::feeds::PARTS;
use crate::landing::{End, Landing};
use crate::op::{Op, Request};
use crate::sys::memory::{Mapping, Mirrors, page_size};

/// The buffers of the trial: a power of two, as a buffer ring wants it.
const BUFFERS: u16 = 2;
/// The bytes of each.
const BUFFER_BYTES: u32 = 64;
/// Where the buffers begin in the page, behind the ring's entries of 16 bytes.
const BUFFERS_AT: usize = 1024;
/// The group that the buffers are registered as, while the trial lasts.
const GROUP: u16 = u16::MAX;
const USER_DATA: u64 = 4;
/// How long a completion may take that has no reason to wait, in seconds.
const PATIENCE_S: u64 = 2;
/// What is sent, each in a buffer of its own, since the receive is there before the bytes are.
const MESSAGES: [&[u8]; BUFFERS as usize] = [b"one receive", b"that goes on"];

/// The parts of a ring.
pub(super) struct Parts<'a> {
    pub(super) submitter: &'a Submitter<'static>,
    pub(super) submissions: &'a mut SubmissionQueue<'static>,
    pub(super) completions: &'a mut CompletionQueue<'static>,
}

/// One completion of the receive.
struct Received {
    result: i32,
    flags: u32,
}

/// Tries it all; what does not work, and what to do, otherwise.
///
/// After a failure the ring is of no use: a receive may be armed in it.
pub(super) fn prove(parts: &mut Parts<'_>) -> Result<(), String> {
    let page = Mapping::new(page_size()).map_err(|error| explain(&error))?;
    // SAFETY: the page is this frame's, larger than what the buffer ring says of itself, and stays until
    // it is unregistered, or for ever (below).
    let registered = unsafe {
        parts
            .submitter
            .register_buf_ring_with_flags(page.start() as u64, BUFFERS, GROUP, 0)
    };
    registered.map_err(|error| no_buffer_ring(&error))?;
    lend_buffers(&page);
    let tried = receive_twice(parts, &page);
    let withdrawn = parts.submitter.unregister_buf_ring(GROUP);
    if tried.is_err() || withdrawn.is_err() {
        // A receive may still be armed, and the kernel write into the page until the ring is gone.
        mem::forget(page);
    }
    tried?;
    withdrawn.map_err(|error| no_buffer_ring(&error))
}

/// Puts both buffers into the ring at the page's start.
fn lend_buffers(page: &Mapping) {
    let entries = ptr::with_exposed_provenance_mut::<BufRingEntry>(page.start());
    for buffer in 0..BUFFERS {
        let entry = entries.wrapping_add(buffer.into());
        // SAFETY: the page has room for as many entries, is zeroed, which is a valid entry, and nothing
        // else refers to it on this side.
        let entry = unsafe { &mut *entry };
        entry.set_addr((page.start() + offset_of_buffer(buffer)) as u64);
        entry.set_len(BUFFER_BYTES);
        entry.set_bid(buffer);
    }
    // SAFETY: the first entry of a buffer ring, in a page that outlives this call.
    let tail = unsafe { tail(entries) };
    tail.store(BUFFERS, Ordering::Release);
}

fn offset_of_buffer(buffer: u16) -> usize {
    BUFFERS_AT + usize::from(buffer) * BUFFER_BYTES as usize
}

/// Arms one receive, and expects both messages and the end of the stream of it.
fn receive_twice(parts: &mut Parts<'_>, page: &Mapping) -> Result<(), String> {
    let (mut near, far) = UnixStream::pair().map_err(|error| explain(&error))?;
    let entry = opcode::RecvMulti::new(Fd(far.as_raw_fd()), GROUP)
        .build()
        .user_data(USER_DATA);
    // SAFETY: what the kernel writes to is the page, which outlives the request: see `prove`.
    unsafe { parts.submissions.push(&entry) }.map_err(|_| nothing_came())?;
    // Handed over before anything is there: it has to be kept armed.
    parts.enter(0).map_err(|error| explain(&error))?;
    for message in MESSAGES {
        near.write_all(message).map_err(|error| explain(&error))?;
        let received = parts.wait_for_one()?;
        if received.result < 0 {
            return Err(no_multishot(-received.result));
        }
        let buffer = cqueue::buffer_select(received.flags);
        let bytes = buffer.filter(|buffer| *buffer < BUFFERS).map(|buffer| {
            let start = ptr::with_exposed_provenance::<u8>(page.start() + offset_of_buffer(buffer));
            // SAFETY: a buffer of the page that the kernel has filled, and does not write to again before
            // it is lent again, which it is not.
            unsafe { std::slice::from_raw_parts(start, BUFFER_BYTES as usize) }
        });
        let whole = usize::try_from(received.result) == Ok(message.len());
        if !whole || !bytes.is_some_and(|bytes| bytes.starts_with(message)) {
            return Err("a receive into a buffer ring delivered other bytes than were sent".into());
        }
        if !cqueue::more(received.flags) {
            return Err(no_multishot(libc::EINVAL));
        }
    }
    near.shutdown(Shutdown::Write)
        .map_err(|error| explain(&error))?;
    // No buffer is left, so that it ends with ENOBUFS where a kernel looks for one first.
    let end = parts.wait_for_one()?;
    if cqueue::more(end.flags) {
        return Err("a multishot receive does not end with its stream".into());
    }
    Ok(())
}

/// The parts of the second trial's feed, and what it passes through them: more than twice as much as there is, in
/// pieces that fit nowhere.
const PIECES: [usize; 5] = [1, 4095, 5000, 16_384, 7];
const PASSES: usize = 12;
/// The pages of each part: the longest piece fits beside a part of which some was used.
const PAGES_OF_PART: usize = 4;

/// Tries whether the kernel fills a feed's memory bit by bit, each piece directly behind the one before and over the
/// end of it, and stops when it has none left.
///
/// After a failure the ring works, and is not to be used for feeds.
pub(super) fn prove_feeds(parts: &mut Parts<'_>) -> Result<(), String> {
    let len = usize::from(PARTS) * PAGES_OF_PART * page_size();
    let memory = Mirrors::new(1, len).map_err(|error| explain(&error))?;
    let rings = BufferRings::new(1).map_err(|error| explain(&error))?;
    let landing = Landing::new(0, memory.piece(0), len);
    rings
        .open(parts.submitter, &landing)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => {
                "the kernel has no incremental buffers; they came with Linux 6.12".into()
            }
            _ => format!("no incremental buffers can be had: {}", explain(&error)),
        })?;
    let mut armed = false;
    let tried = pass_through(parts, &rings, &landing, &mut armed);
    // A receive that is armed still ends with its stream, which is closed by now.
    let ended = if armed { parts.drain() } else { Ok(()) };
    let withdrawn = parts.submitter.unregister_buf_ring(group(&landing));
    if ended.is_err() || withdrawn.is_err() {
        mem::forget((memory, rings));
    }
    tried?;
    ended?;
    withdrawn.map_err(|error| no_buffer_ring(&error))
}

fn pass_through(
    parts: &mut Parts<'_>,
    rings: &BufferRings,
    landing: &Landing,
    armed: &mut bool,
) -> Result<(), String> {
    let (mut near, far) = UnixStream::pair().map_err(|error| explain(&error))?;
    let op = Op::new(
        Request::Stream {
            fd: far.as_raw_fd(),
            landing,
        },
        0,
    );
    let entry = entry(&op).user_data(USER_DATA);
    let wrong = || String::from("incremental buffers did not deliver what was sent in its order");
    let mut at = 0;
    for piece in PIECES.iter().cycle().take(PASSES * PIECES.len()) {
        if !*armed {
            // SAFETY: what the kernel writes to is the landing's memory, which outlives the request: see
            // `prove_feeds`.
            unsafe { parts.submissions.push(&entry) }.map_err(|_| nothing_came())?;
            parts.enter(0).map_err(|error| explain(&error))?;
            *armed = true;
        }
        let sent: Vec<u8> = (at..at + piece)
            .map(|at| u8::try_from(at % 251).unwrap_or(0))
            .collect();
        near.write_all(&sent).map_err(|error| explain(&error))?;
        while landing.unread() < *piece {
            let received = parts.wait_for_one()?;
            landing.landed(
                received.result,
                cqueue::buffer_select(received.flags),
                cqueue::buffer_more(received.flags),
            );
            *armed = cqueue::more(received.flags);
            if !*armed || landing.end() != End::Open {
                return Err(wrong());
            }
        }
        let start = landing.memory().as_ptr().wrapping_add(at % landing.len());
        // SAFETY: arrived and not given back, so that the kernel does not write there; good over the end.
        let arrived = unsafe { std::slice::from_raw_parts(start, *piece) };
        if landing.unread() != *piece || arrived != sent {
            return Err(wrong());
        }
        landing.give_back(*piece);
        rings.lend(landing);
        at += piece;
    }
    Ok(())
}

impl Parts<'_> {
    /// Waits for the end of a receive whose stream was closed.
    fn drain(&mut self) -> Result<(), String> {
        loop {
            let received = self.wait_for_one()?;
            if !cqueue::more(received.flags) {
                return Ok(());
            }
        }
    }

    /// Hands over what was pushed; waits for `want` completions, but not for long.
    fn enter(&mut self, want: u32) -> io::Result<()> {
        self.submissions.sync();
        // At most the submission queue's length, which is a `u32`.
        let to_submit = u32::try_from(self.submissions.len()).unwrap_or(u32::MAX);
        let time = Timespec::new().sec(PATIENCE_S);
        let arguments = SubmitArgs::new().timespec(&time);
        let flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        loop {
            // SAFETY: the argument is of the kind that EXT_ARG announces, and outlives the call.
            let entered = unsafe {
                self.submitter
                    .enter(to_submit, want, flags.bits(), Some(&arguments))
            };
            match entered {
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) if error.raw_os_error() == Some(libc::ETIME) => return Ok(()),
                other => return other.map(drop),
            }
        }
    }

    fn wait_for_one(&mut self) -> Result<Received, String> {
        self.enter(1).map_err(|error| explain(&error))?;
        self.completions.sync();
        let completion = self.completions.next().ok_or_else(nothing_came)?;
        self.completions.sync();
        Ok(Received {
            result: completion.result(),
            flags: completion.flags(),
        })
    }
}

fn no_buffer_ring(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EINVAL) => {
            "the kernel is too old: it has no buffer rings; flux needs Linux 6.0 or later".into()
        }
        _ => format!("no buffer ring can be registered: {}", explain(error)),
    }
}

fn no_multishot(code: i32) -> String {
    if code == libc::EINVAL {
        return "the kernel is too old: a receive ends after its first bytes; flux needs Linux 6.0 or later"
            .into();
    }
    let error = io::Error::from_raw_os_error(code);
    format!("a multishot receive fails: {}", explain(&error))
}

fn nothing_came() -> String {
    format!("a receive of bytes that are there did not complete within {PATIENCE_S} seconds")
}
