//! The whole job per message: from a WebSocket's frame to the order book, over a real connection.
//!
//! ```text
//! tape ──▶ sender (other core) ──TCP, or TLS──▶ receiver: frame ▸ text ▸ diff ▸ book (measured core)
//! ```
//!
//! Every contender has the same bytes, the same book and, but for serde_json, the same parser, and must end with the same
//! book. flux asks for the upgrade first, since it knows no other way to a WebSocket; the others are given a connection
//! that is upgraded already. What is measured begins long after that.

mod flux;
mod job;
mod lags;
mod made_up;
mod raw;
mod secure;
mod sender;
mod tape;
mod tokio;
mod typed;

pub use flux::Way;
pub use job::{Answer, Job};
pub use secure::Secure;
pub use tape::Tape;
pub use tokio::{Library, TUNED_READ_BYTES};

use std::net::TcpStream;
use std::sync::Arc;

use crate::Fault;
use crate::floor::{self, Check};
use crate::harness::{Sample, timed};
use crate::load::{self, Pace};
use crate::raw_uring::Wait;
use crate::sockets::pairs;
use crate::watch::{Meter, Watch};
use lags::Lags;
use sender::Sender;

/// Before the window opens, and after it has closed: one part in so many of the messages each.
const MARGIN: usize = 10;

/// Who receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A fiber of flux.
    Flux(Way),
    /// Callbacks on a ring: the limit. Plain connections alone.
    Raw(Wait),
    /// A task on tokio's `current_thread` runtime.
    Tokio(Library),
}

impl Receiver {
    /// The name in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Flux(Way::Ring(Wait::Block)) => "flux",
            Self::Flux(Way::Ring(Wait::Spin)) => "flux, spinning",
            Self::Flux(Way::Hot) => "flux, spinning, hot",
            Self::Flux(Way::Epoll) => "flux on epoll",
            Self::Raw(Wait::Block) => "raw io_uring",
            Self::Raw(Wait::Spin) => "raw io_uring, spinning",
            Self::Tokio(Library::Tungstenite) => "tungstenite + serde_json",
            Self::Tokio(Library::TungsteniteUntuned) => "the same, untuned",
            Self::Tokio(Library::TungsteniteLeast) => "the same, needed fields",
            Self::Tokio(Library::FastWebSockets) => "fastwebsockets + scanner",
        }
    }

    /// Reads the tape's messages from a connection, and tells the watch of each when the book has it.
    ///
    /// # Errors
    /// What the contender or the connection fails with.
    pub fn receive<W: Watch>(
        self,
        stream: TcpStream,
        tape: &Arc<Tape>,
        watch: &Arc<W>,
        secure: Option<&Secure>,
    ) -> Result<Answer, Fault> {
        match self {
            Self::Flux(way) => flux::receive(way, stream, tape, watch, secure),
            Self::Raw(_) if secure.is_some() => Err("the raw loop has no TLS".into()),
            Self::Raw(wait) => raw::receive(stream, tape, &**watch, wait),
            Self::Tokio(library) => tokio::receive(library, stream, tape, &**watch, secure),
        }
    }
}

/// What the job costs by itself, frame to book, out of memory: what no way to receive can be cheaper than.
///
/// # Errors
/// If the book is not the one that the messages lead to.
pub fn job_alone(tape: &Tape) -> Result<Sample, Fault> {
    let messages = tape.messages();
    let mut job = Job::new(tape);
    let mut rest = tape.frames(0, messages);
    let (sample, done) = timed(u64::try_from(messages)?, || {
        while let Some((text, end)) = floor::frame(rest, Check::Simd)? {
            job.scan(text.as_bytes())?;
            rest = &rest[end..];
        }
        Ok::<_, Fault>(())
    });
    done?;
    same(job.answer(), tape.answer())?;
    Ok(sample)
}

fn same(found: Answer, wanted: Answer) -> Result<(), Fault> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("came to {found:?}, where the messages lead to {wanted:?}").into())
    }
}

/// Who reads what: one run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Who receives.
    pub receiver: Receiver,
    /// What is sent.
    pub tape: Arc<Tape>,
    /// How fast.
    pub pace: Pace,
    /// Both ends of TLS, if it is to be used.
    pub secure: Option<Secure>,
}

impl Run {
    /// The cost of a message.
    ///
    /// # Errors
    /// What the contender fails with, or a book that is not the one that the messages lead to.
    pub fn cost(&self) -> Result<Sample, Fault> {
        let messages = self.tape.messages();
        let margin = messages / MARGIN;
        let (from, until) = (u64::try_from(margin)?, u64::try_from(messages - margin)?);
        let meter = Arc::new(Meter::new(from, until));
        self.watched(&meter, None)?;
        meter.sample(1)
    }

    /// How long messages take from their send to the book: the median and the 99th percentile.
    ///
    /// # Errors
    /// As [`cost`](Self::cost).
    pub fn lag(&self) -> Result<[Sample; 2], Fault> {
        let lags = Arc::new(Lags::new(self.tape.messages()));
        self.watched(&lags, Some(Arc::clone(&lags)))?;
        lags.samples(self.tape.messages() / MARGIN)
    }

    /// Runs it under a watch.
    ///
    /// # Errors
    /// As [`cost`](Self::cost).
    pub fn watch<W: Watch>(&self, watch: &Arc<W>) -> Result<(), Fault> {
        self.watched(watch, None)
    }

    fn watched<W: Watch>(&self, watch: &Arc<W>, lags: Option<Arc<Lags>>) -> Result<(), Fault> {
        let mut ends = pairs(1)?;
        let sender = Sender {
            stream: ends.client.remove(0),
            tape: Arc::clone(&self.tape),
            pace: self.pace,
            secure: self.secure.clone(),
            upgrade: matches!(self.receiver, Receiver::Flux(_)),
            lags,
        };
        let load = load::start(|| sender.run())?;
        let (stream, secure) = (ends.server.remove(0), self.secure.as_ref());
        let found = self.receiver.receive(stream, &self.tape, watch, secure);
        let sent = load.finish();
        // The receiver's own fault first: the sender sees only that it went away.
        let (found, ()) = (found?, sent?);
        same(found, self.tape.answer())
    }
}
