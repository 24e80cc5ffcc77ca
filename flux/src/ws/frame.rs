//! The header of a frame: RFC 6455, section 5.2, read and written.
//!
//! Refuses what no frame may be as soon as the byte that shows it is there. Does not know which frame may follow
//! which, nor any limit.

use super::error::Violation;

/// The longest header: two bytes, a length of eight, a key of four.
pub(super) const HEADER_MAX: usize = 14;
/// The longest payload of a control frame.
pub(super) const CONTROL_MAX: usize = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
pub(super) const MASKED: u8 = 0x80;
const LENGTH_OF_2: u8 = 126;
const LENGTH_OF_8: u8 = 127;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

impl Role {
    /// The bit that each frame of the other side has in its second byte: clients mask, servers don't.
    pub(super) fn mask_of_peer(self) -> u8 {
        match self {
            Self::Client => 0,
            Self::Server => MASKED,
        }
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of the message that an earlier frame began.
    Continuation,
    /// A text message, or its first part.
    Text,
    /// A binary message, or its first part.
    Binary,
    /// The other side ends the connection.
    Close,
    /// A question whether this side is there.
    Ping,
    /// The answer to a ping, or a sign of life that nobody asked for.
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// Whether it is about the connection rather than part of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    /// The key, zero when there is none: laid over the payload it changes nothing.
    pub(super) key: [u8; 4],
    /// How long the payload is.
    pub(super) len: u64,
    /// How long the header itself is.
    pub(super) size: usize,
}

impl Header {
    /// Reads the header at the front of `bytes`, as the other side of `role` must write it; `None` when more of it
    /// has to come.
    pub(super) fn read(bytes: &[u8], role: Role) -> Result<Option<Self>, Violation> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        if first & RESERVED != 0 {
            return Err(Violation::ReservedBits);
        }
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::Opcode(first & 0x0f))?;
        let fin = first & FIN != 0;
        if opcode.is_control() && !fin {
            return Err(Violation::FragmentedControl);
        }
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        match (role, second & MASKED != 0) {
            (Role::Client, true) => return Err(Violation::Masked),
            (Role::Server, false) => return Err(Violation::Unmasked),
            _ => {}
        }
        let short = second & !MASKED;
        if opcode.is_control() && usize::from(short) > CONTROL_MAX {
            return Err(Violation::LongControl);
        }
        let Some((len, size)) = length(short, bytes)? else {
            return Ok(None);
        };
        let (key, size) = match role {
            Role::Client => ([0; 4], size),
            Role::Server => match bytes.get(size..).and_then(|rest| rest.first_chunk()) {
                Some(key) => (*key, size + key.len()),
                None => return Ok(None),
            },
        };
        Ok(Some(Self {
            opcode,
            fin,
            key,
            len,
            size,
        }))
    }
}

/// The length of the payload, and where it ends itself.
fn length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    match short {
        LENGTH_OF_2 => {
            let Some(long) = bytes.get(2..).and_then(|rest| rest.first_chunk()) else {
                return Ok(None);
            };
            match u16::from_be_bytes(*long) {
                len if len < u16::from(LENGTH_OF_2) => Err(Violation::Length),
                len => Ok(Some((u64::from(len), 4))),
            }
        }
        LENGTH_OF_8 => {
            let Some(long) = bytes.get(2..).and_then(|rest| rest.first_chunk()) else {
                return Ok(None);
            };
            match u64::from_be_bytes(*long) {
                len if len >> 63 != 0 => Err(Violation::LengthSign),
                len if u16::try_from(len).is_ok() => Err(Violation::Length),
                len => Ok(Some((len, 10))),
            }
        }
        short => Ok(Some((u64::from(short), 2))),
    }
}

/// Writes a header to the front of `into`, and says how long it is.
#[inline]
pub(super) fn write_header(
    into: &mut [u8],
    opcode: Opcode,
    fin: bool,
    len: usize,
    key: Option<[u8; 4]>,
) -> usize {
    let masked = if key.is_some() { MASKED } else { 0 };
    into[0] = opcode.bits() | if fin { FIN } else { 0 };
    let mut size = 2;
    if let Some(len) = u8::try_from(len).ok().filter(|len| *len < LENGTH_OF_2) {
        into[1] = masked | len;
    } else if let Ok(len) = u16::try_from(len) {
        into[1] = masked | LENGTH_OF_2;
        into[2..4].copy_from_slice(&len.to_be_bytes());
        size = 4;
    } else {
        into[1] = masked | LENGTH_OF_8;
        into[2..10].copy_from_slice(&(len as u64).to_be_bytes());
        size = 10;
    }
    if let Some(key) = key {
        into[size..size + 4].copy_from_slice(&key);
        size += 4;
    }
    size
}

/// The frame that most messages are: whole, unfragmented, below 64 KiB. Whether it is text, where its payload begins
/// and how long that is; `None` for everything else, and for what has not arrived.
#[inline]
pub(super) fn whole(bytes: &[u8], mask_of_peer: u8) -> Option<(bool, usize, usize)> {
    let &[first, second, third, fourth, ..] = bytes else {
        return None; // the shortest messages of servers too: the long way has them
    };
    // Final, text or binary, no reserved bit.
    let kind = first.wrapping_sub(FIN | 0x1);
    let short = second ^ mask_of_peer;
    let (at, len) = match short {
        LENGTH_OF_2 => (4, usize::from(u16::from_be_bytes([third, fourth]))),
        _ => (2, usize::from(short)),
    };
    // The masked bit of the other kind makes `short` 128 and more.
    if kind > 1 || short > LENGTH_OF_2 || (short == LENGTH_OF_2 && len <= CONTROL_MAX) {
        return None;
    }
    let at = at + usize::from(mask_of_peer >> 5);
    (bytes.len() >= at + len).then_some((kind == 0, at, len))
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
