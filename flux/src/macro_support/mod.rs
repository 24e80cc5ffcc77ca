//! All that generated code may name. Not for use by hand: it changes with the macros.

mod asserts;

use std::process::{ExitCode, Termination};
use std::sync::{Mutex, PoisonError};

pub use crate::budget::FiberFn;
pub use crate::config::{Config, Core, EventEngine, Idle, StackClass};
pub use crate::error::InitError;
pub use crate::reactor::Reactor;
pub use crate::task::Fiber;
pub use asserts::{
    assert_argument_fits, assert_arguments_fit, assert_crate_root, assert_feed_buffer,
    assert_feeds, assert_fibers, assert_large_stacks, assert_max, assert_result_fits,
    assert_stack_size, assert_stack_sizes_rise, assert_stacks, assert_timers,
};

/// The body of the `fn main` that `#[flux::main]` makes: runs `main` as the main fiber, and reports its
/// end as std does, or why there was none.
#[track_caller]
pub fn run_main<T: Termination + 'static>(config: Config, main: fn() -> T) -> ExitCode {
    match config.run(main) {
        Ok(outcome) => outcome.report(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One test at a time has a reactor.
static TESTS: Mutex<()> = Mutex::new(());

/// The body of a test that `#[flux::test]` makes: waits until no other one runs, and runs `test` as the main
/// fiber of a reactor.
///
/// # Panics
/// With what the test panicked with; and when there is no reactor for it, or that ended with an error.
#[track_caller]
pub fn run_test<T: 'static>(config: Config, test: fn() -> T) -> T {
    // A test that panicked has left nothing behind that the next one would see.
    let _one_at_a_time = TESTS.lock().unwrap_or_else(PoisonError::into_inner);
    match config.run(test) {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
