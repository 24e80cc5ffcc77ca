//! Datagrams: a server that sends them back, and clients that echo, send in bursts, wait in vain, are
//! refused, and go away in the middle.
//!
//! Datagrams may be lost where a receiver is slow, which is counted; none may come twice, changed, or in
//! another order. Sockets that meet nobody but each other have a loopback address of their own, so that no
//! late answer to an earlier owner of their port reaches them.

use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use flux::net::UdpSocket;
use flux::time::Instant;
use flux::{Fiber, StackClass};
use flux_examples::random::Random;

use crate::acts::up_to;
use crate::cancels::is_cancel;
use crate::serve::pattern;
use crate::tally::{Deed, Kind, Socket};
use crate::world::{Act, DATAGRAM_SERVERS, World};

/// The longest datagram, and the bytes at its head that say whose it is.
const DATAGRAM: usize = 4096;
const HEAD: usize = 8;
/// How long an answer is waited for before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// As many as a socket surely holds.
const BURST_MAX: u64 = 16;
const PAIRS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 101);
const REFUSED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 102);

/// Sends back what comes, until it is cancelled.
pub(crate) fn serve(world: &Rc<World>, number: usize) {
    let mut buffer = [0; DATAGRAM];
    let socket = &world.datagrams[number].0;
    loop {
        let answered = socket
            .recv_from(&mut buffer)
            .and_then(|(len, from)| socket.send_to(&buffer[..len], from));
        match answered {
            Ok(_) => {}
            Err(error) if is_cancel(&error) => return,
            Err(error) => return world.fail(format!("a server of datagrams: {error}")),
        }
    }
}

/// Two sockets that hear each other alone.
pub(crate) fn pair(world: &World) -> io::Result<(UdpSocket, UdpSocket)> {
    let (near, far) = (UdpSocket::bind((PAIRS, 0))?, UdpSocket::bind((PAIRS, 0))?);
    near.connect(far.local_addr()?)?;
    far.connect(near.local_addr()?)?;
    world.count(Kind::Connect);
    world.did(Socket::Udp, Deed::Connect);
    Ok((near, far))
}

/// Does one thing with datagrams, in one of several ways.
pub(crate) fn act(world: &Rc<World>, random: &mut Random, _which: usize) -> Act {
    match random.below(8) {
        0..4 => echo(world, random),
        4 => burst(world, random),
        5 | 6 => wait_in_vain(world, random),
        _ => be_refused(world),
    }
    .map_err(|error| format!("datagrams: {error}"))
}

fn wrong(sentence: &str) -> io::Error {
    io::Error::other(sentence.to_owned())
}

