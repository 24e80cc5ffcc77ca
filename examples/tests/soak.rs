//! The soak, short: nothing drifts on either engine, what is leaked on purpose is seen, and nonsense is refused.

mod common;

use std::process::Command;
use std::time::Duration;

use common::{Ran, command, finish};

const SOAK: &str = env!("CARGO_BIN_EXE_soak");

/// Runs the soak; the engine is what each test says, whoever runs the tests.
fn soak(arguments: &[&str]) -> Ran {
    let child = command(SOAK, arguments).env_remove("FLUX_ENGINE").spawn();
    finish(child.expect("the program starts"), String::new())
}

/// Whether a machine refuses an engine, which is said aloud: nothing was tested then.
fn refuses(engine: &str, ran: &Ran) -> bool {
    let refused = ran.err.contains("engine cannot be used here");
    if refused {
        eprintln!("SKIPPED: no soak on {engine}: {}", ran.err);
    }
    refused
}

fn soaks(engine: &str) {
    let ran = soak(&["--seconds", "2.5", "--seed", "7", "--engine", engine]);
    if !refuses(engine, &ran) {
        let head = format!("seed 7, engine {engine}, 2.5 s");
        ran.expect(0, &[&head, "nothing drifted", "cancels beside bytes"]);
        assert_eq!(ran.err, "", "{ran}");
        every_kind_of_socket_had_its_share(&ran);
    }
}

/// Each kind of socket has a line in the table, and none of its counts is zero.
fn every_kind_of_socket_had_its_share(ran: &Ran) {
    let mut lines = ran
        .out
        .lines()
        .skip_while(|line| !line.starts_with("sockets"));
    let columns = lines
        .next()
        .map_or(0, |head| head.split_whitespace().count());
    assert_eq!(columns, 7, "{ran}");
    for (socket, line) in ["tcp", "unix", "udp"].into_iter().zip(lines) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!((words[0], words.len()), (socket, columns), "{ran}");
        assert!(!words.contains(&"0"), "{line}: {ran}");
    }
}

#[test]
fn nothing_drifts_on_io_uring() {
    soaks("io_uring");
}

#[test]
fn nothing_drifts_on_epoll() {
    soaks("epoll");
}

#[cfg(flux_kqueue_compat)]
#[test]
fn nothing_drifts_on_the_double_of_kqueue() {
    soaks("kqueue");
}

#[test]
fn what_is_leaked_on_purpose_is_seen() {
    for (plant, seen) in [
        ("descriptor", "soak: drift: open descriptors: "),
        ("fiber", "soak: drift: live fibers: "),
        ("memory", "soak: drift: allocations that live: "),
    ] {
        let ran = soak(&["--seconds", "1", "--plant", plant]);
        ran.expect(1, &[seen]);
        assert_eq!(ran.err.lines().count(), 1, "one sentence: {ran}");
    }
}

#[test]
fn ctrl_c_ends_it_with_the_same_report() {
    let child = command(SOAK, &["--seconds", "600"])
        .spawn()
        .expect("it starts");
    // It has set itself up by then, or ends by the signal, which is seen below.
    std::thread::sleep(Duration::from_millis(1500));
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("`kill` runs");
    assert!(sent.success());
    finish(child, String::new()).expect(0, &["connects", "cancels", "nothing"]);
}

#[test]
fn a_request_that_makes_no_sense_is_refused_in_one_sentence() {
    for (arguments, sentence) in [
        (
            &["--seconds", "0"][..],
            "`--seconds 0` is not a number of seconds from 1",
        ),
        (&["--seconds", "soon"], "`--seconds soon` is not a number"),
        (&["--seconds"], "`--seconds` needs a value"),
        (&["--seed", "-1"], "`--seed -1` is not a whole number"),
        (
            &["--engine", "steam"],
            "`--engine steam` is not one of `auto`",
        ),
        (
            &["--plant", "tree"],
            "`--plant tree` is not one of `descriptor`",
        ),
        (&["--loud"], "there is no flag `--loud`"),
        (&["x"], "nothing is done with `x`"),
    ] {
        let mut command = command(SOAK, arguments);
        command.env_remove("FLUX_ENGINE");
        let ran = finish(command.spawn().expect("it starts"), String::new());
        ran.expect(2, &["soak: ", sentence]);
        assert_eq!(ran.err.lines().count(), 1, "one sentence: {ran}");
        assert_eq!(ran.out, "", "nothing was started: {ran}");
    }
    soak(&["--help"]).expect(0, &["Usage: soak", "--seconds S"]);
}

fn refused_by_environment(engine: &str, arguments: &[&str], sentence: &str) {
    let mut command = command(SOAK, arguments);
    command.env("FLUX_ENGINE", engine);
    let ran = finish(command.spawn().expect("it starts"), String::new());
    ran.expect(2, &["soak: ", sentence]);
    let said = (ran.out.as_str(), ran.err.lines().count());
    assert_eq!(said, ("", 1), "nothing was started: {ran}");
}

#[test]
fn an_engine_that_the_environment_makes_up_is_refused_before_anything_starts() {
    refused_by_environment(
        "nonsense",
        &[],
        "`FLUX_ENGINE` is `nonsense`, which is not one of `auto`",
    );
    refused_by_environment(
        "epoll",
        &["--engine", "io_uring"],
        "`--engine io_uring` and `FLUX_ENGINE=epoll` contradict each other",
    );
}

#[cfg(all(target_os = "linux", not(flux_kqueue_compat)))]
#[test]
fn an_engine_of_another_system_is_refused_before_anything_starts() {
    for arguments in [&[][..], &["--engine", "kqueue"]] {
        refused_by_environment(
            "kqueue",
            arguments,
            "the `kqueue` engine cannot be used here",
        );
    }
}
