//! A TCP echo server under ping-pong of 64 bytes; against a raw loop (the limit) on the same
//! engine, and tokio.
//!
//! The server is pinned to one core and measured, the load spins on another. The cost is the server
//! thread's CPU time per message.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    flux_benches::harness::main("echo", linux::groups)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    flux_benches::harness::skip(
        "echo",
        "its limit is a loop on io_uring, which only Linux has",
    )
}

#[cfg(target_os = "linux")]
mod linux {
    use flux_benches::harness::{Args, Goal, Group, counted};
    use flux_benches::network::echo;
    use flux_benches::raw_uring::Wait;
    use flux_benches::servers::{Lineup, Server};

    pub(crate) fn groups(args: &Args) -> Vec<Group<'static>> {
        let sizes = [(1, 30_000), (16, 150_000), (128, 200_000)];
        let mut groups = Vec::new();
        for lineup in Lineup::ALL {
            for (connections, full) in sizes {
                let messages = args.size.pick(full, 500);
                let what = counted(connections, "connection");
                groups.push(lineup.group("echo", &what, 15, move |server| {
                    echo(server, connections, messages)
                }));
            }
        }
        groups.push(spinning(args));
        groups
    }

    /// Both sides spin: CPU time is wall time then, so the cost is a round trip's whole latency.
    fn spinning(args: &Args) -> Group<'static> {
        let messages = args.size.pick(50_000, 500);
        let mut group = Group::new("echo, 1 connection, idle = spin", "ns/trip", 15);
        for server in [Server::Flux(Wait::Spin), Server::Raw(Wait::Spin)] {
            group = group.contender(server.name(), move || echo(server, 1, messages));
        }
        group.goal(Goal::Ratio {
            contender: Server::Flux(Wait::Spin).name(),
            over: Server::Raw(Wait::Spin).name(),
            at_most: 1.03,
        })
    }
}
