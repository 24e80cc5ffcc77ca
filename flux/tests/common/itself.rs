//! The program of a test, once more: a process in which a test has something for itself.
//!
//! Needs std alone, so that the suite for systems without sockets has it too.

use std::process::Command;

/// This program, to be started again; under an emulator, which `FLUX_TEST_RUNNER` names, by that.
pub(crate) fn itself() -> Command {
    let program = std::env::current_exe().expect("a test has a path");
    let runner = std::env::var("FLUX_TEST_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    match words.next() {
        None => Command::new(program),
        Some(emulator) => {
            let mut command = Command::new(emulator);
            command.args(words).arg(program);
            command
        }
    }
}
