//! What can go wrong with a WebSocket, as types that a caller can match and sentences that a person can act on.
//!
//! Knows which close code stands for which fault, and nothing of where one arises.

use std::fmt;
use std::io;

use super::close::code;

/// Why a call of this module failed.
///
/// After [`Io`](Self::Io), [`Closed`](Self::Closed) and [`Misuse`](Self::Misuse) the connection is as it was, and the
/// call can be made again. Every other one ends it: later calls fail with the same.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// What the wire brought: `ECANCELED` and [`TimedOut`](io::ErrorKind::TimedOut) among others. No byte that had
    /// arrived is lost, nor one that was to be sent: the next call goes on where this one stopped.
    Io(io::Error),
    /// The other side went away without a close frame: what it had to say may not be all here.
    UnexpectedEof,
    /// The connection has been closed in good order, so that nothing can be sent any more.
    Closed,
    /// The other side broke the protocol. It has been told so in a close frame.
    Protocol(Violation),
    /// The other side sent more than this side takes. It has been told so in a close frame.
    Limit(Limit),
    /// The handshake is none.
    Handshake(HandshakeError),
    /// The server answered the handshake with another status than 101.
    Refused(Box<Refusal>),
    /// An earlier send ended within its frame, so that no other can follow it. Reading works on.
    Unfinished,
    /// The caller asked for what cannot be: the sentence says what.
    Misuse(Misuse),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::UnexpectedEof => {
                f.write_str("the connection ended without a close frame of the other side")
            }
            Self::Closed => f.write_str("the WebSocket is closed"),
            Self::Protocol(violation) => violation.fmt(f),
            Self::Limit(limit) => limit.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Unfinished => f.write_str(
                "an earlier send was stopped within its frame, so that nothing can be sent after it; connect anew",
            ),
            Self::Misuse(misuse) => misuse.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::Protocol(violation) => Some(violation),
            Self::Limit(limit) => Some(limit),
            Self::Handshake(error) => Some(error),
            Self::Refused(refusal) => Some(refusal.as_ref()),
            Self::Misuse(misuse) => Some(misuse),
            Self::UnexpectedEof | Self::Closed | Self::Unfinished => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Protocol(violation)
    }
}

impl From<Error> for io::Error {
    /// An error of the wire is itself again, its code included.
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Io(error) => return error,
            Error::UnexpectedEof => io::ErrorKind::UnexpectedEof,
            Error::Closed => io::ErrorKind::NotConnected,
            Error::Protocol(_) | Error::Limit(_) | Error::Handshake(_) => {
                io::ErrorKind::InvalidData
            }
            Error::Refused(_) => io::ErrorKind::ConnectionRefused,
            Error::Unfinished => io::ErrorKind::BrokenPipe,
            Error::Misuse(_) => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

/// Gives an enum of faults its sentences, each to its variant.
macro_rules! sentences {
    ($name:ident: $($variant:pat => $($sentence:expr),+;)+) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($variant => write!(f, $($sentence),+),)+
                }
            }
        }

        impl std::error::Error for $name {}
    };
}

/// What RFC 6455 forbids and the other side did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A reserved bit is set, and no extension was agreed on (section 5.2).
    ReservedBits,
    /// An opcode without a meaning (section 5.2).
    Opcode(u8),
    /// A control frame that is not the only one of its message (section 5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (section 5.5).
    LongControl,
    /// A server's frame that is masked (section 5.1).
    Masked,
    /// A client's frame that is not masked (section 5.1).
    Unmasked,
    /// A length that is not in its shortest form (section 5.2).
    Length,
    /// A length of 64 bits whose highest is set (section 5.2).
    LengthSign,
    /// More of a message that was not begun (section 5.4).
    Continuation,
    /// A message that begins before the last one has ended (section 5.4).
    Interleaved,
    /// Text that is not UTF-8 (section 8.1).
    Utf8,
    /// A close frame of one byte (section 5.5.1).
    CloseLength,
    /// A close code that nobody may send (section 7.4).
    CloseCode(u16),
    /// The reason in a close frame is not UTF-8 (section 5.5.1).
    CloseReason,
}

sentences! { Violation:
    Self::ReservedBits => "a frame has a reserved bit set";
    Self::Opcode(bits) => "a frame has the opcode {bits:#x}, which means nothing";
    Self::FragmentedControl => "a control frame is fragmented";
    Self::LongControl => "a control frame has more than 125 bytes";
    Self::Masked => "the server masked a frame";
    Self::Unmasked => "the client did not mask a frame";
    Self::Length => "a frame gives its length in a longer form than it needs";
    Self::LengthSign => "a frame gives a length of 2^63 bytes or more";
    Self::Continuation => "a frame goes on with a message that was not begun";
    Self::Interleaved => "a message begins before the last one has ended";
    Self::Utf8 => "a text message is not UTF-8";
    Self::CloseLength => "a close frame has one byte, of a code of two";
    Self::CloseCode(code) => "a close frame gives the code {code}, which nobody may send";
    Self::CloseReason => "the reason in a close frame is not UTF-8";
}

