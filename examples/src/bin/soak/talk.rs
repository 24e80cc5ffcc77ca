//! Conversations with a server: echoes, partial reads, half-closes, resets, time-outs, in a random order
//! on a random connection.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use flux::time::Instant;
use flux_examples::random::Random;

use crate::acts::up_to;
use crate::serve::{CHUNK, GREETING, Verb, check, gone, pattern};
use crate::stream::{Listener, Stream};
use crate::tally::{Deed, Kind, Socket};
use crate::world::{Act, LISTENERS, TCP_LISTENERS, World};

/// The longest that a whole conversation may take: none is made to.
const PATIENCE: Duration = Duration::from_secs(10);
const ECHO_MAX: u64 = 16 * 1024;
const STREAM_MAX: u64 = 256 * 1024;
const VERBS_MAX: u64 = 5;

/// Whether a connection can be talked on after something was done with it.
#[derive(PartialEq, Eq)]
enum After {
    GoOn,
    Ended,
}

/// Connects over TCP, talks, and leaves in one way or another.
pub(crate) fn over_tcp(world: &Rc<World>, random: &mut Random, _which: usize) -> Act {
    let listener = &world.listeners[up_to(random, TCP_LISTENERS)];
    talk(world, random, listener)
}

/// As [`over_tcp`], within this machine.
pub(crate) fn over_unix(world: &Rc<World>, random: &mut Random, _which: usize) -> Act {
    let number = TCP_LISTENERS + up_to(random, LISTENERS - TCP_LISTENERS);
    talk(world, random, &world.listeners[number])
}

fn talk(world: &World, random: &mut Random, listener: &Listener) -> Act {
    match flux::timeout(PATIENCE, || converse(world, random, listener)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("a conversation failed: {error}")),
        Err(_) => Err(format!("a conversation took more than {PATIENCE:?}")),
    }
}

fn converse(world: &World, random: &mut Random, listener: &Listener) -> io::Result<()> {
    let patience = random.one_in(2).then_some(PATIENCE);
    let mut stream = listener.connect(patience)?;
    let socket = stream.socket();
    world.count(Kind::Connect);
    world.did(socket, Deed::Connect);
    stream.set_nodelay(random.one_in(2))?;
    if stream.read(&mut [0; GREETING.len()])? == 0 {
        // There was no block for a fiber that serves this connection.
        world.count(Kind::Unserved);
        return Ok(());
    }
    for _ in 0..=random.below(VERBS_MAX) {
        if say(world, random, &mut stream)? == After::Ended {
            world.did(socket, Deed::Disconnect);
            return Ok(());
        }
    }
    leave(world, random, stream)?;
    world.did(socket, Deed::Disconnect);
    Ok(())
}

/// Does one random thing on a connection.
fn say(world: &World, random: &mut Random, stream: &mut Stream) -> io::Result<After> {
    match random.below(10) {
        0..4 => echo(world, random, stream),
        4 => pour(world, random, stream),
        5 => drain(world, random, stream),
        6 | 7 => wait_in_vain(world, random, stream),
        8 => stall(world, random, stream),
        _ => be_left(random, stream),
    }
}

fn leave(world: &World, random: &mut Random, mut stream: Stream) -> io::Result<()> {
    match random.below(4) {
        0 => reset(world, &stream),
        1 => stream.shutdown(Shutdown::Both),
        2 => {
            stream.shutdown(Shutdown::Write)?;
            world.count(Kind::HalfClose);
            expect_end(&mut stream)
        }
        _ => Ok(()),
    }
}

fn echo(world: &World, random: &mut Random, stream: &mut Stream) -> io::Result<After> {
    let len = 1 + up_to(random, usize::try_from(ECHO_MAX).unwrap_or(1));
    stream.write_all(&Verb::Echo.request(len))?;
    let mut buffer = [0; CHUNK];
    let mut at = 0;
    while at < len {
        let most = (len - at).min(1 + up_to(random, CHUNK));
        for (offset, byte) in buffer[..most].iter_mut().enumerate() {
            *byte = pattern(at + offset);
        }
        send(world, random, stream, &buffer[..most])?;
        let mut back = at;
        while back < at + most {
            back += read_some(world, random, stream, &mut buffer, back, at + most)?;
        }
        at += most;
    }
    world.tally.add(Kind::Echo, len as u64);
    Ok(After::GoOn)
}

/// Writes all of some bytes, in one piece or in several by one call.
fn send(world: &World, random: &mut Random, stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    if random.one_in(2) {
        return stream.write_all(bytes);
    }
    let (first, rest) = bytes.split_at(up_to(random, bytes.len()));
    let (second, third) = rest.split_at(up_to(random, rest.len()));
    let mut parts = [first, second, third].map(IoSlice::new);
    let mut left = &mut parts[..];
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        let count = stream.write_vectored(left)?;
        if count == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut left, count);
    }
    world.count(Kind::Vectored);
    Ok(())
}

