//! Putting messages together where they lie: the parts of one are moved onto each other in the wire's own memory.
//!
//! ```text
//! unread:  | joined: the message so far | hole: headers, control frames | not looked at |
//! ```
//!
//! The bytes of a frame are taken as they arrive, so that what is not looked at is never more than the beginning of a
//! header or of a control frame. A hole is closed by moving whatever is shorter: the message up to it, or the new part
//! down. Each byte that arrives pays for one byte moved, and a full wire is squeezed only for an eighth of it or more:
//! that is the room that messages of several frames leave. So a flood of tiny parts, of empty ones, or of pings between
//! them costs a few moves a byte, and no memory.
//!
//! **Invariant:** `joined + hole` bytes are unread; while nothing is joined there is no hole.
//!
//! Knows nothing of control frames but their length, nor of what is sent.

use std::ops::Range;

use crate::net::Wire;

use super::Kind;
use super::config::Config;
use super::error::{Error, Limit, Violation};
use super::frame::{Header, Opcode};
use super::mask;
use super::utf8::Utf8;

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Violation(Violation),
    Limit(Limit),
    Eof,
}

impl Fault {
    /// What the other side is told, if it is there.
    pub(super) fn close_code(self) -> Option<u16> {
        match self {
            Self::Violation(violation) => Some(violation.close_code()),
            Self::Limit(limit) => Some(limit.close_code()),
            Self::Eof => None,
        }
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<Limit> for Fault {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Violation(violation) => Self::Protocol(violation),
            Fault::Limit(limit) => Self::Limit(limit),
            Fault::Eof => Self::UnexpectedEof,
        }
    }
}

/// The part of the wire's memory that is kept free between the parts of a message: one in so many bytes.
const SPARE: usize = 8;

/// The rest of a frame whose header has been taken.
#[derive(Clone, Copy, Debug)]
struct Open {
    remaining: usize,
    key: [u8; 4],
    fin: bool,
}

/// A frame that may come: the kind of its message, and how long that is with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted {
    kind: Kind,
    total: usize,
}

/// What taking the bytes of a frame came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// More of the frame has to arrive.
    Part,
    /// The frame has ended, and its message has not.
    Frame,
    /// The message is whole, but for whether its last part is UTF-8.
    Message,
}

/// The message that is being put together, if one is.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    joined: usize,
    hole: usize,
    message: Option<Kind>,
    /// The payload of all frames of the message, the open one's wholly.
    total: usize,
    fragments: u32,
    utf8: Utf8,
    open: Option<Open>,
}

impl Assembly {
    /// The message of which a part has come.
    pub(super) fn message(&self) -> Option<Kind> {
        self.message
    }

    /// Whether the next bytes are payload.
    pub(super) fn in_frame(&self) -> bool {
        self.open.is_some()
    }

    /// Where what was not looked at begins.
    pub(super) fn at(&self) -> usize {
        self.joined + self.hole
    }

    /// Whether the frame may come now.
    pub(super) fn check(&self, header: &Header, config: &Config) -> Result<Admitted, Fault> {
        let kind = match (header.opcode, self.message) {
            (Opcode::Continuation, Some(kind)) => kind,
            (Opcode::Continuation, None) => return Err(Violation::Continuation.into()),
            (_, Some(_)) => return Err(Violation::Interleaved.into()),
            (Opcode::Text, None) => Kind::Text,
            (_, None) => Kind::Binary,
        };
        if header.len > config.frame_max as u64 {
            let max = config.frame_max;
            return Err(Limit::Frame {
                len: header.len,
                max,
            }
            .into());
        }
        let len = header.len.saturating_add(self.total as u64);
        let total = match usize::try_from(len) {
            Ok(total) if total <= config.message_max => total,
            _ => {
                let max = config.message_max;
                return Err(Limit::Message { len, max }.into());
            }
        };
        let alone = header.fin && self.message.is_none();
        if self.fragments >= config.fragments_max && !alone {
            let max = config.fragments_max;
            return Err(Limit::Fragments { max }.into());
        }
        Ok(Admitted { kind, total })
    }

