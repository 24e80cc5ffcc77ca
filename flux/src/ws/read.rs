//! The way in: from the bytes of the wire to messages and frames, and what control frames ask for.
//!
//! Knows how messages follow each other, and not how one is put together, nor how anything is sent.

#![allow(
    unsafe_code,
    reason = "hands out a text that was found to be one, which the borrow checker cannot follow"
)]

use std::ops::Range;

use crate::net::Wire;

use super::assemble::{Fault, Taken};
use super::close;
use super::error::{Error, Limit, Misuse, Violation};
use super::frame::{self, CONTROL_MAX, Header, Opcode, Role};
use super::mask;
use super::socket::{State, WebSocket};
use super::utf8;
use super::{Frame, Kind, Message};

/// A message in the wire's memory.
#[derive(Clone, Copy)]
struct Found {
    kind: Kind,
    at: usize,
    len: usize,
}

impl Found {
    fn place(self) -> Range<usize> {
        self.at..self.at + self.len
    }
}

impl<W: Wire> WebSocket<W> {
    /// Waits for the next message; `None` once both sides have closed, in good order.
    ///
    /// A message that came as one frame is handed out where it arrived, neither copied nor moved; the parts of one
    /// that came as several are moved together in the wire's memory. Pings are answered meanwhile. No more is asked of
    /// the wire while a whole message lies in its memory.
    ///
    /// # Suspends
    /// Until a whole message has arrived; also while the answer to a ping or to a close frame finds no room. A client
    /// that has closed waits for the server to end the connection below,
    /// [`close_wait`](super::Config::close_wait) at the most.
    ///
    /// # Errors
    /// Those of [`WebSocket`]; [`Error::Protocol`] and [`Error::Limit`] for what the other side did, which it has been
    /// told; [`Error::UnexpectedEof`] when it went away without a close frame.
    #[inline]
    pub fn read(&mut self) -> Result<Option<Message<'_>>, Error> {
        self.release();
        if self.at_rest && self.wire.unread().is_empty() {
            self.more()?;
        }
        let found = match self.whole() {
            Some(found) => found,
            None => match self.assemble()? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        if found.kind == Kind::Binary {
            return Ok(Some(Message::Binary(&self.wire.unread()[found.place()])));
        }
        if let Ok(text) = utf8::checked(&self.wire.unread()[found.place()]) {
            let text = std::ptr::from_ref(text);
            // SAFETY: borrowed from the wire, which stays borrowed for as long as what is returned here; the borrow
            // checker would have it borrowed where this branch is not taken, too.
            return Ok(Some(Message::Text(unsafe { &*text })));
        }
        Err(self.fail(Violation::Utf8.into()))
    }

