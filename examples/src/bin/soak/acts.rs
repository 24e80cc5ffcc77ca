//! What fibers do to each other beside cancelling: deadlines, spawns, scopes, channels.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use flux::sync::{RecvError, SendError};
use flux::time::{Instant, sleep};
use flux::{Fiber, JoinError, JoinHandle, StackClass, Stopped, yield_now};
use flux_examples::random::Random;

use crate::tally::Kind;
use crate::world::{Act, World};

const FOR_EVER: Duration = Duration::from_hours(1);
const BURST_MAX: usize = 24;

/// A number below `bound`.
pub(crate) fn up_to(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or(0)
}

/// Lets others run: not at all, once, or for a random moment.
pub(crate) fn pause(random: &mut Random) -> Act {
    match random.below(4) {
        0 => Ok(()),
        1 => yield_now(),
        _ => sleep(micros(random, 300)),
    }
    .map_err(|stopped| format!("a driver's pause: {stopped}"))
}

fn micros(random: &mut Random, bound: u64) -> Duration {
    Duration::from_micros(1 + random.below(bound))
}

/// Puts a deadline around something that takes longer, or not so long.
pub(crate) fn timeouts(world: &Rc<World>, random: &mut Random, which: usize) -> Act {
    let time = micros(random, 2000);
    let began = Instant::now();
    let late = |passed: bool| match passed {
        false => Err("a deadline passed, and the call inside was not told".into()),
        true if began.elapsed() < time => Err("a deadline passed early".to_owned()),
        true => {
            world.count(Kind::Timeout);
            Ok(())
        }
    };
    match random.below(7) {
        0 => late(flux::timeout(time, || sleep(FOR_EVER)).is_err()),
        1 => late(flux::timeout(time, || world.silent[which].1.recv()).is_err()),
        2 => late(flux::timeout(time, || world.full[which].0.send(1)).is_err()),
        3 => {
            let error = flux::net::TcpStream::connect_timeout(&world.unanswered, time)
                .err()
                .map(|error| error.kind());
            world.count(Kind::ConnectTimeout);
            late(error == Some(std::io::ErrorKind::TimedOut))
        }
        4 => {
            let sleeper = flux::spawn(move || sleep(2 * time));
            let late_join = flux::timeout(time, || sleeper.join());
            late(matches!(
                late_join.map_err(flux::Elapsed::into_inner),
                Err(Err(JoinError::Stopped(Stopped::TimedOut)))
            ))
        }
        5 => {
            world.count(Kind::InTime);
            flux::timeout(FOR_EVER, || sleep(time))
                .map_err(|_| "a deadline in an hour has passed".to_owned())?
                .map_err(|stopped| format!("a sleep inside a deadline: {stopped}"))
        }
        _ => nested(world, time, micros(random, 2000)),
    }
}

/// A deadline inside another one: the nearer one ends the wait, and it alone says so.
fn nested(world: &World, outer: Duration, inner: Duration) -> Act {
    world.count(Kind::Nested);
    let (began, set) = (Instant::now(), Cell::new(Duration::ZERO));
    let told = flux::timeout(outer, || {
        flux::timeout(inner, || {
            set.set(began.elapsed());
            sleep(FOR_EVER)
        })
    });
    if began.elapsed() < outer.min(inner) {
        return Err("both of two nested deadlines passed early".into());
    }
    match told.map_err(flux::Elapsed::into_inner) {
        // The inner one, and nothing waited for the outer one any more.
        Ok(Err(_)) if inner <= outer => Ok(()),
        // The outer one was set earlier, by so much at the most.
        Err(Ok(_)) if outer <= inner + set.get() => Ok(()),
        other => Err(format!(
            "an outer deadline of {outer:?} and an inner one of {inner:?} came to {}",
            match other {
                Ok(Ok(_)) => "neither",
                Ok(Err(_)) => "the inner one",
                Err(Ok(_)) => "the outer one",
                Err(Err(_)) => "both",
            }
        )),
    }
}

