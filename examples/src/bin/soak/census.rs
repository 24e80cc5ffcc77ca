//! What there is of everything while nothing runs, and whether it is what there was.

use std::fmt::Write as _;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use crate::counting;
use crate::tally::{Deed, Kind, Socket};
use crate::world::World;

/// How much more memory may be resident than after the first interval: pages that are used for the first
/// time come late, a leak goes on.
const RSS_SLACK_KIB: u64 = 2048;

/// All that could leak, in the order of [`NAMES`], and the resident memory.
#[derive(Debug, Clone)]
pub(crate) struct Census {
    counts: [u64; NAMES.len()],
    rss_kib: u64,
}

const NAMES: [&str; 11] = [
    "open descriptors",
    "live fibers",
    "control blocks",
    "stacks in use",
    "fibers that wait for a stack",
    "requests in flight",
    "deadlines",
    "feeds",
    "requests that wait for room",
    "values that were not dropped",
    "allocations that live",
];

pub(crate) fn take(world: &World) -> Census {
    let stats = flux::stats();
    // Before the reading of files, which allocates.
    let live = counting::live();
    Census {
        counts: [
            descriptors(),
            stats.fibers_live as u64,
            stats.fibers_in_use as u64,
            stats.stacks.iter().map(|class| class.in_use as u64).sum(),
            stats.stacks.iter().map(|class| class.waiting as u64).sum(),
            stats.ops_in_flight as u64,
            stats.deadlines as u64,
            stats.feeds_in_use as u64,
            stats.overflow_depth,
            Rc::strong_count(&world.token) as u64 - 1,
            live,
        ],
        rss_kib: rss_kib(),
    }
}

/// What has changed, in a sentence; `made` are the allocations of the interval.
pub(crate) fn drift(before: &Census, now: &Census, made: u64) -> Option<String> {
    let mut sentence = String::new();
    for ((name, before), now) in NAMES.iter().zip(before.counts).zip(now.counts) {
        if before != now {
            // Writing to a string cannot fail.
            let _ = write!(sentence, ", {name}: {before} before and {now} now");
        }
    }
    if made > 0 {
        let _ = write!(sentence, ", {made} allocations after the warm-up");
    }
    if now.rss_kib > before.rss_kib + RSS_SLACK_KIB {
        let _ = write!(
            sentence,
            ", resident memory: {} KiB before and {} KiB now",
            before.rss_kib, now.rss_kib
        );
    }
    (!sentence.is_empty()).then(|| format!("drift: {}", &sentence[2..]))
}

/// A line of the table, with its head before the first.
pub(crate) fn line(elapsed: Duration, world: &World, now: &Census, made: u64) {
    let tally = &world.tally;
    let columns: [(&str, u64); 17] = [
        ("tcp", tally.with(Socket::Tcp, Deed::Connect)),
        ("unix", tally.with(Socket::Unix, Deed::Connect)),
        ("udp", tally.with(Socket::Udp, Deed::Connect)),
        ("cancels", tally.of(Kind::Cancel)),
        (
            "time-outs",
            tally.of(Kind::Timeout) + tally.of(Kind::ReadTimeout),
        ),
        (
            "spawns",
            tally.of(Kind::SpawnSmall) + tally.of(Kind::SpawnMedium) + tally.of(Kind::SpawnLarge),
        ),
        ("panics", tally.of(Kind::Panic) + tally.of(Kind::PanicAlone)),
        ("values", tally.of(Kind::Send)),
        ("fds", now.counts[0]),
        ("blocks", now.counts[2]),
        ("stacks", now.counts[3]),
        ("ops", now.counts[5]),
        ("deadlines", now.counts[6]),
        ("feeds", tally.of(Kind::Feed)),
        ("live", now.counts[10]),
        ("allocated", made),
        ("RSS/KiB", now.rss_kib),
    ];
    thread_local! {
        static HEAD: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }
    if !HEAD.replace(true) {
        print!("{:>8}", "seconds");
        for (name, _) in columns {
            print!(" {name:>9}");
        }
        println!();
    }
    print!("{:>8.1}", elapsed.as_secs_f64());
    for (_, count) in columns {
        print!(" {count:>9}");
    }
    println!();
}

/// What the reactor counted of itself.
pub(crate) fn report() {
    let stats = flux::stats();
    println!(
        "{} turns, {} switches, {} requests in {} kernel entries; {} waited for room ({} at once), \
         {} times the kernel took nothing",
        stats.turns,
        stats.switches,
        stats.ops_completed,
        stats.kernel_entries,
        stats.overflows,
        stats.overflow_high_water,
        stats.kernel_refusals
    );
}

/// The open descriptors of this process; 0 where the system does not tell.
fn descriptors() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as u64)
}

/// The resident memory of this process; 0 where the system does not tell.
fn rss_kib() -> u64 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let value = status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))?;
            value.trim().trim_end_matches("kB").trim().parse().ok()
        })
        .unwrap_or(0)
}
