//! The least there is while spinning: `recv` tried on one socket after the other, for ever, and `send` inline.
//!
//! No engine, no queue, no way to wait. What spinning can cost at the least, for as many sockets as can be asked by
//! turns.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use crate::Fault;
use crate::frames::{Frames, Tally};
use crate::servers::ECHO_BUFFER;
use crate::sys::{recv_now, send_now};
use crate::watch::Watch;

/// Sends back whatever comes, until all connections are closed.
///
/// # Errors
/// The first connection's that fails; also one that does not take what it is sent, since there is nothing here to
/// wait for room with.
pub fn echo(streams: Vec<TcpStream>, watch: &impl Watch) -> Result<(), Fault> {
    let mut buffer = [0; ECHO_BUFFER];
    spin(streams, |stream, ()| {
        let Some(count) = receive(stream, &mut buffer)? else {
            return Ok(true);
        };
        let sent = send_now(stream.as_raw_fd(), &buffer[..count])?;
        if sent < count {
            return Err(format!("a socket took {sent} bytes of {count}").into());
        }
        watch.seen(count as u64);
        Ok(count > 0)
    })
    .map(drop)
}

/// Frames and sums whatever comes, until all connections are closed.
///
/// # Errors
/// The first connection's that fails.
pub fn feed(streams: Vec<TcpStream>, watch: &impl Watch) -> Result<Tally, Fault> {
    let all = spin(streams, |stream, frames: &mut Frames| {
        let Some(count) = receive(stream, frames.space())? else {
            return Ok(true);
        };
        let messages = frames.received(count, |payload| watch.message(payload))?;
        watch.seen(messages);
        Ok(count > 0)
    })?;
    Ok(all.iter().map(Frames::tally).sum())
}

/// Calls `turn` for one connection after the other, each until it says that this one has ended.
fn spin<S: Default>(
    streams: Vec<TcpStream>,
    mut turn: impl FnMut(&TcpStream, &mut S) -> Result<bool, Fault>,
) -> Result<Vec<S>, Fault> {
    let mut ended = Vec::with_capacity(streams.len());
    let mut open: Vec<(TcpStream, S)> = streams.into_iter().map(|s| (s, S::default())).collect();
    while !open.is_empty() {
        let mut index = 0;
        while let Some((stream, state)) = open.get_mut(index) {
            if turn(stream, state)? {
                index += 1;
            } else {
                ended.push(open.swap_remove(index).1);
            }
        }
    }
    Ok(ended)
}

/// What is there: how many bytes, 0 at the end, `None` for nothing.
#[inline]
fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match recv_now(stream.as_raw_fd(), buffer) {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
