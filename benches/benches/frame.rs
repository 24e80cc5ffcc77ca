//! What a WebSocket's frame costs by itself: its header, and whether its text is UTF-8, over bytes that are there.
//!
//! The cost is CPU time per message of 278 bytes, header included; nothing is received.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    flux_benches::harness::main("frame", linux::groups)
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    flux_benches::harness::skip(
        "frame",
        "the floor is built with its network benches, on Linux",
    )
}

#[cfg(target_os = "linux")]
mod linux {
    use flux_benches::floor::Check;
    use flux_benches::harness::{Args, Goal, Group};
    use flux_benches::memory;

    pub(crate) fn groups(args: &Args) -> Vec<Group<'static>> {
        let messages = args.size.pick(4_000_000, 2_000);
        // One message at a time, and as many as 16 KiB hold.
        [1, 58]
            .into_iter()
            .map(|per_fill| {
                let title = format!("frame of 278 bytes, {per_fill} a read");
                let mut group = Group::new(title, "ns/msg", 15)
                    .contender("flux::ws", move || memory::flux(messages, per_fill))
                    .contender("by hand, std", move || {
                        memory::floor(messages, per_fill, Check::Std)
                    })
                    .contender("by hand, simdutf8", move || {
                        memory::floor(messages, per_fill, Check::Simd)
                    })
                    .contender("tungstenite", move || {
                        memory::tungstenite(messages, per_fill)
                    });
                for over in ["by hand, std", "by hand, simdutf8"] {
                    group = group.goal(Goal::Ratio {
                        contender: "flux::ws",
                        over,
                        at_most: 1.2,
                    });
                }
                group
            })
            .collect()
    }
}
