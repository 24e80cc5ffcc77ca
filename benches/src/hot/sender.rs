//! The exchange: a plain thread on the other core that sends a tape's frames, as they are or sealed beforehand.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lags::Lags;
use super::secure::{self, Secure};
use super::tape::Tape;
use crate::Fault;
use crate::load::Pace;

/// A connection, and what to send on it.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) stream: TcpStream,
    pub(super) tape: Arc<Tape>,
    pub(super) pace: Pace,
    pub(super) secure: Option<Secure>,
    /// Whether the client asks for the upgrade first.
    pub(super) upgrade: bool,
    /// Who wants to know when each was sent.
    pub(super) lags: Option<Arc<Lags>>,
}

impl Sender {
    /// Sends everything, and stays until the receiver has gone.
    pub(super) fn run(mut self) -> Result<(), Fault> {
        match &self.secure {
            None => {
                if self.upgrade {
                    secure::accept(&self.stream)?;
                }
                let tape = Arc::clone(&self.tape);
                self.send(|from, count| tape.frames(from, count))?;
            }
            Some(secure) => {
                let (bytes, ends) = secure.seal(&mut self.stream, &self.tape, self.upgrade)?;
                let end_of = |messages: usize| messages.checked_sub(1).map_or(0, |last| ends[last]);
                self.send(|from, count| {
                    let until = ends.len().min(from + count);
                    &bytes[end_of(from)..end_of(until)]
                })?;
            }
        }
        let ended = self.stream.shutdown(Shutdown::Write);
        let ended = ended.and_then(|()| self.stream.read_to_end(&mut Vec::new()).map(drop));
        match ended {
            Err(error) if !secure::gone(&error) && error.kind() != io::ErrorKind::NotConnected => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }

    fn send<'b>(&self, bytes: impl Fn(usize, usize) -> &'b [u8]) -> Result<(), Fault> {
        let (interval, per_send) = match self.pace {
            Pace::PerSecond(rate) => (Duration::from_secs(1) / u32::try_from(rate)?, 1),
            Pace::FlatOut(per_send) => (Duration::ZERO, per_send),
        };
        let messages = self.tape.messages();
        let mut due = Instant::now();
        for from in (0..messages).step_by(per_send) {
            if !interval.is_zero() {
                due += interval;
                while Instant::now() < due {
                    std::hint::spin_loop();
                }
            }
            let bytes = bytes(from, per_send.min(messages - from));
            if let Some(lags) = &self.lags {
                lags.sent(from);
            }
            (&self.stream).write_all(bytes)?;
        }
        Ok(())
    }
}
