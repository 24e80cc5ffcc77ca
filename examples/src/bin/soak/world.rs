//! What all drivers share: where the servers are, when the interval ends, what has gone wrong.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use flux::net::{UdpSocket, UnixListener, UnixStream};
use flux::sync::{Receiver, Sender, channel};
use flux::time::Instant;
use flux_examples::random::Random;
use socket2::{Domain, Socket, Type};

use crate::stream::{Folder, Listener, Stream};
use crate::tally::{self, Deed, Kind, Tally};

/// Servers, on an address each, so that the ports of connections that ended do not run out.
pub(crate) const TCP_LISTENERS: usize = 8;
/// All servers that connections come to: those of TCP, and those at paths.
pub(crate) const LISTENERS: usize = TCP_LISTENERS + 2;
/// Servers that send datagrams back.
pub(crate) const DATAGRAM_SERVERS: usize = 2;
/// How many drivers of a kind have channels of their own.
pub(crate) const PRIVATE: usize = 4;
/// The values that a channel holds.
pub(crate) const CAPACITY: usize = 4;

/// What a driver's act came to: a sentence says what should not have been.
pub(crate) type Act = Result<(), String>;

pub(crate) struct World {
    pub(crate) tally: Tally,
    pub(crate) listeners: [Listener; LISTENERS],
    pub(crate) datagrams: [(UdpSocket, SocketAddr); DATAGRAM_SERVERS],
    /// Where nobody connects.
    pub(crate) lonely: UnixListener,
    _folder: Folder,
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
        for last in (1..).take(TCP_LISTENERS) {
            listeners.push(Listener::tcp(Ipv4Addr::new(127, 0, 0, last))?);
        }
        let folder = Folder::new()?;
        for number in TCP_LISTENERS..LISTENERS {
            listeners.push(Listener::unix(folder.path().join(number.to_string()))?);
        }
        let listeners = listeners.try_into().expect("as many as were taken");
        let lonely = UnixListener::bind(folder.path().join("lonely"))?;
        let mut datagrams = Vec::with_capacity(DATAGRAM_SERVERS);
        for _ in 0..DATAGRAM_SERVERS {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = socket.local_addr()?;
            datagrams.push((socket, address));
        }
        let datagrams = datagrams.try_into().expect("as many as were taken");
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
            datagrams,
            lonely,
            _folder: folder,
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

    pub(crate) fn did(&self, socket: tally::Socket, deed: Deed) {
        self.tally.did(socket, deed);
    }

    /// A connection of two ends, and the listener that it came through closed again.
    pub(crate) fn pair(&self, random: &mut Random) -> io::Result<(Stream, Stream)> {
        if random.one_in(2) {
            self.count(Kind::Connect);
            self.did(tally::Socket::Unix, Deed::Connect);
            let (near, far) = UnixStream::pair()?;
            return Ok((Stream::Unix(near), Stream::Unix(far)));
        }
        let listener = Listener::tcp(Ipv4Addr::LOCALHOST)?;
        let near = listener.connect(None)?;
        self.count(Kind::Connect);
        self.did(tally::Socket::Tcp, Deed::Connect);
        let far = listener.accept()?;
        self.count(Kind::Accept);
        near.end_by_reset()?;
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
