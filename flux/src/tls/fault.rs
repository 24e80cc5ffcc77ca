//! What can end a connection after its handshake, as values that stay: a broken stream says the same again.
//!
//! Knows which alert the other side is told for each, and nothing of who finds it.

use std::{fmt, io};

use super::alert::Alert;

/// Why a stream of TLS is broken, after a handshake that went well.
///
/// Every later call says the same. An [`io::Error`] made of one holds it as a [`tls::Error`](super::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The peer ended the connection with this alert.
    Alert(Alert),
    /// A record was changed on its way, or is not of this connection.
    BadMac,
    /// The connection ended without `close_notify`, so that what came may be a part of what was sent.
    Truncated {
        /// How many bytes of an unfinished record had come.
        partial: usize,
    },
    /// A record claims or holds more bytes than any may.
    RecordOverflow {
        /// Its length, in bytes.
        len: usize,
        /// The most that there may be, in bytes.
        max: usize,
    },
    /// A record that is too short to be protected.
    RecordTooShort {
        /// Its length, in bytes.
        len: usize,
    },
    /// A record of a type that does not belong there, by the number of the type.
    UnexpectedRecord(u8),
    /// A record of another version of TLS, by its number on the wire.
    RecordVersion(u16),
    /// A record of zeros alone, in which TLS 1.3 finds no type.
    NoContentType,
    /// Too many records in a row that bring no data.
    NoData {
        /// How many there may be.
        max: u32,
    },
    /// An alert that is not two bytes long.
    BadAlert,
    /// A handshake message that does not belong after the handshake, by the number of its type.
    UnexpectedMessage(u8),
    /// A handshake message is longer than any that is taken.
    MessageTooLong {
        /// Its length, in bytes.
        len: usize,
        /// The most that there may be, in bytes.
        max: usize,
    },
    /// A handshake message that does not read as one: which.
    BadMessage(&'static str),
    /// Other bytes stand between the parts of a handshake message, or behind a change of keys in its record.
    Interleaved,
    /// As many records as the keys allow were sent, or received, and TLS 1.2 cannot change its keys.
    KeysWornOut {
        /// How many records one key may protect.
        records_max: u64,
    },
    /// The keys of the connection could not be made anew.
    Keys,
    /// A record was sent in part, so that nothing can follow it.
    PartialWrite,
    /// It was closed by [`close`](super::Stream::close): nothing can be written any more.
    Closed,
    /// What lies below failed: its kind, and the system's code if it had one.
    Transport(io::ErrorKind, Option<i32>),
}

impl Fault {
    /// What the peer is told, if it is told.
    pub(super) fn alert(self) -> Option<Alert> {
        Some(match self {
            Self::BadMac | Self::RecordTooShort { .. } => Alert::BAD_RECORD_MAC,
            Self::RecordOverflow { .. } => Alert::RECORD_OVERFLOW,
            Self::UnexpectedRecord(_)
            | Self::NoContentType
            | Self::NoData { .. }
            | Self::UnexpectedMessage(_)
            | Self::Interleaved => Alert::UNEXPECTED_MESSAGE,
            Self::RecordVersion(_) => Alert::PROTOCOL_VERSION,
            Self::BadAlert | Self::MessageTooLong { .. } | Self::BadMessage(_) => {
                Alert::DECODE_ERROR
            }
            Self::KeysWornOut { .. } => Alert::CLOSE_NOTIFY,
            Self::Keys => Alert::INTERNAL_ERROR,
            Self::Alert(_)
            | Self::Truncated { .. }
            | Self::PartialWrite
            | Self::Closed
            | Self::Transport(..) => return None,
        })
    }

    /// The kind that an [`io::Error`] of it has.
    pub(super) fn kind(self) -> io::ErrorKind {
        match self {
            Self::Alert(_) => io::ErrorKind::ConnectionAborted,
            Self::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            Self::KeysWornOut { .. } | Self::Keys => io::ErrorKind::Other,
            Self::PartialWrite | Self::Closed => io::ErrorKind::BrokenPipe,
            Self::Transport(kind, _) => kind,
            _ => io::ErrorKind::InvalidData,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Alert(alert) => write!(f, "the peer ended the connection with alert {alert}"),
            Self::BadMac => f.write_str(
                "a record does not authenticate: it was changed on its way, or is not of this connection",
            ),
            Self::Truncated { partial: 0 } => {
                f.write_str("the connection ended without `close_notify`: more may have been sent")
            }
            Self::Truncated { partial } => write!(
                f,
                "the connection ended without `close_notify`, {partial} bytes into a record"
            ),
            Self::RecordOverflow { len, max } => {
                write!(f, "a record of {len} bytes came, of {max} at the most")
            }
            Self::RecordTooShort { len } => {
                write!(f, "a record of {len} bytes is too short to be protected")
            }
            Self::UnexpectedRecord(kind) => {
                write!(f, "a record of type {kind} does not belong there")
            }
            Self::RecordVersion(version) => {
                write!(f, "a record of version {version:#06x} came, of 0x0303")
            }
            Self::NoContentType => f.write_str("a record holds nothing but padding"),
            Self::NoData { max } => {
                write!(f, "more than {max} records in a row brought no data")
            }
            Self::BadAlert => f.write_str("an alert does not read as one"),
            Self::UnexpectedMessage(kind) => write!(
                f,
                "a handshake message of type {kind} does not belong after the handshake"
            ),
            Self::MessageTooLong { len, max } => write!(
                f,
                "a handshake message of {len} bytes came, of {max} at the most"
            ),
            Self::BadMessage(which) => write!(f, "a {which} does not read as one"),
            Self::Interleaved => f.write_str(
                "a handshake message is cut by other records, or its record goes on behind a change of keys",
            ),
            Self::KeysWornOut { records_max } => write!(
                f,
                "the keys have protected {records_max} records and TLS 1.2 cannot change them: connect again"
            ),
            Self::Keys => f.write_str("the keys of the connection could not be made anew"),
            Self::PartialWrite => {
                f.write_str("a record was sent in part, and nothing can follow it: connect again")
            }
            Self::Closed => f.write_str("the stream was closed for writing"),
            Self::Transport(kind, _) => write!(f, "the connection failed: {kind}"),
        }
    }
}

impl std::error::Error for Fault {}
