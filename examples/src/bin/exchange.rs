//! The bot's exchange alone: made-up markets on a loopback port, until Ctrl-C.
//!
//! ```text
//! cargo run --release --bin exchange -- 9000
//! cargo run --release --bin bot -- --url ws://127.0.0.1:9000 --symbols BTCUSDT --decimals 2,3
//! ```
//!
//! With `--tls` it is spoken to over TLS alone, with a certificate that is made at the start, and
//! prints in which file a client finds whom to trust:
//!
//! ```text
//! cargo run --release --bin exchange -- --tls 9000
//! cargo run --release --bin bot -- --url wss://localhost:9000 --ca FILE --symbols BTCUSDT --decimals 2,3
//! ```
//!
//! Stop it and start it again to watch the bot lose its books, come back, and build them anew; over TLS the bot stays
//! away then, since each start makes a certificate of its own.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flux_examples::exchange::{Exchange, MarketKind, MarketPlan, Plan};
use signal_hook::consts::{SIGINT, SIGTERM};

const SYMBOLS: [&str; 4] = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"];

/// How often the main thread looks whether it is to stop.
const TICK: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "-h" || argument == "--help") {
        // Whoever reads may have left.
        let _closed = io::stdout().write_all(HELP.as_bytes());
        return ExitCode::SUCCESS;
    }
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("exchange: {sentence}");
            ExitCode::from(2)
        }
    }
}

const HELP: &str = "\
Serves made-up markets over WebSockets on loopback, with snapshots, until Ctrl-C.

Usage: exchange [--tls] [PORT]

  PORT                the port to listen on [0: one that is free]
  --tls               speak TLS, with a certificate made at the start, and print which file to trust
  -h, --help          show this
";

/// Reads `[--tls] [PORT]`.
fn parse(arguments: impl Iterator<Item = String>) -> Result<(u16, bool), String> {
    let (mut port, mut tls) = (None, false);
    for argument in arguments {
        match argument.as_str() {
            "--tls" => tls = true,
            text if port.is_none() => {
                port = Some(text.parse().map_err(|_| {
                    format!("`{text}` is no port; usage: exchange [--tls] [PORT], from 0 to 65535")
                })?);
            }
            text => {
                return Err(format!(
                    "nothing is done with `{text}`; usage: exchange [--tls] [PORT]"
                ));
            }
        }
    }
    Ok((port.unwrap_or(0), tls))
}

fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (port, tls) = parse(arguments)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| format!("signals cannot be caught: {error}"))?;
    }
    let symbols: Vec<String> = SYMBOLS.map(str::to_owned).to_vec();
    let market = |kind| MarketPlan {
        kind,
        symbols: symbols.clone(),
    };
    let exchange = Exchange::open(Plan {
        port,
        tls,
        markets: vec![market(MarketKind::Spot), market(MarketKind::Futures)],
        ..Plan::default()
    })
    .map_err(|error| format!("port {port} cannot be opened: {error}"))?;
    let authority = exchange.authority().map(Authority::write).transpose();
    let authority = authority
        .map_err(|error| format!("the certificate cannot be written to a file: {error}"))?;
    let address = exchange.address();
    let scheme = if tls { "wss" } else { "ws" };
    let mut text = format!(
        "spot:    {scheme}://{address}/stream?streams=btcusdt@depth@100ms\n\
         futures: {scheme}://{address}/public/stream?streams=btcusdt@depth@0ms/btcusdt@bookTicker\n\
         symbols: {}\n",
        SYMBOLS.join(", ")
    );
    if let Some(Authority(file)) = &authority {
        let _ = writeln!(text, "trust:   {}", file.display());
    }
    // Whoever reads may have left; it serves those who know the port.
    let _closed = io::stdout().write_all(text.as_bytes());
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(TICK);
    }
    // Connections just end, as if it had been killed: that is what there is to watch.
    std::mem::forget(exchange);
    Ok(())
}

/// The file with the certificate to trust; it goes with the exchange.
struct Authority(PathBuf);

impl Authority {
    fn write(pem: &str) -> io::Result<Self> {
        let name = format!("flux-exchange-{}.pem", std::process::id());
        let path = std::env::temp_dir().join(name);
        // A file of this name that is there already is somebody else's.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| named(&path, &error))?;
        file.write_all(pem.as_bytes())?;
        Ok(Self(path))
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // If it is gone already, all is well.
        let _ = fs::remove_file(&self.0);
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}
