//! A hundred thousand fibers in one process, and what they cost.

mod common;

use std::time::Duration;

use flux::{Builder, Config, Core, StackClass};

/// Parks 100 000 fibers of class small, and looks at the process.
///
/// A parked fiber touches the top page of its stack and its control block; what else it costs are its
/// share of the page tables and of the arrays that know it.
#[test]
fn a_hundred_thousand_parked_fibers_cost_little_more_than_a_page_each() {
    const FIBERS: usize = 100_000;
    // A debug build's frames are several times as large, so that some reach into a second page.
    const BYTES_MAX: u64 = if cfg!(debug_assertions) { 6144 } else { 4608 };
    let test = "a_hundred_thousand_parked_fibers_cost_little_more_than_a_page_each";
    let output = common::alone(test, &[], || {
        let used = || common::status_kib("VmRSS") + common::status_kib("VmPTE");
        let before = used();
        Config::new()
            .core(Core::None)
            .fibers(FIBERS + 1)
            .stacks(StackClass::Small, FIBERS)
            .prefault(4096)
            // Fibers alone: the memory of feeds is there twice by the count of pages.
            .feeds(0)
            .run(move || {
                for _ in 0..FIBERS {
                    drop(
                        Builder::new()
                            .stack(StackClass::Small)
                            .spawn(|| flux::time::sleep(Duration::from_hours(1))),
                    );
                }
                while flux::stats().deadlines < FIBERS {
                    flux::yield_now().unwrap();
                }
                let each = (used() - before) * 1024 / FIBERS as u64;
                eprintln!("{each} bytes for each of {FIBERS} parked fibers");
                assert!(each <= BYTES_MAX, "{each} bytes each");
                assert_eq!(flux::stats().stacks[0].in_use, FIBERS);
            })
            .unwrap();
    });
    if let Some(output) = output {
        let said = common::text(&output);
        assert!(output.status.success(), "{said}");
        // The figure, for whoever runs this with `--nocapture`.
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
}
