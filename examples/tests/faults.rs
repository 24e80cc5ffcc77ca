//! What the bot survives: an exchange that misbehaves, plain and over TLS, with either client.

mod common;

use std::sync::{Mutex, PoisonError};
use std::thread;

use common::{recording, run};

const BOT: &str = env!("CARGO_BIN_EXE_bot");

#[test]
fn every_fault_is_survived_and_the_books_are_right_again() {
    let cases = [
        ("refuse", "no connection: Connection refused"),
        ("reset", "connection lost: Connection reset"),
        (
            "half-close",
            "connection lost: the exchange ended it without a close frame",
        ),
        ("garbage", "the exchange does not speak WebSocket"),
        (
            "truncated-json",
            "a message was refused, and every book is built anew",
        ),
        ("gap@150", "has no book: updates are missing"),
        ("duplicate@150", "books match"),
        ("crossed@150", "has no book: the book was crossed"),
        ("stall", "waited 700 ms for data"),
        ("old-snapshot", "is older than its diffs"),
        ("slow-http", "books match"),
        ("garbled-http", "the answer is not HTTP"),
        (
            "short-http",
            "the connection ended in the middle of the answer",
        ),
        ("busy-http", "status 429"),
        ("hang-http", "waited 700 ms for the answer"),
    ];
    survive(&[], &cases);
}

/// Runs the bot against each fault, five at a time: more would not get the core in time.
fn survive(way: &[&str], cases: &[(&str, &str)]) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for few in cases.chunks(5) {
        thread::scope(|scope| {
            for (fault, words) in few {
                scope.spawn(move || {
                    let faulty = ["--seconds", "2", "--timeout", "0.7", "--fault", fault];
                    let ran = run(BOT, &[way, &faulty].concat());
                    ran.expect(0, &[words, "books match: 4 of 4"]);
                });
            }
        });
    }
}

#[test]
fn what_can_befall_tls_is_survived() {
    let cases = [
        ("reset", "connection lost: Connection reset"),
        (
            "half-close",
            "connection lost: the connection ended without `close_notify`: more may have been sent",
        ),
        ("cut-record", "bytes into a record"),
        (
            "changed-record",
            "connection lost: a record does not authenticate",
        ),
        ("garbage", "the exchange does not speak WebSocket"),
        ("stall", "waited 700 ms for data"),
        (
            "short-http",
            "the connection ended in the middle of the answer",
        ),
        ("hang-http", "waited 700 ms for the answer"),
    ];
    survive(&["--tls"], &cases);
}

#[test]
fn faults_are_survived_with_tungstenite_and_rustls() {
    let cases = [
        ("reset", "connection lost: Connection reset"),
        (
            "half-close",
            "connection lost: the exchange ended it without a close frame",
        ),
        ("garbage", "the exchange does not speak WebSocket"),
        ("stall", "waited 700 ms for data"),
    ];
    survive(&["--client", "tungstenite"], &cases);
    let cases = [
        ("reset", "connection lost: Connection reset"),
        ("cut-record", "connection lost: peer closed connection"),
        ("changed-record", "connection lost: cannot decrypt"),
        ("garbage", "the exchange does not speak WebSocket"),
    ];
    survive(&["--tls", "--client", "tungstenite"], &cases);
}

#[test]
fn several_faults_in_one_run_are_survived() {
    let faults = [
        "gap@30",
        "reset@60",
        "truncated-json@90",
        "garbage@120",
        "old-snapshot@2",
        "garbled-http@3",
        "short-http@5",
    ];
    let mut arguments = vec!["--seconds", "3"];
    arguments.extend(faults.iter().flat_map(|fault| ["--fault", fault]));
    run(BOT, &arguments).expect(0, &["books match: 4 of 4"]);
}

#[test]
fn faults_in_a_recording_end_with_the_recorded_book() {
    let Some(binance) = recording("binance-usdm-btcusdt-10s.txt.gz") else {
        return;
    };
    let Some(kraken) = recording("kraken-v1-book1000.txt.gz") else {
        return;
    };
    for fault in [
        "reset",
        "half-close@100",
        "garbage",
        "truncated-json@50",
        "gap@100",
        "crossed@100",
        "old-snapshot",
        "short-http",
    ] {
        let ran = run(
            BOT,
            &["--replay", &binance, "--speed", "max", "--fault", fault],
        );
        ran.expect(0, &["book verified: b84d2af6 OK", "books match: 1 of 1"]);
    }
    for (fault, words) in [
        ("gap@400", "Kraken's has"),
        ("truncated-json@400", "the books cannot be trusted"),
        ("reset@400", "connected again"),
    ] {
        let ran = run(
            BOT,
            &["--replay", &kraken, "--speed", "max", "--fault", fault],
        );
        ran.expect(0, &[words, "8ade8d83 OK ADA/XBT", "books match: 1 of 1"]);
    }
}
