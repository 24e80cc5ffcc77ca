//! A wire in memory with a rustls server at its other end: no thread, no socket, and every byte under control.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;

use flux::net::Wire;
use rustls::{ServerConfig, ServerConnection};

/// The other end.
pub(crate) struct Peer {
    /// `None` once its keys were taken out of it.
    pub(crate) server: Option<ServerConnection>,
    /// What is on its way to the client.
    pub(crate) to_client: VecDeque<u8>,
    /// How many bytes at a time arrive, from the first on, and then as many as there are.
    pub(crate) chunks: VecDeque<usize>,
    /// No more will come once what is on its way has.
    pub(crate) ended: bool,
    /// What the server has read.
    pub(crate) received: Vec<u8>,
    /// What the server says of what it was sent.
    pub(crate) fault: Option<rustls::Error>,
    /// What the client sent that no server took.
    pub(crate) from_client: Vec<u8>,
    /// The next waits for more bytes fail like this.
    pub(crate) refuse_fill: VecDeque<io::Error>,
    /// The next writes take so many bytes, or fail.
    pub(crate) writes: VecDeque<io::Result<usize>>,
    /// The write after those panics.
    pub(crate) panics: bool,
    /// The next flushes fail like this.
    pub(crate) refuse_flush: VecDeque<io::Error>,
    /// How many writes were made.
    pub(crate) written: usize,
    /// Of the bytes that go to the client, this one is changed in these bits.
    pub(crate) spoil: Option<(usize, u8)>,
    /// How many bytes have gone to the client.
    pub(crate) sent: usize,
    /// What the server says as soon as it may, in the same flight as the end of its handshake.
    pub(crate) greeting: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Rc<RefCell<Self>> {
        let mut peer = Self::silent();
        peer.server = Some(ServerConnection::new(config).unwrap());
        Rc::new(RefCell::new(peer))
    }

    /// One that says what it was told to, and keeps what it hears.
    pub(crate) fn saying(bytes: &[u8]) -> Rc<RefCell<Self>> {
        let mut peer = Self::silent();
        peer.to_client.extend(bytes);
        Rc::new(RefCell::new(peer))
    }

    fn silent() -> Self {
        Self {
            server: None,
            to_client: VecDeque::new(),
            chunks: VecDeque::new(),
            ended: false,
            received: Vec::new(),
            fault: None,
            from_client: Vec::new(),
            refuse_fill: VecDeque::new(),
            writes: VecDeque::new(),
            panics: false,
            refuse_flush: VecDeque::new(),
            written: 0,
            spoil: None,
            sent: 0,
            greeting: Vec::new(),
        }
    }

    pub(crate) fn server(&mut self) -> &mut ServerConnection {
        self.server.as_mut().unwrap()
    }

    /// The server sends `bytes`, as few records as it can.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.server().writer().write_all(bytes).unwrap();
        self.flush();
    }

    pub(crate) fn close(&mut self) {
        self.server().send_close_notify();
        self.flush();
    }

    /// What the server wants to send is on its way.
    pub(crate) fn flush(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        while server.wants_write() {
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            if let Some((at, bits)) = self.spoil
                && (self.sent..self.sent + bytes.len()).contains(&at)
            {
                bytes[at - self.sent] ^= bits;
            }
            self.sent += bytes.len();
            self.to_client.extend(bytes);
        }
    }

    /// The client has sent `bytes`.
    fn hear(&mut self, mut bytes: &[u8]) {
        let Some(server) = &mut self.server else {
            self.from_client.extend_from_slice(bytes);
            return;
        };
        while !bytes.is_empty() {
            let taken = server.read_tls(&mut bytes).unwrap();
            assert_ne!(taken, 0, "the client goes on behind its `close_notify`");
            if let Err(error) = server.process_new_packets() {
                self.fault.get_or_insert(error);
            }
            // Held back by rustls until it may be sent.
            let greeting = std::mem::take(&mut self.greeting);
            server.writer().write_all(&greeting).unwrap();
            // Nothing more, or the end, which is no failure of the client's either.
            match server.reader().read_to_end(&mut self.received) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        self.flush();
    }
}

/// The client's end.
pub(crate) struct Memory {
    pub(crate) peer: Rc<RefCell<Peer>>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Memory {
    pub(crate) fn new(peer: &Rc<RefCell<Peer>>, capacity: usize) -> Self {
        Self {
            peer: peer.clone(),
            bytes: vec![0; capacity],
            start: 0,
            end: 0,
        }
    }
}

impl Wire for Memory {
    fn fill(&mut self) -> io::Result<usize> {
        let mut peer = self.peer.borrow_mut();
        if self.end - self.start == self.bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(error) = peer.refuse_fill.pop_front() {
            return Err(error);
        }
        if peer.to_client.is_empty() {
            return if peer.ended {
                Ok(self.end - self.start)
            } else {
                Err(io::ErrorKind::TimedOut.into())
            };
        }
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let chunk = peer.chunks.pop_front().unwrap_or(usize::MAX).max(1);
        let room = self.bytes.len() - self.end;
        let count = chunk.min(room).min(peer.to_client.len());
        for at in self.end..self.end + count {
            self.bytes[at] = peer.to_client.pop_front().unwrap();
        }
        self.end += count;
        Ok(self.end)
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    fn consume(&mut self, count: usize) {
        assert!(count <= self.end - self.start, "consumed what is not there");
        self.start += count;
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut peer = self.peer.borrow_mut();
        peer.written += 1;
        let count = match peer.writes.pop_front() {
            Some(Ok(count)) => count.min(bytes.len()),
            Some(Err(error)) => return Err(error),
            None if std::mem::take(&mut peer.panics) => panic!("a wire that panics"),
            None => bytes.len(),
        };
        peer.hear(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.peer.borrow_mut().refuse_flush.pop_front() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
