//! What of this machine helps or hurts latency, one line each, with what to do about it.
//!
//! ```text
//! cargo run --release --bin doctor
//! ```
//!
//! Looks at the files in which Linux says how it is set up, and asks flux for what it would ask for itself;
//! measures nothing but what a reading of the clock costs, and changes nothing. Needs no root, and says of
//! what only root may read that it is not readable.

mod cores;
mod files;
mod finding;
mod machine;
mod network;
mod runtime;

use std::io::Write as _;
use std::process::ExitCode;

use files::ThisMachine;
use lexopt::prelude::*;

const HELP: &str = "\
doctor: says what of this machine helps or hurts latency, and what to do about it

Usage: doctor

  ok    nothing to do
  hint  costs latency that may not matter, or cannot be told from here
  warn  costs latency that does matter

Set `FLUX_CORE` to look at another core than the one that `core = \"auto\"` takes. Ends with status 0,
whatever it finds; with 2 for a flag that there is not.

  -h, --help  this text
";

/// Exit status of a request that makes no sense.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    match help_wanted() {
        Ok(true) => say(HELP),
        Ok(false) => say(&report()),
        Err(sentence) => {
            eprintln!("doctor: {sentence}; `doctor --help` shows what there is");
            return ExitCode::from(REFUSED);
        }
    }
    ExitCode::SUCCESS
}

/// Whoever reads may have left: that is no failure of the machine's.
fn say(text: &str) {
    let _closed = std::io::stdout().write_all(text.as_bytes());
}

fn help_wanted() -> Result<bool, String> {
    let mut help = false;
    let mut parser = lexopt::Parser::from_env();
    let failed = |error: lexopt::Error| match error {
        lexopt::Error::UnexpectedValue { option, .. } => format!("`{option}` takes no value"),
        other => other.to_string(),
    };
    while let Some(argument) = parser.next().map_err(failed)? {
        match argument {
            Short('h') | Long("help") => help = true,
            Short(flag) => return Err(format!("there is no flag `-{flag}`")),
            Long(flag) => return Err(format!("there is no flag `--{flag}`")),
            Value(value) => {
                return Err(format!(
                    "nothing is done with `{}`",
                    value.to_string_lossy()
                ));
            }
        }
    }
    Ok(help)
}

fn report() -> String {
    let files = &ThisMachine;
    let seen = runtime::look(files);
    let reactors = seen.as_ref().ok().and_then(|seen| seen.core);
    let core = cores::looked_at(files, reactors);
    let clock = seen.as_ref().ok().map(|seen| (seen.clock, seen.reading));
    let mut findings = cores::findings(files, core, reactors.is_some());
    findings.extend(network::findings(files, core));
    findings.extend(machine::findings(files, clock));
    findings.extend(runtime::findings(files, &seen));
    finding::report(&findings)
}
