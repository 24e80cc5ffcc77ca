//! Faults from outside: a kernel that says no, signals without end, peers that leave, a process that is stopped.
//!
//! What is expected each time: the fiber that is concerned gets a clear error, all others go on, nothing is
//! left behind, nothing hangs. A fault belongs to a whole process, so each case has one of its own, which is
//! killed when it takes a minute; where it makes a difference there is one for each engine.
//!
//! What a machine does not let a test do (to filter syscalls, to be another user, to trace) is skipped, with
//! a line that says so.

#![cfg(target_os = "linux")]
#![allow(
    unsafe_code,
    reason = "each changes what its own process may do: its syscalls, its limits, its user, its signals"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "peers are std's sockets on threads of their own; each call is answered without a fiber"
)]

mod common;

#[path = "faults/bystander.rs"]
mod bystander;
#[path = "faults/calls.rs"]
mod calls;
#[path = "faults/filter.rs"]
mod filter;
#[path = "faults/limits.rs"]
mod limits;
#[path = "faults/peers.rs"]
mod peers;
#[path = "common/process.rs"]
mod process;
#[path = "faults/refused.rs"]
mod refused;
#[path = "faults/signals.rs"]
mod signals;
#[path = "faults/traced.rs"]
mod traced;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use flux::net::{TcpListener, TcpStream};
use flux::time::{Instant, sleep};
use flux::{EventEngine, InitError, RunError};

use common::{alone, config, descriptors, says, text};

const LOCALHOST: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// The longest that anything here may take to settle.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `body` in a process of its own for each of these environments.
fn in_each(test: &str, environments: &[&[(&str, &str)]], body: fn()) {
    for environment in environments {
        let Some(output) = alone(test, environment, body) else {
            return;
        };
        let text = text(&output);
        // The harness may have begun the line.
        for skipped in text
            .lines()
            .filter_map(|line| line.find("SKIPPED").map(|at| &line[at..]))
        {
            eprintln!("{test}, {environment:?}: {skipped}");
        }
        assert!(text.contains("1 passed"), "{environment:?}: {text}");
    }
}

/// Runs `body` in a process of its own for each engine; the test double of kqueue is one where it is built in.
fn on_each_engine(test: &str, body: fn()) {
    let engines: &[&[(&str, &str)]] = &[
        &[("FLUX_ENGINE", "io_uring")],
        &[("FLUX_ENGINE", "epoll")],
        &[("FLUX_ENGINE", "kqueue")],
    ];
    let count = if cfg!(flux_kqueue_compat) { 3 } else { 2 };
    in_each(test, &engines[..count], body);
}

/// Runs `main` on a reactor with the engine of the environment, and expects that nothing is left behind.
fn unharmed(main: impl FnOnce() + 'static) {
    let outcome = config().run(move || leaves_nothing(main));
    match outcome {
        Err(RunError::Init(InitError::EngineUnavailable { engine, why })) => {
            println!("SKIPPED: this machine refuses {engine}: {why}");
        }
        outcome => outcome.expect("the reactor runs"),
    }
}

/// Runs a small program; the engine that it ran on, and why that is not a better one.
fn works(config: flux::Config) -> (&'static str, Option<&'static str>) {
    config
        .run(|| {
            leaves_nothing(|| {
                let echo = bystander::Bystander::start();
                echo.goes_on(50);
                echo.end();
            });
            let stats = flux::stats();
            (stats.engine, stats.engine_refused)
        })
        .expect("it works")
}

/// What is in use: descriptors, live fibers, control blocks, stacks, requests, deadlines, what waits for room.
fn in_use() -> [usize; 7] {
    let stats = flux::stats();
    [
        descriptors(),
        stats.fibers_live,
        stats.fibers_in_use,
        stats.stacks.iter().map(|class| class.in_use).sum(),
        stats.ops_in_flight,
        stats.deadlines,
        usize::try_from(stats.overflow_depth).expect("it is small"),
    ]
}

fn leaves_nothing(main: impl FnOnce()) {
    let before = in_use();
    main();
    let began = Instant::now();
    while in_use() != before && began.elapsed() < PATIENCE {
        sleep(Duration::from_millis(1)).expect("nobody stops the main fiber");
    }
    assert_eq!(in_use(), before, "in use after and before");
}

/// Expects that init refuses an engine with one sentence that holds these parts, and leaves nothing behind.
#[track_caller]
fn refuses(engine: EventEngine, parts: &[&str]) {
    let before = descriptors();
    let error = config()
        .engine(engine)
        .run(|| panic!("it started"))
        .expect_err("it is refused");
    assert!(matches!(error, RunError::Init(_)), "{error:?}");
    says(&error, parts);
    assert_eq!(descriptors(), before, "nothing was half-started");
}

/// A connection of two ends on loopback.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(LOCALHOST).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let near = TcpStream::connect(address).expect("a queue has room");
    let (far, _) = listener.accept().expect("it has connected");
    (near, far)
}

/// The code of an error that the system made.
fn code<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}
