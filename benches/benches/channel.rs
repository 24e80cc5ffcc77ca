//! Handing numbers from one fiber to another through a bounded channel; against `tokio::sync::mpsc`.

use std::process::ExitCode;

use flux_benches::Fault;
use flux_benches::harness::{Args, Group, Sample, main as run, timed};
use flux_benches::tasks::tokio::Drivers;
use flux_benches::tasks::{flux, tokio};

fn main() -> ExitCode {
    run("channel", groups)
}

fn groups(args: &Args) -> Vec<Group<'static>> {
    let (ours, theirs) = args.size.pick((2_000_000, 500_000), (2_000, 2_000));
    [1, 64]
        .map(|capacity| {
            Group::new(format!("hand-off, capacity {capacity}"), "ns/item", 15)
                .contender("flux", move || in_flux(ours, capacity))
                .contender("tokio", move || in_tokio(theirs, capacity, Drivers::All))
                .contender("tokio, no drivers", move || {
                    in_tokio(theirs, capacity, Drivers::None)
                })
        })
        .into()
}

fn in_flux(count: u64, capacity: usize) -> Result<Sample, Fault> {
    flux::run(8, move || {
        let (sample, outcome) = timed(count, || flux::hand_over(count, capacity));
        outcome.map(|()| sample)
    })
}

fn in_tokio(count: u64, capacity: usize, drivers: Drivers) -> Result<Sample, Fault> {
    let runtime = tokio::runtime(drivers)?;
    let (sample, outcome) = timed(count, || {
        runtime.block_on(tokio::hand_over(count, capacity))
    });
    outcome.map(|()| sample)
}
