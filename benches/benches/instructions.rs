//! User-space instructions per operation, counted by valgrind's callgrind: what must not drift.
//!
//! Counts are exact and the same on every run, so they show a change of one instruction where times show
//! nothing below a few per cent; they do not see the kernel, caches, or pipelines. Each case runs in a child
//! process, once short and once long: the difference is the operations alone, without set-up.

use std::process::{Command, ExitCode};

use flux_benches::Fault;
use flux_benches::harness::{self, Args, Group, Sample, Size};
use flux_benches::tasks::tokio::Drivers;
use flux_benches::tasks::{flux, tokio};
use flux_benches::timers::tokio::How;
use flux_benches::timers::{self, Churn, Pick};

/// Names a case and a number of operations: the child's whole order.
const CHILD: &str = "--child";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, case, operations] = &arguments[..]
        && flag == CHILD
    {
        return match child(case, operations) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => {
                eprintln!("{case}: {fault}");
                ExitCode::FAILURE
            }
        };
    }
    let counted = arguments.iter().any(|argument| argument == "--bench");
    if counted && Command::new("valgrind").arg("--version").output().is_err() {
        return harness::skip("instructions", "valgrind is not installed");
    }
    harness::main("instructions", groups)
}

type Run = fn(u64) -> Result<(), Fault>;

/// Group, contender, and what runs so many operations of it.
const CASES: &[(&str, &str, Run)] = &[
    ("yield, 2 fibers", "flux", |n| {
        flux::run(2, move || flux::yields(2, n / 2))
    }),
    ("yield, 2 fibers", "tokio", |n| {
        tokio::runtime(Drivers::All)?.block_on(tokio::yields(2, n / 2))
    }),
    ("spawn + join, one at a time", "flux", |n| {
        flux::run(8, move || flux::spawn_one_by_one(n))
    }),
    ("spawn + join, one at a time", "tokio", |n| {
        tokio::runtime(Drivers::All)?.block_on(tokio::spawn_one_by_one(n))
    }),
    ("hand-off, capacity 1", "flux", |n| {
        flux::run(8, move || flux::hand_over(n, 1))
    }),
    ("hand-off, capacity 1", "tokio", |n| {
        tokio::runtime(Drivers::All)?.block_on(tokio::hand_over(n, 1))
    }),
    ("hand-off, capacity 64", "flux", |n| {
        flux::run(8, move || flux::hand_over(n, 64))
    }),
    ("hand-off, capacity 64", "tokio", |n| {
        tokio::runtime(Drivers::All)?.block_on(tokio::hand_over(n, 64))
    }),
    ("timer set + cancelled, 10 000 live", "flux", |n| {
        timers::flux::churn(&churn(Pick::Newest, n)).map(drop)
    }),
    ("timer set + cancelled, 10 000 live", "tokio", |n| {
        timers::tokio::churn(&churn(Pick::Newest, n), How::Sleep).map(drop)
    }),
    ("timer set + cancelled, 10 000 live", "tokio, least", |n| {
        timers::tokio::churn(&churn(Pick::Newest, n), How::Least).map(drop)
    }),
    ("timer set + cancelled, 10 000 live", "std BTreeMap", |n| {
        timers::std::churn(&churn(Pick::Newest, n)).map(drop)
    }),
    ("timer in place of one of 10 000", "flux", |n| {
        timers::flux::churn(&churn(Pick::Random, n)).map(drop)
    }),
    ("timer in place of one of 10 000", "tokio", |n| {
        timers::tokio::churn(&churn(Pick::Random, n), How::Sleep).map(drop)
    }),
    ("timer in place of one of 10 000", "std BTreeMap", |n| {
        timers::std::churn(&churn(Pick::Random, n)).map(drop)
    }),
    #[cfg(target_os = "linux")]
    ("step feed, 4 connections", "flux", network::feed_flux),
    #[cfg(target_os = "linux")]
    (
        "step feed, 4 connections",
        "raw io_uring",
        network::feed_raw,
    ),
    #[cfg(target_os = "linux")]
    ("step feed, 4 connections", "tokio", network::feed_tokio),
    #[cfg(target_os = "linux")]
    ("step echo, 4 connections", "flux", network::echo_flux),
    #[cfg(target_os = "linux")]
    (
        "step echo, 4 connections",
        "raw io_uring",
        network::echo_raw,
    ),
    #[cfg(target_os = "linux")]
    ("step echo, 4 connections", "tokio", network::echo_tokio),
    #[cfg(target_os = "linux")]
    (
        "step feed on epoll, 4 connections",
        "flux on epoll",
        network::feed_flux_on_epoll,
    ),
    #[cfg(target_os = "linux")]
    (
        "step feed on epoll, 4 connections",
        "raw epoll",
        network::feed_raw_epoll,
    ),
    #[cfg(target_os = "linux")]
    (
        "step feed on epoll, 4 connections",
        "tokio",
        network::feed_tokio,
    ),
    #[cfg(target_os = "linux")]
    (
        "step echo on epoll, 4 connections",
        "flux on epoll",
        network::echo_flux_on_epoll,
    ),
    #[cfg(target_os = "linux")]
    (
        "step echo on epoll, 4 connections",
        "raw epoll",
        network::echo_raw_epoll,
    ),
    #[cfg(target_os = "linux")]
    (
        "step echo on epoll, 4 connections",
        "tokio",
        network::echo_tokio,
    ),
];