    /// Counts a frame that may come.
    pub(super) fn admit(&mut self, admitted: Admitted) {
        self.message = Some(admitted.kind);
        self.total = admitted.total;
        self.fragments += 1;
    }

    /// Takes the header of a data frame that lies [`at`](Self::at), and was admitted.
    pub(super) fn open(&mut self, wire: &mut impl Wire, header: &Header) -> Result<(), Limit> {
        let alone = header.fin && self.fragments == 1;
        let capacity = wire.capacity();
        let max = if alone {
            capacity
        } else {
            capacity - capacity / SPARE
        };
        if self.total > max {
            let len = self.total as u64;
            return Err(Limit::Capacity { len, max });
        }
        self.open = Some(Open {
            // Part of the total.
            remaining: usize::try_from(header.len).unwrap_or(self.total),
            key: header.key,
            fin: header.fin,
        });
        self.skip(wire, header.size);
        Ok(())
    }

    /// Leaves out so many bytes that lie [`at`](Self::at).
    pub(super) fn skip(&mut self, wire: &mut impl Wire, count: usize) {
        if self.joined == 0 {
            wire.consume(count);
        } else {
            self.hole += count;
        }
    }

    /// Takes of the open frame what has arrived: unmasked, moved to the rest, and judged.
    pub(super) fn take(&mut self, wire: &mut impl Wire) -> Result<Taken, Violation> {
        let Some(open) = &mut self.open else {
            return Ok(Taken::Frame);
        };
        let count = open
            .remaining
            .min(wire.unread().len() - self.joined - self.hole);
        open.remaining -= count;
        let (key, whole, fin) = (open.key, open.remaining == 0, open.fin);
        open.key = mask::after(key, count);
        if self.hole > 0 {
            if self.joined <= self.hole.max(count) {
                self.squeeze(wire);
            } else {
                let from = self.joined + self.hole;
                slide(wire.unread_mut(), from..from + count, self.joined);
            }
        }
        let part = self.joined..self.joined + count;
        self.joined = part.end;
        if key != [0; 4] {
            mask::apply(&mut wire.unread_mut()[part.clone()], key);
        }
        // The last part of a text is judged with the whole of it, at once.
        if self.message == Some(Kind::Text) && !(whole && fin) {
            self.utf8.feed(&wire.unread()[part])?;
        }
        if !whole {
            return Ok(Taken::Part);
        }
        self.open = None;
        Ok(if fin { Taken::Message } else { Taken::Frame })
    }

    /// Closes the hole by moving the message up to it, and gives its memory back.
    pub(super) fn squeeze(&mut self, wire: &mut impl Wire) {
        let hole = std::mem::take(&mut self.hole);
        if hole > 0 {
            slide(wire.unread_mut(), 0..self.joined, hole);
            wire.consume(hole);
        }
    }

    /// The message is handed out: its length, and that of what lies there with it.
    pub(super) fn finish(&mut self) -> (usize, usize) {
        let Self { joined, hole, .. } = std::mem::take(self);
        (joined, joined + hole)
    }

    /// Judges a frame that is handed out by itself, and ends its message with it.
    pub(super) fn frame_by_itself(&mut self, fin: bool, payload: &[u8]) -> Result<(), Violation> {
        if self.message == Some(Kind::Text) {
            self.utf8.feed(payload)?;
        }
        if fin {
            self.utf8.end()?;
            *self = Self::default();
        }
        Ok(())
    }
}

/// Moves bytes within the wire's memory: what putting together costs.
fn slide(bytes: &mut [u8], from: Range<usize>, to: usize) {
    #[cfg(test)]
    tests::MOVED.set(tests::MOVED.get() + from.len());
    bytes.copy_within(from, to);
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
