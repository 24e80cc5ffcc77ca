//! A feed's receiver: messages of about 280 bytes over 4 connections, paced and flat out, framed and summed;
//! against a raw `io_uring` loop (the limit) and tokio.
//!
//! The receiver is pinned to one core and measured, the sender has another. The cost is the receiver
//! thread's CPU time per message.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    flux_benches::harness::main("feed", linux::groups)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    flux_benches::harness::skip(
        "feed",
        "its limit is a loop on io_uring, which only Linux has",
    )
}

#[cfg(target_os = "linux")]
mod linux {
    use flux_benches::harness::{Args, Goal, Group};
    use flux_benches::load::Pace;
    use flux_benches::network::feed;
    use flux_benches::raw_uring::Wait;
    use flux_benches::servers::Server;

    const CONNECTIONS: usize = 4;

    pub(crate) fn groups(args: &Args) -> Vec<Group<'static>> {
        let paces = [
            ("20 000 msg/s", Pace::PerSecond(20_000), 20_000),
            ("100 000 msg/s", Pace::PerSecond(100_000), 100_000),
            ("flat out, 1 a send", Pace::FlatOut(1), 300_000),
            ("flat out, 16 a send", Pace::FlatOut(16), 1_000_000),
        ];
        paces
            .map(|(name, pace, full)| {
                let messages = args.size.pick(full, 1_000);
                let mut group = Group::new(format!("feed, {name}"), "ns/msg", 15);
                for server in [
                    Server::Flux(Wait::Block),
                    Server::Raw(Wait::Block),
                    Server::Tokio,
                ] {
                    group = group.contender(server.name(), move || {
                        feed(server, CONNECTIONS, messages, pace)
                    });
                }
                group.goal(Goal::Ratio {
                    contender: Server::Flux(Wait::Block).name(),
                    over: Server::Raw(Wait::Block).name(),
                    at_most: 1.03,
                })
            })
            .into()
    }
}
