//! A WebSocket after its handshake: messages in, messages out, and the end of both.
//!
//! ```text
//! Open ──close()──▶ Closing ──the other side's close──▶ Closed
//!   ├────────the other side's close, echoed────────────────┘
//!   └──a fault, told in a close frame──▶ Failed
//! ```
//!
//! Does not know what a wire is made of, nor how a handshake goes.

use std::fmt;

use crate::net::Wire;

use super::Kind;
use super::assemble::{Assembly, Fault};
use super::close;
use super::config::Config;
use super::error::{Error, Misuse};
use super::frame::{CONTROL_MAX, Opcode, Role};
use super::send::{Keys, Sender};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// This side has sent its close frame.
    Closing,
    Closed,
    Failed(Fault),
}

/// A WebSocket over a wire: made by [`connect`](super::connect) or [`accept`](super::accept).
///
/// Messages are read where they lie in the wire's memory, so that one that is handed out has to be let go before the
/// next call: what is to be kept, or sent back, is copied out of it first. Dropping a WebSocket drops the wire, and
/// says nothing to the other side: [`close`](Self::close) does.
///
/// # Errors
/// Every method fails with
/// - [`Error::Io`], whatever the wire brings, `ECANCELED` and `TimedOut` among it: nothing is lost, and the call can
///   be made again;
/// - the error that ended the connection, in every call after it.
pub struct WebSocket<W> {
    pub(super) wire: W,
    /// What is handed out: consumed by the next call.
    pub(super) delivered: usize,
    /// No message is being put together, and more may come.
    pub(super) at_rest: bool,
    pub(super) mask_of_peer: u8,
    /// The longest message that is handed out without a further look.
    pub(super) whole_max: usize,
    pub(super) assembly: Assembly,
    /// The message that is being read is read frame by frame.
    pub(super) by_frames: bool,
    pub(super) sender: Sender,
    pub(super) state: State,
    pub(super) role: Role,
    pub(super) pings: u64,
    pub(super) pongs: u64,
    pub(super) closed_with: Option<u16>,
    /// Has its memory from the start.
    pub(super) reason_of_peer: String,
    pub(super) protocol: Option<String>,
    pub(super) config: Config,
}

impl<W: Wire> WebSocket<W> {
    pub(super) fn new(
        wire: W,
        role: Role,
        keys: Option<Keys>,
        config: Config,
        protocol: Option<String>,
    ) -> Self {
        Self {
            wire,
            delivered: 0,
            at_rest: true,
            mask_of_peer: role.mask_of_peer(),
            whole_max: config.frame_max.min(config.message_max),
            assembly: Assembly::default(),
            by_frames: false,
            sender: Sender::new(config.send_buffer, keys),
            state: State::Open,
            role,
            pings: 0,
            pongs: 0,
            closed_with: None,
            reason_of_peer: String::with_capacity(close::REASON_MAX),
            protocol,
            config,
        }
    }

