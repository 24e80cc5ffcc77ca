//! An echo server of callbacks.

#![allow(
    clippy::cast_possible_truncation,
    reason = "tokens are made of indices"
)]

use std::io::ErrorKind;
use std::net::TcpStream;
use std::ops::Range;
use std::os::fd::AsRawFd;

use super::{Answer, Handler, Requests, Wait, length, run};
use crate::Fault;
use crate::servers::ECHO_BUFFER;
use crate::sys::send_now;
use crate::watch::Watch;

/// The low bit of a token: whether the answer is to a send.
const SEND: u64 = 1;

/// Sends back whatever comes, until all connections are closed.
///
/// # Errors
/// The first connection's that fails.
pub fn echo(streams: Vec<TcpStream>, watch: &impl Watch, wait: Wait) -> Result<(), Fault> {
    let server = Server {
        open: streams.len(),
        connections: streams.into_iter().map(Connection::new).collect(),
        watch,
    };
    run(wait, server).map(drop)
}

struct Server<'w, W> {
    open: usize,
    connections: Vec<Connection>,
    watch: &'w W,
}

struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
    /// What a send op has still to bring out.
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

    fn receive(&mut self, requests: &mut Requests<'_>, token: u64) {
        // SAFETY: the buffer is on the heap, `run` keeps it while a request is in flight, and nothing
        // touches it before the answer: a connection has one request at a time.
        unsafe { requests.recv(self.stream.as_raw_fd(), &mut self.buffer, token & !SEND) };
    }

    /// Sends inline what the socket takes, and leaves the rest to an op. Whether all is out.
    fn send_back(
        &mut self,
        requests: &mut Requests<'_>,
        token: u64,
        count: usize,
    ) -> Result<bool, Fault> {
        let sent = match send_now(self.stream.as_raw_fd(), &self.buffer[..count]) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.into()),
        };
        if sent == count {
            return Ok(true);
        }
        self.unsent = sent..count;
        self.send_rest(requests, token);
        Ok(false)
    }

    #[cold]
    fn send_rest(&mut self, requests: &mut Requests<'_>, token: u64) {
        let rest = &self.buffer[self.unsent.clone()];
        // SAFETY: as in `receive`.
        unsafe { requests.send(self.stream.as_raw_fd(), rest, token | SEND) };
    }
}

impl<W: Watch> Handler for Server<'_, W> {
    fn begin(&mut self, requests: &mut Requests<'_>) {
        for (connection, index) in self.connections.iter_mut().zip(0_u64..) {
            connection.receive(requests, index << 1);
        }
    }

    fn done(
        &mut self,
        requests: &mut Requests<'_>,
        token: u64,
        answer: Answer,
    ) -> Result<bool, Fault> {
        let connection = &mut self.connections[(token >> 1) as usize];
        let count = length(answer.result)?;
        if token & SEND != 0 {
            connection.unsent.start += count;
            if !connection.unsent.is_empty() {
                connection.send_rest(requests, token);
                return Ok(true);
            }
            self.watch.seen(connection.unsent.end as u64);
        } else if count == 0 {
            self.open -= 1;
            return Ok(self.open > 0);
        } else if connection.send_back(requests, token, count)? {
            self.watch.seen(count as u64);
        } else {
            return Ok(true);
        }
        connection.receive(requests, token);
        Ok(true)
    }
}
