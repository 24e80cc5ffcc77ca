//! The load on the server's own thread: no second core, no wake-ups, and so no noise from them.
//!
//! The server calls the [`Stepper`] each time that it has worked off some messages. When it has done the last
//! one of a step, the stepper (within that call, its time excluded) takes back the answers, if any, and sends
//! one message on each connection. All contenders are called at the same point of their work, right before
//! they ask for the next bytes, so they find the same: data on every connection. What is left of the time is
//! the server's own loop, the parser, and the kernel's part of receiving. It resolves a few per cent where two
//! threads on two virtual cores cannot.
//!
//! Only the first step comes from another thread, and late: every contender has had to wait once then, as in life.
//! An engine that registers a socket when it must wait for it, and not before, would never register one that
//! always has data, and so be spared what it is measured for.

#![allow(
    clippy::cast_precision_loss,
    reason = "nanoseconds and counts of one batch are far below 2^52"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Fault;
use crate::frames::{MESSAGE_MAX, Tally, Writer};
use crate::harness::{Sample, median};
use crate::load::ECHO_BYTES;
use crate::watch::Watch;

/// Steps per batch: a batch that another process disturbed is one figure of many, and the median ignores it.
const BATCH: u64 = 64;
/// When the first step comes: the server is waiting by then.
const HEAD_START: Duration = Duration::from_millis(20);
/// This part of the batches, from the front, is warm-up.
const WARM_UP: usize = 8;

/// What the server is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Send back 64 bytes.
    Echo,
    /// Frame and sum messages.
    Feed,
}

/// Sends the next step when the last one is done.
#[derive(Debug)]
pub struct Stepper {
    /// Units (bytes of an echo, messages of a feed) of the current step that are not done yet.
    left: AtomicU64,
    per_step: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    peers: Vec<TcpStream>,
    work: Work,
    writer: Writer,
    steps_left: u64,
    steps_done: u64,
    /// When the server got the thread back, and how long it has had it in this batch before.
    resumed: Instant,
    spent: Duration,
    batches: Vec<Duration>,
    fault: Option<Fault>,
}

impl Stepper {
    /// A stepper over the client ends of some connections, which is about to send the first of `steps` steps.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(peers: Vec<TcpStream>, work: Work, steps: u64) -> Result<Arc<Self>, Fault> {
        let unit = match work {
            Work::Echo => ECHO_BYTES as u64,
            Work::Feed => 1,
        };
        let per_step = peers.len() as u64 * unit;
        let state = State {
            peers,
            work,
            writer: Writer::default(),
            steps_left: steps,
            steps_done: 0,
            resumed: Instant::now(),
            spent: Duration::ZERO,
            batches: Vec::with_capacity(usize::try_from(steps / BATCH)? + 1),
            fault: None,
        };
        let stepper = Arc::new(Self {
            left: AtomicU64::new(per_step),
            per_step,
            state: Mutex::new(state),
        });
        let first = Arc::clone(&stepper);
        // Ends by itself, and before the server does unless that fails.
        thread::Builder::new().name("first".into()).spawn(move || {
            thread::sleep(HEAD_START);
            first.act(State::send);
        })?;
        Ok(stepper)
    }

    /// The cost of a message, and what was sent.
    ///
    /// # Errors
    /// What went wrong on the way, or that the server ended before the last step.
    pub fn finish(&self) -> Result<(Sample, Tally), Fault> {
        let mut state = self.state();
        if let Some(fault) = state.fault.take() {
            return Err(fault);
        }
        if state.steps_left > 0 {
            return Err(format!("the server ended {} steps early", state.steps_left).into());
        }
        let messages = BATCH * state.peers.len() as u64;
        let warm_up = state.batches.len() / WARM_UP;
        let measured = state.batches[warm_up..]
            .iter()
            .map(|spent| spent.as_nanos() as f64);
        Ok((
            Sample::cost(median(measured), messages),
            state.writer.tally(),
        ))
    }

    #[cold]
    fn step(&self) {
        let now = Instant::now();
        // Nobody else runs while this does: the server is this thread.
        self.left.store(self.per_step, Relaxed);
        self.act(|state| state.next(now));
    }

    /// Ends the server if that fails, since no further step would come.
    fn act(&self, action: impl FnOnce(&mut State) -> Result<(), Fault>) {
        let mut state = self.state();
        if let Err(fault) = action(&mut state) {
            state.fault.get_or_insert(fault);
            state.hang_up();
        }
        state.resumed = Instant::now();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Stepper {
    fn seen(&self, units: u64) {
        let left = self.left.load(Relaxed).saturating_sub(units);
        if left == 0 {
            self.step();
        } else {
            self.left.store(left, Relaxed);
        }
    }
}

impl State {
    fn next(&mut self, now: Instant) -> Result<(), Fault> {
        self.spent += now - self.resumed;
        self.steps_done += 1;
        self.steps_left -= 1;
        if self.steps_done.is_multiple_of(BATCH) {
            self.batches.push(std::mem::take(&mut self.spent));
        }
        if self.work == Work::Echo {
            self.take_back()?;
        }
        if self.steps_left == 0 {
            self.hang_up();
            return Ok(());
        }
        self.send()
    }

    fn send(&mut self) -> Result<(), Fault> {
        for (peer, i) in self.peers.iter_mut().zip(0..) {
            match self.work {
                Work::Echo => peer.write_all(&ball(self.steps_done, i))?,
                Work::Feed => {
                    let mut message = [0; MESSAGE_MAX];
                    let length = self.writer.write(&mut message);
                    peer.write_all(&message[..length])?;
                }
            }
        }
        Ok(())
    }

    fn take_back(&mut self) -> Result<(), Fault> {
        for (peer, i) in self.peers.iter_mut().zip(0..) {
            let mut back = [0; ECHO_BYTES];
            peer.read_exact(&mut back)?;
            if back != ball(self.steps_done - 1, i) {
                return Err("the server sent back something else".into());
            }
        }
        Ok(())
    }

    /// Ends the server: every connection reads its end.
    fn hang_up(&self) {
        for peer in &self.peers {
            // Closed already on the other side: then the server has ended by itself, which `finish` reports.
            drop(peer.shutdown(Shutdown::Write));
        }
    }
}

/// The message of one step on one connection.
fn ball(step: u64, connection: u64) -> [u8; ECHO_BYTES] {
    let mut bytes = [0; ECHO_BYTES];
    for (word, i) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(0..) {
        *word = (step << 16 ^ connection << 8 ^ i).to_le_bytes();
    }
    bytes
}
