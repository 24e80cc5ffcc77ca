//! The small programs of this package run, and do what their headers say.

mod common;

use std::path::Path;
use std::time::Duration;

use common::{Watched, refused, run};
use flux_examples::exchange::{Exchange, MarketKind, MarketPlan, Plan, Speed};

#[test]
fn echo_answers_every_client() {
    run(env!("CARGO_BIN_EXE_echo"), &[]).expect(0, &["8000 round trips over 8 connections"]);
}

#[test]
fn the_tiny_bot_prints_the_best_prices_until_the_market_closes() {
    let symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        .map(str::to_owned)
        .to_vec();
    let exchange = Exchange::open(Plan {
        markets: vec![MarketPlan {
            kind: MarketKind::Futures,
            symbols,
        }],
        open_for: Some(Duration::from_secs(1)),
        speed: Speed::Times(1.0),
        ..Plan::default()
    })
    .expect("a port");
    let ran = run(
        env!("CARGO_BIN_EXE_tiny_bot"),
        &[&exchange.address().to_string()],
    );
    ran.expect(0, &["btcusdt  \"618", "ethusdt  \"26", "solusdt"]);
}

#[test]
fn the_exchange_says_where_it_is_and_whom_to_trust() {
    let program = env!("CARGO_BIN_EXE_exchange");
    for (arguments, scheme) in [(&[][..], "ws"), (&["--tls"], "wss")] {
        let mut exchange = Watched::start(program, arguments);
        exchange.wait_for(&format!("spot:    {scheme}://127.0.0.1:"));
        exchange.wait_for(&format!("futures: {scheme}://127.0.0.1:"));
        exchange.wait_for("symbols: BTCUSDT, ");
        let mut files = Vec::new();
        if scheme == "wss" {
            let line = exchange.wait_for("trust:   ");
            let file = line.trim_start_matches("trust:").trim().to_owned();
            let pem = std::fs::read_to_string(&file).expect("the file is there");
            assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
            assert!(!pem.contains("PRIVATE"), "{pem}");
            files.push(file);
        }
        let ran = exchange.interrupt();
        ran.expect(0, &[]);
        assert_eq!(ran.out.contains("trust:"), !files.is_empty(), "{ran}");
        let left = files.iter().find(|file| Path::new(file).exists());
        assert_eq!(left, None, "it goes with the exchange");
    }
    refused(program, &["x"], "exchange: `x` is no port");
    refused(program, &["--tls", "1", "2"], "nothing is done with `2`");
}

#[test]
fn the_readme_shows_the_tiny_bot_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("a README");
    let source = include_str!("../src/bin/tiny_bot.rs");
    let code = &source[source.find("use std::error").expect("its first import")..];
    assert!(
        readme.contains(code.trim_end()),
        "the README's bot and examples/src/bin/tiny_bot.rs differ"
    );
}
