//! A wire made of memory, what a peer puts on it piece by piece, and frames made by hand.

#![allow(dead_code, reason = "each suite takes what it needs of this")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::rc::Rc;

use flux::net::Wire;
use flux::ws::{self, Config, Request, WebSocket};
use tungstenite::handshake::derive_accept_key;

/// What one `fill` brings.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Bytes(Vec<u8>),
    Fails(ErrorKind),
    Panics,
}

/// What a test sees of a wire that a WebSocket has.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// All that was sent.
    pub(crate) sent: Vec<u8>,
    /// How many bytes each write took.
    pub(crate) writes: Vec<usize>,
    /// How many bytes the next writes take, before `None` fails.
    pub(crate) takes: VecDeque<Option<usize>>,
    /// The write after those panics.
    pub(crate) panics: bool,
    pub(crate) fills: usize,
    /// The most bytes that were unread at once.
    pub(crate) high_water: usize,
}

type Answering = dyn Fn(&str) -> Vec<Step>;

/// Makes the answer to a request, in pieces.
struct Answer(Box<Answering>);

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// Holds at most `capacity` unread bytes, which come in the pieces of a script.
#[derive(Debug)]
pub(crate) struct Memory {
    unread: Vec<u8>,
    capacity: usize,
    script: VecDeque<Step>,
    /// How a client's request is answered, given its `Sec-WebSocket-Accept`.
    answer: Option<Answer>,
    pub(crate) seen: Rc<RefCell<Seen>>,
}

impl Memory {
    pub(crate) fn new(capacity: usize, script: impl IntoIterator<Item = Step>) -> Self {
        Self {
            unread: Vec::new(),
            capacity,
            script: script.into_iter().collect(),
            answer: None,
            seen: Rc::default(),
        }
    }

    /// Answers a client's request, before the rest of the script.
    pub(crate) fn answer_by(&mut self, answer: impl Fn(&str) -> Vec<Step> + 'static) {
        self.answer = Some(Answer(Box::new(answer)));
    }
}

impl Wire for Memory {
    fn fill(&mut self) -> io::Result<usize> {
        let mut seen = self.seen.borrow_mut();
        seen.fills += 1;
        let room = self.capacity - self.unread.len();
        if room == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        match self.script.pop_front() {
            Some(Step::Bytes(mut bytes)) => {
                if bytes.len() > room {
                    let later = bytes.split_off(room);
                    self.script.push_front(Step::Bytes(later));
                }
                self.unread.append(&mut bytes);
            }
            Some(Step::Fails(kind)) => return Err(kind.into()),
            Some(Step::Panics) => panic!("a wire that panics"),
            None => {}
        }
        seen.high_water = seen.high_water.max(self.unread.len());
        Ok(self.unread.len())
    }

    fn unread(&self) -> &[u8] {
        &self.unread
    }

    fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.unread
    }

    fn consume(&mut self, count: usize) {
        self.unread.drain(..count);
    }

    fn capacity(&self) -> usize {
        self.capacity
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut seen = self.seen.borrow_mut();
        let count = match seen.takes.pop_front() {
            Some(None) => return Err(ErrorKind::TimedOut.into()),
            Some(Some(most)) => bytes.len().min(most),
            None if std::mem::take(&mut seen.panics) => panic!("a wire that panics"),
            None => bytes.len(),
        };
        seen.sent.extend_from_slice(&bytes[..count]);
        seen.writes.push(count);
        if self.answer.is_some() && seen.sent.ends_with(b"\r\n\r\n") {
            let request = String::from_utf8(seen.sent.clone()).unwrap();
            let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap();
            let accept = derive_accept_key(key.split("\r\n").next().unwrap().as_bytes());
            let Answer(answer) = self.answer.take().unwrap();
            for step in answer(&accept).into_iter().rev() {
                self.script.push_front(step);
            }
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Which end is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Server,
}

pub(crate) const ENDS: [End; 2] = [End::Client, End::Server];

/// The key of all frames that clients send here.
pub(crate) const KEY: [u8; 4] = [0x5a, 0xa5, 0x0f, 0xf1];

impl End {
    /// A frame as the other side sends it, from its first byte.
    pub(crate) fn frame(self, first: u8, payload: &[u8]) -> Vec<u8> {
        frame(first, payload, (self == Self::Server).then_some(KEY))
    }

    /// This end of a connection after its handshake, with no byte seen as sent before.
    pub(crate) fn over(
        self,
        capacity: usize,
        config: Config,
        script: impl IntoIterator<Item = Step>,
    ) -> (WebSocket<Memory>, Rc<RefCell<Seen>>) {
        let mut wire = Memory::new(capacity, script);
        let seen = Rc::clone(&wire.seen);
        let socket = match self {
            Self::Client => {
                wire.answer_by(|accept| {
                    let answer = format!(
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Accept: {accept}\r\n\r\n"
                    );
                    vec![Step::Bytes(answer.into_bytes())]
                });
                let request = Request::new("localhost", "/").config(config);
                ws::connect(wire, request).unwrap()
            }
            Self::Server => {
                wire.script.push_front(Step::Bytes(REQUEST.to_vec()));
                ws::accept(wire, config).unwrap()
            }
        };
        *seen.borrow_mut() = Seen::default();
        (socket, seen)
    }
}

/// The request of the RFC's section 1.2.
pub(crate) const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\
      Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A frame from its first byte, with the shortest length there is.
pub(crate) fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(masked | u8::try_from(len).unwrap()),
        len @ 126..=0xffff => {
            bytes.push(masked + 126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            bytes.push(masked + 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    let key_bytes = key.unwrap_or_default();
    if key.is_some() {
        bytes.extend(key_bytes);
    }
    bytes.extend(
        payload
            .iter()
            .zip(key_bytes.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    bytes
}

/// A frame that this end sent: its first byte, and its payload unmasked.
pub(crate) type Sent = (u8, Vec<u8>);

/// The frames among what this end sent, which must be whole, and masked if and only if it is a client.
pub(crate) fn frames(end: End, mut bytes: &[u8]) -> Vec<Sent> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (first, second) = (bytes[0], bytes[1]);
        assert_eq!(second & 0x80 != 0, end == End::Client, "{bytes:x?}");
        let (len, mut at) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 => {
                let len = u64::from_be_bytes(bytes[2..10].try_into().unwrap());
                (usize::try_from(len).unwrap(), 10)
            }
            len => (usize::from(len), 2),
        };
        let mut key = [0; 4];
        if end == End::Client {
            key.copy_from_slice(&bytes[at..at + 4]);
            at += 4;
        }
        let masked = bytes[at..at + len].iter().zip(key.iter().cycle());
        all.push((first, masked.map(|(byte, key)| byte ^ key).collect()));
        bytes = &bytes[at + len..];
    }
    all
}

/// The bytes in pieces of a size.
pub(crate) fn pieces(bytes: &[u8], size: usize) -> Vec<Step> {
    bytes
        .chunks(size)
        .map(|piece| Step::Bytes(piece.to_vec()))
        .collect()
}
