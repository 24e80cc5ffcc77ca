//! Spawning and joining from inside a fiber or a task; against tokio.

use std::process::ExitCode;

use flux_benches::Fault;
use flux_benches::harness::{Args, Goal, Group, Sample, main as run, timed};
use flux_benches::tasks::tokio::Drivers;
use flux_benches::tasks::{flux, tokio};

/// How many live at once in the second group.
const BATCH: u64 = 1000;

fn main() -> ExitCode {
    run("spawn", groups)
}

fn groups(args: &Args) -> Vec<Group<'static>> {
    let (ours, theirs) = args.size.pick((1_000_000, 200_000), (2_000, 2_000));
    let goal = Goal::Ratio {
        contender: "flux",
        over: "tokio",
        at_most: 1.0 / 6.0,
    };
    vec![
        Group::new("spawn + join, one at a time", "ns/fiber", 15)
            .contender("flux", move || in_flux(ours, 1))
            .contender("tokio", move || in_tokio(theirs, 1, Drivers::All))
            .contender("tokio, no drivers", move || {
                in_tokio(theirs, 1, Drivers::None)
            })
            .goal(goal),
        Group::new("spawn 1000, then join 1000", "ns/fiber", 15)
            .contender("flux", move || in_flux(ours, BATCH))
            .contender("tokio", move || in_tokio(theirs, BATCH, Drivers::All))
            .contender("tokio, no drivers", move || {
                in_tokio(theirs, BATCH, Drivers::None)
            })
            .goal(goal),
    ]
}

fn in_flux(count: u64, batch: u64) -> Result<Sample, Fault> {
    // Space for a whole batch and the fibers around it.
    flux::run(batch + 8, move || {
        let (sample, outcome) = timed(count, || match batch {
            1 => flux::spawn_one_by_one(count),
            _ => flux::spawn_in_batches(count, batch),
        });
        outcome.map(|()| sample)
    })
}

fn in_tokio(count: u64, batch: u64, drivers: Drivers) -> Result<Sample, Fault> {
    let runtime = tokio::runtime(drivers)?;
    let (sample, outcome) = timed(count, || {
        // From inside a task, as from inside a fiber: `block_on`'s own future is polled differently.
        runtime.block_on(async move {
            let task = ::tokio::spawn(async move {
                match batch {
                    1 => tokio::spawn_one_by_one(count).await,
                    _ => tokio::spawn_in_batches(count, batch).await,
                }
            });
            task.await?
        })
    });
    outcome.map(|()| sample)
}
