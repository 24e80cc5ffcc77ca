//! The bot as a user meets it: what it prints, what it returns, and what it survives.

mod common;

use std::thread;

use common::{WAYS, Watched, command, finish, recording, refused, run, scratch};

const BOT: &str = env!("CARGO_BIN_EXE_bot");

#[test]
fn a_short_run_ends_with_matching_books_and_a_report() {
    thread::scope(|scope| {
        for way in WAYS {
            scope.spawn(move || {
                let ran = run(BOT, &[&["--seconds", "2"], way].concat());
                ran.expect(
                    0,
                    &[
                        "books match: 4 of 4",
                        "spot BTCUSDT",
                        "futures SOLUSDT",
                        "latency from bytes received",
                        "p50",
                        "on the core for",
                        "pings answered",
                        "over 2 connections",
                    ],
                );
                let said = ran.out.contains("2 connections with TLS");
                assert_eq!(said, way.contains(&"--tls"), "{ran}");
            });
        }
    });
}

/// Between two points of a steady stream: connecting, snapshots and what is printed don't count.
#[test]
fn nothing_is_allocated_while_binance_is_followed_plain_or_over_tls() {
    for way in [&[][..], &["--tls"]] {
        let ran = run(BOT, &[&["--seconds", "2"], way].concat());
        ran.expect(
            0,
            &["allocations after init: 0 over ", "books match: 4 of 4"],
        );
        assert!(counted(&ran.out) > 100, "{ran}");
    }
    let Some(file) = recording("binance-usdm-btcusdt.txt.gz") else {
        return;
    };
    for way in [&[][..], &["--tls"]] {
        let arguments = [&["--replay", &file, "--speed", "max"], way].concat();
        let ran = run(BOT, &arguments);
        ran.expect(
            0,
            &[
                "allocations after init: 0 over ",
                "book verified: 01a68722 OK",
            ],
        );
        // All but what comes while the snapshot does, which is as much as the machine is busy.
        assert!(counted(&ran.out) > 10_000, "{ran}");
    }
}

/// The counter counts: rustls takes memory for each record.
#[test]
fn what_allocates_is_seen_to_allocate() {
    let ran = run(BOT, &["--seconds", "2", "--tls", "--client", "tungstenite"]);
    ran.expect(0, &["allocations after init: "]);
    assert!(!ran.out.contains("allocations after init: 0 over"), "{ran}");
}

/// Over how many messages allocations were counted.
fn counted(out: &str) -> u64 {
    let line = out
        .lines()
        .find(|line| line.starts_with("allocations after init: "));
    let words: Vec<&str> = line.unwrap_or("").split_whitespace().collect();
    let number = words.get(5).expect("a number of messages");
    number.replace(',', "").parse().expect("a number")
}

#[test]
fn a_flat_out_run_ends_with_matching_books() {
    let ran = run(
        BOT,
        &[
            "--seconds",
            "1",
            "--speed",
            "max",
            "--symbols",
            "spot:XRPUSDT,futures:XRPUSDT",
            "--seed",
            "9",
        ],
    );
    ran.expect(
        0,
        &["books match: 2 of 2", "spot XRPUSDT", "futures XRPUSDT"],
    );
}

#[test]
fn a_recording_is_verified() {
    let Some(file) = recording("binance-usdm-btcusdt-10s.txt.gz") else {
        return;
    };
    for way in WAYS {
        run(BOT, &[&["--replay", &file, "--speed", "max"], way].concat()).expect(
            0,
            &[
                "188 diffs applied, 4 stale and 0 duplicate ones dropped, 0 gaps, 0 resyncs",
                "book verified: b84d2af6 OK",
                "path verified: fdb67009 OK",
                "books match: 1 of 1",
            ],
        );
    }
}

#[test]
fn recordings_of_all_venues_are_verified_together() {
    let names = [
        "binance-spot-ethusdt",
        "binance-coinm-btcusd-perp",
        "kraken-v1-book1000",
        "coinbase-pro-level2",
        "okx-v5-books",
    ];
    let mut files: Vec<String> = Vec::new();
    for name in names {
        let Some(file) = recording(&format!("{name}.txt.gz")) else {
            return;
        };
        files.push(file);
    }
    let Some(capture) = recording("iex-deep-20231002.pcap.gz") else {
        return;
    };
    for way in WAYS {
        let mut arguments = [&["--speed", "max"], way, &["--replay", &capture]].concat();
        arguments.extend(files.iter().map(String::as_str));
        run(BOT, &arguments).expect(
            0,
            &[
                "3997cc09 OK",
                "d72ee774 OK",
                "91392c80 OK",
                "8ade8d83 OK ADA/XBT",
                "8cfeceb8 OK BAND-BTC",
                "290 checksums agreed",
                "books match: 6 of 6",
            ],
        );
    }
}

