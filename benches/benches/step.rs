//! Echo and feed with the load on the server's own thread, its time excluded: what two threads on two virtual
//! cores are too noisy to show. Against a raw loop (the limit) on the same engine, and tokio.
//!
//! The cost is the loop's time per message: runtime, parser, and the kernel's part of receiving and sending.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    flux_benches::harness::main("step", linux::groups)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    flux_benches::harness::skip(
        "step",
        "its limit is a loop on io_uring, which only Linux has",
    )
}

#[cfg(target_os = "linux")]
mod linux {
    use flux_benches::harness::{Args, Group, counted};
    use flux_benches::network::step;
    use flux_benches::servers::Lineup;
    use flux_benches::step::Work;

    pub(crate) fn groups(args: &Args) -> Vec<Group<'static>> {
        let mut groups = Vec::new();
        for lineup in Lineup::OF_FEEDS {
            for (work, name) in [(Work::Feed, "step feed"), (Work::Echo, "step echo")] {
                if work == Work::Echo && lineup == Lineup::Feeds {
                    continue;
                }
                for connections in [1, 4, 16] {
                    let messages = args.size.pick(100_000, 2_048);
                    let steps = messages / connections as u64;
                    let what = counted(connections, "connection");
                    groups.push(lineup.group(name, &what, 31, move |server| {
                        step(server, work, connections, steps)
                    }));
                }
            }
        }
        groups
    }
}
