//! The limit of feeds that never copy: one multishot RECV per connection into a ring of its own, callbacks.

#![allow(
    clippy::cast_possible_truncation,
    reason = "tokens and groups are indices of connections"
)]

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use io_uring::{Submitter, cqueue, opcode, types};

use super::ring::{RING_BYTES, Ring};
use super::{Answer, Handler, Requests, Wait, length, run};
use crate::Fault;
use crate::frames::{self, Tally};
use crate::watch::Watch;

/// Looks at all that is unread, and says how many bytes of it are done with.
pub(crate) trait Sink {
    /// Called whenever more has come. What is not taken is there again, in front of what comes next.
    fn take(&mut self, unread: &[u8]) -> Result<usize, Fault>;

    /// Called when the bytes that were taken have been given back.
    fn given_back(&mut self) {}
}

/// Receives into rings until all connections are closed, and gives the sinks back, in their order.
pub(crate) fn stream<S: Sink>(
    connections: Vec<(TcpStream, S)>,
    wait: Wait,
) -> Result<Vec<S>, Fault> {
    let mut receiver = Receiver {
        open: connections.len(),
        connections: Vec::with_capacity(connections.len()),
    };
    for (stream, sink) in connections {
        let ring = Ring::new()?;
        receiver.connections.push(Connection { stream, ring, sink });
    }
    let receiver = run(wait, receiver)?;
    let connections = receiver.connections.into_iter();
    Ok(connections.map(|connection| connection.sink).collect())
}

/// Frames and sums whatever comes, where it lies, until all connections are closed.
///
/// # Errors
/// The first connection's that fails.
pub fn feed_in_place(
    streams: Vec<TcpStream>,
    watch: &impl Watch,
    wait: Wait,
) -> Result<Tally, Fault> {
    let sum = |stream| {
        let sink = Sum {
            tally: Tally::default(),
            new: 0,
            watch,
        };
        (stream, sink)
    };
    let sinks = stream(streams.into_iter().map(sum).collect(), wait)?;
    Ok(sinks.iter().map(|sink| sink.tally).sum())
}

struct Sum<'w, W> {
    tally: Tally,
    /// Messages that the watch has not heard of.
    new: u64,
    watch: &'w W,
}

impl<W: Watch> Sink for Sum<'_, W> {
    fn take(&mut self, unread: &[u8]) -> Result<usize, Fault> {
        let before = self.tally.messages;
        let taken = frames::take(unread, &mut self.tally, |payload| {
            self.watch.message(payload);
        })?;
        self.new = self.tally.messages - before;
        Ok(taken)
    }

    fn given_back(&mut self) {
        self.watch.seen(self.new);
    }
}

struct Receiver<S> {
    open: usize,
    connections: Vec<Connection<S>>,
}

struct Connection<S> {
    stream: TcpStream,
    ring: Ring,
    sink: S,
}

impl<S> Connection<S> {
    fn arm(&self, requests: &mut Requests<'_>, token: u64) {
        let entry = opcode::RecvMulti::new(types::Fd(self.stream.as_raw_fd()), token as u16)
            .build()
            .user_data(token);
        // SAFETY: what the kernel writes to is the connection's ring, which `run` keeps while a request is in flight,
        // and of which only what has come is read.
        unsafe { requests.push(&entry) };
    }
}

impl<S: Sink> Handler for Receiver<S> {
    fn prepare(&mut self, submitter: &Submitter<'_>) -> io::Result<()> {
        for (connection, group) in self.connections.iter_mut().zip(0..) {
            // SAFETY: `run` keeps this handler until the instance is gone, or for ever.
            unsafe { connection.ring.register(submitter, group)? };
        }
        Ok(())
    }

    fn begin(&mut self, requests: &mut Requests<'_>) {
        for (connection, token) in self.connections.iter().zip(0..) {
            connection.arm(requests, token);
        }
    }

    fn done(
        &mut self,
        requests: &mut Requests<'_>,
        token: u64,
        answer: Answer,
    ) -> Result<bool, Fault> {
        let connection = &mut self.connections[token as usize];
        if answer.result != -libc::ENOBUFS {
            let count = length(answer.result)?;
            if count == 0 {
                self.open -= 1;
                return Ok(self.open > 0);
            }
            connection.ring.received(count);
            let taken = connection.sink.take(connection.ring.unread())?;
            connection.ring.consume(taken);
            connection.sink.given_back();
        }
        if !cqueue::more(answer.flags) {
            if !connection.ring.has_room() {
                return Err(format!("a message does not fit in {RING_BYTES} bytes").into());
            }
            connection.arm(requests, token);
        }
        Ok(true)
    }
}
