//! Codes that a kernel answers now and then, put into running programs by `strace`: of every few calls one
//! fails, and nobody notices.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::bystander::Bystander;
use crate::common::text;
use crate::signals::churn;
use crate::unharmed;

const MARK: &str = "FLUX_TEST_TRACED";
/// A program that takes longer has hung.
const WATCHDOG: Duration = Duration::from_secs(30);
/// So many calls at least must have failed, or nothing was tested.
const FAILED_MIN: usize = 10;

/// The calls that fail, how, and when: the first, and every so many after it.
type Case = (&'static str, &'static str, &'static str);

#[test]
fn entries_into_a_ring_that_fail_now_and_then_are_not_noticed() {
    not_noticed(
        "traced::entries_into_a_ring_that_fail_now_and_then_are_not_noticed",
        "io_uring",
        &[
            ("io_uring_enter", "EINTR", "1+2"),
            ("io_uring_enter", "EBUSY", "2+5"),
            ("io_uring_enter", "EAGAIN", "1+5"),
            ("sendto", "EINTR", "1+3"),
        ],
    );
}

#[test]
fn waits_and_calls_that_epoll_makes_fail_now_and_then_and_are_not_noticed() {
    not_noticed(
        "traced::waits_and_calls_that_epoll_makes_fail_now_and_then_and_are_not_noticed",
        "epoll",
        &[
            ("epoll_wait,epoll_pwait2", "EINTR", "1+2"),
            ("recvfrom", "EINTR", "1+2"),
            ("accept4", "EINTR", "1+2"),
        ],
    );
}

#[test]
fn a_send_that_is_interrupted_waits_for_no_edge() {
    not_noticed(
        "traced::a_send_that_is_interrupted_waits_for_no_edge",
        "epoll",
        &[("sendto", "EINTR", "1+3")],
    );
}

fn not_noticed(test: &str, engine: &str, cases: &[Case]) {
    if std::env::var_os(MARK).is_some() {
        return unharmed(|| {
            let echoes = [(); 2].map(|()| Bystander::start());
            churn();
            for echo in echoes {
                echo.goes_on(50);
                echo.end();
            }
        });
    }
    for (calls, code, when) in cases {
        let log = std::env::temp_dir().join(format!("flux-{engine}-{code}-{}", std::process::id()));
        let case = format!("{engine}: {code} from {calls} at {when}");
        let fault = format!("error={code}:when={when}");
        let Some(output) = trace(test, engine, calls, &fault, &log) else {
            eprintln!("SKIPPED: there is no `strace` here; no codes were put into calls");
            return;
        };
        let text = text(&output);
        let failed = std::fs::read_to_string(&log)
            .unwrap_or_default()
            .lines()
            .filter(|line| line.contains("(INJECTED)"))
            .count();
        // It may never have been made.
        let _gone = std::fs::remove_file(&log);
        if text.contains("PTRACE") || text.contains("ptrace") {
            eprintln!("SKIPPED: this machine lets nobody trace: {text}");
            return;
        }
        assert!(text.contains("1 passed"), "{case}: {text}");
        if text.contains("SKIPPED") {
            eprintln!("{case}: {text}");
            return;
        }
        assert!(failed >= FAILED_MIN, "{case}: {failed} calls failed");
    }
}

/// Runs this test again under `strace`, if there is one.
fn trace(test: &str, engine: &str, calls: &str, fault: &str, log: &Path) -> Option<Output> {
    let child = Command::new("strace")
        .args(["-f", "--seccomp-bpf", "-o"])
        .arg(log)
        .args(["-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={calls}:{fault}")])
        .arg(std::env::current_exe().expect("a test has a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .env("FLUX_ENGINE", engine)
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    Some(watch(child))
}

fn watch(mut child: Child) -> Output {
    let began = Instant::now();
    while child.try_wait().expect("a child can be asked").is_none() {
        if began.elapsed() > WATCHDOG {
            child.kill().expect("a child can be killed");
            let output = child.wait_with_output().expect("a child has an output");
            panic!("it hung: {}", text(&output));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("a child has an output")
}
