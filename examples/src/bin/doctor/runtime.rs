//! What flux itself gets of this machine, found out by asking for it: engines, a priority, locked memory.

use std::time::Duration;

use flux::{Config, EventEngine, InitError, RunError};

use crate::files::{Files, cores, value};
use crate::finding::Finding;

/// Readings of the clock that are timed together.
const READINGS: u32 = 100_000;

/// What of the kernel flux uses, and since when it is there.
const FEATURES: [(&str, (u32, u32)); 5] = [
    ("stacks backed at init", (5, 14)),
    ("rings that wait for their thread", (6, 1)),
    ("polling of network cards by the ring", (6, 9)),
    ("buffers that fill step by step", (6, 12)),
    ("guards without mappings", (6, 13)),
];

/// A reactor as it is made by default, from inside.
pub(crate) struct Seen {
    engine: &'static str,
    refused: Option<&'static str>,
    /// The core that it runs on, where it runs on one.
    pub(crate) core: Option<usize>,
    /// What the time is read from.
    pub(crate) clock: &'static str,
    /// What a reading costs.
    pub(crate) reading: Duration,
}

/// Makes a reactor, and looks around in it.
pub(crate) fn look(files: &'static (dyn Files + Sync)) -> Result<Seen, RunError> {
    Config::new().run(|| {
        let status = files.read("proc/thread-self/status").unwrap_or_default();
        let mine = cores(value(&status, "Cpus_allowed_list").unwrap_or(""));
        let stats = flux::stats();
        let before = flux::time::now_precise();
        for _ in 0..READINGS {
            std::hint::black_box(flux::time::now_precise());
        }
        Seen {
            engine: stats.engine,
            refused: stats.engine_refused,
            core: mine.first().copied().filter(|_| mine.len() == 1),
            clock: stats.clock,
            reading: before.elapsed() / READINGS,
        }
    })
}

/// All that is to be said of what flux gets.
pub(crate) fn findings(files: &dyn Files, seen: &Result<Seen, RunError>) -> Vec<Finding> {
    let mut all = vec![kernel(files)];
    if seen.is_ok() {
        all.push(ring());
        all.push(automatic(seen));
        all.push(priority(files, &Config::new().realtime(1).init().map(drop)));
        all.push(locked(&Config::new().lock_memory().init().map(drop)));
    } else {
        let untried = |topic| {
            let found = "not tried, since flux does not start here: see `engine`";
            Finding::hint(topic, found, "put that right first")
        };
        all.push(untried("io_uring"));
        all.push(automatic(seen));
        all.push(untried("real-time priority"));
        all.push(untried("locked memory"));
    }
    all
}

/// `6.18.44-generic`: the first two numbers.
fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

fn kernel(files: &dyn Files) -> Finding {
    let topic = "kernel";
    let path = "proc/sys/kernel/osrelease";
    let text = match files.read(path) {
        Ok(text) => text,
        Err(error) => return Finding::unreadable(topic, path, &error),
    };
    let Some(release) = release(&text) else {
        let found = format!("its release, `{text}`, is no number");
        return Finding::hint(topic, found, "flux tries what there is");
    };
    let missing = FEATURES.iter().filter(|(_, since)| release < *since);
    let missing: Vec<String> = missing
        .map(|(what, (major, minor))| format!("{what} ({major}.{minor})"))
        .collect();
    if missing.is_empty() {
        return Finding::ok(topic, format!("Linux {text} has all that flux uses"));
    }
    Finding::hint(
        topic,
        format!("Linux {text} is older than {}", missing.join(", ")),
        "a newer kernel; flux does without, at a price",
    )
}

fn ring() -> Finding {
    let topic = "io_uring";
    let config = Config::new().engine(EventEngine::IoUring);
    match config.run(|| flux::stats().engine) {
        Ok("io_uring") => Finding::ok(topic, "available"),
        Ok(other) => Finding::hint(
            topic,
            format!("not tried: `FLUX_ENGINE` says `{other}`"),
            "unset it",
        ),
        Err(error) => refused(topic, &error.to_string()),
    }
}

/// A sentence of flux's, of which the part behind the semicolon says what to do.
fn refused(topic: &'static str, sentence: &str) -> Finding {
    match sentence.split_once("; ") {
        Some((found, remedy)) => Finding::warn(topic, found, remedy),
        None => Finding::warn(
            topic,
            sentence,
            "see the documentation of `flux::InitError`",
        ),
    }
}

