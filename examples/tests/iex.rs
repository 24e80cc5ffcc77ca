//! The two lines of an exchange, as a user meets them: what it prints and returns, with losses and without.

mod common;

use std::path::Path;

use common::run;

const IEX: &str = env!("CARGO_BIN_EXE_iex");

/// The capture, or nothing and a line that says so.
fn capture() -> Option<String> {
    let folder = std::env::var_os("FLUX_MARKET_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/market-data"),
        std::path::PathBuf::from,
    );
    let file = folder.join("iex-deep-20231002.pcap.gz");
    if file.is_file() {
        return Some(file.to_string_lossy().into_owned());
    }
    println!(
        "SKIPPED: no capture in {}; set FLUX_MARKET_DATA",
        folder.display()
    );
    None
}

const RIGHT: [&str; 3] = [
    "gaps        0 found, 0 messages: none",
    "book verified: 91392c80 OK",
    "levels_crc32 verified: b45be9e6 OK",
];

#[test]
fn the_books_are_right_when_nothing_is_lost() {
    let Some(capture) = capture() else { return };
    let ran = run(IEX, &[&capture]);
    ran.expect(0, &RIGHT);
    ran.expect(
        0,
        &["messages    48,325 of 48,325: 48,325 duplicates, 0 late"],
    );
    run(IEX, &["--lines", "1", "--reorder", "20", &capture]).expect(0, &RIGHT);
}

#[test]
fn the_books_are_right_when_one_line_loses_packets_and_both_move_them() {
    let Some(capture) = capture() else { return };
    for line in ["a", "b"] {
        let flags = [
            "--lose",
            "20",
            "--on",
            line,
            "--reorder",
            "20",
            "--seed",
            "7",
        ];
        let ran = run(IEX, &[&flags[..], &[&capture]].concat());
        ran.expect(0, &RIGHT);
    }
    run(IEX, &["--lose", "100", "--on", "a", &capture]).expect(0, &RIGHT);
}

#[test]
fn what_both_lines_lose_is_found_exactly() {
    let Some(capture) = capture() else { return };
    for seed in ["1", "2"] {
        let flags = ["--lose", "10", "--reorder", "10", "--seed", seed, &capture];
        let ran = run(IEX, &flags);
        ran.expect(
            0,
            &[
                "gaps        as lost on purpose: OK",
                "books       in doubt, since messages are missing",
            ],
        );
        assert!(!ran.out.contains("gaps        0 found"), "{ran}");
    }
    // All of it.
    run(IEX, &["--lose", "100", &capture]).expect(
        0,
        &[
            "gaps        1 found, 48,325 messages: 1-48325",
            "as lost on purpose: OK",
        ],
    );
}

#[test]
fn a_request_that_makes_no_sense_is_refused_in_a_sentence() {
    run(IEX, &["--lines", "3"]).expect(
        2,
        &["iex: `--lines` is 1 or 2, not `3`; `iex --help` shows what there is"],
    );
    run(IEX, &["nothing.pcap"]).expect(1, &["iex: cannot read `nothing.pcap`: No such file"]);
    run(IEX, &["--help"]).expect(0, &["Usage: iex [FLAGS] [CAPTURE]", "Exit status:"]);
}
