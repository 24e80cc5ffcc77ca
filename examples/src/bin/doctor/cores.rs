//! The core that the reactor runs on: whether it has it for itself, and whether it is awake and fast.

use crate::files::{Files, cores, in_words, value};
use crate::finding::Finding;

const CPU: &str = "sys/devices/system/cpu";
/// Microseconds to wake up in, above which a sleep is worth a word.
const WAKE_US: u64 = 10;

/// The core that everything is to be said of: the one that the reactor runs on, or the first that it could,
/// where it is not pinned, or could not be made.
pub(crate) fn looked_at(files: &dyn Files, reactors: Option<usize>) -> usize {
    let first = || allowed(files).first().copied();
    reactors.or_else(first).unwrap_or(0)
}

/// All that is to be said of a core, which is the reactor's or stands for it.
pub(crate) fn findings(files: &dyn Files, core: usize, reactors: bool) -> Vec<Finding> {
    vec![
        mask(files, core, reactors),
        isolated(files, core),
        tick(files, core),
        siblings(files, core),
        governor(files, core),
        sleep(files, core),
    ]
}

/// The cores that this process may use.
fn allowed(files: &dyn Files) -> Vec<usize> {
    let status = files.read("proc/self/status").unwrap_or_default();
    cores(value(&status, "Cpus_allowed_list").unwrap_or(""))
}

fn mask(files: &dyn Files, core: usize, reactors: bool) -> Finding {
    let topic = "cores";
    let which = if reactors {
        "the reactor runs on"
    } else {
        "the reactor is on none of its own, and what follows is of"
    };
    let allowed = allowed(files);
    let words = in_words(&allowed);
    match allowed.len() {
        0 => Finding::hint(topic, "not readable: `/proc/self/status`", "mount /proc"),
        1 => Finding::warn(
            topic,
            format!(
                "this process may use core {words} alone, and shares it with all of its own threads"
            ),
            "give it a second one: `taskset -c`, `docker run --cpuset-cpus`, or a larger machine",
        ),
        _ => Finding::ok(
            topic,
            format!("this process may use {words}; {which} {core}"),
        ),
    }
}

fn isolated(files: &dyn Files, core: usize) -> Finding {
    let topic = "isolated cores";
    let path = format!("{CPU}/isolated");
    let list = match files.read(&path) {
        Ok(list) => cores(&list),
        Err(error) => return Finding::unreadable(topic, &path, &error),
    };
    let words = in_words(&list);
    match list.first() {
        None => Finding::hint(
            topic,
            format!("none: the system runs whatever it likes on core {core}"),
            "boot with `isolcpus=N nohz_full=N rcu_nocbs=N irqaffinity=OTHERS`, then `core = N`",
        ),
        Some(_) if list.contains(&core) => {
            Finding::ok(topic, format!("{words}; core {core} is one of them"))
        }
        Some(first) => Finding::warn(
            topic,
            format!("{words}; core {core} is none of them"),
            format!("`core = {first}`, or `FLUX_CORE={first}`"),
        ),
    }
}

fn tick(files: &dyn Files, core: usize) -> Finding {
    let topic = "timer tick";
    match files.read(&format!("{CPU}/nohz_full")) {
        Ok(list) if cores(&list).contains(&core) => Finding::ok(
            topic,
            format!("stops on core {core} while one thread runs there"),
        ),
        Ok(_) => Finding::hint(
            topic,
            format!("interrupts core {core} up to 1000 times a second"),
            format!("boot with `nohz_full={core}`"),
        ),
        Err(_) => Finding::hint(
            topic,
            format!(
                "interrupts core {core} up to 1000 times a second, and this kernel cannot stop it"
            ),
            "a kernel that is built with NO_HZ_FULL",
        ),
    }
}

fn siblings(files: &dyn Files, core: usize) -> Finding {
    let topic = "hyper-threading";
    let path = format!("{CPU}/cpu{core}/topology/thread_siblings_list");
    let others = match files.read(&path) {
        Ok(list) => cores(&list),
        Err(error) => return Finding::unreadable(topic, &path, &error),
    };
    let others: Vec<usize> = others.into_iter().filter(|other| *other != core).collect();
    if others.is_empty() {
        return Finding::ok(topic, format!("core {core} has its caches for itself"));
    }
    let words = in_words(&others);
    Finding::hint(
        topic,
        format!("core {core} shares its caches and units with {words}"),
        format!("keep {words} idle (isolate it too), or `echo off > /{CPU}/smt/control`"),
    )
}

