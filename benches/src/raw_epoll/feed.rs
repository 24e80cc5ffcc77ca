//! A feed's receiver of callbacks on epoll.

use std::net::TcpStream;

use super::{Edge, Handler, READS, Received, State, receive, run};
use crate::Fault;
use crate::frames::{Frames, Tally};
use crate::watch::Watch;

/// Frames and sums whatever comes, until all connections are closed.
///
/// # Errors
/// The first connection's that fails.
pub fn feed(streams: Vec<TcpStream>, watch: &impl Watch) -> Result<Tally, Fault> {
    let count = streams.len();
    let receiver = Receiver {
        connections: streams
            .into_iter()
            .map(|stream| (stream, Frames::default()))
            .collect(),
        watch,
    };
    let receiver = run(count, receiver)?;
    Ok(receiver
        .connections
        .iter()
        .map(|(_, frames)| frames.tally())
        .sum())
}

struct Receiver<'w, W> {
    connections: Vec<(TcpStream, Frames)>,
    watch: &'w W,
}

impl<W: Watch> Handler for Receiver<'_, W> {
    const INTEREST: i32 = READS;

    fn stream(&self, index: usize) -> &TcpStream {
        &self.connections[index].0
    }

    #[inline]
    fn ready(&mut self, index: usize, edge: Edge) -> Result<State, Fault> {
        let (stream, frames) = &mut self.connections[index];
        loop {
            let space = frames.space();
            let room = space.len();
            let count = match receive(stream, space)? {
                Received::Bytes(count) => count,
                Received::Nothing => return Ok(State::Open),
                Received::End => return Ok(State::Closed),
            };
            let watch = self.watch;
            let messages = frames.received(count, |payload| watch.message(payload))?;
            self.watch.seen(messages);
            if edge.is_answered(count, room) {
                return Ok(State::Open);
            }
        }
    }
}
