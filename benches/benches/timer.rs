//! Timers: setting one and taking it back among a hundred thousand, and sleeping through a hundred thousand
//! deadlines; against tokio, and against what one would write with std alone.

use std::process::ExitCode;
use std::time::Duration;

use flux::Idle;
use flux_benches::harness::{Args, Goal, Group, main as run};
use flux_benches::timers::tokio::How;
use flux_benches::timers::{Churn, Pick, Sleeps, flux as ours, std as by_hand, tokio};

const LIVE: usize = 100_000;

fn main() -> ExitCode {
    run("timer", groups)
}

fn groups(args: &Args) -> Vec<Group<'static>> {
    let newest = churn(args, Pick::Newest, "timer set + cancelled, 100 000 live");
    vec![
        newest.goal(Goal::Cost {
            contender: "flux",
            at_most: 12.0,
        }),
        churn(args, Pick::Random, "timer in place of one of 100 000"),
        sleeping(args),
    ]
}

fn churn(args: &Args, pick: Pick, title: &str) -> Group<'static> {
    let live = args.size.pick(LIVE, 1_000);
    let (many, few) = args.size.pick((4_000_000, 500_000), (2_000, 2_000));
    let many = Churn::new(live, pick, many);
    let few = Churn::new(live, pick, few);
    let [least, std] = [few.clone(), few.clone()];
    Group::new(title, "ns/timer", 15)
        .contender("flux", move || ours::churn(&many))
        .contender("tokio", move || tokio::churn(&few, How::Sleep))
        .contender("tokio, least", move || tokio::churn(&least, How::Least))
        .contender("std BTreeMap", move || by_hand::churn(&std))
}

/// What the goals are about; spinning only where it is not CPU time, of which whoever spins uses all.
const BLOCKING: &str = "flux callbacks";
const SPINNING: &str = "flux callbacks, spinning";
const FIBERS: &str = "flux fibers";
/// As coarse as tokio is, and a quarter of that.
const COARSE: [(&str, Duration); 2] = [
    ("flux callbacks, 250 us", Duration::from_micros(250)),
    ("flux callbacks, 1 ms", Duration::from_millis(1)),
];

fn sleeping(args: &Args) -> Group<'static> {
    let (shortest, longest) = (
        Duration::from_millis(1),
        args.size
            .pick(Duration::from_secs(2), Duration::from_millis(20)),
    );
    let count = args.size.pick(LIVE, 500);
    let lead = args
        .size
        .pick(Duration::from_millis(300), Duration::from_millis(5));
    let sleeps = Sleeps::new(count, shortest, longest, lead);
    let each = || sleeps.clone();
    let (block, spin, fibers, tasks, heap) = (each(), each(), each(), each(), each());
    let exactly = Duration::ZERO;
    let over_tokio = |contender, at_most| Goal::Ratio {
        contender,
        over: "tokio tasks",
        at_most,
    };
    let mut group = Group::new("100 000 sleeps, CPU time", "ns/timer", 7)
        .contender(BLOCKING, move || {
            ours::sleep_in_callbacks(&block, Idle::Block, exactly)
        })
        .contender(SPINNING, move || {
            ours::sleep_in_callbacks(&spin, Idle::Spin, exactly)
        })
        .contender(FIBERS, move || ours::sleep_in_fibers(&fibers, Idle::Block))
        .contender("tokio tasks", move || tokio::sleep_in_tasks(&tasks))
        .contender("std heap + park", move || by_hand::sleep_on_a_heap(&heap));
    for (name, grain) in COARSE {
        let sleeps = sleeps.clone();
        group = group.contender(name, move || {
            ours::sleep_in_callbacks(&sleeps, Idle::Block, grain)
        });
    }
    group
        .goal(over_tokio(BLOCKING, 1.0 / 3.0))
        .goal(over_tokio(FIBERS, 1.0 / 3.0))
        .side("100 000 sleeps, lateness, median", "ns")
        .side("100 000 sleeps, lateness, 99th percentile", "ns")
        .goal(over_tokio(BLOCKING, 0.2))
        .goal(over_tokio(SPINNING, 0.2))
        .goal(over_tokio(FIBERS, 0.2))
}
