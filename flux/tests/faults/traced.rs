//! Codes that a kernel answers now and then, put into running programs by `strace`: of every few calls one
//! fails, and nobody notices.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::bystander::Bystander;
use crate::common::text;
use crate::signals::churn;
use crate::unharmed;

const TEST: &str = "traced::codes_that_come_now_and_then_are_not_noticed";
const MARK: &str = "FLUX_TEST_TRACED";
/// A program that takes longer has hung.
const WATCHDOG: Duration = Duration::from_secs(30);
/// So many calls at least must have failed, or nothing was tested.
const FAILED_MIN: usize = 10;

/// An engine, the calls of it that fail, how, and when: the first, and every so many after it.
const CASES: [(&str, &str, &str, &str); 9] = [
    ("io_uring", "io_uring_enter", "EINTR", "1+2"),
    ("io_uring", "io_uring_enter", "EBUSY", "2+5"),
    ("io_uring", "io_uring_enter", "EAGAIN", "1+5"),
    ("io_uring", "sendto", "EINTR", "1+3"),
    ("epoll", "epoll_wait,epoll_pwait2", "EINTR", "1+2"),
    ("epoll", "recvfrom", "EINTR", "1+2"),
    ("epoll", "sendto", "EINTR", "1+3"),
    ("epoll", "accept4", "EINTR", "1+2"),
    ("epoll", "accept4", "EAGAIN", "1+9"),
];

#[test]
fn codes_that_come_now_and_then_are_not_noticed() {
    if std::env::var_os(MARK).is_some() {
        return unharmed(|| {
            let echoes = [(); 2].map(|()| Bystander::start());
            churn();
            for echo in echoes {
                echo.goes_on(100);
                echo.end();
            }
        });
    }
    for (engine, calls, code, when) in CASES {
        let log = std::env::temp_dir().join(format!("flux-traced-{}", std::process::id()));
        let case = format!("{engine}: {code} from {calls} at {when}");
        let Some(output) = trace(engine, calls, &format!("error={code}:when={when}"), &log) else {
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
            continue;
        }
        assert!(failed >= FAILED_MIN, "{case}: {failed} calls failed");
    }
}

/// Runs this test again under `strace`, if there is one.
fn trace(engine: &str, calls: &str, fault: &str, log: &PathBuf) -> Option<Output> {
    let child = Command::new("strace")
        .args(["-f", "--seccomp-bpf", "-o"])
        .arg(log)
        .args(["-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={calls}:{fault}")])
        .arg(std::env::current_exe().expect("a test has a path"))
        .args([TEST, "--exact", "--nocapture", "--test-threads=1"])
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
