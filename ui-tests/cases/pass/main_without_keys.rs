//! The return type is any `Termination`; documentation and attributes stay on `main`.

/// Says nothing.
#[allow(unused_variables)]
#[flux::main]
fn main() -> std::process::ExitCode {
    #![allow(unused_mut)]
    let mut unused = 1;
    std::process::ExitCode::SUCCESS
}