fn automatic(seen: &Result<Seen, RunError>) -> Finding {
    let topic = "engine";
    match seen {
        Ok(seen) => match seen.refused {
            None => Finding::ok(topic, format!("`auto` takes {}", seen.engine)),
            Some(why) => {
                let finding = refused(topic, why);
                let found = format!("`auto` takes {}: {}", seen.engine, finding.found);
                Finding { found, ..finding }
            }
        },
        Err(error) => refused(topic, &error.to_string()),
    }
}

fn priority(files: &dyn Files, tried: &Result<(), InitError>) -> Finding {
    let topic = "real-time priority";
    let runtime = files.read("proc/sys/kernel/sched_rt_runtime_us");
    match tried {
        Ok(()) if runtime.is_ok_and(|time| time == "-1") => Finding::warn(
            topic,
            "permitted, and without a limit: a core that spins at one never lets the kernel's threads run",
            "`sysctl -w kernel.sched_rt_runtime_us=950000`, or an isolated core",
        ),
        Ok(()) => Finding::ok(topic, "permitted: `Config::realtime`"),
        Err(InitError::Realtime { error, remedy, .. }) => {
            Finding::hint(topic, format!("not permitted: {error}"), remedy)
        }
        Err(error) => refused(topic, &error.to_string()),
    }
}

fn locked(tried: &Result<(), InitError>) -> Finding {
    let topic = "locked memory";
    match tried {
        Ok(()) => Finding::ok(topic, "permitted: `Config::lock_memory`"),
        Err(InitError::LockMemory { error, remedy }) => {
            Finding::hint(topic, format!("not permitted: {error}"), remedy)
        }
        Err(error) => refused(topic, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;
    use crate::finding::{Verdict, says};

    #[test]
    fn a_kernel_is_compared_with_what_flux_uses() {
        let of = |text| kernel(&Fixture(&[("proc/sys/kernel/osrelease", text)]));
        says(&of("6.18.44\n"), Verdict::Ok, &["6.18.44"]);
        says(&of("7.0.0-rc1"), Verdict::Ok, &[]);
        let parts = [
            "6.1.0-13-amd64 is older",
            "fill step by step (6.12)",
            "(6.13)",
        ];
        let old = of("6.1.0-13-amd64");
        says(&old, Verdict::Hint, &parts);
        assert!(!old.found.contains("(6.1)"), "{old:?}");
        says(&of("home-made"), Verdict::Hint, &["home-made"]);
        says(&of("!"), Verdict::Hint, &["not readable"]);
    }

    #[test]
    fn a_refusal_is_split_into_what_is_and_what_to_do() {
        let finding = refused("io_uring", "the kernel says no; use `auto`; it falls back");
        says(&finding, Verdict::Warn, &[]);
        assert_eq!(finding.found, "the kernel says no");
        assert_eq!(finding.remedy, "use `auto`; it falls back");
        says(
            &refused("io_uring", "no"),
            Verdict::Warn,
            &["no", "InitError"],
        );
    }

    #[test]
    fn an_engine_that_is_the_second_choice_says_why() {
        let seen = |refused| {
            Ok(Seen {
                engine: "epoll",
                refused,
                core: None,
                clock: "tsc",
                reading: Duration::ZERO,
            })
        };
        says(&automatic(&seen(None)), Verdict::Ok, &["takes epoll"]);
        let second = automatic(&seen(Some("forbidden here; allow it")));
        says(&second, Verdict::Warn, &["takes epoll: forbidden here"]);
        assert_eq!(second.remedy, "allow it");
        let error = RunError::Deadlock("a report; of it".into());
        says(
            &automatic(&Err(error)),
            Verdict::Warn,
            &["a report", "of it"],
        );
    }

    #[test]
    fn a_priority_without_a_limit_is_dangerous() {
        let of = |text| {
            priority(
                &Fixture(&[("proc/sys/kernel/sched_rt_runtime_us", text)]),
                &Ok(()),
            )
        };
        says(&of("950000\n"), Verdict::Ok, &["Config::realtime"]);
        says(&of("-1\n"), Verdict::Warn, &["950000"]);
        let error = Err(InitError::Realtime {
            priority: 1,
            error: std::io::ErrorKind::PermissionDenied.into(),
            remedy: "raise it".into(),
        });
        let refused = priority(&Fixture(&[]), &error);
        says(
            &refused,
            Verdict::Hint,
            &["not permitted: permission denied", "raise it"],
        );
    }
}