/// Has datagrams sent back, whole or cut, and leaves, now and then without the last answer.
fn echo(world: &World, random: &mut Random) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = world.datagrams[up_to(random, DATAGRAM_SERVERS)].1;
    let connected = random.one_in(2);
    if connected {
        socket.connect(to)?;
    }
    world.count(Kind::Connect);
    world.did(Socket::Udp, Deed::Connect);
    socket.set_read_timeout(Some(PATIENCE))?;
    let (mut sent, mut buffer) = ([0; DATAGRAM], [0; DATAGRAM]);
    for _ in 0..=random.below(8) {
        let len = HEAD + up_to(random, DATAGRAM - HEAD);
        // Nobody else's datagram begins like this.
        sent[..HEAD].copy_from_slice(&random.next_u64().to_le_bytes());
        for (at, byte) in sent.iter_mut().enumerate().take(len).skip(HEAD) {
            *byte = pattern(at);
        }
        let count = if connected && random.one_in(2) {
            socket.send(&sent[..len])?
        } else {
            socket.send_to(&sent[..len], to)?
        };
        if count != len {
            return Err(wrong("a part of a datagram was sent"));
        }
        if random.one_in(8) {
            world.count(Kind::Abandon);
            world.did(Socket::Udp, Deed::Disconnect);
            return Ok(());
        }
        let room = if random.one_in(4) {
            (HEAD + up_to(random, len)).min(DATAGRAM)
        } else {
            DATAGRAM
        };
        let expected = len.min(room);
        loop {
            if random.one_in(8) {
                // A time-out of this one is a time-out of the next.
                let _peeked = socket.peek_from(&mut buffer[..room]);
                world.count(Kind::Peek);
            }
            let received = if random.one_in(2) {
                socket.recv_from(&mut buffer[..room]).map(|(len, _)| len)
            } else {
                socket.recv(&mut buffer[..room])
            };
            match received {
                // An answer to somebody who had this port before, or to what counted as lost.
                Ok(_) if buffer[..HEAD] != sent[..HEAD] => {}
                Ok(count) if count == expected && buffer[..count] == sent[..count] => {
                    world.tally.add(Kind::DatagramBytes, count as u64);
                    if count < len {
                        world.count(Kind::DatagramCut);
                    }
                    break;
                }
                Ok(_) => return Err(wrong("a datagram came back changed")),
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    world.count(Kind::DatagramLost);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    world.did(Socket::Udp, Deed::Disconnect);
    Ok(())
}

/// Sends several at once by a fiber of its own, some of them empty: they come in their order.
fn burst(world: &World, random: &mut Random) -> io::Result<()> {
    let (near, far) = pair(world)?;
    near.set_read_timeout(Some(PATIENCE))?;
    let count = 1 + random.below(BURST_MAX);
    let outcome = flux::scope(|scope| {
        let sender = scope.spawn_fiber(Fiber::new(StackClass::Small, "sender", || {
            for number in 0..count {
                let len = usize::try_from(number % 4).unwrap_or(0);
                let datagram = [number.to_le_bytes()[0]; 4];
                far.send(&datagram[..len])?;
            }
            io::Result::Ok(())
        }));
        world.did(Socket::Udp, Deed::Spawn);
        for number in 0..count {
            let mut buffer = [0; 8];
            let len = near.recv(&mut buffer)?;
            let expected = usize::try_from(number % 4).unwrap_or(0);
            let byte = number.to_le_bytes()[0];
            if len != expected || buffer[..len].iter().any(|found| *found != byte) {
                return Err(wrong("datagrams came changed, or not in their order"));
            }
        }
        sender.join()?
    });
    world.tally.add(Kind::DatagramBurst, count);
    world.did(Socket::Udp, Deed::Disconnect);
    outcome
}

/// Receives where nothing comes, with a time-out of the socket's or a deadline around it.
fn wait_in_vain(world: &World, random: &mut Random) -> io::Result<()> {
    let (near, far) = pair(world)?;
    let time = Duration::from_micros(1 + random.below(3000));
    let which = random.below(4);
    let began = Instant::now();
    let mut buffer = [0; 8];
    let mut receive = || match which {
        0 => near.recv(&mut buffer),
        1 => near.recv_from(&mut buffer).map(|(len, _)| len),
        2 => near.peek(&mut buffer),
        _ => near.peek_from(&mut buffer).map(|(len, _)| len),
    };
    let result = if random.one_in(2) {
        near.set_read_timeout(Some(time))?;
        receive()
    } else {
        match flux::timeout(time, receive) {
            Ok(result) => result,
            Err(late) => late.into_inner(),
        }
    };
    match result {
        Err(error) if error.kind() == ErrorKind::TimedOut && began.elapsed() >= time => {}
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            return Err(wrong("a receive timed out early"));
        }
        Err(error) => return Err(error),
        Ok(_) => return Err(wrong("a datagram came that nobody sent")),
    }
    world.count(Kind::ReadTimeout);
    world.did(Socket::Udp, Deed::Timeout);
    // The time-out was none of the datagram's.
    near.set_read_timeout(Some(PATIENCE))?;
    far.send(b"late")?;
    if near.recv(&mut buffer)? != 4 {
        return Err(wrong("a datagram after a time-out came changed"));
    }
    world.did(Socket::Udp, Deed::Disconnect);
    Ok(())
}

/// Sends to where nobody receives.
fn be_refused(world: &World) -> io::Result<()> {
    let gone = UdpSocket::bind((REFUSED, 0))?.local_addr()?;
    let socket = UdpSocket::bind((PAIRS, 0))?;
    socket.connect(gone)?;
    socket.send(b"anybody there?")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    match socket.recv(&mut [0; 8]) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            world.count(Kind::DatagramRefused);
            Ok(())
        }
        // Another driver has the port by now.
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(wrong("a datagram was answered that nobody received")),
    }
}
