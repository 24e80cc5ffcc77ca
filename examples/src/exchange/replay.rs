//! One recording, sent as it was received.
//!
//! A recorded REST snapshot is served at its place: the stream waits there until it has been fetched,
//! so that every run meets the same messages in the same order. After it the exchange keeps a book of
//! its own, for whoever must start over in the middle. Binance's streams go on where the connection
//! was lost; those whose snapshots are in the stream start over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::coding::CloseCode;

use super::flow::TrueBook;
use super::session::{Ended, Session};
use super::{SLICE, Shared, Speed, lock};
use crate::binance::{self, Diff, Message};
use crate::decimal::Decimals;
use crate::recording::{Entries, Kind, Recording, RecordingError, Venue};

/// How long a snapshot request may wait for its place in the stream.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(30);

/// The recorded snapshot on its way to whoever asks for it.
#[derive(Debug, Default)]
struct Gate {
    offered: Option<String>,
    passed: bool,
}

/// Where the replay is.
#[derive(Debug, Default)]
struct Position {
    entries: Option<Entries>,
    /// When the first message was sent, and when it was recorded.
    began: Option<(Instant, u64)>,
}

/// The book as sent so far.
#[derive(Debug, Default)]
struct Follower {
    book: TrueBook,
    loaded: bool,
    diff: Diff,
    /// The last diff, for a connection that was lost and is back after the end.
    last: Vec<u8>,
    /// Diffs before the snapshot, as they were sent.
    early: Vec<Vec<u8>>,
}

/// A recording that is being replayed.
#[derive(Debug)]
pub(super) struct Replay {
    recording: Recording,
    position: Mutex<Position>,
    follower: Mutex<Follower>,
    gate: Mutex<Gate>,
    gate_moved: Condvar,
    finished: AtomicBool,
}

/// Why sending stopped.
enum Stop {
    Ended(Ended),
    Unreadable(RecordingError),
    Told,
}

