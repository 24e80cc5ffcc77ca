//! The bot as a user meets it: what it prints, what it returns, and what it survives.

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use common::{command, finish, run};
use flux_examples::exchange::{Exchange, MarketKind, MarketPlan, Plan};

const BOT: &str = env!("CARGO_BIN_EXE_bot");

#[test]
fn a_short_run_ends_with_matching_books_and_a_report() {
    run(BOT, &["--seconds", "2"]).expect(
        0,
        &[
            "books match: 4 of 4",
            "spot BTCUSDT",
            "futures SOLUSDT",
            "latency from bytes received",
            "p50",
            "pings answered",
        ],
    );
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
    run(BOT, &["--replay", &file, "--speed", "max"]).expect(
        0,
        &[
            "188 diffs applied, 4 stale and 0 duplicate ones dropped, 0 gaps, 0 resyncs",
            "book verified: b84d2af6 OK",
            "path verified: fdb67009 OK",
            "books match: 1 of 1",
        ],
    );
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
    let mut arguments = vec!["--speed", "max", "--replay", &capture];
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
        ("stall", "waited 700ms for data"),
        ("old-snapshot", "is older than its diffs"),
        ("slow-http", "books match"),
        ("garbled-http", "the answer is not HTTP"),
        (
            "short-http",
            "the connection ended in the middle of the answer",
        ),
        ("busy-http", "status 429"),
        ("hang-http", "waited 700ms for the answer"),
    ];
    for few in cases.chunks(5) {
        thread::scope(|scope| {
            for (fault, words) in few {
                scope.spawn(move || {
                    let ran = run(
                        BOT,
                        &["--seconds", "2", "--timeout", "0.7", "--fault", fault],
                    );
                    ran.expect(0, &[words, "books match: 4 of 4"]);
                });
            }
        });
    }
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
        (&["--rest", "http://x"], "`--rest` needs `--url`"),
        (
            &["--url", "wss://x/stream?streams=a@depth"],
            "needs TLS, which comes with a later version",
        ),
        (&["--url", "x"], "does not begin with `ws://`"),
        (&["--url", "ws://127.0.0.1:1/stream"], "names no streams"),
        (
            &["--url", "ws://127.0.0.1:70000/?streams=a@depth"],
            "is no host and port",
        ),
        (
            &["--url", "ws://127.0.0.1:1/?streams=a@depth", "--speed", "2"],
            "`--speed` is for the embedded exchange",
        ),
    ] {
        let ran = run(BOT, arguments);
        ran.expect(2, &[words]);
        assert!(ran.out.is_empty(), "{ran}");
        assert_eq!(ran.err.trim_end().lines().count(), 1, "{ran}");
    }
}

#[test]
fn help_shows_every_flag() {
    let flags = [
        "--replay",
        "--expected",
        "--url",
        "--rest",
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
fn a_real_endpoint_is_followed_and_one_that_refuses_is_reported() {
    let market = MarketPlan {
        kind: MarketKind::Futures,
        symbols: vec!["BTCUSDT".to_owned()],
    };
    let exchange = Exchange::open(Plan {
        markets: vec![market],
        ..Plan::default()
    })
    .expect("a port");
    let url = format!("ws://{}/public/stream", exchange.address());
    let ran = run(
        BOT,
        &[
            "--url",
            &url,
            "--symbols",
            "btcusdt",
            "--decimals",
            "2,3",
            "--seconds",
            "2",
        ],
    );
    ran.expect(0, &["127.0.0.1 BTCUSDT  synced"]);

    // Bound and not listening: nobody else can take the port, and the kernel refuses.
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).expect("a port");
    let port = socket
        .local_addr()
        .expect("bound")
        .as_socket()
        .expect("IPv4")
        .port();
    let url = format!("ws://127.0.0.1:{port}/stream?streams=btcusdt@depth");
    let ran = run(BOT, &["--url", &url, "--seconds", "1"]);
    ran.expect(
        1,
        &["no connection: Connection refused", "nothing was received"],
    );
}

#[test]
fn ctrl_c_ends_with_the_report_and_success() {
    let mut child = command(BOT, &["--seconds", "0"])
        .spawn()
        .expect("the bot starts");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut read = String::new();
    while !read.contains("synced") {
        assert!(
            out.read_line(&mut read).expect("text") > 0,
            "it ended early: {read}"
        );
    }
    interrupt(child.id());
    child.stdout = Some(out.into_inner());
    let ran = finish(child, read);
    ran.expect(
        0,
        &[
            "books match: 4 of 4",
            "stopped by a signal",
            "latency from bytes received",
        ],
    );
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

fn interrupt(process: u32) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -INT {process}")])
        .status();
    assert!(status.expect("there is a shell").success());
}

/// A file in the temporary folder; its name is that of the test process, so it is written over by
/// nobody else.
fn scratch(name: &str, content: &[u8]) -> String {
    let path: PathBuf =
        std::env::temp_dir().join(format!("flux-bot-{}-{name}", std::process::id()));
    let mut file = std::fs::File::create(&path).expect("the temporary folder takes files");
    file.write_all(content)
        .expect("the temporary folder takes files");
    path.to_string_lossy().into_owned()
}

/// The recording of this name; none, and a line that says so, if there are no recordings.
fn recording(name: &str) -> Option<String> {
    let folder = std::env::var_os("FLUX_MARKET_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/market-data"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.is_file() {
        return Some(path.to_string_lossy().into_owned());
    }
    println!(
        "SKIPPED: there is no {}; set FLUX_MARKET_DATA",
        path.display()
    );
    None
}
