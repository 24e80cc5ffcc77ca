//! Echo and feed with the load on the server's own thread, its time excluded: what two threads on two virtual
//! cores are too noisy to show. Against a raw `io_uring` loop (the limit) and tokio.
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
    use flux_benches::harness::{Args, Goal, Group, counted};
    use flux_benches::network::step;
    use flux_benches::raw_uring::Wait;
    use flux_benches::servers::Server;
    use flux_benches::step::Work;

    pub(crate) fn groups(args: &Args) -> Vec<Group<'static>> {
        let mut groups = Vec::new();
        for (work, name) in [(Work::Feed, "feed"), (Work::Echo, "echo")] {
            for connections in [1, 4, 16] {
                let messages = args.size.pick(100_000, 2_048);
                let steps = messages / connections as u64;
                let title = format!("step {name}, {}", counted(connections, "connection"));
                let mut group = Group::new(title, "ns/msg", 31);
                for server in [
                    Server::Flux(Wait::Block),
                    Server::Raw(Wait::Block),
                    Server::Tokio,
                ] {
                    group = group.contender(server.name(), move || {
                        step(server, work, connections, steps)
                    });
                }
                groups.push(group.goal(Goal::Ratio {
                    contender: Server::Flux(Wait::Block).name(),
                    over: Server::Raw(Wait::Block).name(),
                    at_most: 1.03,
                }));
            }
        }
        groups
    }
}