/// Spawns a burst of fibers on stacks of all classes, and joins, cancels, or leaves them.
pub(crate) fn spawns(world: &Rc<World>, random: &mut Random, _which: usize) -> Act {
    let mut handles: [Option<JoinHandle<Rc<()>>>; BURST_MAX] = [const { None }; BURST_MAX];
    let count = 1 + up_to(random, BURST_MAX);
    for handle in &mut handles[..count] {
        let (class, kind) = match random.below(16) {
            0 => (StackClass::Large, Kind::SpawnLarge),
            1..5 => (StackClass::Medium, Kind::SpawnMedium),
            _ => (StackClass::Small, Kind::SpawnSmall),
        };
        let (token, after) = (Rc::clone(&world.token), random.below(4));
        let fiber = Fiber::new(class, "spawned", move || {
            // Whether it is cancelled here makes no difference.
            let _rested = match after {
                0 => Ok(()),
                1 => yield_now(),
                _ => sleep(Duration::from_micros(after * 50)),
            };
            token
        });
        match flux::try_spawn(fiber) {
            Ok(spawned) => {
                world.count(kind);
                *handle = Some(spawned);
            }
            Err(_full) => world.count(Kind::NoBlock),
        }
    }
    pause(random)?;
    for handle in handles.into_iter().flatten() {
        match random.below(4) {
            0 => {
                world.count(Kind::Detach);
                drop(handle);
                continue;
            }
            1 => {
                world.count(Kind::Cancel);
                handle.cancel();
            }
            _ => {}
        }
        match handle.join() {
            Ok(token) if Rc::ptr_eq(&token, &world.token) => {}
            Ok(_) => return Err("a fiber returned what it was not given".into()),
            Err(error) => return Err(format!("a spawned fiber: {error}")),
        }
    }
    Ok(())
}

/// Children that borrow, and children of children.
pub(crate) fn scopes(world: &Rc<World>, random: &mut Random, _which: usize) -> Act {
    let done = Cell::new(0_u64);
    let count = 1 + random.below(8);
    let cancelled = random.below(2 * count);
    flux::scope(|scope| {
        for number in 0..count {
            let (done, rest) = (&done, random.below(200));
            let child = scope.spawn_fiber(Fiber::new(StackClass::Small, "child", move || {
                flux::scope(|inner| {
                    inner.spawn_fiber(Fiber::new(StackClass::Small, "grandchild", || {
                        // A cancel of the parent does not reach its children.
                        if sleep(Duration::from_micros(rest)).is_ok() {
                            world.count(Kind::Sleep);
                        }
                    }));
                    if yield_now().is_ok() {
                        world.count(Kind::Yield);
                    }
                });
                done.set(done.get() + 1);
            }));
            if number == cancelled {
                child.cancel();
            }
        }
    });
    world.count(Kind::Scope);
    world.tally.add(Kind::Child, 2 * count);
    if done.get() == count {
        Ok(())
    } else {
        Err(format!(
            "a scope ended with {} of {count} children",
            done.get()
        ))
    }
}

/// Values from one fiber to another, in order, until the sender has sent all or is cancelled.
pub(crate) fn channels(world: &Rc<World>, random: &mut Random, which: usize) -> Act {
    let (sender, receiver) = &world.channels[which];
    let count = 1 + random.below(200);
    let cancel_at = random.below(3 * count);
    let sent = Cell::new(0);
    let mut received = 0;
    let mut take = |value: u64| {
        received += 1;
        if value == received {
            Ok(())
        } else {
            Err(format!(
                "value {value} came as number {received} through a channel"
            ))
        }
    };
    flux::scope(|scope| {
        let producer = scope.spawn_fiber(Fiber::new(StackClass::Small, "producer", || {
            for number in 1..=count {
                match sender.send(number) {
                    Ok(()) => sent.set(number),
                    Err(SendError::Stopped(..)) => return,
                    Err(SendError::Closed(_)) => unreachable!("the world holds both ends"),
                }
            }
        }));
        for number in 0..count {
            if number == cancel_at {
                world.count(Kind::Cancel);
                producer.cancel();
                break;
            }
            if random.one_in(16) {
                pause(random)?;
            }
            match flux::timeout(FOR_EVER, || receiver.recv()) {
                Ok(Ok(value)) => take(value)?,
                Ok(Err(RecvError::Closed)) => {
                    return Err("a channel with both ends is closed".into());
                }
                _ => return Err("a receive was stopped by nobody".to_owned()),
            }
        }
        producer
            .join()
            .map_err(|error| format!("a producer: {error}"))
    })?;
    while let Ok(value) = receiver.try_recv() {
        take(value)?;
    }
    world.tally.add(Kind::Send, sent.get());
    if received == sent.get() {
        Ok(())
    } else {
        Err(format!(
            "{} values were sent, and {received} came",
            sent.get()
        ))
    }
}
