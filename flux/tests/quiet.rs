//! A core that spins asks the kernel nothing: no syscall between two marks, as `strace` sees it.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::Read;
use std::process::Command;
use std::time::Duration;

use common::{config, pair, run, settle, text};
use flux::time::sleep;
use flux::{EventEngine, Idle, spawn, timer};

/// What the child is to do: its engine, and whether its socket is hot.
const ORDER: &str = "FLUX_TEST_QUIET";
/// The test that is run again as the child.
const CHILD: &str = "the_child_of_the_others_spins_between_two_marks";
/// Written to stderr with a syscall of their own.
const MARKS: [&str; 2] = ["[spins from here]", "[to here]"];
/// Fewer turns between the marks, and nothing was tested.
const TURNS_MIN: u64 = 10_000;
/// As long as the child spins.
const TIME: Duration = Duration::from_millis(300);

#[test]
fn a_ring_that_spins_with_a_read_and_timers_in_flight_makes_no_syscall() {
    let Some(calls) = calls_between_the_marks("io_uring") else {
        return;
    };
    if !calls.is_empty() && calls.iter().all(|call| call.contains("clock_gettime(")) {
        eprintln!("SKIPPED: reading the clock is a syscall on this machine");
        return;
    }
    assert!(
        calls.is_empty(),
        "{} calls: {:#?}",
        calls.len(),
        first(&calls)
    );
}

#[test]
fn an_engine_that_has_to_be_asked_is_seen_to_be() {
    // What the test above would see if it were not so.
    let Some(calls) = calls_between_the_marks("epoll") else {
        return;
    };
    let waits = calls.iter().filter(|call| call.contains("epoll_")).count();
    assert!(waits > 0, "{:#?}", first(&calls));
    assert_eq!(waits, calls.len(), "and nothing else: {:#?}", first(&calls));
}

#[test]
fn a_hot_socket_is_asked_and_nothing_else() {
    let Some(calls) = calls_between_the_marks("io_uring, hot") else {
        return;
    };
    let asked = calls.iter().filter(|call| call.contains("recv")).count();
    assert!(asked > 0, "{:#?}", first(&calls));
    assert_eq!(asked, calls.len(), "and nothing else: {:#?}", first(&calls));
}

/// Does nothing unless a test above has started it.
#[test]
fn the_child_of_the_others_spins_between_two_marks() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let engine = match order.as_str() {
        "epoll" => EventEngine::Epoll,
        _ => EventEngine::IoUring,
    };
    let ended = run(config().engine(engine).idle(Idle::Spin), move || {
        let (client, mut server) = pair();
        server.set_hot(order.contains("hot"));
        let reading = spawn(move || server.read(&mut [0; 8]));
        let hour = timer::after(Duration::from_hours(1)).callback(|_| {});
        // The read is the kernel's, or the core's, before the first mark.
        settle();
        let turns = || flux::stats().turns;
        let before = turns();
        mark(MARKS[0]);
        sleep(TIME).expect("nobody ends it early");
        mark(MARKS[1]);
        let turns = turns() - before;
        // Each turn that asks is a stop for whoever traces: only what asks nothing turns undisturbed.
        let undisturbed = order == "io_uring";
        assert!(
            turns >= if undisturbed { TURNS_MIN } else { 10 },
            "{turns} turns"
        );
        drop(hour);
        drop(client);
        assert_eq!(reading.join().expect("no panic").expect("a clean end"), 0);
    });
    match ended {
        Ok(()) => {}
        Err(flux::RunError::Init(error)) => eprintln!("SKIPPED: {error}"),
        Err(error) => panic!("{error}"),
    }
}

/// One syscall, that a tracer sees.
fn mark(text: &str) {
    use std::io::Write;
    std::io::stderr()
        .write_all(text.as_bytes())
        .expect("stderr is there");
}

/// The syscalls of the child's thread between the marks; `None`, said aloud, where nobody can look.
fn calls_between_the_marks(order: &str) -> Option<Vec<String>> {
    let log = std::env::temp_dir().join(format!(
        "flux-quiet-{}-{}",
        order.replace(", ", "-"),
        std::process::id()
    ));
    let output = Command::new("strace")
        .args(["-f", "-o"])
        .arg(&log)
        .arg(std::env::current_exe().expect("a test has a path"))
        .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
        .env(ORDER, order)
        .env_remove("RUST_BACKTRACE")
        .env_remove("FLUX_ENGINE")
        .env_remove("FLUX_IDLE")
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: there is no `strace` here; nobody has counted syscalls");
        return None;
    };
    let said = text(&output);
    let traced = fs::read_to_string(&log).unwrap_or_default();
    // It may never have been made.
    let _gone = fs::remove_file(&log);
    if said.contains("PTRACE") || said.contains("ptrace") {
        eprintln!("SKIPPED: this machine lets nobody trace: {said}");
        return None;
    }
    assert!(said.contains("1 passed"), "{order}: {said}");
    if said.contains("SKIPPED") {
        eprintln!("{order}: {said}");
        return None;
    }
    Some(between(&traced))
}

/// Each line begins with the thread's number: those of the one that wrote the marks.
fn between(traced: &str) -> Vec<String> {
    let lines: Vec<&str> = traced.lines().collect();
    let [from, to] = MARKS.map(|mark| {
        lines
            .iter()
            .position(|line| line.contains(mark))
            .unwrap_or_else(|| panic!("no {mark} among {} calls", lines.len()))
    });
    let thread = lines[from].split_whitespace().next();
    lines[from + 1..to]
        .iter()
        .filter(|line| line.split_whitespace().next() == thread)
        .map(ToString::to_string)
        .collect()
}

fn first(calls: &[String]) -> &[String] {
    &calls[..calls.len().min(10)]
}
