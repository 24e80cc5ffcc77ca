//! WebSocket (RFC 6455), client and server, in place on the bytes of a [`Wire`](crate::net::Wire).
//!
//! Behind the feature `ws`.
//!
//! [`connect`] and [`accept`] make a [`WebSocket`] of whatever brings bytes: a feed of a socket, or what decrypts over
//! one. Its messages are slices of the memory that the kernel wrote to: one that came as one frame is neither copied
//! nor moved, and nothing is allocated between the handshake and the close frame. There are no extensions, compression
//! among them.
//!
//! What may surprise: pings are answered within [`read`](WebSocket::read), so that somebody has to be reading; nothing
//! is said to the other side when a `WebSocket` is dropped; and each frame is a write of its own, so that a socket that
//! sends wants [`set_nodelay`](crate::net::TcpStream::set_nodelay).
//!
//! # Example
//! A feed and the one who follows it, in one process:
//!
//! ```
//! use flux::net::{TcpListener, TcpStream};
//! use flux::ws::{self, Config, Message, Request, code};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! flux::Config::new().run(|| -> Result<(), ws::Error> {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     let server = flux::spawn(move || -> Result<(), ws::Error> {
//!         let (stream, _) = listener.accept()?;
//!         let mut socket = ws::accept(stream.into_feed()?, Config::new())?;
//!         socket.send_text(r#"{"u":1,"b":"61659.70"}"#)?;
//!         socket.send_text(r#"{"u":2,"b":"61659.80"}"#)?;
//!         socket.close(code::NORMAL, "that is all")?;
//!         while socket.read()?.is_some() {} // until the client has closed too
//!         Ok(())
//!     });
//!     let feed = TcpStream::connect(address)?.into_feed()?;
//!     let mut socket = ws::connect(feed, Request::new("localhost", "/quotes"))?;
//!     let mut updates = 0;
//!     while let Some(message) = socket.read()? {
//!         let Message::Text(update) = message else { continue };
//!         assert!(update.starts_with(r#"{"u":"#)); // in the memory that the kernel wrote it to
//!         updates += 1;
//!     }
//!     assert_eq!((updates, socket.close_reason()), (2, Some("that is all")));
//!     server.join().expect("the server does not panic")
//! })??;
//! # Ok(())
//! # }
//! ```
//!
//! # Why it is our own
//! The framers that take bytes rather than a socket were read first. Each copies where this one must not: they own a
//! buffer and move the rest of it down after a frame (ws-framer), keep a `Vec` for what spans two reads (nexus-web), or
//! hand out pieces for the caller to put together (websocket-sans-io, embedded-websocket); and those that have a stream
//! below own their buffers wholly (tungstenite, fastwebsockets). None can be given memory that somebody else fills and
//! that must be given back in order, which is what a feed is. What is left to write is a header of fourteen bytes and
//! rules that a test suite knows by number; the parts where mistakes are dear come from elsewhere: HTTP from
//! `httparse`, UTF-8 from `simdutf8`, masking keys from `rand`.

mod assemble;
mod close;
mod config;
mod error;
mod frame;
mod handshake;
mod mask;
mod read;
mod send;
mod socket;
mod utf8;

pub use close::code;
pub use config::Config;
pub use error::{Error, HandshakeError, Limit, Misuse, Refusal, Violation};
pub use frame::Opcode;
pub use handshake::client::{REFUSAL_BODY_MAX, Request, connect};
pub use handshake::server::{Handshake, accept};
pub use socket::WebSocket;

/// A message, in the memory that it arrived in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The bytes of either kind.
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Which kind it is.
    pub fn kind(self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text: UTF-8.
    Text,
    /// Bytes.
    Binary,
}

impl Kind {
    fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// A frame, in the memory that it arrived in: unmasked, and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is; never [`Opcode::Close`].
    pub opcode: Opcode,
    /// Whether its message ends with it.
    pub last: bool,
    /// What it holds. That of a text message may begin and end within a character.
    pub payload: &'a [u8],
}
