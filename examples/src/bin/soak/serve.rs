//! The servers that the talkers talk to, and what the two of them say.
//!
//! A server greets, and then does what it is asked for. A request is a verb and a length. A client may go
//! away, or be cancelled, at any byte; a server bears that, and nothing else.

use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use flux::{Fiber, StackClass};

use crate::stream::Stream;
use crate::tally::{Deed, Kind};
use crate::world::World;

/// The bytes of a request: a verb, and a length in little-endian order.
pub(crate) const REQUEST: usize = 8;
/// What a server says first: a connection that ends without it was never served.
pub(crate) const GREETING: [u8; 1] = [b'!'];
/// The bytes that are read or written at once.
pub(crate) const CHUNK: usize = 4096;
/// How long a server that does not read looks away.
pub(crate) const LOOKS_AWAY: Duration = Duration::from_millis(20);

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Send back so many bytes.
    Echo,
    /// Send so many bytes.
    Pour,
    /// Take bytes until the end, and say how many there were.
    Drain,
    /// Read nothing more, for a while, and then reset.
    Stall,
    /// Reset the connection.
    Reset,
    /// Close it.
    Finish,
}

impl Verb {
    pub(crate) const ALL: [Self; 6] = [
        Self::Echo,
        Self::Pour,
        Self::Drain,
        Self::Stall,
        Self::Reset,
        Self::Finish,
    ];

    pub(crate) fn request(self, len: usize) -> [u8; REQUEST] {
        let mut request = [0; REQUEST];
        request[0] = self as u8;
        request[4..].copy_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
        request
    }

    fn read(request: [u8; REQUEST]) -> Option<(Self, usize)> {
        let verb = Self::ALL.get(usize::from(request[0]))?;
        let len = u32::from_le_bytes([request[4], request[5], request[6], request[7]]);
        Some((*verb, len as usize))
    }
}

/// The byte at a place of a stream: what is lost, doubled or swapped shows.
pub(crate) fn pattern(at: usize) -> u8 {
    (at.wrapping_mul(0x9e37_79b9) >> 13).to_le_bytes()[0]
}

/// Whether an error is that of a peer that went away.
pub(crate) fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::NotConnected
    )
}

/// Takes connections, and gives each a fiber of its own, until it is cancelled.
pub(crate) fn accept(world: &Rc<World>, number: usize) {
    loop {
        match world.listeners[number].accept() {
            Ok(stream) => {
                world.count(Kind::Accept);
                let socket = stream.socket();
                let served = Rc::clone(world);
                let server = Fiber::new(StackClass::Small, "server", move || {
                    if let Err(error) = serve(&served, stream)
                        && !gone(&error)
                    {
                        served.fail(format!("a server: {error}"));
                    }
                });
                match flux::try_spawn(server) {
                    // Ends when its client has.
                    Ok(handle) => {
                        world.did(socket, Deed::Spawn);
                        drop(handle);
                    }
                    Err(_closes_the_connection) => world.count(Kind::NoBlock),
                }
            }
            Err(error) if crate::cancels::is_cancel(&error) => return,
            Err(error) => return world.fail(format!("an accept: {error}")),
        }
    }
}

/// Does what one client asks for.
fn serve(world: &World, mut stream: Stream) -> io::Result<()> {
    let mut buffer = [0; CHUNK];
    stream.write_all(&GREETING)?;
    loop {
        let mut request = [0; REQUEST];
        stream.read_exact(&mut request)?;
        let Some((verb, len)) = Verb::read(request) else {
            return Err(io::Error::other("a request was garbled on its way"));
        };
        match verb {
            Verb::Echo => echo(&mut stream, &mut buffer, len)?,
            Verb::Pour => pour(&mut stream, &mut buffer, len)?,
            Verb::Drain => {
                let total = drain(&mut stream, &mut buffer)?;
                return stream.write_all(&total.to_le_bytes());
            }
            Verb::Stall => {
                flux::time::sleep(LOOKS_AWAY)?;
                return Ok(());
            }
            Verb::Reset => {
                world.count(Kind::ResetByServer);
                return stream.end_by_reset().map(drop);
            }
            Verb::Finish => {
                world.count(Kind::Finish);
                return Ok(());
            }
        }
    }
}

fn echo(stream: &mut Stream, buffer: &mut [u8], len: usize) -> io::Result<()> {
    let mut left = len;
    while left > 0 {
        let most = left.min(buffer.len());
        let count = stream.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        stream.write_all(&buffer[..count])?;
        left -= count;
    }
    Ok(())
}

fn pour(stream: &mut Stream, buffer: &mut [u8], len: usize) -> io::Result<()> {
    let mut at = 0;
    while at < len {
        let most = (len - at).min(buffer.len());
        for (offset, byte) in buffer[..most].iter_mut().enumerate() {
            *byte = pattern(at + offset);
        }
        at += stream.write(&buffer[..most])?;
    }
    Ok(())
}

/// Reads to the end of the stream; the number of bytes, all of which were right.
fn drain(stream: &mut Stream, buffer: &mut [u8]) -> io::Result<u64> {
    let mut at = 0;
    loop {
        let count = stream.read(buffer)?;
        if count == 0 {
            return Ok(at as u64);
        }
        check(at, &buffer[..count])?;
        at += count;
    }
}

/// Compares bytes with those that belong at their place.
pub(crate) fn check(at: usize, bytes: &[u8]) -> io::Result<()> {
    match bytes
        .iter()
        .enumerate()
        .find(|(offset, byte)| **byte != pattern(at + offset))
    {
        None => Ok(()),
        Some((offset, _)) => Err(io::Error::other(format!(
            "byte {} of a stream is not the one that was sent",
            at + offset
        ))),
    }
}
