//! A core that spins rather than sleeps: how old a message is when its handler has it, and how long a round trip
//! takes; how long a real exchange's message takes from its send to the order book; against tokio, which cannot but sleep, a raw ring that spins, and bare `recv`.
//!
//! Latencies, not CPU time: whoever spins uses all of that.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    flux_benches::harness::try_main("spin", linux::groups)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    flux_benches::harness::skip(
        "spin",
        "its limit is a loop on io_uring, which only Linux has",
    )
}

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::Arc;

    use flux_benches::Fault;
    use flux_benches::harness::{Args, Goal, Group};
    use flux_benches::hot::{Library, Receiver, Run, Tape, Way};
    use flux_benches::load::Pace;
    use flux_benches::network::{feed_latency, rally};
    use flux_benches::raw_uring::Wait;
    use flux_benches::servers::Server;

    const CONNECTIONS: usize = 4;
    /// flux in the two ways that it spins: what the goals are about.
    const SPINNING: [Server; 2] = [Server::Flux(Wait::Spin), Server::FluxHot];

    pub(crate) fn groups(args: &Args) -> Result<Vec<Group<'static>>, Fault> {
        let tape = Arc::new(Tape::load(args.size)?.cut(args.size.pick(20_000, 500))?);
        let slow = Arc::new(Tape::load(args.size)?.cut(args.size.pick(3_000, 100))?);
        Ok(vec![
            feed(args, "20 000 msg/s", 20_000),
            feed(args, "100 000 msg/s", 100_000),
            trip(args),
            book(&tape, "20 000 msg/s", 20_000),
            book(&slow, "1 000 msg/s", 1_000),
        ])
    }

    /// From the send of a WebSocket's frame to the order book.
    fn book(tape: &Arc<Tape>, pace: &str, per_second: u64) -> Group<'static> {
        const FLUX: Receiver = Receiver::Flux(Way::Ring(Wait::Spin));
        const TYPED: Receiver = Receiver::Tokio(Library::Tungstenite);
        let receivers = [
            FLUX,
            TYPED,
            Receiver::Tokio(Library::FastWebSockets),
            Receiver::Flux(Way::Hot),
            Receiver::Flux(Way::Ring(Wait::Block)),
            Receiver::Raw(Wait::Spin),
        ];
        let mut group = Group::new(format!("send to book, {pace}, median"), "ns", 9);
        for receiver in receivers {
            let run = Run {
                receiver,
                tape: Arc::clone(tape),
                pace: Pace::PerSecond(per_second),
                secure: None,
            };
            group = group.contender(receiver.name(), move || run.lag());
        }
        group
            .goal(Goal::Ratio {
                contender: FLUX.name(),
                over: TYPED.name(),
                at_most: 0.25,
            })
            .side(format!("send to book, {pace}, 99th percentile"), "ns")
    }

    fn feed(args: &Args, pace: &str, per_second: u64) -> Group<'static> {
        // A second of them.
        let messages = args.size.pick(per_second, 1_000);
        let servers = SPINNING.into_iter().chain([
            Server::Flux(Wait::Block),
            Server::Tokio,
            Server::Raw(Wait::Spin),
            Server::Bare,
        ]);
        let mut group = Group::new(format!("feed latency, {pace}, median"), "ns", 15);
        for server in servers {
            group = group.contender(server.name(), move || {
                feed_latency(server, CONNECTIONS, messages, per_second)
            });
        }
        let group = over(group, Server::Tokio, 0.25);
        let group = group.side(format!("feed latency, {pace}, 99th percentile"), "ns");
        over(group, Server::Tokio, 0.5)
    }

    fn trip(args: &Args) -> Group<'static> {
        let messages = args.size.pick(50_000, 500);
        let servers = [Server::Raw(Wait::Spin), Server::Bare];
        let mut group = Group::new("round trip, 1 connection, median", "ns", 15);
        for server in SPINNING.into_iter().chain(servers) {
            group = group.contender(server.name(), move || rally(server, messages));
        }
        over(group, Server::Bare, 1.1).side("round trip, 1 connection, 99th percentile", "ns")
    }

    /// Both ways to spin are to stay below a part of somebody's latency.
    fn over(group: Group<'static>, other: Server, at_most: f64) -> Group<'static> {
        SPINNING.into_iter().fold(group, |group, server| {
            group.goal(Goal::Ratio {
                contender: server.name(),
                over: other.name(),
                at_most,
            })
        })
    }
}