/// Reads a part of what is to come, and compares it.
fn read_some(
    world: &World,
    random: &mut Random,
    stream: &mut Stream,
    buffer: &mut [u8],
    at: usize,
    end: usize,
) -> io::Result<usize> {
    let most = (end - at).min(1 + up_to(random, buffer.len()));
    if random.one_in(8)
        && let Some(count) = stream.peek(&mut buffer[..most])?
    {
        world.count(Kind::Peek);
        check(at, &buffer[..count])?;
    }
    let count = stream.read(&mut buffer[..most])?;
    if count == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    if at + count < end {
        world.count(Kind::Partial);
    }
    check(at, &buffer[..count])?;
    Ok(count)
}

fn pour(world: &World, random: &mut Random, stream: &mut Stream) -> io::Result<After> {
    let len = 1 + up_to(random, usize::try_from(STREAM_MAX).unwrap_or(1));
    stream.write_all(&Verb::Pour.request(len))?;
    let leave_at = if random.one_in(4) {
        up_to(random, len)
    } else {
        usize::MAX
    };
    let mut buffer = [0; CHUNK];
    let mut at = 0;
    while at < len {
        if at >= leave_at {
            world.count(Kind::Abandon);
            return Ok(After::Ended);
        }
        at += read_some(world, random, stream, &mut buffer, at, len)?;
    }
    Ok(After::GoOn)
}

fn drain(world: &World, random: &mut Random, stream: &mut Stream) -> io::Result<After> {
    let len = up_to(random, usize::try_from(STREAM_MAX).unwrap_or(1));
    stream.write_all(&Verb::Drain.request(0))?;
    let mut buffer = [0; CHUNK];
    let mut at = 0;
    while at < len {
        let most = (len - at).min(1 + up_to(random, CHUNK));
        for (offset, byte) in buffer[..most].iter_mut().enumerate() {
            *byte = pattern(at + offset);
        }
        at += stream.write(&buffer[..most])?;
    }
    stream.shutdown(Shutdown::Write)?;
    world.count(Kind::HalfClose);
    let mut total = [0; 8];
    stream.read_exact(&mut total)?;
    if u64::from_le_bytes(total) != len as u64 {
        return Err(io::Error::other("a server lost bytes before a half-close"));
    }
    expect_end(stream)?;
    Ok(After::Ended)
}

/// Reads where nothing comes, with a time-out of the socket's or a deadline around it.
fn wait_in_vain(world: &World, random: &mut Random, stream: &mut Stream) -> io::Result<After> {
    let time = Duration::from_micros(1 + random.below(3000));
    let began = Instant::now();
    let mut byte = [0];
    let result = if random.one_in(2) {
        stream.set_read_timeout(Some(time))?;
        let peeked = if random.one_in(4) {
            stream.peek(&mut byte).transpose()
        } else {
            None
        };
        let result = peeked.unwrap_or_else(|| stream.read(&mut byte));
        stream.set_read_timeout(None)?;
        result
    } else {
        match flux::timeout(time, || stream.read(&mut byte)) {
            Ok(result) => result,
            Err(late) => late.into_inner(),
        }
    };
    match result {
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            if began.elapsed() < time {
                return Err(io::Error::other("a read timed out early"));
            }
            world.count(Kind::ReadTimeout);
            world.did(stream.socket(), Deed::Timeout);
            Ok(After::GoOn)
        }
        Err(error) => Err(error),
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(_) => Err(io::Error::other("a byte came that nobody sent")),
    }
}

/// Writes to a server that does not read, until the time is over.
fn stall(world: &World, random: &mut Random, stream: &mut Stream) -> io::Result<After> {
    stream.set_send_buffer_size(CHUNK)?;
    stream.write_all(&Verb::Stall.request(0))?;
    world.count(Kind::Stall);
    let time = Duration::from_micros(500 + random.below(4000));
    stream.set_write_timeout(Some(time))?;
    loop {
        let began = Instant::now();
        match stream.write(&[7; CHUNK]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                if began.elapsed() < time {
                    return Err(io::Error::other("a write timed out early"));
                }
                world.count(Kind::WriteTimeout);
                world.did(stream.socket(), Deed::Timeout);
                reset(world, stream)?;
                return Ok(After::Ended);
            }
            // The server looks away for so long, and then leaves with all of it unread.
            Err(error) if gone(&error) => return Ok(After::Ended),
            Err(error) => return Err(error),
        }
    }
}

/// Has the server end the connection, softly or not.
fn be_left(random: &mut Random, stream: &mut Stream) -> io::Result<After> {
    // Only TCP has resets.
    if stream.socket() == Socket::Unix || random.one_in(2) {
        stream.write_all(&Verb::Finish.request(0))?;
        expect_end(stream)?;
    } else {
        stream.write_all(&Verb::Reset.request(0))?;
        match stream.read(&mut [0; 8]) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => return Err(error),
            Ok(count) => {
                return Err(io::Error::other(format!(
                    "a reset was read as {count} bytes"
                )));
            }
        }
    }
    Ok(After::Ended)
}

fn expect_end(stream: &mut Stream) -> io::Result<()> {
    match stream.read(&mut [0; 8])? {
        0 => Ok(()),
        count => Err(io::Error::other(format!(
            "{count} bytes came where the stream should have ended"
        ))),
    }
}

fn reset(world: &World, stream: &Stream) -> io::Result<()> {
    if stream.end_by_reset()? {
        world.count(Kind::Reset);
    }
    Ok(())
}
