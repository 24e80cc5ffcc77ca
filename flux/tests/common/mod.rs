//! What the tests share: one reactor at a time, processes of their own, numbers of this process.

#![allow(dead_code, reason = "each test takes what it needs of this")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test that watches another process may block"
)]

use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A small reactor, unpinned so that tests beside each other do not crowd one core.
pub(crate) fn config() -> flux::Config {
    flux::Config::new().core(flux::Core::None).fibers(256)
}

/// Runs `main` on a reactor, one at a time in this process.
pub(crate) fn run<T>(config: flux::Config, main: impl FnOnce() -> T) -> Result<T, flux::RunError> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    config.run(main)
}

/// Runs `main` on a small reactor, and expects that to go well.
pub(crate) fn fibers<T>(main: impl FnOnce() -> T) -> T {
    run(config(), main).expect("the reactor runs")
}

/// Runs `body` in a process of its own, which is killed when it takes a minute: the same test again, told by
/// the environment to do the work rather than to look at it.
pub(crate) fn alone(test: &str, environment: &[(&str, &str)], body: fn()) -> Option<Output> {
    const MARK: &str = "FLUX_TEST_ALONE";
    if std::env::var(MARK).is_ok_and(|name| name == test) {
        body();
        return None;
    }
    let mut child = Command::new(std::env::current_exe().expect("a test has a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, test)
        .env_remove("RUST_BACKTRACE")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a test can start itself");
    for _ in 0..600 {
        if child.try_wait().expect("a child can be asked").is_some() {
            return Some(child.wait_with_output().expect("a child has an output"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().expect("a child can be killed");
    let output = child.wait_with_output().expect("a child has an output");
    panic!("{test} hung: {}", text(&output));
}

/// Runs `body` in a process of its own, and expects it to pass there.
pub(crate) fn passes_alone(test: &str, environment: &[(&str, &str)], body: fn()) {
    if let Some(output) = alone(test, environment, body) {
        assert!(output.status.success(), "{test}: {}", text(&output));
    }
}

/// All that a process printed.
pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The open descriptors of this process.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .expect("Linux lists them")
        .count()
}

/// A line of `/proc/self/status`, in KiB.
pub(crate) fn status_kib(key: &str) -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .expect("Linux tells")
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .and_then(|value| value.trim().trim_end_matches("kB").trim().parse().ok())
        .expect("the key is there")
}
