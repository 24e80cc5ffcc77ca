//! Frames out of memory: what reading a WebSocket costs without a network.
//!
//! Owns the memory that plays a connection, and the readers over it.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use flux::net::Wire;
use flux::ws::{self, Message, Request};
use tungstenite::WebSocket;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};

use crate::Fault;
use crate::floor::{self, Check};
use crate::harness::{Sample, timed};
use crate::hot::{TUNED_READ_BYTES, Tape};

/// A frame, with its header of four bytes.
const FRAME_BYTES: usize = 278;
const TEXT_BYTES: usize = FRAME_BYTES - 4;
/// What a wire holds, and what it may bring at once: far more than the longest message.
const WIRE_BYTES: usize = 256 * 1024;
/// Many at once are as many as 16 KiB hold, and the one that goes over them.
const MANY_BYTES: usize = 16 * 1024;

/// Frames of a server, and how many come at once.
#[derive(Clone, Debug)]
pub struct Frames {
    bytes: Arc<[u8]>,
    /// Where each read of them ends.
    reads: Arc<[usize]>,
    messages: u64,
    text_bytes: usize,
}

impl Frames {
    /// The same text of 274 bytes again and again: what there is stays in the nearest cache.
    #[must_use]
    pub fn same(many: bool) -> Self {
        const BEGINNING: &str =
            r#"{"stream":"btcusdt@bookTicker","data":{"u":5123107839020,"s":"BTCUSDT","b":""#;
        let mut text = BEGINNING.repeat(TEXT_BYTES.div_ceil(BEGINNING.len()));
        text.truncate(TEXT_BYTES);
        let mut frames = Vec::new();
        let ends = (0..MANY_BYTES / FRAME_BYTES).map(|_| {
            floor::write(text.as_bytes(), &mut frames);
            frames.len()
        });
        let ends: Vec<usize> = ends.collect();
        Self::of(&frames, &ends, many)
    }

    /// Those of a tape, whose lengths nobody can foresee.
    #[must_use]
    pub fn of_tape(tape: &Tape, many: bool) -> Self {
        let mut end = 0;
        let ends = (0..tape.messages()).map(|message| {
            end += tape.frames(message, 1).len();
            end
        });
        let ends: Vec<usize> = ends.collect();
        Self::of(tape.frames(0, tape.messages()), &ends, many)
    }

    fn of(bytes: &[u8], ends: &[usize], many: bool) -> Self {
        let mut reads = Vec::new();
        let mut text_bytes = 0;
        let (mut read_from, mut frame_from) = (0, 0);
        for (&end, left) in ends.iter().zip((0..ends.len()).rev()) {
            if !many || end - read_from >= MANY_BYTES || left == 0 {
                reads.push(end);
                read_from = end;
            }
            let frame = end - frame_from;
            text_bytes += frame
                - if frame < 128 {
                    2
                } else if frame < 65_540 {
                    4
                } else {
                    10
                };
            frame_from = end;
        }
        Self {
            bytes: bytes.into(),
            reads: reads.into(),
            messages: ends.len() as u64,
            text_bytes,
        }
    }
}

/// Plays a connection: each read copies what came, as the kernel would. Answers a client's handshake first, if there
/// is one.
struct Played {
    frames: Frames,
    /// The number of the next read, and where it begins.
    read: usize,
    from: usize,
    memory: Box<[u8]>,
    start: usize,
    end: usize,
    request: Vec<u8>,
}

impl Played {
    fn new(frames: &Frames) -> Self {
        Self {
            frames: frames.clone(),
            read: 0,
            from: 0,
            memory: vec![0; WIRE_BYTES].into(),
            start: 0,
            end: 0,
            request: Vec::new(),
        }
    }

    /// What the next read brings; again from the beginning after the last.
    #[inline]
    fn next(&mut self) -> Range<usize> {
        if self.read == self.frames.reads.len() {
            (self.read, self.from) = (0, 0);
        }
        let until = self.frames.reads[self.read];
        self.from..until
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
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {key}\r\n\r\n"
        );
        self.memory[..answer.len()].copy_from_slice(answer.as_bytes());
        self.end = answer.len();
        self.request.clear();
        Ok(())
    }
}

impl Wire for Played {
    #[inline]
    fn fill(&mut self) -> io::Result<usize> {
        if !self.request.is_empty() {
            self.answer()?;
            return Ok(self.end);
        }
        let read = self.next();
        if self.start == self.end || self.end + read.len() > WIRE_BYTES {
            self.memory.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let until = self.end + read.len();
        self.from = read.end;
        self.read += 1;
        self.memory[self.end..until].copy_from_slice(&self.frames.bytes[read]);
        self.end = until;
        Ok(self.end - self.start)
    }

    #[inline]
    fn unread(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    #[inline]
    fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.end]
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        assert!(count <= self.end - self.start, "more than is unread");
        self.start += count;
    }

    fn capacity(&self) -> usize {
        WIRE_BYTES
    }
}

impl Write for Played {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.request.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same for a library that has a buffer of its own.
impl Read for Played {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.next();
        let count = read.len().min(buffer.len());
        let until = read.start + count;
        buffer[..count].copy_from_slice(&self.frames.bytes[read.start..until]);
        self.from = until;
        self.read += usize::from(until == read.end);
        Ok(count)
    }
}

/// Measures `rounds` times all frames, each of which `read` gives the length of the text of.
fn measured(
    frames: &Frames,
    rounds: u64,
    mut read: impl FnMut() -> Result<usize, Fault>,
) -> Result<Sample, Fault> {
    let messages = rounds * frames.messages;
    let (sample, found) = timed(messages, || {
        let mut bytes = 0;
        for _ in 0..messages {
            bytes += read()?;
        }
        Ok::<_, Fault>(bytes)
    });
    let (found, wanted) = (found?, usize::try_from(rounds)? * frames.text_bytes);
    if found == wanted {
        Ok(sample)
    } else {
        Err(format!("read {found} bytes of text, and {wanted} were there").into())
    }
}

/// `flux::ws`.
///
/// # Errors
/// If it does not read what is there.
pub fn flux(frames: &Frames, rounds: u64) -> Result<Sample, Fault> {
    let mut socket = ws::connect(Played::new(frames), Request::new("localhost", "/"))?;
    measured(frames, rounds, || match socket.read()? {
        Some(Message::Text(text)) => Ok(black_box(text).len()),
        _ => Err("no text came".into()),
    })
}

/// The reader by hand.
///
/// # Errors
/// If it does not read what is there.
pub fn floor(frames: &Frames, rounds: u64, check: Check) -> Result<Sample, Fault> {
    let mut wire = Played::new(frames);
    measured(frames, rounds, || {
        loop {
            if let Some((text, end)) = floor::frame(Wire::unread(&wire), check)? {
                let length = black_box(text).len();
                wire.consume(end);
                return Ok(length);
            }
            wire.fill()?;
        }
    })
}

/// tungstenite, with a small buffer.
///
/// # Errors
/// If it does not read what is there.
pub fn tungstenite(frames: &Frames, rounds: u64) -> Result<Sample, Fault> {
    let config = WebSocketConfig::default().read_buffer_size(TUNED_READ_BYTES);
    let mut socket = WebSocket::from_raw_socket(Played::new(frames), Role::Client, Some(config));
    measured(frames, rounds, || {
        Ok(black_box(socket.read()?.to_text()?).len())
    })
}
