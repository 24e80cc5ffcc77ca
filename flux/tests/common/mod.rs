//! What the tests share: one reactor at a time, processes of their own, numbers of this process.

#![allow(dead_code, reason = "each test takes what it needs of this")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test that watches another process may block"
)]

mod itself;

use std::cell::Cell;
use std::io::Read;
use std::process::{Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flux::net::{TcpListener, TcpStream};
use itself::itself;

/// A small reactor, unpinned so that tests beside each other do not crowd one core.
pub(crate) fn config() -> flux::Config {
    flux::Config::new().core(flux::Core::None).fibers(256)
}

/// Runs `main` on a reactor, one at a time in this process.
pub(crate) fn run<T>(
    config: flux::Config,
    main: impl FnOnce() -> T + 'static,
) -> Result<T, flux::RunError> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    config.run(main)
}

/// Runs `main` on a small reactor, and expects that to go well.
pub(crate) fn fibers<T>(main: impl FnOnce() -> T + 'static) -> T {
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
    let mut child = itself()
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, test)
        .env_remove("RUST_BACKTRACE")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a test can start itself");
    // Read while it runs: a pipe holds no more than 64 KiB.
    let drain = |mut pipe: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut all = Vec::new();
            pipe.read_to_end(&mut all).expect("a pipe can be read");
            all
        })
    };
    let stdout = drain(Box::new(child.stdout.take().expect("it is piped")));
    let stderr = drain(Box::new(child.stderr.take().expect("it is piped")));
    let mut ended = None;
    for _ in 0..1200 {
        ended = child.try_wait().expect("a child can be asked");
        if ended.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    if ended.is_none() {
        child.kill().expect("a child can be killed");
    }
    let output = Output {
        status: child.wait().expect("a child has an end"),
        stdout: stdout.join().expect("the reader has read"),
        stderr: stderr.join().expect("the reader has read"),
    };
    assert!(ended.is_some(), "{test} hung: {}", text(&output));
    Some(output)
}

/// Runs `body` in a process of its own, and expects it to pass there.
pub(crate) fn passes_alone(test: &str, environment: &[(&str, &str)], body: fn()) {
    if let Some(output) = alone(test, environment, body) {
        let said = text(&output);
        assert!(output.status.success(), "{test}: {said}");
        assert!(
            said.contains("1 passed"),
            "{test} is not the test's name: {said}"
        );
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

/// A connection of two ends on loopback; inside a fiber.
pub(crate) fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = flux::spawn(move || TcpStream::connect(address).unwrap());
    let (server, peer) = listener.accept().unwrap();
    let client = client.join().unwrap();
    assert_eq!(client.local_addr().unwrap(), peer);
    (client, server)
}

/// Lets all other fibers run until they wait.
pub(crate) fn settle() {
    for _ in 0..3 {
        flux::yield_now().unwrap();
    }
}

/// Makes calls that never wait, some in each step, beside a fiber that takes so many turns: it gets them, and none
/// sooner than after as many calls as a fiber may make without one.
pub(crate) fn lets_the_others_run(turns: u32, calls: u32, step: impl Fn()) {
    let (since, most, taken) = (Cell::new(0_u32), Cell::new(0), Cell::new(0));
    flux::scope(|s| {
        s.spawn(|| {
            while taken.get() < turns {
                flux::yield_now().unwrap();
                taken.set(taken.get() + 1);
                most.set(most.get().max(since.take()));
            }
        });
        s.spawn(|| {
            while taken.get() < turns {
                step();
                since.set(since.get() + calls);
            }
        });
    });
    // A full budget was used, and none was overdrawn.
    assert!((60..=64).contains(&most.get()), "{} calls", most.get());
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

/// The cores that the calling thread may run on, as the kernel writes them: `0-3,6`.
pub(crate) fn allowed_cores() -> String {
    std::fs::read_to_string("/proc/thread-self/status")
        .expect("Linux tells")
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .map(|list| list.trim().to_owned())
        .expect("the line is there")
}

/// Expects one sentence: a line that starts small, has no full stop, and holds the parts.
#[track_caller]
pub(crate) fn says(error: &impl std::fmt::Display, parts: &[&str]) {
    let sentence = error.to_string();
    for part in parts {
        assert!(sentence.contains(part), "`{part}` is not in: {sentence}");
    }
    let shape = !sentence.contains('\n')
        && !sentence.ends_with('.')
        && !sentence.starts_with(char::is_uppercase);
    assert!(shape, "not one sentence: {sentence}");
}

/// The engines that this build can run on; of a machine that lacks the others, the one that `FLUX_TEST_ENGINE` names.
pub(crate) fn engines() -> &'static [&'static str] {
    let all: &[&str] = if cfg!(flux_kqueue_compat) {
        &["io_uring", "epoll", "kqueue"]
    } else {
        &["io_uring", "epoll"]
    };
    let Ok(only) = std::env::var("FLUX_TEST_ENGINE") else {
        return all;
    };
    let only = all.iter().find(|engine| **engine == only);
    std::slice::from_ref(only.expect("`FLUX_TEST_ENGINE` names an engine of this build"))
}