    /// Waits for the next frame, for those who want the parts of a message before its end; `None` once both sides have
    /// closed.
    ///
    /// Pings come out of it too, having been answered (or with their answer [`unsent`](Self::unsent), which goes before
    /// all else), and pongs. A frame is handed out when all of it has arrived. A
    /// message whose first frame was read this way is read to its end this way.
    ///
    /// # Suspends
    /// As [`read`](Self::read).
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Misuse::Reading`] while `read` has taken a part of a message. The text in a frame may
    /// end within a character, which is not an error; what cannot become one is.
    pub fn read_frame(&mut self) -> Result<Option<Frame<'_>>, Error> {
        self.release();
        self.reads_by(true)?;
        let header = loop {
            if !self.may_read()? {
                return Ok(None);
            }
            let header = Header::read(self.wire.unread(), self.role);
            let Some(header) = header.map_err(|violation| self.fail(violation.into()))? else {
                self.more()?;
                continue;
            };
            if header.opcode.is_control() {
                if !self.control(&header, true)? {
                    self.more()?;
                } else if header.opcode != Opcode::Close {
                    break header;
                }
            } else if self.frame_by_itself(&header)? {
                break header;
            } else {
                self.more()?;
            }
        };
        Ok(Some(Frame {
            opcode: header.opcode,
            last: header.fin,
            payload: &self.wire.unread()[header.size..self.delivered],
        }))
    }

    /// Gives back the memory of what was handed out.
    #[inline]
    pub(super) fn release(&mut self) {
        if self.delivered > 0 {
            self.wire.consume(self.delivered);
            self.delivered = 0;
        }
    }

    /// The message that begins what is unread, if it is one of the common sort and has arrived.
    #[inline]
    fn whole(&mut self) -> Option<Found> {
        if !self.at_rest {
            return None;
        }
        let (text, at, len) = frame::whole(self.wire.unread(), self.mask_of_peer)?;
        if len > self.whole_max {
            return None;
        }
        if self.role == Role::Server {
            let (header, rest) = self.wire.unread_mut().split_at_mut(at);
            if let Some(key) = header.last_chunk() {
                mask::apply(&mut rest[..len], *key);
            }
        }
        self.delivered = at + len;
        let kind = if text { Kind::Text } else { Kind::Binary };
        Some(Found { kind, at, len })
    }

    /// The next message, however it comes.
    #[inline(never)]
    fn assemble(&mut self) -> Result<Option<Found>, Error> {
        self.reads_by(false)?;
        while self.may_read()? {
            if let Some(found) = self.whole() {
                return Ok(Some(found));
            }
            if !self.assembly.in_frame() && !self.header()? {
                self.more()?;
                continue;
            }
            if !self.assembly.in_frame() {
                continue; // a control frame was seen to
            }
            match self.assembly.take(&mut self.wire) {
                Ok(Taken::Frame) => {}
                Ok(Taken::Part) => self.more()?,
                Ok(Taken::Message) => {
                    let kind = self.assembly.message().unwrap_or(Kind::Binary);
                    let (len, delivered) = self.assembly.finish();
                    self.delivered = delivered;
                    self.at_rest = true;
                    return Ok(Some(Found { kind, at: 0, len }));
                }
                Err(violation) => return Err(self.fail(violation.into())),
            }
        }
        Ok(None)
    }

    /// Takes the next header, and all of a control frame; whether it was there.
    fn header(&mut self) -> Result<bool, Error> {
        let unread = &self.wire.unread()[self.assembly.at()..];
        let header = match Header::read(unread, self.role) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(false),
            Err(violation) => return Err(self.fail(violation.into())),
        };
        if header.opcode.is_control() {
            return self.control(&header, false);
        }
        let admitted = match self.assembly.check(&header, &self.config) {
            Ok(admitted) => admitted,
            Err(fault) => return Err(self.fail(fault)),
        };
        self.assembly.admit(admitted);
        self.at_rest = false;
        match self.assembly.open(&mut self.wire, &header) {
            Ok(()) => Ok(true),
            Err(limit) => Err(self.fail(limit.into())),
        }
    }

    /// Hands out the data frame at the front, and says whether all of it is there.
    fn frame_by_itself(&mut self, header: &Header) -> Result<bool, Error> {
        self.judge(header).map_err(|fault| self.fail(fault))
    }

    fn judge(&mut self, header: &Header) -> Result<bool, Fault> {
        let admitted = self.assembly.check(header, &self.config)?;
        let max = self.wire.capacity();
        let size = header.len.saturating_add(header.size as u64);
        let size = match usize::try_from(size) {
            Ok(size) if size <= max => size,
            _ => return Err(Limit::Capacity { len: size, max }.into()),
        };
        if self.wire.unread().len() < size {
            return Ok(false);
        }
        self.assembly.admit(admitted);
        let place = header.size..size;
        if self.role == Role::Server {
            mask::apply(&mut self.wire.unread_mut()[place.clone()], header.key);
        }
        self.assembly
            .frame_by_itself(header.fin, &self.wire.unread()[place])?;
        self.at_rest = header.fin;
        self.delivered = size;
        Ok(true)
    }

    /// Sees to the control frame that comes next; whether all of it was there. It stays to be handed out, or is left
    /// out of the message around it.
    fn control(&mut self, header: &Header, hand_out: bool) -> Result<bool, Error> {
        let at = self.assembly.at() + header.size;
        // The header was refused if it is longer.
        let len = usize::try_from(header.len).unwrap_or(CONTROL_MAX);
        let Some(arrived) = self.wire.unread_mut().get_mut(at..at + len) else {
            return Ok(false);
        };
        let mut payload = [0; CONTROL_MAX];
        let payload = &mut payload[..len];
        payload.copy_from_slice(arrived);
        mask::apply(payload, header.key);
        if header.opcode == Opcode::Ping && self.state == State::Open {
            // Before the ping is taken: what an earlier call left has to make room for the answer.
            self.sender.flush(&mut self.wire)?;
        }
        if hand_out {
            self.wire.unread_mut()[at..at + len].copy_from_slice(payload);
            self.delivered = header.size + len;
        } else {
            self.assembly.skip(&mut self.wire, header.size + len);
        }
        match header.opcode {
            Opcode::Ping => {
                self.pings += 1;
                // Nothing follows a close frame.
                if self.state == State::Open {
                    let answered = self
                        .sender
                        .frame(&mut self.wire, Opcode::Pong, true, payload);
                    // A torn frame keeps the answer from going, and nothing from coming; and what stopped the answer
                    // to a ping that is handed out stops the next call, which it goes before.
                    if !hand_out && !matches!(answered, Err(Error::Unfinished)) {
                        answered?;
                    }
                }
            }
            Opcode::Pong => self.pongs += 1,
            _ => self.closed(payload)?,
        }
        Ok(true)
    }

    /// The other side has closed: the same is said to it, and the connection is over.
    fn closed(&mut self, payload: &[u8]) -> Result<(), Error> {
        let said = match close::parse(payload) {
            Ok(said) => said,
            Err(violation) => return Err(self.fail(violation.into())),
        };
        self.closed_with = said.map(|(code, reason)| {
            // There is room for the longest.
            self.reason_of_peer.push_str(reason);
            code
        });
        let echoed = self.state == State::Open;
        self.state = State::Closed;
        self.at_rest = false;
        if echoed {
            // The code, and not the reason.
            self.last_frame(&payload[..payload.len().min(2)]);
        }
        if self.role == Role::Client {
            // The server ends the connection below first, so that what lingers of it lingers there.
            // All that is unread goes with it, what would be given back by the next call included.
            self.delivered = 0;
            close::wait_for_end(&mut self.wire, self.config.close_wait);
        }
        Ok(())
    }

    /// Expects that a message that was begun to be read is read on the same way.
    fn reads_by(&mut self, frames: bool) -> Result<(), Error> {
        if self.by_frames != frames && self.assembly.message().is_some() && self.may_read()? {
            return Err(Error::Misuse(Misuse::Reading));
        }
        self.by_frames = frames;
        Ok(())
    }

    /// Whether more can be read: not after the close frame of the other side.
    fn may_read(&self) -> Result<bool, Error> {
        match self.state {
            State::Open | State::Closing => Ok(true),
            State::Closed => Ok(false),
            State::Failed(fault) => Err(fault.into()),
        }
    }

    /// Waits for more bytes than have been looked at.
    #[inline]
    fn more(&mut self) -> Result<(), Error> {
        // The other side may wait for it before it says more.
        self.sender.flush(&mut self.wire)?;
        if self.wire.unread().len() >= self.wire.capacity() {
            self.assembly.squeeze(&mut self.wire);
        }
        let before = self.wire.unread().len();
        if self.wire.fill()? > before {
            Ok(())
        } else {
            Err(self.fail(Fault::Eof))
        }
    }
}