fn churn(pick: Pick, operations: u64) -> Churn {
    Churn::new(10_000, pick, operations)
}

/// The generator's own instructions are in all counts: the *differences* are the runtimes.
#[cfg(target_os = "linux")]
mod network {
    use flux_benches::Fault;
    use flux_benches::network::step;
    use flux_benches::raw_uring::Wait;
    use flux_benches::servers::Server;
    use flux_benches::step::Work;

    const CONNECTIONS: usize = 4;

    fn run(server: Server, work: Work, messages: u64) -> Result<(), Fault> {
        step(server, work, CONNECTIONS, messages / CONNECTIONS as u64).map(drop)
    }

    pub(crate) fn feed_flux(n: u64) -> Result<(), Fault> {
        run(Server::Flux(Wait::Block), Work::Feed, n)
    }

    pub(crate) fn feed_raw(n: u64) -> Result<(), Fault> {
        run(Server::Raw(Wait::Block), Work::Feed, n)
    }

    pub(crate) fn feed_flux_on_epoll(n: u64) -> Result<(), Fault> {
        run(Server::FluxOnEpoll, Work::Feed, n)
    }

    pub(crate) fn feed_raw_epoll(n: u64) -> Result<(), Fault> {
        run(Server::RawEpoll, Work::Feed, n)
    }

    pub(crate) fn feed_tokio(n: u64) -> Result<(), Fault> {
        run(Server::Tokio, Work::Feed, n)
    }

    pub(crate) fn echo_flux(n: u64) -> Result<(), Fault> {
        run(Server::Flux(Wait::Block), Work::Echo, n)
    }

    pub(crate) fn echo_raw(n: u64) -> Result<(), Fault> {
        run(Server::Raw(Wait::Block), Work::Echo, n)
    }

    pub(crate) fn echo_flux_on_epoll(n: u64) -> Result<(), Fault> {
        run(Server::FluxOnEpoll, Work::Echo, n)
    }

    pub(crate) fn echo_raw_epoll(n: u64) -> Result<(), Fault> {
        run(Server::RawEpoll, Work::Echo, n)
    }

    pub(crate) fn echo_tokio(n: u64) -> Result<(), Fault> {
        run(Server::Tokio, Work::Echo, n)
    }
}

fn groups(args: &Args) -> Vec<Group<'static>> {
    let size = args.size;
    let mut groups: Vec<(&str, Group<'static>)> = Vec::new();
    for &(title, contender, run) in CASES {
        if groups.last().is_none_or(|(last, _)| *last != title) {
            groups.push((title, Group::new(title, "instr/op", 1)));
        }
        if let Some((title, group)) = groups.pop() {
            let case = format!("{title}/{contender}");
            let group = group.contender(contender, move || match size {
                Size::Full => count(&case),
                Size::Smoke => run(2_048).map(|()| Sample::cost(0.0, 1)),
            });
            groups.push((title, group));
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Instructions of one operation: of a long run less those of a short one.
fn count(case: &str) -> Result<Sample, Fault> {
    const SHORT: u64 = 4_096;
    const LONG: u64 = 5 * SHORT;
    let extra = callgrind(case, LONG)?.saturating_sub(callgrind(case, SHORT)?);
    Ok(Sample::cost_of_count(extra, LONG - SHORT))
}

/// Instructions of a whole child process.
fn callgrind(case: &str, operations: u64) -> Result<u64, Fault> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args([CHILD, case, &operations.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("the child under valgrind failed: {said}").into());
    }
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .ok_or_else(|| format!("valgrind printed no count: {said}"))?;
    Ok(collected.1.trim().parse()?)
}

fn child(case: &str, operations: &str) -> Result<(), Fault> {
    let operations = operations.parse()?;
    let found = CASES
        .iter()
        .find(|(title, contender, _)| case.strip_prefix(title) == Some(&format!("/{contender}")))
        .ok_or("no such case")?;
    (found.2)(operations)
}
