//! An echo server of callbacks on epoll.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::ops::Range;
use std::os::fd::AsRawFd;

use super::{Edge, Handler, READS_AND_WRITES, Received, State, receive, run};
use crate::Fault;
use crate::servers::ECHO_BUFFER;
use crate::sys::send_now;
use crate::watch::Watch;

/// Sends back whatever comes, until all connections are closed.
///
/// # Errors
/// The first connection's that fails.
pub fn echo(streams: Vec<TcpStream>, watch: &impl Watch) -> Result<(), Fault> {
    let count = streams.len();
    let server = Server {
        connections: streams.into_iter().map(Connection::new).collect(),
        watch,
    };
    run(count, server).map(drop)
}

struct Server<'w, W> {
    connections: Vec<Connection>,
    watch: &'w W,
}

struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
    /// What waits for room in the socket. While it does, nothing is read.
    unsent: Range<usize>,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: vec![0; ECHO_BUFFER].into_boxed_slice(),
            unsent: 0..0,
        }
    }

    /// Sends what the socket takes of the unsent bytes. Whether all are out.
    fn send_back(&mut self) -> Result<bool, Fault> {
        let unsent = &self.buffer[self.unsent.clone()];
        match send_now(self.stream.as_raw_fd(), unsent) {
            Ok(sent) => self.unsent.start += sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.unsent.is_empty())
    }

    /// Sends what is left. Whether all is out; if not, the socket is full, and an edge will come.
    #[cold]
    fn send_rest(&mut self, watch: &impl Watch) -> Result<bool, Fault> {
        let all_out = self.send_back()?;
        if all_out {
            watch.seen(self.unsent.end as u64);
        }
        Ok(all_out)
    }
}

impl<W: Watch> Handler for Server<'_, W> {
    const INTEREST: i32 = READS_AND_WRITES;

    fn stream(&self, index: usize) -> &TcpStream {
        &self.connections[index].stream
    }

    #[inline]
    fn ready(&mut self, index: usize, edge: Edge) -> Result<State, Fault> {
        let connection = &mut self.connections[index];
        if !connection.unsent.is_empty() && !connection.send_rest(self.watch)? {
            return Ok(State::Open);
        }
        if !edge.readable() {
            return Ok(State::Open);
        }
        loop {
            let count = match receive(&connection.stream, &mut connection.buffer)? {
                Received::Bytes(count) => count,
                Received::Nothing => return Ok(State::Open),
                Received::End => return Ok(State::Closed),
            };
            connection.unsent = 0..count;
            if !connection.send_back()? {
                return Ok(State::Open);
            }
            self.watch.seen(count as u64);
            if edge.is_answered(count, connection.buffer.len()) {
                return Ok(State::Open);
            }
        }
    }
}
