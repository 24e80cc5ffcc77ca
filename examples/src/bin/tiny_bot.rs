//! A bot in twenty lines: follows the best prices of some symbols, each in a fiber of its own.
//!
//! ```text
//! cargo run --release --bin exchange -- 9000
//! cargo run --release --bin tiny_bot -- 127.0.0.1:9000
//! ```

use std::error::Error;
use std::net::SocketAddr;

use flux::net::TcpStream;
use flux::ws::{self, Request};

#[flux::fiber(stack = "medium")]
fn follow(exchange: SocketAddr, symbol: &'static str) -> Result<(), Box<dyn Error>> {
    let feed = TcpStream::connect(exchange)?.into_feed()?;
    let stream = format!("/public/stream?streams={symbol}@bookTicker");
    let mut socket = ws::connect(feed, Request::new(exchange.to_string(), stream))?;
    // Suspends this fiber, never the core; pings are answered on the way.
    while let Some(message) = socket.read()? {
        let tick: serde_json::Value = serde_json::from_slice(message.as_bytes())?;
        println!("{symbol}  {} / {}", tick["data"]["b"], tick["data"]["a"]);
    }
    Ok(())
}

#[flux::main]
fn main() -> Result<(), Box<dyn Error>> {
    let exchange = std::env::args()
        .nth(1)
        .ok_or("usage: tiny_bot ADDRESS:PORT")?
        .parse()?;
    let bots =
        ["btcusdt", "ethusdt", "solusdt"].map(|symbol| flux::spawn(follow(exchange, symbol)));
    bots.into_iter().try_for_each(|bot| bot.join()?)
}
