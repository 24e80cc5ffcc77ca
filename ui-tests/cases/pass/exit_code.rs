//! `main` may return whatever std takes.

use std::process::ExitCode;

#[flux::main(core = "none")]
fn main() -> ExitCode {
    flux::spawn(|| ExitCode::SUCCESS).join().unwrap_or(ExitCode::FAILURE)
}
