//! The load on the server's own thread: no second core, no wake-ups, and so no noise from them.
//!
//! The server calls the [`Stepper`] each time that it has worked off some messages. When it has done the last
//! one of a step, the stepper (within that call, its time excluded) takes back the answers, if any, and sends
//! one message on each connection. All contenders are called at the same point of their work, right before
//! they ask for the next bytes, so they find the same: data on every connection. What is left of the time is
//! the server's own loop, the parser, and the kernel's part of receiving. It resolves a few per cent where two
//! threads on two virtual cores cannot.
//!
//! It begins with one message on a connection of its own, the server's last, which stays idle ever after. So the
//! server finds nothing on the others at first, as in life, and has to wait for each: an engine that registers a
//! socket only when it must wait for it would else never register a single one that always has data.

#![allow(
    clippy::cast_precision_loss,
    reason = "nanoseconds and counts of one batch are far below 2^52"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Fault;
use crate::frames::{MESSAGE_MAX, Tally, Writer};
use crate::harness::{Sample, median};
use crate::load::ECHO_BYTES;
use crate::watch::Watch;

/// Steps per batch: a batch that another process disturbed is one figure of many, and the median ignores it.
const BATCH: u64 = 64;
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
    /// The connection that only begins.
    starter: TcpStream,
    work: Work,
    writer: Writer,
    /// Those that are not done, and the number of the one that is on: 0 is the starter's message.
    steps_left: u64,
    step: u64,
    /// When the server got the thread back, and how long it has had it in this batch before.
    resumed: Instant,
    spent: Duration,
    batches: Vec<Duration>,
    fault: Option<Fault>,
}

impl Stepper {
    /// A stepper over the client ends of some connections and of one more, which has got its message: `steps`
    /// steps on the others are to follow.
    ///
    /// # Errors
    /// If the socket does not take it.
    pub fn start(mut peers: Vec<TcpStream>, work: Work, steps: u64) -> Result<Self, Fault> {
        let unit = match work {
            Work::Echo => ECHO_BYTES as u64,
            Work::Feed => 1,
        };
        let starter = peers.pop().ok_or("a step needs connections")?;
        let per_step = peers.len() as u64 * unit;
        let mut state = State {
            peers,
            starter,
            work,
            writer: Writer::default(),
            steps_left: steps + 1,
            step: 0,
            resumed: Instant::now(),
            spent: Duration::ZERO,
            batches: Vec::with_capacity(usize::try_from(steps / BATCH)? + 1),
            fault: None,
        };
        state.send()?;
        Ok(Self {
            left: AtomicU64::new(unit),
            per_step,
            state: Mutex::new(state),
        })
    }

    /// The cost of a message, and what was sent.
    ///
    /// # Errors
    /// What went wrong on the way, or that the server ended before the last step.
    pub fn finish(&self) -> Result<(Sample, Tally), Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(fault) = state.next(now) {
            state.fault.get_or_insert(fault);
            state.hang_up();
        }
        self.left.store(self.per_step, Relaxed);
        state.resumed = Instant::now();
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
        if self.step.is_multiple_of(BATCH) {
            let spent = std::mem::take(&mut self.spent);
            if self.step > 0 {
                self.batches.push(spent);
            }
        }
        if self.work == Work::Echo {
            self.take_back()?;
        }
        self.steps_left -= 1;
        if self.steps_left == 0 {
            self.hang_up();
            return Ok(());
        }
        self.step += 1;
        self.send()
    }

    /// The connections of the step that is on.
    fn in_play(&mut self) -> &mut [TcpStream] {
        match self.step {
            0 => slice::from_mut(&mut self.starter),
            _ => &mut self.peers,
        }
    }

    fn send(&mut self) -> Result<(), Fault> {
        let (work, step, mut writer) = (self.work, self.step, self.writer);
        for (peer, i) in self.in_play().iter_mut().zip(0..) {
            match work {
                Work::Echo => peer.write_all(&ball(step, i))?,
                Work::Feed => {
                    let mut message = [0; MESSAGE_MAX];
                    let length = writer.write(&mut message);
                    peer.write_all(&message[..length])?;
                }
            }
        }
        self.writer = writer;
        Ok(())
    }

    fn take_back(&mut self) -> Result<(), Fault> {
        let step = self.step;
        for (peer, i) in self.in_play().iter_mut().zip(0..) {
            let mut back = [0; ECHO_BYTES];
            peer.read_exact(&mut back)?;
            if back != ball(step, i) {
                return Err("the server sent back something else".into());
            }
        }
        Ok(())
    }

    /// Ends the server: every connection reads its end.
    fn hang_up(&self) {
        for peer in self.peers.iter().chain([&self.starter]) {
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
