//! Fibers that are cancelled in whatever they wait for, before, while, or just as it happens.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use flux::net::{TcpListener, TcpStream};
use flux::sync::{RecvError, SendError};
use flux::time::sleep;
use flux::{Builder, Fiber, JoinError, JoinHandle, StackClass, Stopped, yield_now};
use flux_examples::random::Random;

use crate::acts::pause;
use crate::datagrams;
use crate::tally::{Deed, Kind, Socket};
use crate::world::{Act, World};

const FOR_EVER: Duration = Duration::from_hours(1);
/// The code of a call that ended because its fiber was cancelled (`ECANCELED`).
const ECANCELED: i32 = 125;

/// What a fiber that was cancelled says of how it ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Cancelled,
    Other,
}

pub(crate) fn is_cancel(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ECANCELED)
}

impl From<io::Result<()>> for End {
    fn from(result: io::Result<()>) -> Self {
        match result {
            Err(error) if is_cancel(&error) => Self::Cancelled,
            _ => Self::Other,
        }
    }
}

impl From<Result<(), Stopped>> for End {
    fn from(result: Result<(), Stopped>) -> Self {
        match result {
            Err(Stopped::Cancelled) => Self::Cancelled,
            _ => Self::Other,
        }
    }
}

/// Cancels one fiber.
pub(crate) fn act(world: &Rc<World>, random: &mut Random, which: usize) -> Act {
    match random.below(8) {
        0 => return race(world, random).map_err(|error| format!("a cancel beside bytes: {error}")),
        1 => {
            return race_datagram(world, random)
                .map_err(|error| format!("a cancel beside a datagram: {error}"));
        }
        _ => {}
    }
    let victim = victim(world, random, which).map_err(|error| format!("a victim: {error}"))?;
    pause(random)?;
    victim.cancel();
    if random.one_in(4) {
        // Once more changes nothing.
        victim.cancel();
    }
    world.count(Kind::Cancel);
    match victim.join() {
        Ok(End::Cancelled) => Ok(()),
        Ok(End::Other) => Err("a fiber that was cancelled did not end for that".into()),
        Err(error) => Err(format!("a fiber that was cancelled: {error}")),
    }
}

/// A fiber that waits for what never comes.
fn victim(world: &Rc<World>, random: &mut Random, which: usize) -> io::Result<JoinHandle<End>> {
    let fiber = Builder::new().name("victim").stack(StackClass::Small);
    let kind = random.below(11);
    let world = Rc::clone(world);
    Ok(match kind {
        0 => fiber.spawn(|| sleep(FOR_EVER).into()),
        1 => fiber.spawn(|| {
            loop {
                if let Err(stopped) = yield_now() {
                    break Err(stopped).into();
                }
            }
        }),
        2 => {
            world.did(Socket::Tcp, Deed::Cancel);
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            fiber.spawn(move || listener.accept().map(drop).into())
        }
        9 => {
            world.did(Socket::Unix, Deed::Cancel);
            fiber.spawn(move || world.lonely.accept().map(drop).into())
        }
        10 => {
            world.did(Socket::Udp, Deed::Cancel);
            let (near, far) = datagrams::pair(&world)?;
            let with_address = random.one_in(2);
            fiber.spawn(move || {
                let end = if with_address {
                    near.recv_from(&mut [0; 8]).map(drop).into()
                } else {
                    near.recv(&mut [0; 8]).map(drop).into()
                };
                drop(far);
                end
            })
        }
        3 => {
            let (near, far) = world.pair(random)?;
            world.did(near.socket(), Deed::Cancel);
            fiber.spawn(move || {
                let end = (&near).read(&mut [0; 8]).map(drop).into();
                drop(far);
                end
            })
        }
        4 => {
            let (near, far) = world.pair(random)?;
            world.did(near.socket(), Deed::Cancel);
            near.set_send_buffer_size(4096)?;
            fiber.spawn(move || {
                let full = loop {
                    if let Err(error) = (&near).write(&[7; 4096]) {
                        break Err(error).into();
                    }
                };
                drop(far);
                full
            })
        }
        5 => fiber.spawn(move || TcpStream::connect(world.unanswered).map(drop).into()),
        6 => fiber.spawn(move || match world.silent[which].1.recv() {
            Err(RecvError::Stopped(stopped)) => Err(stopped).into(),
            _ => End::Other,
        }),
        7 => fiber.spawn(move || match world.full[which].0.send(1) {
            Err(SendError::Stopped(_, stopped)) => Err(stopped).into(),
            _ => End::Other,
        }),
        _ => fiber.spawn(move || {
            // What must be finished is, whoever cancels meanwhile.
            let finished = flux::shielded(|| sleep(Duration::from_micros(200)));
            world.count(Kind::Shield);
            let inner = flux::spawn(|| sleep(Duration::from_micros(100)));
            match (finished, inner.join()) {
                (Ok(()), Err(JoinError::Stopped(stopped))) => Err(stopped).into(),
                // It was not cancelled before the inner one had ended.
                (Ok(()), Ok(_)) => sleep(FOR_EVER).into(),
                _ => End::Other,
            }
        }),
    })
}

