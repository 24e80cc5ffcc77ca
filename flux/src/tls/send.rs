//! The way back: records are sealed into one buffer, made at connect, and leave by one write each.
//!
//! ```text
//! Open ──close──▶ Closed
//!   └──a record left in part, or the wire failed──▶ Broken
//! ```
//!
//! **Invariant:** a sequence number is used for one record that leaves. A write that failed before its first byte left
//! (the deadline passed, the fiber was cancelled) leaves the number for the next; that nothing had left is what
//! [`io::Write`] says of an error. Of a write that panicked nobody knows, so that it is the last.
//!
//! Knows nothing of what is in the records.

use std::io::{self, IoSlice};
use std::mem;
use std::time::Duration;

use super::alert::Alert;
use super::fault::Fault;
use super::record::{self, Key};
use crate::error::Stopped;
use crate::net::Wire;
use crate::reactor::{Reactor, current};
use crate::task;

/// How long an alert, or an answer to the peer's update of keys, may wait for the peer to make room: both are small,
/// and go at once unless it has not read for long.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Whether more may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Closed,
    Broken(Fault),
}

/// The sending half.
pub(super) struct Sender {
    key: Key,
    out: Box<[u8]>,
    state: State,
    /// How many records a key may protect.
    records_max: u64,
    /// Whether the peer asked for a change of our keys, and it has not been told.
    pub(super) update_due: bool,
}

impl Sender {
    /// `out` has room for [`record::SEALED_MAX`] bytes.
    pub(super) fn new(key: Key, out: Box<[u8]>, records_max: u64) -> Self {
        Self {
            key,
            out,
            state: State::Open,
            records_max,
            update_due: false,
        }
    }

    #[inline]
    pub(super) fn may_write(&self) -> Result<(), Fault> {
        match self.state {
            State::Open => Ok(()),
            State::Closed => Err(Fault::Closed),
            State::Broken(fault) => Err(fault),
        }
    }

    /// Whether the key has to be changed before the next record of data.
    #[inline]
    pub(super) fn needs_key(&self) -> bool {
        self.update_due || self.is_worn_out()
    }

    pub(super) fn is_worn_out(&self) -> bool {
        self.key.sequence() >= self.records_max
    }

    pub(super) fn records_max(&self) -> u64 {
        self.records_max
    }

    /// From now on under another key.
    pub(super) fn change(&mut self, key: Key) {
        self.key = key;
        self.update_due = false;
    }

    /// Nothing can be written after this.
    pub(super) fn fail(&mut self, fault: Fault) {
        if self.state == State::Open {
            self.state = State::Broken(fault);
        }
    }

    /// Sends one record with as much of the parts as it holds, and says how much that is.
    #[inline]
    pub(super) fn record<'p, W: Wire>(
        &mut self,
        wire: &mut W,
        kind: u8,
        parts: impl Iterator<Item = &'p [u8]>,
    ) -> io::Result<usize> {
        let (len, content) = self.key.seal(kind, parts, &mut self.out)?;
        // While the wire has it: should that panic, nobody knows what has left, and the number is not free again.
        let state = mem::replace(&mut self.state, State::Broken(Fault::PartialWrite));
        let mut sent = 0;
        let failed = loop {
            if sent >= len {
                break None;
            }
            match wire.write(&self.out[sent..len]) {
                Ok(0) => break Some(io::ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        self.state = state;
        if let Some(error) = failed {
            return Err(self.broken(sent, error));
        }
        self.key.advance();
        Ok(content)
    }

    #[inline]
    pub(super) fn data<W: Wire>(&mut self, wire: &mut W, bytes: &[u8]) -> io::Result<usize> {
        self.record(wire, record::kind::APPLICATION_DATA, std::iter::once(bytes))
    }

    #[inline]
    pub(super) fn data_parts<W: Wire>(
        &mut self,
        wire: &mut W,
        parts: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let parts = parts.iter().map(|part| &**part);
        self.record(wire, record::kind::APPLICATION_DATA, parts)
    }

    /// What a write that failed leaves behind: nothing, if nothing had left and trying again may help.
    #[cold]
    fn broken(&mut self, sent: usize, error: io::Error) -> io::Error {
        if sent > 0 {
            self.fail(Fault::PartialWrite);
        } else if !passes(&error) {
            self.fail(transport(&error));
        }
        error
    }

    /// Sends a record that is not data, without waiting for long. It has left if this says so: what a wire holds back
    /// goes with what is written next.
    pub(super) fn at_once<W: Wire>(
        &mut self,
        wire: &mut W,
        kind: u8,
        content: &[u8],
    ) -> io::Result<()> {
        let mut send = || {
            self.record(wire, kind, std::iter::once(content))?;
            drop(wire.flush());
            Ok(())
        };
        if current::try_with(|_| ()).is_none() {
            return send();
        }
        task::timeout(AT_ONCE, send).unwrap_or_else(crate::error::Elapsed::into_inner)
    }

    /// Tells the peer, without waiting for long, as far as it can still be told.
    pub(super) fn alert<W: Wire>(&mut self, wire: &mut W, alert: Alert) -> io::Result<()> {
        self.may_write()?;
        let level = match alert {
            Alert::CLOSE_NOTIFY | Alert::NO_RENEGOTIATION => 1,
            _ => 2,
        };
        self.at_once(wire, record::kind::ALERT, &[level, alert.number()])
    }

    /// Says that no more will come. Once.
    pub(super) fn close<W: Wire>(&mut self, wire: &mut W) -> io::Result<()> {
        if self.state == State::Closed {
            return Ok(());
        }
        self.may_write()?;
        let parts = [1, Alert::CLOSE_NOTIFY.number()];
        self.record(wire, record::kind::ALERT, std::iter::once(&parts[..]))?;
        self.state = State::Closed;
        wire.flush()
    }

    /// The same, without waiting for long, for a stream that is dropped. Not where a wire that has to wait panics: in a
    /// destructor that would be nobody's to catch.
    pub(super) fn close_at_once<W: Wire>(&mut self, wire: &mut W) {
        let may_wait = || current::try_with(Reactor::can_suspend).unwrap_or(true);
        if self.state == State::Open && (std::thread::panicking() || may_wait()) {
            // Nobody is left to be told that the peer was not told.
            drop(self.alert(wire, Alert::CLOSE_NOTIFY));
            self.state = State::Closed;
        }
    }
}

/// Whether what failed may be tried again: the time was over, or the fiber was told to end.
pub(super) fn passes(error: &io::Error) -> bool {
    error.raw_os_error() == io::Error::from(Stopped::Cancelled).raw_os_error()
        || matches!(
            error.kind(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        )
}

/// What stays of an error of the wire.
pub(super) fn transport(error: &io::Error) -> Fault {
    Fault::Transport(error.kind(), error.raw_os_error())
}
