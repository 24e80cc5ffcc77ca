//! What the machine is, and what it does to memory and time behind a program's back.

use std::time::Duration;

use crate::files::{Files, chosen, value};
use crate::finding::Finding;

const CLOCK: &str = "sys/devices/system/clocksource/clocksource0";
const HUGE: &str = "sys/kernel/mm/transparent_hugepage/enabled";

/// All that is to be said of the machine; `clock` is what flux reads the time from, and what a reading costs.
pub(crate) fn findings(files: &dyn Files, clock: Option<(&str, Duration)>) -> Vec<Finding> {
    vec![
        clock_source(files, clock),
        virtualised(files),
        huge_pages(files),
        swap(files),
        quota(files),
        numa(files),
    ]
}

fn clock_source(files: &dyn Files, clock: Option<(&str, Duration)>) -> Finding {
    let topic = "clock source";
    let path = format!("{CLOCK}/current_clocksource");
    let source = match files.read(&path) {
        Ok(source) => source,
        Err(error) => return Finding::unreadable(topic, &path, &error),
    };
    let cost = clock.map_or_else(String::new, |(read, cost)| {
        let build = if cfg!(debug_assertions) {
            " in this debug build"
        } else {
            ""
        };
        format!(
            "; flux reads `{read}`, {} ns a reading{build}",
            cost.as_nanos()
        )
    });
    match source.as_str() {
        "tsc" | "arch_sys_counter" => Finding::ok(topic, format!("`{source}`{cost}")),
        _ => {
            let offered = files.read(&format!("{CLOCK}/available_clocksource"));
            let tsc = offered.is_ok_and(|offered| offered.split(' ').any(|name| name == "tsc"));
            let remedy = if tsc {
                format!("`echo tsc > /{path}`, and `clocksource=tsc tsc=reliable` at boot")
            } else {
                "the kernel has given the processor's counter up: `dmesg | grep -i tsc` says why"
                    .into()
            };
            let found = format!("`{source}`: reading the time may be a system call{cost}");
            Finding::warn(topic, found, remedy)
        }
    }
}

fn virtualised(files: &dyn Files) -> Finding {
    let topic = "virtualised";
    let processor = match files.read("proc/cpuinfo") {
        Ok(text) => text,
        Err(error) => return Finding::unreadable(topic, "proc/cpuinfo", &error),
    };
    let by = ["sys/hypervisor/type", "sys/class/dmi/id/sys_vendor"];
    let by = by.iter().find_map(|path| files.read(path).ok());
    let by = by.map_or_else(String::new, |by| format!(" ({by})"));
    match value(&processor, "flags") {
        Some(flags) if flags.split(' ').any(|flag| flag == "hypervisor") => Finding::hint(
            topic,
            format!(
                "yes{by}: the host takes the core away unseen, and waking up costs tens of microseconds"
            ),
            "a machine of your own, or cores that the host dedicates; `idle = \"spin\"` spares the waking up",
        ),
        Some(_) => Finding::ok(topic, format!("no hypervisor shows itself{by}")),
        None => Finding::hint(
            topic,
            format!("this processor does not tell{by}"),
            "ask whoever runs it",
        ),
    }
}

fn huge_pages(files: &dyn Files) -> Finding {
    let topic = "huge pages";
    let offer = match files.read(HUGE) {
        Ok(offer) => offer,
        Err(error) => return Finding::unreadable(topic, HUGE, &error),
    };
    match chosen(&offer) {
        Some("always") => Finding::warn(
            topic,
            "transparent ones always: a first touch may clear 2 MiB, and pages are moved to make them",
            format!("`echo madvise > /{HUGE}`"),
        ),
        Some(choice) => Finding::ok(topic, format!("transparent ones: `{choice}`")),
        None => Finding::hint(
            topic,
            format!("`/{HUGE}` says `{offer}`"),
            "look at it by hand",
        ),
    }
}

