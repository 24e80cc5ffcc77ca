//! Fibers that panic, alone: holding a connection, in a scope, with a joiner or without.
//!
//! std's machinery allocates for a panic. What it allocates is counted from the panic to the first
//! destructor that it runs: nothing else runs on this core in between.

use std::cell::Cell;
use std::panic::{PanicHookInfo, panic_any};
use std::rc::Rc;

use flux::{Builder, Fiber, JoinError, StackClass, yield_now};
use flux_examples::random::Random;

use crate::acts::pause;
use crate::counting;
use crate::datagrams;
use crate::tally::{Deed, Kind, Socket};
use crate::world::{Act, World};

/// What these fibers panic with.
struct Deliberate(u64);

/// Says nothing of panics that are part of the run; of all others as ever.
pub(crate) fn silence() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
        if !panic.payload().is::<Deliberate>() {
            loud(panic);
        }
    }));
}

/// Adds what was allocated since it was made to what a run may allocate.
struct Excuse<'a> {
    excused: &'a Cell<u64>,
    before: u64,
}

impl Drop for Excuse<'_> {
    fn drop(&mut self) {
        let made = counting::made() - self.before;
        self.excused.set(self.excused.get() + made);
    }
}

fn panic(world: &World, number: u64) -> ! {
    let _excuse = Excuse {
        excused: &world.excused,
        before: counting::made(),
    };
    panic_any(Deliberate(number));
}

/// Lets a fiber panic, and looks at what its joiner gets.
pub(crate) fn act(world: &Rc<World>, random: &mut Random, _which: usize) -> Act {
    let number = random.next_u64();
    let outcome = match random.below(4) {
        0 => {
            let world = Rc::clone(world);
            spawn(move || panic(&world, number)).join()
        }
        1 => {
            let held = (Rc::clone(world), Rc::clone(&world.token));
            let broken = |error| format!("a pair: {error}");
            let pair = world.pair(random).map_err(broken)?;
            let (datagrams, _far) = datagrams::pair(world).map_err(broken)?;
            world.did(pair.0.socket(), Deed::Panic);
            world.did(Socket::Udp, Deed::Panic);
            let fiber = spawn(move || {
                let ((world, _token), _sockets) = (held, (pair, datagrams));
                // It panics, cancelled or not.
                let _rested = yield_now();
                panic(&world, number)
            });
            pause(random)?;
            fiber.join()
        }
        2 => flux::scope(|scope| {
            let body = || -> () { panic(world, number) };
            let child = scope.spawn_fiber(Fiber::new(StackClass::Medium, "panics", body));
            child.join()
        }),
        _ => {
            let held = (Rc::clone(world), Rc::clone(&world.token));
            drop(spawn(move || {
                let (world, _token) = held;
                panic(&world, number)
            }));
            world.count(Kind::PanicAlone);
            return pause(random);
        }
    };
    world.count(Kind::Panic);
    match outcome {
        Err(JoinError::Panicked(payload))
            if payload
                .downcast_ref()
                .is_some_and(|Deliberate(found)| *found == number) =>
        {
            pause(random)
        }
        Err(error) => Err(format!("a fiber that panicked: {error}")),
        Ok(()) => Err("a fiber that panicked returned".into()),
    }
}

fn spawn(body: impl FnOnce() + 'static) -> flux::JoinHandle<()> {
    Builder::new()
        .name("panics")
        .stack(StackClass::Medium)
        .spawn(body)
}
