//! The way out: frames through one buffer of a fixed size, masked where a client sends them.
//!
//! What the wire does not take of a frame stays in the buffer, and goes before anything else. Does not know what the
//! other side sends, nor whether anything may still be sent.

use std::io::{self, ErrorKind, Write};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};

use super::Kind;
use super::error::{Error, Misuse};
use super::frame::{Opcode, write_header};
use super::mask;
use super::utf8::Utf8;

/// Where masking keys come from: a cipher, seeded by the system once, so that whoever chooses what is sent cannot
/// choose what goes over the line (RFC 6455, section 10.3).
#[derive(Debug)]
pub(super) struct Keys(Box<StdRng>);

impl Keys {
    pub(super) fn new() -> io::Result<Self> {
        match StdRng::try_from_rng(&mut SysRng) {
            Ok(rng) => Ok(Self(Box::new(rng))),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn next(&mut self) -> [u8; 4] {
        self.0.next_u32().to_ne_bytes()
    }

    /// What only this client and the server know: the key of a handshake.
    pub(super) fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        self.0.fill_bytes(&mut nonce);
        nonce
    }
}

/// The sending half of a WebSocket.
#[derive(Debug)]
pub(super) struct Sender {
    buffer: Box<[u8]>,
    /// What of the buffer the wire has not taken.
    start: usize,
    end: usize,
    /// A client's.
    keys: Option<Keys>,
    /// A frame was begun whose rest is not in the buffer.
    torn: bool,
    /// The message in parts that is under way.
    parts: Option<(Kind, Utf8)>,
}

impl Sender {
    pub(super) fn new(buffer: usize, keys: Option<Keys>) -> Self {
        Self {
            buffer: vec![0; buffer].into_boxed_slice(),
            start: 0,
            end: 0,
            keys,
            torn: false,
            parts: None,
        }
    }

    /// How much of earlier frames the wire has not taken.
    pub(super) fn unsent(&self) -> usize {
        self.end - self.start
    }

    /// Sends what an earlier call left.
    #[inline]
    pub(super) fn flush(&mut self, wire: &mut impl Write) -> Result<(), Error> {
        if self.start == self.end {
            return Ok(());
        }
        self.write_out(wire)
    }

    fn write_out(&mut self, wire: &mut impl Write) -> Result<(), Error> {
        while self.start < self.end {
            self.start += write(wire, &self.buffer[self.start..self.end])?;
        }
        wire.flush()?;
        Ok(())
    }

    /// Sends a whole message.
    #[inline]
    pub(super) fn message(
        &mut self,
        wire: &mut impl Write,
        kind: Kind,
        payload: &[u8],
    ) -> Result<(), Error> {
        if self.parts.is_some() {
            return Err(Error::Misuse(Misuse::Parts));
        }
        self.frame(wire, kind.opcode(), true, payload)
    }

    /// Sends a part of a message.
    pub(super) fn part(
        &mut self,
        wire: &mut impl Write,
        kind: Kind,
        part: &[u8],
        last: bool,
    ) -> Result<(), Error> {
        let (opcode, mut utf8) = match self.parts {
            None => (kind.opcode(), Utf8::default()),
            Some((begun, utf8)) if begun == kind => (Opcode::Continuation, utf8),
            Some(_) => return Err(Error::Misuse(Misuse::Parts)),
        };
        if kind == Kind::Text {
            let judged = utf8.feed(part);
            judged
                .and_then(|()| if last { utf8.end() } else { Ok(()) })
                .map_err(|_| Error::Misuse(Misuse::Text))?;
        }
        // What an earlier call left goes first: should that fail, nothing of this part has been begun.
        self.flush(wire)?;
        self.parts = (!last).then_some((kind, utf8));
        self.frame(wire, opcode, last, part)
    }

    /// Sends a frame: in one write, when it fits into the buffer.
    #[inline]
    pub(super) fn frame(
        &mut self,
        wire: &mut impl Write,
        opcode: Opcode,
        fin: bool,
        payload: &[u8],
    ) -> Result<(), Error> {
        self.flush(wire)?;
        if self.torn {
            return Err(Error::Unfinished);
        }
        let key = self.keys.as_mut().map(Keys::next);
        let size = write_header(&mut self.buffer, opcode, fin, payload.len(), key);
        let count = payload.len().min(self.buffer.len() - size);
        let (first, rest) = payload.split_at(count);
        self.start = 0;
        self.end = size;
        self.put(first, key);
        if rest.is_empty() {
            return self.write_out(wire);
        }
        // Until the rest has left, the frame is torn: it is the caller's, and cannot be gone on with later.
        self.torn = true;
        self.rest(wire, rest, key.map(|key| mask::after(key, count)))?;
        self.torn = false;
        Ok(())
    }

    /// Puts a piece of a payload behind what is in the buffer.
    #[inline]
    fn put(&mut self, piece: &[u8], key: Option<[u8; 4]>) {
        let place = &mut self.buffer[self.end..self.end + piece.len()];
        place.copy_from_slice(piece);
        if let Some(key) = key {
            mask::apply(place, key);
        }
        self.end += piece.len();
    }

    /// Sends what does not fit: a client's through the buffer, since it is masked there; a server's as it lies.
    fn rest(
        &mut self,
        wire: &mut impl Write,
        mut rest: &[u8],
        key: Option<[u8; 4]>,
    ) -> Result<(), Error> {
        while self.start < self.end {
            self.start += write(wire, &self.buffer[self.start..self.end])?;
        }
        let Some(mut key) = key else {
            while !rest.is_empty() {
                rest = &rest[write(wire, rest)?..];
            }
            wire.flush()?;
            return Ok(());
        };
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rest.len().min(self.buffer.len()));
            (self.start, self.end) = (0, 0);
            self.put(piece, Some(key));
            self.write_out(wire)?;
            key = mask::after(key, piece.len());
            rest = later;
        }
        Ok(())
    }
}

/// One write that takes something.
#[inline]
fn write(wire: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match wire.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
