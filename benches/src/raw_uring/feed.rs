//! A feed's receiver of callbacks.

#![allow(
    clippy::cast_possible_truncation,
    reason = "tokens are made of indices"
)]

use std::net::TcpStream;
use std::os::fd::AsRawFd;

use super::{Answer, Handler, Requests, Wait, length, run};
use crate::Fault;
use crate::frames::{Frames, Tally};
use crate::watch::Watch;

/// Frames and sums whatever comes, until all connections are closed.
///
/// # Errors
/// The first connection's that fails.
pub fn feed(streams: Vec<TcpStream>, watch: &impl Watch, wait: Wait) -> Result<Tally, Fault> {
    let receiver = Receiver {
        open: streams.len(),
        connections: streams
            .into_iter()
            .map(|stream| (stream, Frames::default()))
            .collect(),
        watch,
    };
    let receiver = run(wait, receiver)?;
    Ok(receiver
        .connections
        .iter()
        .map(|(_, frames)| frames.tally())
        .sum())
}

struct Receiver<'w, W> {
    open: usize,
    connections: Vec<(TcpStream, Frames)>,
    watch: &'w W,
}

fn receive((stream, frames): &mut (TcpStream, Frames), requests: &mut Requests<'_>, token: u64) {
    // SAFETY: the buffer is on the heap, `run` keeps it while a request is in flight, and nothing touches it
    // before the answer: a connection has one request at a time.
    unsafe { requests.recv(stream.as_raw_fd(), frames.space(), token) };
}

impl<W: Watch> Handler for Receiver<'_, W> {
    fn begin(&mut self, requests: &mut Requests<'_>) {
        for (connection, token) in self.connections.iter_mut().zip(0..) {
            receive(connection, requests, token);
        }
    }

    fn done(
        &mut self,
        requests: &mut Requests<'_>,
        token: u64,
        answer: Answer,
    ) -> Result<bool, Fault> {
        let connection = &mut self.connections[token as usize];
        let count = length(answer.result)?;
        if count == 0 {
            self.open -= 1;
            return Ok(self.open > 0);
        }
        let watch = self.watch;
        let messages = connection
            .1
            .received(count, |payload| watch.message(payload))?;
        self.watch.seen(messages);
        receive(connection, requests, token);
        Ok(true)
    }
}
