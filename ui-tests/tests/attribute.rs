//! `#[flux::test]`, for real: these are such tests, and they run beside each other as the harness likes.

use std::io;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many tests have a reactor at this moment.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// Runs `body` in a fiber that others could run beside, and asserts that no other test does.
fn alone(body: impl FnOnce()) {
    assert_eq!(
        LIVE.fetch_add(1, Ordering::SeqCst),
        0,
        "another test has a reactor"
    );
    flux::time::sleep(Duration::from_millis(5)).expect("nobody cancels a test");
    body();
    LIVE.fetch_sub(1, Ordering::SeqCst);
}

#[flux::fiber(stack = "small")]
fn add(a: u32, b: u32) -> u32 {
    a + b
}

#[flux::test]
fn a_test_may_spawn_fibers() {
    alone(|| assert_eq!(flux::spawn(add(1, 2)).join().unwrap(), 3));
}

#[flux::test]
fn a_second_one_waits_for_the_first() {
    alone(|| ());
}

#[flux::test(
    fibers = 9,
    stacks(small = 2, medium = 1, large = 1),
    idle = "spin 1us"
)]
fn keys_are_those_of_main() {
    alone(|| {
        let stats = flux::stats();
        assert_eq!(stats.fibers_max, 9);
        assert_eq!(stats.stacks.map(|pool| pool.count), [2, 1, 1]);
    });
}

#[flux::test]
fn a_test_may_end_with_a_result() -> io::Result<()> {
    alone(|| ());
    flux::yield_now()?;
    Ok(())
}

#[flux::test]
#[should_panic(expected = "on purpose")]
fn a_panic_that_is_expected_passes() {
    panic!("on purpose");
}

#[should_panic(expected = "deadlock: nothing is ready")]
#[flux::test]
fn a_deadlock_is_a_panic_with_its_report() {
    let (_tx, rx) = flux::sync::channel::<u8>(1);
    let waits = flux::spawn(move || rx.recv().is_ok());
    let (_tx, never) = flux::sync::channel::<u8>(1);
    drop(waits);
    assert!(never.recv().is_err());
}

#[flux::test]
#[ignore = "it fails, and another one looks at that"]
fn fails_by_its_result() -> Result<(), String> {
    Err("the result says no".into())
}

#[flux::test]
#[ignore = "it fails, and another one looks at that"]
fn fails_by_a_panic() {
    flux::spawn(|| ()).join().expect("it ends");
    panic!("the body says no");
}

#[flux::test]
#[ignore = "it fails, and another one looks at that"]
fn fails_for_want_of_a_reactor() {}

/// This program once more, with one of its tests, in a process of its own: as nextest runs each of them.
fn in_a_process(test: &str, more: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a program has a name"));
    command.args([test, "--exact"]).args(more);
    command.env_remove("RUST_BACKTRACE");
    command
}

fn said(output: &Output) -> String {
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{stdout}{stderr}")
}

#[test]
fn a_test_that_fails_is_told_as_any_other() {
    for (test, variable, words) in [
        ("fails_by_its_result", ("A", "b"), "the result says no"),
        ("fails_by_a_panic", ("A", "b"), "the body says no"),
        (
            "fails_for_want_of_a_reactor",
            ("FLUX_FIBERS", "none"),
            "`FLUX_FIBERS`",
        ),
    ] {
        let mut command = in_a_process(test, &["--ignored"]);
        let output = command
            .env(variable.0, variable.1)
            .output()
            .expect("it starts");
        let said = said(&output);
        assert!(
            !output.status.success() && said.contains("1 failed"),
            "{said}"
        );
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn tests_run_beside_each_other_in_processes_of_their_own() {
    let tests = [
        "a_test_may_spawn_fibers",
        "a_second_one_waits_for_the_first",
        "keys_are_those_of_main",
        "a_test_may_end_with_a_result",
        "a_panic_that_is_expected_passes",
        "a_deadlock_is_a_panic_with_its_report",
    ];
    let running = tests.map(|test| {
        let mut command = in_a_process(test, &["--nocapture"]);
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command.spawn().expect("it starts")
    });
    for child in running {
        let output = child.wait_with_output().expect("it ends");
        let said = said(&output);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }
}
