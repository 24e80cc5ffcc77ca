//! A bot in twenty lines: follows the best prices of some symbols, each in a fiber of its own.
//!
//! ```text
//! cargo run --release --bin exchange -- 9000
//! cargo run --release --bin tiny_bot -- 127.0.0.1:9000
//! ```

use std::error::Error;
use std::net::SocketAddr;

use flux::net::TcpStream;
use tungstenite::Message;

#[flux::fiber(stack = "medium")]
fn follow(exchange: SocketAddr, symbol: &'static str) -> Result<(), Box<dyn Error>> {
    let stream = TcpStream::connect(exchange)?;
    let url = format!("ws://{exchange}/public/stream?streams={symbol}@bookTicker");
    let (mut socket, _) = tungstenite::client(url, stream)?;
    loop {
        match socket.read()? {
            // suspends this fiber, never the core
            Message::Text(text) => {
                let tick: serde_json::Value = serde_json::from_str(&text)?;
                println!("{symbol}  {} / {}", tick["data"]["b"], tick["data"]["a"]);
            }
            Message::Close(_) => return Ok(()),
            _ => {} // tungstenite has answered the ping
        }
    }
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
