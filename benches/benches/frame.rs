//! What a WebSocket's frame costs by itself: its header, and whether its text is UTF-8, over bytes that are there.
//!
//! The cost is CPU time per message of 278 bytes on average, header included; instead of being received it is copied
//! to where the reader wants it, which is in all figures.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    flux_benches::harness::try_main("frame", linux::groups)
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
    use flux_benches::Fault;
    use flux_benches::floor::Check;
    use flux_benches::harness::{Args, Goal, Group};
    use flux_benches::hot::Tape;
    use flux_benches::memory::{self, Frames};

    pub(crate) fn groups(args: &Args) -> Result<Vec<Group<'static>>, Fault> {
        let tape = Tape::load(args.size)?;
        let mut groups = Vec::new();
        for (many, per_read) in [(false, "1 a read"), (true, "16 KiB a read")] {
            let frames = Frames::of_tape(&tape, many);
            let title = format!("frames of the recording, {per_read}");
            groups.push(with_goals(group(title, &frames, args.size.pick(10, 1))));
            let title = format!("the same frame of 278 bytes, {per_read}");
            groups.push(group(
                title,
                &Frames::same(many),
                args.size.pick(20_000, 20),
            ));
        }
        Ok(groups)
    }

    fn group(title: String, frames: &Frames, rounds: u64) -> Group<'static> {
        let of = [(); 4].map(|()| frames.clone());
        let [flux, std, simd, tungstenite] = of;
        Group::new(title, "ns/msg", 15)
            .contender("flux::ws", move || memory::flux(&flux, rounds))
            .contender("by hand, std", move || {
                memory::floor(&std, rounds, Check::Std)
            })
            .contender("by hand, simdutf8", move || {
                memory::floor(&simd, rounds, Check::Simd)
            })
            .contender("tungstenite", move || {
                memory::tungstenite(&tungstenite, rounds)
            })
    }

    fn with_goals(group: Group<'static>) -> Group<'static> {
        let over = ["by hand, std", "by hand, simdutf8"];
        over.into_iter().fold(group, |group, over| {
            group.goal(Goal::Ratio {
                contender: "flux::ws",
                over,
                at_most: 1.2,
            })
        })
    }
}
