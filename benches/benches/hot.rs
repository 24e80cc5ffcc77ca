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
    use flux_benches::hot::{Library, Receiver, Run, Secure, Tape};
    use flux_benches::load::Pace;
    use flux_benches::raw_uring::Wait;

    const PLAIN: [Receiver; 5] = [
        Receiver::Raw(Wait::Block),
        Receiver::Tokio(Library::FastWebSockets),
        Receiver::Tokio(Library::Tungstenite),
        Receiver::Tokio(Library::TungsteniteLeast),
        Receiver::Tokio(Library::TungsteniteUntuned),
    ];
    const SECURE: [Receiver; 3] = [
        Receiver::Tokio(Library::FastWebSockets),
        Receiver::Tokio(Library::Tungstenite),
        Receiver::Tokio(Library::TungsteniteLeast),
    ];

    pub(crate) fn groups(args: &Args) -> Result<Vec<Group<'static>>, Fault> {
        let tape = Arc::new(Tape::load(args.size)?);
        let secure = Secure::of_process()?;
        let mut groups = Vec::new();
        for per_send in [1, 16] {
            for (on, secure, receivers) in [
                ("", None, &PLAIN[..]),
                (" over TLS", Some(secure.clone()), &SECURE[..]),
            ] {
                let title = format!("frame to book{on}, {per_send} a send");
                let mut group = Group::new(title, "ns/msg", 9);
                for &receiver in receivers {
                    let run = Run {
                        receiver,
                        tape: Arc::clone(&tape),
                        pace: Pace::FlatOut(per_send),
                        secure: secure.clone(),
                    };
                    group = group.contender(receiver.name(), move || run.cost());
                }
                groups.push(group);
            }
        }
        Ok(groups)
    }
}
