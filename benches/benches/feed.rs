//! A feed's receiver: messages of about 280 bytes over 4 connections, paced and flat out, framed and summed;
//! against a raw loop (the limit) on the same engine, and tokio.
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
    use flux_benches::harness::{Args, Group};
    use flux_benches::load::Pace;
    use flux_benches::network::feed;
    use flux_benches::servers::Lineup;

    const CONNECTIONS: usize = 4;

    pub(crate) fn groups(args: &Args) -> Vec<Group<'static>> {
        let paces = [
            ("20 000 msg/s", Pace::PerSecond(20_000), 20_000),
            ("100 000 msg/s", Pace::PerSecond(100_000), 100_000),
            ("flat out, 1 a send", Pace::FlatOut(1), 300_000),
            ("flat out, 16 a send", Pace::FlatOut(16), 1_000_000),
        ];
        let mut groups = Vec::new();
        for lineup in Lineup::OF_FEEDS {
            for (name, pace, full) in paces {
                let messages = args.size.pick(full, 1_000);
                groups.push(lineup.group("feed", name, 15, move |server| {
                    feed(server, CONNECTIONS, messages, pace)
                }));
            }
        }
        groups
    }
}
