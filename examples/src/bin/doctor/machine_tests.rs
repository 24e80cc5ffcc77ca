//! Machines that are made up, each for one finding.

use super::*;
use crate::files::fixture::Fixture;
use crate::finding::{Verdict, says};

#[test]
fn the_clock_source_is_named_with_what_a_reading_costs() {
    let current = "sys/devices/system/clocksource/clocksource0/current_clocksource";
    let offered = "sys/devices/system/clocksource/clocksource0/available_clocksource";
    let good = Fixture(&[(current, "tsc\n")]);
    let cost = Some(("tsc", Duration::from_nanos(11)));
    says(&clock_source(&good, cost), Verdict::Ok, &["`tsc`", "11 ns"]);
    says(&clock_source(&good, None), Verdict::Ok, &["`tsc`"]);
    let chosen = Fixture(&[(current, "hpet\n"), (offered, "tsc hpet acpi_pm \n")]);
    let finding = clock_source(&chosen, Some(("monotonic", Duration::from_nanos(900))));
    says(&finding, Verdict::Warn, &["`hpet`", "900 ns", "echo tsc"]);
    let given_up = Fixture(&[(current, "xen\n"), (offered, "xen \n")]);
    says(&clock_source(&given_up, None), Verdict::Warn, &["dmesg"]);
    says(
        &clock_source(&Fixture(&[]), None),
        Verdict::Hint,
        &["not readable"],
    );
}

#[test]
fn a_hypervisor_is_seen_by_the_processors_flags() {
    let cpuinfo = "processor\t: 0\nflags\t\t: fpu tsc hypervisor lahf_lm\n";
    let virtual_machine = Fixture(&[
        ("proc/cpuinfo", cpuinfo),
        ("sys/class/dmi/id/sys_vendor", "QEMU\n"),
    ]);
    let finding = virtualised(&virtual_machine);
    says(&finding, Verdict::Hint, &["yes (QEMU)", "spin"]);
    let own = Fixture(&[("proc/cpuinfo", "flags\t\t: fpu tsc hypervisor_no\n")]);
    says(&virtualised(&own), Verdict::Ok, &["no hypervisor"]);
    let arm = Fixture(&[("proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\n")]);
    says(&virtualised(&arm), Verdict::Hint, &["does not tell"]);
    let hidden = Fixture(&[("proc/cpuinfo", "!")]);
    says(&virtualised(&hidden), Verdict::Hint, &["not readable"]);
}

#[test]
fn huge_pages_are_a_warning_where_nobody_asked_for_them() {
    let of = |text| huge_pages(&Fixture(&[(HUGE, text)]));
    says(
        &of("[always] madvise never"),
        Verdict::Warn,
        &["echo madvise"],
    );
    says(&of("always [madvise] never"), Verdict::Ok, &["`madvise`"]);
    says(&of("always madvise [never]"), Verdict::Ok, &["`never`"]);
    says(&of("something new"), Verdict::Hint, &["something new"]);
    says(&of("!"), Verdict::Hint, &["not readable"]);
}

#[test]
fn swap_is_told_by_what_stands_below_the_heading() {
    let heading = "Filename\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
    let of = |text: &str| swap(&Fixture(&[("proc/swaps", text)]));
    says(&of(heading), Verdict::Ok, &["off"]);
    let on = format!("{heading}/dev/sda2 partition 1 0 -2\n");
    says(&of(&on), Verdict::Hint, &["lock_memory"]);
    says(&swap(&Fixture(&[])), Verdict::Hint, &["not readable"]);
}

#[test]
fn a_quota_binds_whichever_version_and_level_of_control_groups_has_it() {
    let limited = |files: &[(&str, &str)]| {
        let finding = quota(&Fixture(files));
        says(
            &finding,
            Verdict::Warn,
            &["50000 us of each 100000 us", "cpuset"],
        );
    };
    let free = |files: &[(&str, &str)]| says(&quota(&Fixture(files)), Verdict::Ok, &["none"]);
    // Version 2: the group's own, and one above it.
    let group = ("proc/self/cgroup", "0::/bots/eth\n");
    limited(&[group, ("sys/fs/cgroup/bots/eth/cpu.max", "50000 100000\n")]);
    limited(&[
        group,
        ("sys/fs/cgroup/bots/eth/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/bots/cpu.max", "50000 100000\n"),
    ]);
    limited(&[
        group,
        ("sys/fs/cgroup/bots/eth/cpu.max", "200000 100000\n"),
        ("sys/fs/cgroup/bots/cpu.max", "50000 100000\n"),
    ]);
    free(&[group, ("sys/fs/cgroup/bots/eth/cpu.max", "max 100000\n")]);
    // A container sees its own group as the root.
    limited(&[group, ("sys/fs/cgroup/cpu.max", "50000 100000\n")]);
    // Version 1, under either name of the mount.
    let group = (
        "proc/self/cgroup",
        "4:memory:/x\n1:cpu,cpuacct:/bots\n0::/\n",
    );
    limited(&[
        group,
        ("sys/fs/cgroup/cpu,cpuacct/bots/cpu.cfs_quota_us", "50000\n"),
        (
            "sys/fs/cgroup/cpu,cpuacct/bots/cpu.cfs_period_us",
            "100000\n",
        ),
    ]);
    limited(&[
        group,
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
    ]);
    free(&[
        group,
        ("sys/fs/cgroup/cpu/bots/cpu.cfs_quota_us", "-1\n"),
        ("sys/fs/cgroup/cpu/bots/cpu.cfs_period_us", "100000\n"),
    ]);
    says(&quota(&Fixture(&[])), Verdict::Hint, &["not readable"]);
}

#[test]
fn pages_that_move_between_nodes_are_told() {
    let one = ("sys/devices/system/node/node0/cpulist", "0-3");
    let two = ("sys/devices/system/node/node1/cpulist", "4-7");
    let on = ("proc/sys/kernel/numa_balancing", "1\n");
    let off = ("proc/sys/kernel/numa_balancing", "0\n");
    says(&numa(&Fixture(&[one, on])), Verdict::Ok, &["one"]);
    says(&numa(&Fixture(&[one, two, off])), Verdict::Ok, &["2;"]);
    says(&numa(&Fixture(&[one, two])), Verdict::Ok, &["2;"]);
    says(
        &numa(&Fixture(&[one, two, on])),
        Verdict::Hint,
        &["numa_balancing=0"],
    );
    says(&numa(&Fixture(&[])), Verdict::Ok, &["one"]);
}