    /// Sends a text message.
    ///
    /// One write when it fits into the send buffer with its header.
    ///
    /// # Suspends
    /// While the wire takes no more.
    ///
    /// # Errors
    /// Those of [`WebSocket`]; [`Error::Closed`] after a close frame has gone either way; [`Misuse::Parts`] while a
    /// message is being sent in parts.
    ///
    /// After an [`Error::Io`], with nothing [`unsent`](Self::unsent) before, the message is on its way: what the wire
    /// has not taken of it goes before whatever is sent next, or with [`flush`](Self::flush). That holds for what fits
    /// into the send buffer; a longer message is lost with that error, and [`Error::Unfinished`] is what every further
    /// send gets.
    #[inline]
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.may_send()?;
        self.sender
            .message(&mut self.wire, Kind::Text, text.as_bytes())
    }

    /// Sends a binary message: as [`send_text`](Self::send_text).
    ///
    /// # Suspends
    /// While the wire takes no more.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    #[inline]
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.may_send()?;
        self.sender.message(&mut self.wire, Kind::Binary, bytes)
    }

    /// Sends a part of a message as a frame of its own: the first begins a message, the one with `last` ends it.
    ///
    /// Pings, pongs and a close may be sent in between, other messages not.
    ///
    /// # Suspends
    /// While the wire takes no more.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text); [`Misuse::Parts`] when the kind is not that of the first part;
    /// [`Misuse::Text`] for what no UTF-8 can begin or end with: a part may end within a character, the last may not.
    pub fn send(&mut self, kind: Kind, part: &[u8], last: bool) -> Result<(), Error> {
        self.may_send()?;
        self.sender.part(&mut self.wire, kind, part, last)
    }

    /// Asks the other side whether it is there; its answer is counted in [`pongs`](Self::pongs).
    ///
    /// # Suspends
    /// While the wire takes no more.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text); [`Misuse::Payload`] for more than 125 bytes.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.send_control(Opcode::Ping, payload)
    }

    /// Says that this side is there, without having been asked: pings are answered by themselves.
    ///
    /// # Suspends
    /// While the wire takes no more.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.send_control(Opcode::Pong, payload)
    }

    fn send_control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        self.may_send()?;
        if payload.len() > CONTROL_MAX {
            return Err(Error::Misuse(Misuse::Payload(payload.len())));
        }
        self.sender.frame(&mut self.wire, opcode, true, payload)
    }

    /// Sends the close frame, with one of the [`code`](super::code)s and a reason of at most 123 bytes, and does not
    /// wait.
    ///
    /// What the other side has still to say comes out of [`read`](Self::read), and then `None`. Nothing happens when a
    /// close frame has gone before, either way.
    ///
    /// # Suspends
    /// While the wire takes no more.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text), but for [`Error::Closed`]; [`Misuse::Code`], [`Misuse::Reason`].
    pub fn close(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        match self.state {
            State::Closing | State::Closed => return self.sender.flush(&mut self.wire),
            State::Failed(fault) => return Err(fault.into()),
            State::Open => {}
        }
        let (payload, len) = close::payload(code, reason).map_err(Error::Misuse)?;
        // Should what an earlier call left not go, the close frame has not been taken.
        self.sender.flush(&mut self.wire)?;
        // Before: should the wire panic, the frame is on its way all the same, and nothing may follow it.
        self.state = State::Closing;
        let sent = self
            .sender
            .frame(&mut self.wire, Opcode::Close, true, &payload[..len]);
        if matches!(sent, Err(Error::Unfinished)) {
            self.state = State::Open;
        }
        sent
    }

    /// Sends what an earlier call could not.
    ///
    /// # Suspends
    /// While the wire takes no more.
    ///
    /// # Errors
    /// [`Error::Io`], as ever.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.sender.flush(&mut self.wire)
    }

    /// How many bytes of earlier calls the wire has not taken.
    pub fn unsent(&self) -> usize {
        self.sender.unsent()
    }

    /// How many pings have come and been answered.
    pub fn pings(&self) -> u64 {
        self.pings
    }

    /// How many pongs have come.
    pub fn pongs(&self) -> u64 {
        self.pongs
    }

    /// The code that the other side has closed with, if it has, and gave one.
    pub fn close_code(&self) -> Option<u16> {
        self.closed_with
    }

    /// The reason that came with [`close_code`](Self::close_code).
    pub fn close_reason(&self) -> Option<&str> {
        self.closed_with.map(|_| self.reason_of_peer.as_str())
    }

    /// The subprotocol that both sides agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// The wire.
    pub fn get_ref(&self) -> &W {
        &self.wire
    }

    /// The wire, to set its time-outs, say. Reading or writing it breaks the connection.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.wire
    }

    /// The wire, with whatever has not been read of it.
    pub fn into_inner(mut self) -> W {
        self.release();
        self.wire
    }

    /// Whether something may be sent: why not, if not.
    #[inline]
    fn may_send(&self) -> Result<(), Error> {
        match self.state {
            State::Open => Ok(()),
            State::Closing | State::Closed => Err(Error::Closed),
            State::Failed(fault) => Err(fault.into()),
        }
    }

    /// Ends the connection for what the other side did, and tells it, for as long as that may take.
    #[cold]
    pub(super) fn fail(&mut self, fault: Fault) -> Error {
        let told = fault.close_code().filter(|_| self.state == State::Open);
        self.state = State::Failed(fault);
        self.at_rest = false;
        if let Some(code) = told {
            let reason = match fault {
                Fault::Violation(violation) => violation.to_string(),
                // How much this side takes is its own affair.
                Fault::Limit(_) | Fault::Eof => String::new(),
            };
            // All sentences are short enough; one that were not would go without.
            if let Ok((payload, len)) =
                close::payload(code, &reason).or_else(|_| close::payload(code, ""))
            {
                self.last_frame(&payload[..len]);
            }
        }
        fault.into()
    }

    /// Sends the close frame that nothing follows. That it does not get through changes nothing any more: what ended
    /// the connection is what the caller has to know.
    pub(super) fn last_frame(&mut self, payload: &[u8]) {
        let Self { wire, sender, .. } = self;
        close::within(self.config.close_wait, || {
            drop(sender.frame(wire, Opcode::Close, true, payload));
        });
    }
}

impl<W> fmt::Debug for WebSocket<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("role", &self.role)
            .field("state", &self.state)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}
