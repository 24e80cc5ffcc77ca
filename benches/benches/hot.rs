//! The whole job per message, frame to book, of a real recording that is sent flat out: flux against a raw loop with the
//! same ring (the limit), and against what one would pick instead.
//!
//! The receiver is pinned to one core and measured, the sender has another. The cost is the receiver
//! thread's CPU time per message.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    flux_benches::harness::try_main("hot", linux::groups)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    flux_benches::harness::skip(
        "hot",
        "its limit is a loop on io_uring, which only Linux has",
    )
}

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::Arc;

    use flux_benches::Fault;
    use flux_benches::harness::{Args, Goal, Group};
    use flux_benches::hot::{Library, Receiver, Run, Secure, Tape, Way, job_alone};
    use flux_benches::load::Pace;
    use flux_benches::raw_uring::Wait;

    const FLUX: Receiver = Receiver::Flux(Way::Ring(Wait::Block));
    const TYPED: Receiver = Receiver::Tokio(Library::Tungstenite);
    const LEAN: Receiver = Receiver::Tokio(Library::FastWebSockets);

    const PLAIN: [Receiver; 7] = [
        FLUX,
        Receiver::Raw(Wait::Block),
        LEAN,
        TYPED,
        Receiver::Tokio(Library::TungsteniteLeast),
        Receiver::Tokio(Library::TungsteniteUntuned),
        Receiver::Flux(Way::Epoll),
    ];
    const SECURE: [Receiver; 5] = [
        FLUX,
        LEAN,
        TYPED,
        Receiver::Tokio(Library::TungsteniteLeast),
        Receiver::Flux(Way::Epoll),
    ];

    pub(crate) fn groups(args: &Args) -> Result<Vec<Group<'static>>, Fault> {
        let tape = Arc::new(Tape::load(args.size)?);
        let secure = Secure::of_process()?;
        let mut groups = Vec::new();
        let paces = [
            ("100 000 msg/s", Pace::PerSecond(100_000)),
            ("flat out, 1 a send", Pace::FlatOut(1)),
            ("flat out, 16 a send", Pace::FlatOut(16)),
        ];
        for (pace_name, pace) in paces {
            for (on, secure, receivers) in [
                ("", None, &PLAIN[..]),
                (" over TLS", Some(secure.clone()), &SECURE[..]),
            ] {
                let title = format!("frame to book{on}, {pace_name}");
                let mut group = Group::new(title, "ns/msg", 9);
                for &receiver in receivers {
                    let run = Run {
                        receiver,
                        tape: Arc::clone(&tape),
                        pace,
                        secure: secure.clone(),
                    };
                    group = group.contender(receiver.name(), move || run.cost());
                }
                let alone = Arc::clone(&tape);
                group = group.contender("scanner + book alone", move || job_alone(&alone));
                let goals = match (pace, secure) {
                    (Pace::FlatOut(16), None) => vec![(TYPED, 0.333), (LEAN, 0.6)],
                    (Pace::FlatOut(16), Some(_)) => vec![(TYPED, 0.5)],
                    // Whoever is quick sleeps between messages here, and pays for each wake-up: see the README.
                    _ => Vec::new(),
                };
                for (over, at_most) in goals {
                    group = group.goal(Goal::Ratio {
                        contender: FLUX.name(),
                        over: over.name(),
                        at_most,
                    });
                }
                groups.push(group);
            }
        }
        Ok(groups)
    }
}
