//! flux, with its `io_uring` engine up.

use flux::sync::channel;
use flux::{Builder, Config, Core, Idle, JoinHandle, StackClass, spawn, yield_now};

use super::{check, check_sum};
use crate::Fault;

/// Runs `main` as the main fiber of a fresh reactor on this thread, which the harness has pinned.
///
/// # Errors
/// If the reactor cannot be set up.
pub fn run<T: 'static>(
    fibers: u64,
    main: impl FnOnce() -> Result<T, Fault> + 'static,
) -> Result<T, Fault> {
    let fibers = usize::try_from(fibers)?;
    Config::new()
        .core(Core::None)
        .idle(Idle::Block)
        .fibers(fibers + 1)
        .stacks(StackClass::Small, fibers)
        .run(main)?
}

/// `fibers` fibers, each of which yields `times` times.
///
/// # Errors
/// If a fiber panics, or the answer is wrong.
pub fn yields(fibers: u64, times: u64) -> Result<(), Fault> {
    let running: Vec<_> = (0..fibers)
        .map(|_| {
            let fiber = Builder::new().name("yield").stack(StackClass::Small);
            fiber.spawn(move || {
                let mut done = 0;
                while done < times && yield_now().is_ok() {
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut total = 0;
    for fiber in running {
        total += join(fiber)?;
    }
    check("number of yields", total, fibers * times)
}

/// Spawns and joins `count` fibers, one at a time.
///
/// # Errors
/// If a fiber panics, or the answer is wrong.
pub fn spawn_one_by_one(count: u64) -> Result<(), Fault> {
    let mut sum = 0;
    for i in 0..count {
        sum += join(spawn(move || i))?;
    }
    check_sum(sum, count)
}

/// Spawns `batch` fibers, then joins them, until `count` are done.
///
/// # Errors
/// If a fiber panics, or the answer is wrong.
pub fn spawn_in_batches(count: u64, batch: u64) -> Result<(), Fault> {
    let mut running = Vec::with_capacity(usize::try_from(batch).unwrap_or(0));
    let mut sum = 0;
    let mut next = 0;
    while next < count {
        for i in next..count.min(next + batch) {
            running.push(spawn(move || i));
        }
        next += batch;
        for fiber in running.drain(..) {
            sum += join(fiber)?;
        }
    }
    check_sum(sum, count)
}

/// Hands `count` numbers from one fiber to another.
///
/// # Errors
/// If a fiber panics, or the answer is wrong.
pub fn hand_over(count: u64, capacity: usize) -> Result<(), Fault> {
    let (sender, receiver) = channel(capacity);
    let giving = spawn(move || {
        for i in 0..count {
            if sender.send(i).is_err() {
                break;
            }
        }
    });
    let taking = spawn(move || {
        let mut sum = 0;
        while let Ok(i) = receiver.recv() {
            sum += i;
        }
        sum
    });
    join(giving)?;
    check_sum(join(taking)?, count)
}

/// The fiber's result. A panic's payload cannot be sent to where errors go, its sentence can.
///
/// Always inlined: a frame of ours between the fiber and its `join` would be one more return that the
/// processor mispredicts after a switch, and no user has it.
#[inline(always)]
#[allow(clippy::inline_always, reason = "see above: it is measured")]
pub(crate) fn join<T>(fiber: JoinHandle<T>) -> Result<T, Fault> {
    fiber.join().map_err(|error| error.to_string().into())
}