#[test]
fn a_book_that_differs_is_a_failure() {
    let Some(file) = recording("binance-usdm-btcusdt-10s.txt.gz") else {
        return;
    };
    let expected = scratch("expected.json", br#"{"binance-usdm-btcusdt-10s.txt.gz":{"book_crc32":"00000000","price_decimals":2,"qty_decimals":3}}"#);
    let ran = run(
        BOT,
        &["--replay", &file, "--speed", "max", "--expected", &expected],
    );
    ran.expect(
        1,
        &[
            "differs: book_crc32 is b84d2af6, expected 00000000",
            "books differ: 1 of 1",
        ],
    );
}

#[test]
fn what_makes_no_sense_is_refused_in_one_sentence() {
    let prose = scratch("prose.txt", b"Dear diary,\n");
    let cut = scratch("cut.txt", b"17 {\"stream\":\"x@depth\",\"data\":{}}");
    for (arguments, words) in [
        (&["--bogus"][..], "there is no flag `--bogus`"),
        (&["-x"], "there is no flag `-x`"),
        (&["word"], "nothing is done with `word`"),
        (
            &["--core", "9999"],
            "core 9999 is not one that this process may use",
        ),
        (&["--core", "two"], "`--core two` is not a whole number"),
        (
            &["--seconds", "-1"],
            "`--seconds -1` is not a number of seconds",
        ),
        (&["--seconds"], "`--seconds` needs a value"),
        (&["--help=x"], "`--help` takes no value"),
        (
            &["--speed", "fast"],
            "`--speed fast` is neither `max` nor a factor",
        ),
        (&["--seed", "x"], "`--seed x` is not a whole number"),
        (
            &["--timeout", "0"],
            "`--timeout 0` is not a number of seconds",
        ),
        (&["--decimals", "2"], "`--decimals 2` is not two numbers"),
        (
            &["--symbols", "BTC/USDT"],
            "`BTC/USDT` in `--symbols` is no symbol",
        ),
        (&["--symbols", "moon:BTCUSDT"], "no market is called `moon`"),
        (&["--symbols", "A,A"], "names A twice"),
        (&["--fault", "flood"], "no fault is called `flood`"),
        (
            &["--replay", "/nonexistent.gz"],
            "cannot read recording `/nonexistent.gz`",
        ),
        (&["--replay", &prose], "is no recording: a line is not"),
        (
            &["--replay", &cut],
            "is no recording: its last line is cut off",
        ),
        (&["--expected", &prose], "`--expected` needs `--replay`"),
        (&["--client", "curl"], "no client is called `curl`"),
        (&["--fault", "cut-record"], "in TLS records needs `--tls`"),
    ] {
        refused(BOT, arguments, words);
    }
}

#[test]
fn help_shows_every_flag() {
    let flags = [
        "--replay",
        "--expected",
        "--url",
        "--rest",
        "--tls",
        "--ca",
        "--client",
        "--symbols",
        "--decimals",
        "--seconds",
        "--speed",
        "--seed",
        "--core",
        "--timeout",
        "--fault",
    ];
    run(BOT, &["--help"]).expect(0, &flags);
}

#[test]
fn ctrl_c_ends_with_the_report_and_success() {
    for way in WAYS {
        let mut bot = Watched::start(BOT, &[&["--seconds", "0"], way].concat());
        bot.wait_for(" synced ");
        bot.interrupt().expect(
            0,
            &[
                "books match: 4 of 4",
                "stopped by a signal",
                "latency from bytes received",
            ],
        );
    }
}

#[test]
fn a_reader_that_leaves_is_no_reason_to_panic() {
    let mut child = command(BOT, &["--seconds", "0"])
        .spawn()
        .expect("the bot starts");
    drop(child.stdout.take());
    let ran = finish(child, String::new());
    assert!(
        matches!(ran.code, Some(0 | 1)) && ran.err.is_empty(),
        "{ran}"
    );
}
