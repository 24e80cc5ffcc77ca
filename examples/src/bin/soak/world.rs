//! What all drivers share: where the servers are, when the interval ends, what has gone wrong.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use flux::net::{TcpListener, TcpStream};
use flux::sync::{Receiver, Sender, channel};
use flux::time::Instant;
use socket2::{Domain, Socket, Type};

use crate::tally::{Kind, Tally};

/// Servers, on an address each, so that the ports of connections that ended do not run out.
pub(crate) const LISTENERS: usize = 8;
/// How many drivers of a kind have channels of their own.
pub(crate) const PRIVATE: usize = 4;
/// The values that a channel holds.
pub(crate) const CAPACITY: usize = 4;

/// What a driver's act came to: a sentence says what should not have been.
pub(crate) type Act = Result<(), String>;

pub(crate) struct World {
    pub(crate) tally: Tally,
    pub(crate) listeners: [TcpListener; LISTENERS],
    pub(crate) addresses: [SocketAddr; LISTENERS],
    /// Where a connection attempt is neither taken nor refused.
    pub(crate) unanswered: SocketAddr,
    _full: (Socket, Vec<Socket>),
    /// Channels through which nothing comes, those that are full, and those that are used.
    pub(crate) silent: [Channel; PRIVATE],
    pub(crate) full: [Channel; PRIVATE],
    pub(crate) channels: [Channel; PRIVATE],
    /// Allocations that the machinery of panics made in this interval.
    pub(crate) excused: Cell<u64>,
    /// Held by what must be dropped once: the count tells.
    pub(crate) token: Rc<()>,
    until: Cell<Instant>,
    failure: RefCell<Option<String>>,
}

pub(crate) type Channel = (Sender<u64>, Rc<Receiver<u64>>);

impl World {
    pub(crate) fn new() -> io::Result<Self> {
        let mut listeners = Vec::with_capacity(LISTENERS);
        for last in (1..).take(LISTENERS) {
            listeners.push(TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), 0))?);
        }
        let listeners: [TcpListener; LISTENERS] =
            listeners.try_into().expect("as many as were taken");
        let mut addresses = [SocketAddr::from(([0; 4], 0)); LISTENERS];
        for (address, listener) in addresses.iter_mut().zip(&listeners) {
            *address = listener.local_addr()?;
        }
        let (full_listener, unanswered, queued) = full_listener()?;
        let channels = || {
            std::array::from_fn(|_| {
                let (sender, receiver) = channel(CAPACITY);
                (sender, Rc::new(receiver))
            })
        };
        let full: [Channel; PRIVATE] = channels();
        for (sender, _) in &full {
            while sender.try_send(0).is_ok() {}
        }
        Ok(Self {
            tally: Tally::new(),
            listeners,
            addresses,
            unanswered,
            _full: (full_listener, queued),
            silent: channels(),
            full,
            channels: channels(),
            excused: Cell::new(0),
            token: Rc::new(()),
            until: Cell::new(Instant::now()),
            failure: RefCell::new(None),
        })
    }

    /// Sets the end of the present interval.
    pub(crate) fn begin(&self, until: Instant) {
        self.until.set(until);
    }

    /// Whether the drivers are to end.
    pub(crate) fn over(&self) -> bool {
        Instant::now() >= self.until.get() || self.failure.borrow().is_some()
    }

    /// Remembers the first thing that went wrong, which ends the run.
    pub(crate) fn fail(&self, sentence: String) {
        self.failure.borrow_mut().get_or_insert(sentence);
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    pub(crate) fn count(&self, kind: Kind) {
        self.tally.count(kind);
    }

    /// A connection of two ends, and the listener that it came through closed again.
    pub(crate) fn pair(&self) -> io::Result<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let near = TcpStream::connect(listener.local_addr()?)?;
        self.count(Kind::Connect);
        let (far, _) = listener.accept()?;
        self.count(Kind::Accept);
        // Closed by a reset, it leaves no port behind that rests for a minute.
        socket2::SockRef::from(&near).set_linger(Some(Duration::ZERO))?;
        Ok((near, far))
    }
}

/// A listener whose queue is full, with the connections that fill it.
fn full_listener() -> io::Result<(Socket, SocketAddr, Vec<Socket>)> {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    listener.listen(0)?;
    let address = listener.local_addr()?;
    let mut queued = Vec::new();
    // A queue of 0 holds one or two; the rest go unanswered.
    for _ in 0..4 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        queued.push(socket);
    }
    let address = address.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok((listener, address, queued))
}

/// The code of a connection attempt that goes on; std has no kind for it.
const EINPROGRESS: i32 = 115;