fn governor(files: &dyn Files, core: usize) -> Finding {
    let topic = "governor";
    let path = format!("{CPU}/cpu{core}/cpufreq/scaling_governor");
    match files.read(&path) {
        Ok(governor) if governor == "performance" => Finding::ok(topic, governor),
        Ok(governor) => Finding::warn(
            topic,
            format!("`{governor}` on core {core}: it slows down when there is little to do"),
            "`cpupower frequency-set -g performance`",
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Finding::hint(
            topic,
            "none is to be seen: the firmware, or the host of a virtual machine, decides",
            "choose the firmware's profile for performance, or ask whoever runs the host",
        ),
        Err(error) => Finding::unreadable(topic, &path, &error),
    }
}

/// The sleep that takes longest to wake from, of those that are not forbidden: name, microseconds, number.
fn deepest(files: &dyn Files, core: usize) -> Option<(String, u64, String)> {
    let states = format!("{CPU}/cpu{core}/cpuidle");
    let of = |state: String| {
        let read = |name: &str| files.read(&format!("{states}/{state}/{name}")).ok();
        let forbidden = read("disable").is_some_and(|number| number != "0");
        let latency = read("latency")?.parse().ok()?;
        (!forbidden).then_some((read("name")?, latency, state))
    };
    let known = files.list(&states).into_iter().filter_map(of);
    known.max_by_key(|(_, latency, _)| *latency)
}

fn sleep(files: &dyn Files, core: usize) -> Finding {
    let topic = "sleep states";
    match deepest(files, core) {
        Some((name, latency, state)) if latency > WAKE_US => Finding::hint(
            topic,
            format!("core {core} may sleep in {name}, from which it takes {latency} us to wake"),
            format!("`idle = \"spin\"`, or `echo 1 > /{CPU}/cpu{core}/cpuidle/{state}/disable`"),
        ),
        Some((name, latency, _)) => Finding::ok(
            topic,
            format!("core {core} sleeps no deeper than {name}, {latency} us"),
        ),
        None => Finding::hint(
            topic,
            "none is to be seen: what waking up costs cannot be told",
            "`idle = \"spin\"` never sleeps",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fixture::Fixture;
    use crate::finding::{Verdict, says};

    #[test]
    fn a_machine_that_was_set_up_for_it_has_nothing_to_do() {
        let machine = Fixture(&[
            (
                "proc/self/status",
                "Name:\tdoctor\nCpus_allowed_list:\t0-3\n",
            ),
            ("sys/devices/system/cpu/isolated", "2-3\n"),
            ("sys/devices/system/cpu/nohz_full", "2-3\n"),
            (
                "sys/devices/system/cpu/cpu2/topology/thread_siblings_list",
                "2\n",
            ),
            (
                "sys/devices/system/cpu/cpu2/cpufreq/scaling_governor",
                "performance\n",
            ),
            ("sys/devices/system/cpu/cpu2/cpuidle/state0/name", "POLL\n"),
            ("sys/devices/system/cpu/cpu2/cpuidle/state0/latency", "0\n"),
            ("sys/devices/system/cpu/cpu2/cpuidle/state1/name", "C1\n"),
            ("sys/devices/system/cpu/cpu2/cpuidle/state1/latency", "2\n"),
            ("sys/devices/system/cpu/cpu2/cpuidle/state2/name", "C6\n"),
            (
                "sys/devices/system/cpu/cpu2/cpuidle/state2/latency",
                "133\n",
            ),
            ("sys/devices/system/cpu/cpu2/cpuidle/state2/disable", "1\n"),
        ]);
        for finding in findings(&machine, 2, true) {
            says(&finding, Verdict::Ok, &[]);
            assert!(finding.remedy.is_empty(), "{finding:?}");
        }
    }

    #[test]
    fn a_machine_as_it_is_bought_is_told_what_to_do_line_by_line() {
        let machine = Fixture(&[
            ("proc/self/status", "Cpus_allowed_list:\t0\n"),
            ("sys/devices/system/cpu/isolated", "\n"),
            ("sys/devices/system/cpu/nohz_full", " (null)\n"),
            (
                "sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
                "0,4\n",
            ),
            (
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                "powersave\n",
            ),
            ("sys/devices/system/cpu/cpu0/cpuidle/state3/name", "C6\n"),
            (
                "sys/devices/system/cpu/cpu0/cpuidle/state3/latency",
                "133\n",
            ),
            ("sys/devices/system/cpu/cpu0/cpuidle/state3/disable", "0\n"),
        ]);
        let all = findings(&machine, 0, true);
        says(&all[0], Verdict::Warn, &["core 0 alone", "taskset"]);
        says(&all[1], Verdict::Hint, &["none", "isolcpus=N"]);
        says(&all[2], Verdict::Hint, &["1000 times", "nohz_full=0"]);
        says(&all[3], Verdict::Hint, &["with 4", "smt/control"]);
        says(&all[4], Verdict::Warn, &["powersave", "cpupower"]);
        says(&all[5], Verdict::Hint, &["C6", "133 us", "state3/disable"]);
    }

    #[test]
    fn a_reactor_without_a_core_is_said_to_have_none() {
        let machine = Fixture(&[("proc/self/status", "Cpus_allowed_list:\t3-5\n")]);
        assert_eq!(looked_at(&machine, None), 3);
        assert_eq!(looked_at(&machine, Some(4)), 4);
        let parts = ["3-5", "on none of its own", "of 3"];
        says(&mask(&machine, 3, false), Verdict::Ok, &parts);
        says(&mask(&machine, 4, true), Verdict::Ok, &["runs on 4"]);
    }

    #[test]
    fn an_isolated_core_that_is_not_used_is_named() {
        let machine = Fixture(&[("sys/devices/system/cpu/isolated", "6-7\n")]);
        let finding = isolated(&machine, 0);
        says(&finding, Verdict::Warn, &["6-7", "`core = 6`"]);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let machine = Fixture(&[
            ("sys/devices/system/cpu/isolated", "!"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "!"),
        ]);
        let all = findings(&machine, looked_at(&machine, None), false);
        for at in [0, 1, 3, 4] {
            says(&all[at], Verdict::Hint, &["not readable"]);
        }
        says(&all[2], Verdict::Hint, &["NO_HZ_FULL"]);
        says(&all[5], Verdict::Hint, &["cannot be told"]);
        let without = Fixture(&[]);
        says(
            &governor(&without, 0),
            Verdict::Hint,
            &["none is to be seen"],
        );
    }
}
