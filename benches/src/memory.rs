//! Frames out of memory: what reading a WebSocket costs without a network.
//!
//! Owns the memory that plays a connection, and the readers over it.

use std::hint::black_box;
use std::io::{self, Read, Write};

use flux::net::Wire;
use flux::ws::{self, Message, Request};
use tungstenite::WebSocket;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};

use crate::Fault;
use crate::floor::{self, Check};
use crate::harness::{Sample, timed};
use crate::hot::TUNED_READ_BYTES;

/// A frame, with its header of four bytes.
const FRAME_BYTES: usize = 278;
const TEXT_BYTES: usize = FRAME_BYTES - 4;

/// The same text again and again, so many frames a read.
fn frames(count: usize) -> Vec<u8> {
    const BEGINNING: &str =
        r#"{"stream":"btcusdt@bookTicker","data":{"u":5123107839020,"s":"BTCUSDT","b":""#;
    let mut text = BEGINNING.repeat(TEXT_BYTES.div_ceil(BEGINNING.len()));
    text.truncate(TEXT_BYTES);
    let mut frames = Vec::new();
    for _ in 0..count {
        floor::write(text.as_bytes(), &mut frames);
    }
    frames
}

/// Plays a connection: each fill brings the same frames, and nothing is copied. Answers a client's handshake.
struct Prefilled {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    frames: Vec<u8>,
    request: Vec<u8>,
}

impl Prefilled {
    /// Frames at once.
    fn upgraded(per_fill: usize) -> Self {
        Self {
            bytes: frames(per_fill),
            start: 0,
            end: 0,
            frames: Vec::new(),
            request: Vec::new(),
        }
    }

    /// An answer to the handshake first.
    fn asked_first(per_fill: usize) -> Self {
        let mut wire = Self::upgraded(per_fill);
        wire.frames = std::mem::take(&mut wire.bytes);
        wire
    }

    #[cold]
    fn answer(&mut self) -> io::Result<()> {
        let request = String::from_utf8_lossy(&self.request);
        let key = request.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key")
                .then_some(value.trim())
        });
        let key = derive_accept_key(key.ok_or(io::ErrorKind::InvalidData)?.as_bytes());
        self.bytes = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {key}\r\n\r\n"
        )
        .into_bytes();
        self.end = self.bytes.len();
        self.request.clear();
        Ok(())
    }
}

impl Wire for Prefilled {
    #[inline]
    fn fill(&mut self) -> io::Result<usize> {
        if !self.request.is_empty() {
            self.answer()?;
        } else if self.start == self.end {
            if !self.frames.is_empty() {
                self.bytes = std::mem::take(&mut self.frames);
            }
            (self.start, self.end) = (0, self.bytes.len());
        }
        Ok(self.end - self.start)
    }

    #[inline]
    fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    #[inline]
    fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        assert!(count <= self.end - self.start, "more than is unread");
        self.start += count;
    }

    fn capacity(&self) -> usize {
        1 << 20
    }
}

impl Write for Prefilled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.request.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same for a library that has a buffer of its own.
impl Read for Prefilled {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let unread = Wire::unread(self);
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// How many bytes of text there should have been.
fn checked(messages: u64, (sample, read): (Sample, Result<usize, Fault>)) -> Result<Sample, Fault> {
    let (read, wanted) = (read?, usize::try_from(messages)? * TEXT_BYTES);
    if read == wanted {
        Ok(sample)
    } else {
        Err(format!("read {read} bytes of text, and {wanted} were there").into())
    }
}

/// `flux::ws`.
///
/// # Errors
/// If it does not read what is there.
pub fn flux(messages: u64, per_fill: usize) -> Result<Sample, Fault> {
    let request = Request::new("localhost", "/");
    let mut socket = ws::connect(Prefilled::asked_first(per_fill), request)?;
    let read = timed(messages, || {
        let mut bytes = 0;
        for _ in 0..messages {
            let Some(Message::Text(text)) = socket.read()? else {
                return Err("no text came".into());
            };
            bytes += black_box(text).len();
        }
        Ok(bytes)
    });
    checked(messages, read)
}

/// The reader by hand.
///
/// # Errors
/// If it does not read what is there.
pub fn floor(messages: u64, per_fill: usize, check: Check) -> Result<Sample, Fault> {
    let mut wire = Prefilled::upgraded(per_fill);
    let read = timed(messages, || {
        let mut bytes = 0;
        for _ in 0..messages {
            let end = loop {
                if let Some((text, end)) = floor::frame(Wire::unread(&wire), check)? {
                    bytes += black_box(text).len();
                    break end;
                }
                wire.fill()?;
            };
            wire.consume(end);
        }
        Ok(bytes)
    });
    checked(messages, read)
}

/// tungstenite, with a small buffer.
///
/// # Errors
/// If it does not read what is there.
pub fn tungstenite(messages: u64, per_fill: usize) -> Result<Sample, Fault> {
    let config = WebSocketConfig::default().read_buffer_size(TUNED_READ_BYTES);
    let wire = Prefilled::upgraded(per_fill);
    let mut socket = WebSocket::from_raw_socket(wire, Role::Client, Some(config));
    let read = timed(messages, || {
        let mut bytes = 0;
        for _ in 0..messages {
            bytes += black_box(socket.read()?.to_text()?).len();
        }
        Ok(bytes)
    });
    checked(messages, read)
}