impl From<Ended> for Stop {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl Replay {
    pub(super) fn new(recording: Recording) -> Self {
        Self {
            recording,
            position: Mutex::default(),
            follower: Mutex::default(),
            gate: Mutex::default(),
            gate_moved: Condvar::new(),
            finished: AtomicBool::new(false),
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    /// Sends the recording over a connection, to its end if nothing comes between.
    pub(super) fn run(&self, mut session: Session<'_>, shared: &Shared) {
        // One connection at a time; the next one waits until this one is known to be gone.
        let mut position = lock(&self.position);
        match self.send_all(&mut session, shared, &mut position) {
            Ok(()) => {
                self.finished.store(true, Ordering::Relaxed);
                drop(position);
                session.close(CloseCode::Normal, "end of the recording");
            }
            Err(Stop::Told) => session.close(CloseCode::Away, "the exchange was told to stop"),
            Err(Stop::Ended(Ended::Gone)) => {}
            Err(Stop::Ended(Ended::Stalled)) => session.stall(),
            Err(Stop::Unreadable(error)) => {
                shared.fail(error.to_string());
                session.close(CloseCode::Error, "the recording cannot be read any further");
            }
        }
    }

    fn send_all(
        &self,
        session: &mut Session<'_>,
        shared: &Shared,
        position: &mut Position,
    ) -> Result<(), Stop> {
        let is_binance = self.recording.venue == Venue::Binance;
        if position.entries.is_none() || !is_binance {
            position.entries = Some(self.recording.entries().map_err(Stop::Unreadable)?);
            position.began = None;
        }
        let Position {
            entries: Some(entries),
            began,
        } = position
        else {
            return Ok(());
        };
        let mut diffs_sent = 0;
        while let Some(entry) = entries.next_entry().map_err(Stop::Unreadable)? {
            if shared.stopped() {
                return Err(Stop::Told);
            }
            if let Speed::Times(times) = shared.speed {
                let (began, first_ns) = *began.get_or_insert((Instant::now(), entry.at_ns));
                wait_until(began, entry.at_ns.saturating_sub(first_ns), times, shared);
            }
            // Text was checked when the line was read.
            let text = || std::str::from_utf8(entry.body).unwrap_or("");
            match entry.kind {
                Kind::Packet => session.send_binary(entry.body)?,
                Kind::Rest => {
                    lock(&self.follower).load(entry.body);
                    session.flush()?;
                    self.serve_snapshot(session, shared, (diffs_sent > 0).then(text))?;
                }
                Kind::Text => {
                    let is_diff = !is_binance || lock(&self.follower).follow(entry.body);
                    diffs_sent += u64::from(is_diff);
                    session.send_text(text(), is_diff)?;
                }
            }
        }
        if is_binance && diffs_sent == 0 {
            let last = lock(&self.follower).last.clone();
            session.send_text(std::str::from_utf8(&last).unwrap_or(""), true)?;
        }
        Ok(session.flush()?)
    }

    /// Offers the recorded snapshot and waits until it has been fetched. If no diff was sent over
    /// this connection, nobody will ask: the stream goes on.
    fn serve_snapshot(
        &self,
        session: &mut Session<'_>,
        shared: &Shared,
        text: Option<&str>,
    ) -> Result<(), Stop> {
        let mut gate = lock(&self.gate);
        gate.passed = text.is_none();
        gate.offered = text.map(str::to_owned);
        self.gate_moved.notify_all();
        while !gate.passed {
            (gate, _) = self
                .gate_moved
                .wait_timeout(gate, SLICE)
                .unwrap_or_else(PoisonError::into_inner);
            if shared.stopped() {
                return Err(Stop::Told);
            }
            if !gate.passed {
                drop(gate);
                let left = session.peer_has_left();
                gate = lock(&self.gate);
                if left {
                    gate.passed = true;
                    return Err(Stop::Ended(Ended::Gone));
                }
            }
        }
        Ok(())
    }

    /// The snapshot to answer a request with; waits for its place in the stream.
    pub(super) fn snapshot(&self, shared: &Shared, old: bool) -> Option<String> {
        if old {
            return Some(r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#.to_owned());
        }
        let until = Instant::now() + SNAPSHOT_WAIT;
        let mut gate = lock(&self.gate);
        loop {
            if let Some(text) = gate.offered.take() {
                return Some(text);
            }
            if gate.passed {
                let follower = lock(&self.follower);
                return Some(follower.book.snapshot(follower.book.id, Decimals::EIGHT));
            }
            if Instant::now() >= until || shared.stopped() {
                return None;
            }
            (gate, _) = self
                .gate_moved
                .wait_timeout(gate, SLICE)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The snapshot has been handed to the kernel.
    pub(super) fn snapshot_was_sent(&self) {
        lock(&self.gate).passed = true;
        self.gate_moved.notify_all();
    }

    /// The snapshot could not be handed over: it is offered to the next one who asks.
    pub(super) fn snapshot_was_not_sent(&self, text: String) {
        let mut gate = lock(&self.gate);
        if !gate.passed {
            gate.offered = Some(text);
        }
    }
}

impl Follower {
    /// Takes note of a message, and returns whether it is a depth diff.
    fn follow(&mut self, text: &[u8]) -> bool {
        if !matches!(
            binance::parse(text, Decimals::EIGHT, &mut self.diff),
            Ok(Message::Depth { .. })
        ) {
            return false;
        }
        self.last.clear();
        self.last.extend_from_slice(text);
        if self.loaded {
            self.apply();
        } else {
            self.early.push(text.to_vec());
        }
        true
    }

    fn load(&mut self, text: &[u8]) {
        let Ok(snapshot) = binance::parse_snapshot(text, Decimals::EIGHT) else {
            return;
        };
        self.book = TrueBook {
            id: snapshot.last_update_id,
            ..TrueBook::default()
        };
        snapshot
            .bids
            .iter()
            .for_each(|level| self.book.set(true, level.price, level.quantity));
        snapshot
            .asks
            .iter()
            .for_each(|level| self.book.set(false, level.price, level.quantity));
        self.loaded = true;
        for text in std::mem::take(&mut self.early) {
            if binance::parse(&text, Decimals::EIGHT, &mut self.diff).is_ok() {
                self.apply();
            }
        }
    }

    fn apply(&mut self) {
        if self.diff.ids.last <= self.book.id {
            return;
        }
        self.book.id = self.diff.ids.last;
        self.diff
            .bids
            .iter()
            .for_each(|level| self.book.set(true, level.price, level.quantity));
        self.diff
            .asks
            .iter()
            .for_each(|level| self.book.set(false, level.price, level.quantity));
    }
}

/// Sleeps until so many recorded nanoseconds have passed, in slices.
fn wait_until(began: Instant, recorded_ns: u64, times: f64, shared: &Shared) {
    let due = Duration::from_nanos(recorded_ns).div_f64(times);
    loop {
        let wait = due.saturating_sub(began.elapsed());
        if wait.is_zero() || shared.stopped() {
            return;
        }
        thread::sleep(wait.min(SLICE));
    }
}