/// Cancels a read while its bytes arrive: they are delivered, or are still there.
fn race(world: &Rc<World>, random: &mut Random) -> io::Result<()> {
    const BYTES: [u8; 4] = *b"tick";
    let (near, mut far) = world.pair(random)?;
    world.did(near.socket(), Deed::Cancel);
    let read = flux::scope(|scope| {
        let reader = scope.spawn_fiber(Fiber::new(StackClass::Small, "reader", || {
            let mut bytes = [0; 4];
            let count = (&near).read(&mut bytes)?;
            io::Result::Ok((count, bytes))
        }));
        pause(random).map_err(io::Error::other)?;
        let cancel_first = random.one_in(2);
        if cancel_first {
            reader.cancel();
        }
        far.write_all(&BYTES)?;
        pause(random).map_err(io::Error::other)?;
        if !cancel_first {
            reader.cancel();
        }
        reader.join()?
    });
    world.count(Kind::CancelRace);
    let (count, mut bytes) = match read {
        Ok(read) => {
            world.count(Kind::CancelLate);
            read
        }
        Err(error) if is_cancel(&error) => (0, [0; 4]),
        Err(error) => return Err(error),
    };
    (&near).read_exact(&mut bytes[count..])?;
    if bytes == BYTES {
        Ok(())
    } else {
        Err(io::Error::new(
            ErrorKind::InvalidData,
            "a cancelled read took bytes with it",
        ))
    }
}

/// Cancels a receive while its datagram arrives: it is delivered, or is still there.
fn race_datagram(world: &Rc<World>, random: &mut Random) -> io::Result<()> {
    let (near, far) = datagrams::pair(world)?;
    let byte = random.next_u64().to_le_bytes()[0];
    let with_address = random.one_in(2);
    let received = flux::scope(|scope| {
        let receiver = scope.spawn_fiber(Fiber::new(StackClass::Small, "receiver", || {
            let mut bytes = [0; 4];
            let count = if with_address {
                near.recv_from(&mut bytes)?.0
            } else {
                near.recv(&mut bytes)?
            };
            io::Result::Ok((count, bytes[0]))
        }));
        let cancel_first = random.one_in(2);
        if cancel_first {
            receiver.cancel();
        }
        far.send(&[byte])?;
        pause(random).map_err(io::Error::other)?;
        if !cancel_first {
            receiver.cancel();
        }
        receiver.join()?
    });
    world.count(Kind::CancelRace);
    world.did(Socket::Udp, Deed::Cancel);
    let received = match received {
        Ok(received) => {
            world.count(Kind::CancelLate);
            received
        }
        Err(error) if is_cancel(&error) => {
            let mut bytes = [0; 4];
            near.set_read_timeout(Some(FOR_EVER))?;
            (near.recv(&mut bytes)?, bytes[0])
        }
        Err(error) => return Err(error),
    };
    if received == (1, byte) {
        Ok(())
    } else {
        Err(io::Error::new(
            ErrorKind::InvalidData,
            "a cancelled receive took a datagram with it",
        ))
    }
}
