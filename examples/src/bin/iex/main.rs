//! Two lines of an exchange over real multicast, what each loses brought by the other: the books come out right.
//!
//! ```text
//! cargo run --release --bin iex                                  # the whole capture, nothing lost
//! cargo run --release --bin iex -- --lose 5 --on a --reorder 10  # line B makes up for line A
//! cargo run --release --bin iex -- --lose 5 --reorder 10         # what both lose is told, exactly
//! ```
//!
//! A thread on another core sends a capture of IEX DEEP on lines A and B, over multicast on loopback, and loses and
//! moves packets on purpose. A fiber for each line receives them by a [`UdpFeed`](flux::net::UdpFeed), line B from its
//! one source alone; an [`Arbiter`](flux::sequence::Arbiter) makes one stream of them, from which the books are
//! built. Then what was found missing is compared with what was lost on all lines, and the books with what an
//! independent program made of the capture.

mod exchange;
mod lines;
mod options;
mod receiver;
mod report;

use std::io::Write as _;
use std::process::ExitCode;

use options::{HELP, Options, Request};

/// Exit status of a run whose result is wrong, or that could not be.
const FAILED: u8 = 1;
/// Exit status of a request that makes no sense.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    let options = match options::parse(std::env::args_os().skip(1)) {
        Ok(Request::Run(options)) => options,
        Ok(Request::Help) => {
            // Whoever reads may have left.
            let _closed = std::io::stdout().write_all(HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(sentence) => {
            eprintln!("iex: {sentence}; `iex --help` shows what there is");
            return ExitCode::from(REFUSED);
        }
    };
    match run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(sentence) => {
            eprintln!("iex: {sentence}");
            ExitCode::from(FAILED)
        }
    }
}

/// Plays it all; whether everything is as it should be.
fn run(options: Options) -> Result<bool, String> {
    let plan = exchange::Plan::of(&options)?;
    let config = flux::Config::new();
    let played = config.run(move || receiver::play(&options, plan));
    let outcome = played.map_err(|error| error.to_string())??;
    let (text, right) = report::of(&outcome)?;
    // Whoever reads may have left.
    let _closed = std::io::stdout().write_all(text.as_bytes());
    Ok(right)
}
