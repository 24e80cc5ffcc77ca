//! Reads, peeks, writes and accepts: what was sent, and where each byte and each connection went.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flux::net::{TcpListener, TcpStream};

use crate::contests::{Completer, Contest, Ended, ended};

/// The two ends of a connection inside the process: what is written to one is there for the other at once.
pub(crate) fn ends() -> (TcpStream, UnixStream) {
    let (end, peer) = UnixStream::pair().unwrap();
    peer.set_nonblocking(true).unwrap();
    (OwnedFd::from(end).into(), peer)
}

/// All that can be read now.
pub(crate) fn unread(socket: impl AsFd) -> Vec<u8> {
    let mut socket = UnixStream::from(socket.as_fd().try_clone_to_owned().unwrap());
    socket.set_nonblocking(true).unwrap();
    let mut bytes = Vec::new();
    let error = socket.read_to_end(&mut bytes).map(drop);
    assert!(error.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    socket.set_nonblocking(false).unwrap();
    bytes
}

const BYTES: &[u8] = b"abc";

/// A read, or a peek.
pub(crate) struct Receive {
    end: TcpStream,
    peer: UnixStream,
    peek: bool,
}

impl Receive {
    pub(crate) fn new(peek: bool) -> Self {
        let (end, peer) = ends();
        Self { end, peer, peek }
    }
}

impl Contest for Receive {
    fn attempt(&self) -> Ended {
        let mut buffer = [0; 8];
        let (ended, count) = ended(if self.peek {
            self.end.peek(&mut buffer)
        } else {
            (&self.end).read(&mut buffer)
        });
        let delivered = count.map_or(&b""[..], |count| &buffer[..count]);
        assert_eq!(delivered, if ended == Ended::Done { BYTES } else { b"" });
        ended
    }

    fn set_timeout(&self, timeout: Option<Duration>) -> bool {
        self.end.set_read_timeout(timeout).unwrap();
        true
    }

    fn completer(&self) -> Option<Completer> {
        let mut peer = self.peer.try_clone().unwrap();
        Some(Box::new(move || peer.write_all(BYTES).unwrap()))
    }

    fn settle_up(&self, ended: Ended) {
        let taken = ended == Ended::Done && !self.peek;
        assert_eq!(unread(&self.end), if taken { b"" } else { BYTES });
    }
}

/// What was in the way of a write, and what it writes.
const FILL: u8 = 0;
pub(crate) const WRITTEN: u8 = 7;

/// A write to a socket that is full.
pub(crate) struct Write {
    end: TcpStream,
    peer: UnixStream,
    filled: usize,
    taken: Cell<usize>,
    read: Arc<[AtomicUsize; 2]>,
}

/// Writes until nothing more fits, which is not much; how much that was.
pub(crate) fn fill(end: &TcpStream) -> usize {
    socket2::SockRef::from(end)
        .set_send_buffer_size(4096)
        .unwrap();
    let mut filler = UnixStream::from(end.as_fd().try_clone_to_owned().unwrap());
    filler.set_nonblocking(true).unwrap();
    let mut filled = 0;
    while let Ok(count) = filler.write(&[FILL; 1024]) {
        filled += count;
    }
    filler.set_nonblocking(false).unwrap();
    filled
}

impl Write {
    pub(crate) fn new() -> Self {
        let (end, peer) = ends();
        let filled = fill(&end);
        Self {
            end,
            peer,
            filled,
            taken: Cell::new(0),
            read: Arc::default(),
        }
    }
}

/// Reads all that is there, and counts what filled the socket apart from what was written.
fn drain(mut peer: &UnixStream, read: &[AtomicUsize; 2]) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = peer.read(&mut buffer) {
        for byte in &buffer[..count] {
            read[usize::from(*byte == WRITTEN)].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Contest for Write {
    fn attempt(&self) -> Ended {
        let (ended, count) = ended((&self.end).write(&[WRITTEN; 100]));
        assert_ne!(count, Some(0));
        self.taken.set(self.taken.get() + count.unwrap_or(0));
        ended
    }

    fn set_timeout(&self, timeout: Option<Duration>) -> bool {
        self.end.set_write_timeout(timeout).unwrap();
        true
    }

    fn completer(&self) -> Option<Completer> {
        let (peer, read) = (self.peer.try_clone().unwrap(), Arc::clone(&self.read));
        Some(Box::new(move || drain(&peer, &read)))
    }

    fn settle_up(&self, ended: Ended) {
        assert_eq!(ended == Ended::Done, self.taken.get() > 0);
        drain(&self.peer, &self.read);
        let read = [0, 1].map(|which: usize| self.read[which].load(Ordering::Relaxed));
        assert_eq!(read, [self.filled, self.taken.get()]);
    }
}

/// A connection to be accepted.
pub(crate) struct Accept {
    listener: TcpListener,
    accepted: RefCell<Option<(TcpStream, SocketAddr)>>,
    connected: Arc<Mutex<Option<StdStream>>>,
}

impl Accept {
    pub(crate) fn new() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            accepted: RefCell::new(None),
            connected: Arc::default(),
        }
    }
}

impl Contest for Accept {
    fn attempt(&self) -> Ended {
        let (ended, accepted) = ended(self.listener.accept());
        if let Some(accepted) = accepted {
            assert!(self.accepted.borrow_mut().replace(accepted).is_none());
        }
        ended
    }

    fn completer(&self) -> Option<Completer> {
        let address = self.listener.local_addr().unwrap();
        let connected = Arc::clone(&self.connected);
        Some(Box::new(move || {
            let stream = StdStream::connect(address).unwrap();
            *connected.lock().unwrap() = Some(stream);
        }))
    }

    fn settle_up(&self, ended: Ended) {
        let connected = self.connected.lock().unwrap();
        let connected = connected.as_ref().expect("it was completed");
        let accepted = self.accepted.borrow();
        assert_eq!(accepted.is_some(), ended == Ended::Done);
        let socket = self.listener.as_fd().try_clone_to_owned().unwrap();
        let listener = StdListener::from(socket);
        listener.set_nonblocking(true).unwrap();
        let next = || listener.accept().map_err(|error| error.kind());
        let (stream, address) = match &*accepted {
            Some((stream, address)) => (
                stream.as_fd().try_clone_to_owned().unwrap().into(),
                *address,
            ),
            None => next().expect("the connection waits for the next accept"),
        };
        assert_eq!(address, connected.local_addr().unwrap());
        // It is the connection, and it lives.
        let (mut there, mut here) = (stream, connected);
        here.write_all(BYTES).unwrap();
        there.set_nonblocking(false).unwrap();
        let mut bytes = [0; 3];
        there.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, BYTES);
        assert_eq!(next().map(drop), Err(ErrorKind::WouldBlock));
    }
}
