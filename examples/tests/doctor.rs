//! The doctor looks at the machine that the tests run on: whatever that is, it says so and ends well.

mod common;

use common::{command, finish, run};

const DOCTOR: &str = env!("CARGO_BIN_EXE_doctor");
/// What every machine is told about, in this order.
const TOPICS: [&str; 20] = [
    "cores",
    "isolated cores",
    "timer tick",
    "hyper-threading",
    "governor",
    "sleep states",
    "interrupts",
    "busy polling",
    "receive buffers",
    "clock source",
    "virtualised",
    "huge pages",
    "swap",
    "CPU quota",
    "memory nodes",
    "kernel",
    "io_uring",
    "engine",
    "real-time priority",
    "locked memory",
];

/// Makes sure that a report is one line for each topic, and that whatever is not well has a remedy.
#[track_caller]
fn is_a_report(out: &str) {
    let (lines, sum) = out
        .trim_end()
        .rsplit_once("\n\n")
        .expect("a sum at the end");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), TOPICS.len(), "{out}");
    let width = TOPICS.iter().map(|topic| topic.len()).max().unwrap_or(0);
    let mut counts = [0, 0, 0];
    for (line, topic) in lines.iter().zip(TOPICS) {
        assert_eq!(line[6..6 + width].trim_end(), topic, "{line}");
        let kind = ["ok", "hint", "warn"]
            .iter()
            .position(|kind| line[..6].trim_end() == *kind);
        let kind = kind.unwrap_or_else(|| panic!("no verdict: {line}"));
        counts[kind] += 1;
        assert_eq!(line.contains(" -> "), kind > 0, "{line}");
    }
    assert!(sum.starts_with(&format!("{} warning", counts[2])), "{sum}");
    assert!(sum.contains(&format!(", {} hint", counts[1])), "{sum}");
}

#[test]
fn every_thing_has_its_line_and_the_status_is_0_whatever_is_found() {
    let ran = run(DOCTOR, &[]);
    ran.expect(0, &[]);
    is_a_report(&ran.out);
    assert!(ran.err.is_empty(), "{ran}");
}

#[test]
fn help_and_what_there_is_not() {
    run(DOCTOR, &["--help"]).expect(0, &["Usage: doctor", "hint", "FLUX_CORE"]);
    run(DOCTOR, &["-h"]).expect(0, &["Usage: doctor"]);
    run(DOCTOR, &["--core"]).expect(2, &["doctor: there is no flag `--core`"]);
    run(DOCTOR, &["-x"]).expect(2, &["doctor: there is no flag `-x`"]);
    run(DOCTOR, &["me"]).expect(2, &["doctor: nothing is done with `me`"]);
    run(DOCTOR, &["--help=x"]).expect(2, &["doctor: `--help` takes no value"]);
}

#[test]
fn a_setting_that_flux_refuses_is_a_finding() {
    for (variable, value) in [("FLUX_CORE", "9999"), ("FLUX_ENGINE", "nonsense")] {
        let mut command = command(DOCTOR, &[]);
        command.env(variable, value);
        let ran = finish(command.spawn().expect("it starts"), String::new());
        ran.expect(0, &["warn  engine", variable, value]);
        is_a_report(&ran.out);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_ordinary_user_is_told_what_is_not_permitted() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::process::CommandExt as _;

    let me = std::fs::metadata("/proc/self").expect("Linux tells").uid();
    if me != 0 {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    // Where that user can reach it.
    let folder = std::env::temp_dir().join(format!("flux-doctor-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder of its own");
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&folder, everybody).expect("it is ours");
    let doctor = folder.join("doctor");
    std::fs::copy(DOCTOR, &doctor).expect("a copy");
    let mut command = command(doctor.to_str().expect("text"), &[]);
    command.uid(1_900_000_000 + std::process::id());
    let child = command.spawn().expect("it starts");
    let ran = finish(child, String::new());
    std::fs::remove_dir_all(&folder).expect("it is ours");
    ran.expect(0, &[]);
    is_a_report(&ran.out);
    if std::fs::read_to_string("/proc/self/limits")
        .is_ok_and(|limits| limits.contains("Max realtime priority     0 "))
    {
        ran.expect(0, &["not permitted: ", "`LimitRTPRIO=1`"]);
    }
}
