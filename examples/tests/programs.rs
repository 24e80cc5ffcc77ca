//! The small programs of this package run, and do what their headers say.

mod common;

use std::time::Duration;

use common::{command, finish, run};
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
fn the_exchange_says_where_it_is() {
    use std::io::{BufRead as _, BufReader};
    let mut child = command(env!("CARGO_BIN_EXE_exchange"), &[])
        .spawn()
        .expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("text");
    assert!(line.starts_with("spot:    ws://127.0.0.1:"), "{line}");
    child.kill().expect("a child can be killed");
    finish(child, line);
    run(env!("CARGO_BIN_EXE_exchange"), &["x"]).expect(2, &["exchange: `x` is no port"]);
}

#[test]
fn the_readme_shows_the_tiny_bot_as_it_is() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("a README");
    let source = include_str!("../src/bin/tiny_bot.rs");
    let code = &source[source.find("use std::error").expect("its first import")..];
    assert!(
        readme.contains(code.trim_end()),
        "the README's bot and examples/src/bin/tiny_bot.rs differ"
    );
}