impl Violation {
    /// What the other side is told.
    pub(super) fn close_code(self) -> u16 {
        match self {
            Self::Utf8 | Self::CloseReason => code::INVALID_DATA,
            _ => code::PROTOCOL_ERROR,
        }
    }
}

/// A limit that the other side went beyond, with the setting that raises it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// The payload of one frame ([`Config::frame_max`](super::Config::frame_max)).
    Frame {
        /// What it claims to be, in bytes.
        len: u64,
        /// What it may be.
        max: usize,
    },
    /// A message, as far as it has come ([`Config::message_max`](super::Config::message_max)).
    Message {
        /// What it is with the frame that has begun, in bytes.
        len: u64,
        /// What it may be.
        max: usize,
    },
    /// A message within the memory of the wire, where messages are put together.
    Capacity {
        /// What has to lie there at once, in bytes.
        len: u64,
        /// What may.
        max: usize,
    },
    /// The frames of one message ([`Config::fragments_max`](super::Config::fragments_max)).
    Fragments {
        /// How many may be.
        max: u32,
    },
    /// The head of the handshake ([`Config::head_max`](super::Config::head_max)).
    Head {
        /// How many bytes it may have.
        max: usize,
    },
    /// The headers of the handshake ([`Config::headers_max`](super::Config::headers_max)).
    Headers {
        /// How many may be.
        max: usize,
    },
}

sentences! { Limit:
    Self::Frame { len, max } =>
        "a frame of {len} bytes is longer than the {max} that `ws::Config::frame_max` allows";
    Self::Message { len, max } =>
        "a message of {len} bytes or more is longer than the {max} that `ws::Config::message_max` allows";
    Self::Capacity { len, max } =>
        "a message needs {len} bytes of the wire's memory, of which it can have {max}; give the wire more, with \
         `feed_buffer` for a feed (or `FLUX_FEED_BUFFER`)";
    Self::Fragments { max } =>
        "a message comes in more frames than the {max} that `ws::Config::fragments_max` allows";
    Self::Head { max } =>
        "the head of the handshake is longer than the {max} bytes that `ws::Config::head_max` and the wire's memory \
         allow";
    Self::Headers { max } =>
        "the handshake has more headers than the {max} that `ws::Config::headers_max` allows";
}

impl Limit {
    /// What the other side is told.
    pub(super) fn close_code(self) -> u16 {
        match self {
            Self::Fragments { .. } => code::POLICY_VIOLATION,
            _ => code::TOO_LARGE,
        }
    }
}

/// Why a handshake is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// It is not HTTP: what the parser says of it.
    Malformed(String),
    /// It is HTTP older than 1.1.
    Version,
    /// A request by another method than GET.
    Method(String),
    /// A header that must be there once is missing, is there again, or says something else.
    Header(&'static str),
    /// The client speaks another version of WebSocket than 13.
    WebSocketVersion,
    /// The server's proof that it has read the key is wrong.
    Accept,
    /// The server uses an extension that it was not asked for.
    Extension(String),
    /// The server speaks a subprotocol that it was not asked for.
    Protocol(String),
}

sentences! { HandshakeError:
    Self::Malformed(why) => "the handshake is not HTTP: {why}";
    Self::Version => "the handshake is HTTP older than 1.1";
    Self::Method(method) => "the handshake has the method `{method}`, but must have `GET`";
    Self::Header(name) => "the handshake has no `{name}` header that says what it must, or has it again";
    Self::WebSocketVersion => "the client speaks another version of WebSocket than 13";
    Self::Accept => "the server's `Sec-WebSocket-Accept` does not belong to the key that it was sent";
    Self::Extension(name) => "the server uses the extension `{name}`, for which it was not asked";
    Self::Protocol(name) => "the server speaks the subprotocol `{name}`, for which it was not asked";
}

/// How much of a body a sentence shows: its first line, and of that so many characters.
const BODY_SHOWN: usize = 160;

/// A server's answer that is not 101.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The status, 404 for example.
    pub status: u16,
    /// What the server calls it.
    pub reason: String,
    /// The beginning of the body, at most [`REFUSAL_BODY_MAX`](super::REFUSAL_BODY_MAX) bytes.
    pub body: Vec<u8>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, reason, .. } = self;
        write!(
            f,
            "the server answered the handshake with the status {status} `{reason}`, not with 101"
        )?;
        // It may be a page, and it is somebody else's: nothing of it moves the cursor of a terminal.
        let body = String::from_utf8_lossy(&self.body);
        let line = body.trim().lines().next().unwrap_or_default().trim_end();
        if line.is_empty() {
            return Ok(());
        }
        let shown: String = line.chars().take(BODY_SHOWN).collect();
        write!(f, ": {}", shown.replace(char::is_control, "\u{fffd}"))?;
        f.write_str(if shown.len() < body.trim().len() {
            " .."
        } else {
            ""
        })
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("status", &self.status)
            .field("reason", &self.reason)
            .field("body", &String::from_utf8_lossy(&self.body))
            .finish()
    }
}

impl std::error::Error for Refusal {}

