//! What every system has, those without sockets too: fibers, stacks, time, channels, stopping, pinning.
//!
//! Needs the runtime alone, so that `.ci/emulated` can build it for other systems and run it there. What only some
//! have is in the other suites.

#[path = "portable/budget.rs"]
mod budget;
#[path = "common/itself.rs"]
mod itself;
#[path = "portable/machine.rs"]
mod machine;
#[path = "portable/panics.rs"]
mod panics;
#[path = "portable/reactor.rs"]
mod reactor;
#[path = "portable/stacks.rs"]
mod stacks;
#[path = "portable/stopping.rs"]
mod stopping;
#[path = "portable/time.rs"]
mod time;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flux::{Config, Core, RunError, yield_now};

const LONG: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(3);

/// A small reactor, unpinned so that tests beside each other do not crowd one core.
fn config() -> Config {
    Config::new().core(Core::None).fibers(256)
}

/// The right to have the reactor of this process.
fn turn() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `main` on a reactor, one at a time in this process.
fn run<T>(config: Config, main: impl FnOnce() -> T + 'static) -> Result<T, RunError> {
    let _turn = turn();
    config.run(main)
}

/// Runs `main` on a small reactor, and expects that to go well.
fn fibers<T>(main: impl FnOnce() -> T + 'static) -> T {
    run(config(), main).expect("the reactor runs")
}

/// Lets all other fibers run until they wait.
fn settle() {
    for _ in 0..3 {
        yield_now().unwrap();
    }
}

/// Sets its flag when dropped.
struct Flag(Rc<Cell<bool>>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[flux::fiber(stack = "small")]
fn quoter(price: u64) -> u64 {
    price + 1
}
