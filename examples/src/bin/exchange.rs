//! The bot's exchange alone: made-up markets on a loopback port, until Ctrl-C.
//!
//! ```text
//! cargo run --release --bin exchange -- 9000
//! cargo run --release --bin bot -- --url ws://127.0.0.1:9000 --symbols BTCUSDT --decimals 2,3
//! ```
//!
//! Stop it and start it again to watch the bot lose its books, come back, and build them anew.

use std::convert::Infallible;
use std::process::ExitCode;

use flux_examples::exchange::{Exchange, MarketKind, MarketPlan, Plan};

const SYMBOLS: [&str; 4] = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"];

fn main() -> ExitCode {
    let Err(sentence) = run(std::env::args().nth(1));
    eprintln!("exchange: {sentence}");
    ExitCode::from(2)
}

fn run(port: Option<String>) -> Result<Infallible, String> {
    let port = match port {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            format!("`{text}` is no port; give a number from 0 to 65535, or nothing")
        })?,
    };
    let symbols: Vec<String> = SYMBOLS.map(str::to_owned).to_vec();
    let market = |kind| MarketPlan {
        kind,
        symbols: symbols.clone(),
    };
    let markets = vec![market(MarketKind::Spot), market(MarketKind::Futures)];
    let exchange = Exchange::open(Plan {
        port,
        markets,
        ..Plan::default()
    })
    .map_err(|error| format!("port {port} cannot be opened: {error}"))?;
    let address = exchange.address();
    println!("spot:    ws://{address}/stream?streams=btcusdt@depth@100ms");
    println!("futures: ws://{address}/public/stream?streams=btcusdt@depth@0ms/btcusdt@bookTicker");
    println!("symbols: {}", SYMBOLS.join(", "));
    loop {
        std::thread::park(); // Ctrl-C ends the program; its threads need no goodbye
    }
}