/// What a caller asked for that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// A ping or a pong of so many bytes.
    Payload(usize),
    /// A reason for closing of so many bytes.
    Reason(usize),
    /// A close code that may not be sent.
    Code(u16),
    /// A message, or a part of another kind, while a message in parts is under way.
    Parts,
    /// Parts of a text that together are not UTF-8.
    Text,
    /// `read` within a message that `read_frame` began, or the other way round.
    Reading,
    /// What cannot stand in the head of a handshake: which part of it.
    Head(&'static str),
    /// A subprotocol for an answer that the client did not offer.
    Protocol,
    /// A status for refusing that does not refuse.
    Status(u16),
    /// A setting, or memory of the wire, below what works: its name, its value, and the least that does.
    Setting(&'static str, usize, usize),
}

sentences! { Misuse:
    Self::Payload(len) => "a ping or a pong of {len} bytes: it can have 125";
    Self::Reason(len) => "a reason for closing of {len} bytes: it can have 123";
    Self::Code(code) => "the close code {code} is not one that may be sent";
    Self::Parts => "a message in parts is under way: send its last part first";
    Self::Text => "the parts of a text message are not UTF-8";
    Self::Reading =>
        "a message was begun to be read by the other one of `read` and `read_frame`: read it to its end that way";
    Self::Head(part) => "the {part} has characters that cannot stand there in the head of a handshake";
    Self::Protocol => "the subprotocol is not one that the client offers";
    Self::Status(status) => "the status {status} refuses nothing: take one of 300 to 599";
    Self::Setting(name, value, min) => "`{name}` is {value}, but must be {min} or more";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_wire_is_itself_again() {
        let error = io::Error::from(Error::from(io::Error::from_raw_os_error(125)));
        assert_eq!(error.raw_os_error(), Some(125));
        let timed_out = Error::from(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(io::Error::from(timed_out).kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn the_sentence_for_every_violation_fits_into_a_close_frame() {
        for violation in [
            Violation::ReservedBits,
            Violation::Opcode(0xf),
            Violation::FragmentedControl,
            Violation::LongControl,
            Violation::Masked,
            Violation::Unmasked,
            Violation::Length,
            Violation::LengthSign,
            Violation::Continuation,
            Violation::Interleaved,
            Violation::Utf8,
            Violation::CloseLength,
            Violation::CloseCode(u16::MAX),
            Violation::CloseReason,
        ] {
            let sentence = violation.to_string();
            let payload = super::super::close::payload(violation.close_code(), &sentence);
            assert!(payload.is_ok(), "{sentence}");
        }
    }

    #[test]
    fn of_a_page_that_refuses_a_sentence_shows_the_first_line_and_nothing_that_moves_the_cursor() {
        let shown = |body: &[u8]| {
            let refusal = Refusal {
                status: 503,
                reason: "Busy".into(),
                body: body.to_vec(),
            };
            assert!(
                format!("{refusal:?}").contains("status: 503"),
                "{refusal:?}"
            );
            let sentence = refusal.to_string();
            sentence.split_once("not with 101").unwrap().1.to_owned()
        };
        assert_eq!(shown(b" \r\n"), "");
        assert_eq!(shown(b"come back later\r\n"), ": come back later");
        assert_eq!(shown(b"<html>\r\n<body>\r\n"), ": <html> ..");
        assert_eq!(shown(b"a\x1b[2Jb\rc"), ": a\u{fffd}[2Jb\u{fffd}c");
        let long = shown("\u{e9}".repeat(500).as_bytes());
        assert_eq!(long.chars().filter(|c| *c == '\u{e9}').count(), BODY_SHOWN);
        assert!(long.ends_with(" .."), "{long}");
    }

    #[test]
    fn every_other_error_has_a_kind_and_its_sentence() {
        use std::error::Error as _;
        let limit = Limit::Message { len: 70, max: 60 };
        assert_eq!(
            Error::Limit(limit).source().map(ToString::to_string),
            Some(limit.to_string())
        );
        let refusal = Refusal {
            status: 404,
            reason: "Not Found".into(),
            body: b"no such feed\n".to_vec(),
        };
        for (error, kind, sentence) in [
            (
                Error::Limit(limit),
                io::ErrorKind::InvalidData,
                "a message of 70 bytes or more is longer than the 60 that `ws::Config::message_max` allows",
            ),
            (
                Error::Protocol(Violation::Opcode(0xb)),
                io::ErrorKind::InvalidData,
                "a frame has the opcode 0xb, which means nothing",
            ),
            (
                Error::UnexpectedEof,
                io::ErrorKind::UnexpectedEof,
                "the connection ended without a close frame of the other side",
            ),
            (
                Error::Refused(Box::new(refusal)),
                io::ErrorKind::ConnectionRefused,
                "the server answered the handshake with the status 404 `Not Found`, not with 101: no such feed",
            ),
            (
                Error::Misuse(Misuse::Payload(126)),
                io::ErrorKind::InvalidInput,
                "a ping or a pong of 126 bytes: it can have 125",
            ),
        ] {
            let error = io::Error::from(error);
            assert_eq!(error.kind(), kind);
            assert_eq!(error.to_string(), sentence);
        }
    }
}
