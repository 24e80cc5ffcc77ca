//! The limit on epoll: a callback loop written by hand, on edges as flux has them.
//!
//! Each socket is registered once, for what its work needs. An edge is answered by one `recv` into the
//! connection's own buffer, and by more only while they fill it: a short read has emptied the socket, and what
//! comes next is an edge. `send` is tried inline, and what it leaves waits for an edge. No fibers, no queues, no
//! timers, no cancellation: with one `epoll_wait` a turn, one `recv` and one `send` a message, there is nothing to
//! leave out.

mod echo;
mod feed;

pub use echo::echo;
pub use feed::feed;

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use crate::Fault;
use crate::epoll::{Epoll, Events, Until};
use crate::sys::recv_now;

/// Edges of bytes to read, and of the other side's end.
pub(crate) const READS: i32 = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET;
/// The same, and of room to write.
pub(crate) const READS_AND_WRITES: i32 = READS | libc::EPOLLOUT;

/// What says that no further edge may come.
const ENDED: i32 = libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR;

/// What has happened at a socket: with the news comes all else that holds at that moment, so that nothing has
/// to be remembered of an edge that could not be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge(i32);

impl Edge {
    /// There may be bytes to read, or the end of them.
    #[inline]
    pub(crate) fn readable(self) -> bool {
        self.0 & (libc::EPOLLIN | ENDED) != 0
    }

    /// Whether a read of `count` bytes that had `room` for more has emptied the socket, with an edge to come. The
    /// end of the stream is to be read too, and has no edge of its own if it is out already.
    #[inline]
    pub(crate) fn is_answered(self, count: usize, room: usize) -> bool {
        count < room && self.0 & ENDED == 0
    }
}

/// What a read came to.
pub(crate) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Nothing: an edge will come.
    Nothing,
    /// The other side has finished.
    End,
}

/// One `recv`.
#[inline]
pub(crate) fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<Received> {
    match recv_now(stream.as_raw_fd(), buffer) {
        Ok(0) => Ok(Received::End),
        Ok(count) => Ok(Received::Bytes(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Received::Nothing),
        Err(error) => Err(error),
    }
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Closed,
}

/// What a loop calls back.
pub(crate) trait Handler {
    /// What edges of the sockets are wanted.
    const INTEREST: i32;

    /// The socket of a connection, by index.
    fn stream(&self, index: usize) -> &TcpStream;

    /// Does what the edge makes possible.
    fn ready(&mut self, index: usize, edge: Edge) -> Result<State, Fault>;
}

/// Calls back for the edges of `count` connections until all are closed, and gives the handler back.
pub(crate) fn run<H: Handler>(count: usize, mut handler: H) -> Result<H, Fault> {
    let epoll = Epoll::new()?;
    for index in 0..count {
        epoll.add(handler.stream(index), H::INTEREST, index as u64)?;
    }
    let mut events = Events::default();
    let mut open = count;
    while open > 0 {
        for (token, flags) in epoll.wait(&mut events, Until::Event)? {
            let index = usize::try_from(token)?;
            if handler.ready(index, Edge(flags))? == State::Closed {
                // The socket lives on until all are done, and might be heard of again.
                epoll.remove(handler.stream(index))?;
                open -= 1;
            }
        }
    }
    Ok(handler)
}
