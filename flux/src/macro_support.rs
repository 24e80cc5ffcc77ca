//! All that generated code may name. Not for use by hand: it changes with the macros.

use std::process::{ExitCode, Termination};

pub use crate::config::{Config, Core, EventEngine, Idle, StackClass};
pub use crate::error::InitError;
pub use crate::reactor::Reactor;
pub use crate::task::Fiber;

/// The bytes that a fiber's closure, and its result, may have.
pub const SLOT_BYTES: usize = crate::fiber::block::SLOT_BYTES;
/// The alignment that they may have.
pub const SLOT_ALIGN: usize = crate::fiber::block::SLOT_ALIGN;

/// Refuses, while compiling, a `main` that is not the program's.
///
/// # Panics
/// When the path is not that of a crate's root.
#[track_caller]
pub const fn assert_crate_root(module_path: &str) {
    let path = module_path.as_bytes();
    let mut at = 0;
    while at < path.len() {
        assert!(
            path[at] != b':',
            "`#[flux::main]` goes on `fn main` in the crate root: here nothing would ever call it"
        );
        at += 1;
    }
}

/// Refuses, while compiling, arguments that the control block has no room for.
///
/// # Panics
/// When they do not fit.
#[track_caller]
pub const fn assert_arguments_fit<Arguments>() {
    assert!(
        size_of::<Arguments>() <= SLOT_BYTES,
        "the arguments of this fiber do not fit its control block (128 bytes): put the large ones in a `Box`"
    );
    assert!(
        align_of::<Arguments>() <= SLOT_ALIGN,
        "the arguments of this fiber are aligned too strictly for its control block: put them in a `Box`"
    );
}

/// Refuses, while compiling, a result that the control block has no room for.
///
/// # Panics
/// When it does not fit.
#[track_caller]
pub const fn assert_result_fits<T>() {
    assert!(
        size_of::<T>() <= SLOT_BYTES,
        "the result of this fiber does not fit its control block (128 bytes): return it in a `Box`"
    );
    assert!(
        align_of::<T>() <= SLOT_ALIGN,
        "the result of this fiber is aligned too strictly for its control block: return it in a `Box`"
    );
}

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