fn swap(files: &dyn Files) -> Finding {
    let topic = "swap";
    match files.read("proc/swaps") {
        // The first line names the columns.
        Ok(list) if list.lines().count() > 1 => Finding::hint(
            topic,
            "on: a page of yours may have to come back from a disk",
            "`Config::lock_memory()`, or `swapoff -a`",
        ),
        Ok(_) => Finding::ok(topic, "off"),
        Err(error) => Finding::unreadable(topic, "proc/swaps", &error),
    }
}

/// The least that a control group leaves of a period, in microseconds: of the group's own file and of those
/// above it, since each binds.
fn least_quota(files: &dyn Files) -> Option<(u64, u64)> {
    let groups = files.read("proc/self/cgroup").ok()?;
    let quotas = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let second = controllers.is_empty();
        let first = controllers.split(',').any(|name| name == "cpu");
        folders(path).into_iter().filter_map(move |folder| {
            if second {
                return unified(files, &folder);
            }
            let mounted = [controllers, "cpu"];
            let mut found = mounted
                .iter()
                .filter_map(|name| divided(files, name, &folder));
            first.then(|| found.next()).flatten()
        })
    });
    quotas.min_by_key(|(quota, period)| quota * 1000 / period.max(&1))
}

/// A group's folders, innermost first, each with its slash in front; the root is empty.
fn folders(group: &str) -> Vec<String> {
    let mut path = group.trim_end_matches('/');
    let mut all = vec![path.to_owned()];
    while let Some((above, _)) = path.rsplit_once('/') {
        path = above;
        all.push(path.to_owned());
    }
    all
}

/// `cpu.max` of version 2: `50000 100000`, or `max 100000`.
fn unified(files: &dyn Files, folder: &str) -> Option<(u64, u64)> {
    let text = ["sys/fs/cgroup", "sys/fs/cgroup/unified"]
        .iter()
        .find_map(|mounted| files.read(&format!("{mounted}{folder}/cpu.max")).ok())?;
    let (quota, period) = text.split_once(' ')?;
    Some((quota.parse().ok()?, period.parse().ok()?))
}

/// The files of version 1; -1 is no limit, and no number of ours.
fn divided(files: &dyn Files, mounted: &str, folder: &str) -> Option<(u64, u64)> {
    let number = |name: &str| {
        let text = files.read(&format!("sys/fs/cgroup/{mounted}{folder}/{name}"));
        text.ok()?.parse::<u64>().ok()
    };
    Some((number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?))
}

fn quota(files: &dyn Files) -> Finding {
    let topic = "CPU quota";
    if let Err(error) = files.read("proc/self/cgroup") {
        return Finding::unreadable(topic, "proc/self/cgroup", &error);
    }
    match least_quota(files) {
        None => Finding::ok(topic, "none"),
        Some((quota, period)) => Finding::warn(
            topic,
            format!(
                "{quota} us of each {period} us: once all threads together have used that, all stand still \
                 until the next"
            ),
            "`--cpuset-cpus` instead of `--cpus`; in Kubernetes whole cores with the static CPU manager",
        ),
    }
}

fn numa(files: &dyn Files) -> Finding {
    let topic = "memory nodes";
    let nodes = files.list("sys/devices/system/node");
    let nodes = nodes.iter().filter_map(|name| name.strip_prefix("node"));
    let count = nodes.filter(|number| number.parse::<u32>().is_ok()).count();
    let balancing = files.read("proc/sys/kernel/numa_balancing");
    match (count, balancing.as_deref()) {
        (0 | 1, _) => Finding::ok(topic, "one: all memory is equally near"),
        (_, Ok("0") | Err(_)) => Finding::ok(
            topic,
            format!("{count}; the kernel does not move pages between them"),
        ),
        (_, Ok(_)) => Finding::hint(
            topic,
            format!("{count}, and the kernel takes pages away to see who uses them"),
            "`sysctl -w kernel.numa_balancing=0`, and a core on the network card's node",
        ),
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
