//! A yield: out of one fiber, through the scheduler, into the next; against tokio's `yield_now`.

use std::process::ExitCode;

use flux_benches::Fault;
use flux_benches::harness::{Args, Goal, Group, Sample, counted, main as run, timed};
use flux_benches::tasks::tokio::Drivers;
use flux_benches::tasks::{flux, tokio};

/// Yields per run, over all fibers.
const YIELDS: u64 = 4_000_000;

fn main() -> ExitCode {
    run("switch", groups)
}

fn groups(args: &Args) -> Vec<Group<'static>> {
    let yields = args.size.pick(YIELDS, 2_000);
    [1, 2, 16, 128]
        .map(|fibers| {
            let times = yields / fibers;
            let slow = times.div_ceil(10);
            let group = Group::new(
                format!("yield, {}", counted(fibers, "fiber")),
                "ns/yield",
                15,
            )
            .contender("flux", move || in_flux(fibers, times))
            .contender("tokio", move || in_tokio(fibers, slow, Drivers::All))
            .contender("tokio, no drivers", move || {
                in_tokio(fibers, slow, Drivers::None)
            });
            if fibers != 2 {
                return group;
            }
            group
                .goal(Goal::Cost {
                    contender: "flux",
                    at_most: 10.0,
                })
                .goal(Goal::Ratio {
                    contender: "flux",
                    over: "tokio",
                    at_most: 1.0 / 20.0,
                })
        })
        .into()
}

fn in_flux(fibers: u64, times: u64) -> Result<Sample, Fault> {
    flux::run(fibers, move || {
        let (sample, outcome) = timed(fibers * times, || flux::yields(fibers, times));
        outcome.map(|()| sample)
    })
}

fn in_tokio(tasks: u64, times: u64, drivers: Drivers) -> Result<Sample, Fault> {
    let runtime = tokio::runtime(drivers)?;
    let (sample, outcome) = timed(tasks * times, || {
        runtime.block_on(tokio::yields(tasks, times))
    });
    outcome.map(|()| sample)
}
