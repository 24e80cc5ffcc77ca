//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

/// The capture, beside the workspace or where a variable says.
const CAPTURE: &str = "iex-deep-20231002.pcap.gz";
const FOLDER: &str = "../shared/market-data";

/// The help text.
pub(crate) const HELP: &str = "\
Replays a capture of IEX DEEP over multicast on loopback, and builds the books from its two lines.

Usage: iex [FLAGS] [CAPTURE]

  CAPTURE             a pcap file, maybe gzipped
                      [iex-deep-20231002.pcap.gz in `FLUX_MARKET_DATA` or in ../shared/market-data]
  --lines N           1 or 2: line A alone, or A and B [2]
  --lose PERCENT      packets that a line loses, each line others [0]
  --on LINE           the line that loses them: `a`, `b` or `both` [both]
  --reorder PERCENT   packets that a line sends up to 8 packets late [0]
  --seed N            what is lost and moved follows from it [1]
  --speed RATE        packets a second on each line, never far ahead of the receiver, so that nothing is
                      dropped; or `max`, as fast as can be, whatever happens [10000]
  -h, --help          show this

Exit status: 0 if the gaps found are those made, and the books right if there were none; 1 if not; 2 if the
request makes no sense.
";

/// How fast packets are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    /// So many a second on each line.
    Rate(f64),
    Max,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) capture: PathBuf,
    pub(crate) lines: usize,
    /// Of 100 packets.
    pub(crate) lose: f64,
    /// Whether each line loses packets.
    pub(crate) loses: [bool; 2],
    pub(crate) reorder: f64,
    pub(crate) seed: u64,
    pub(crate) speed: Speed,
}

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Run(Options),
    Help,
}

pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, String> {
    let mut options = Options {
        capture: default_capture(),
        lines: 2,
        lose: 0.0,
        loses: [true, true],
        reorder: 0.0,
        seed: 1,
        speed: Speed::Rate(10_000.0),
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(sentence)? {
        match argument {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("lines") => {
                options.lines = match text(&mut parser)?.as_str() {
                    "1" => 1,
                    "2" => 2,
                    other => return Err(format!("`--lines` is 1 or 2, not `{other}`")),
                }
            }
            Long("lose") => options.lose = percent("--lose", &text(&mut parser)?)?,
            Long("reorder") => options.reorder = percent("--reorder", &text(&mut parser)?)?,
            Long("on") => {
                options.loses = match text(&mut parser)?.as_str() {
                    "a" => [true, false],
                    "b" => [false, true],
                    "both" => [true, true],
                    other => return Err(format!("`--on` is `a`, `b` or `both`, not `{other}`")),
                }
            }
            Long("seed") => {
                let text = text(&mut parser)?;
                options.seed = text
                    .parse()
                    .map_err(|_| format!("`--seed` is a whole number, not `{text}`"))?;
            }
            Long("speed") => options.speed = speed(&text(&mut parser)?)?,
            Value(path) => options.capture = path.into(),
            other => return Err(sentence(other.unexpected())),
        }
    }
    Ok(Request::Run(options))
}

fn default_capture() -> PathBuf {
    std::env::var_os("FLUX_MARKET_DATA")
        .map_or_else(|| PathBuf::from(FOLDER), PathBuf::from)
        .join(CAPTURE)
}

fn text(parser: &mut lexopt::Parser) -> Result<String, String> {
    let value = parser.value().map_err(sentence)?;
    Ok(value.to_string_lossy().into_owned())
}

fn percent(flag: &str, text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err(format!(
            "`{flag}` is a percentage from 0 to 100, not `{text}`"
        )),
    }
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    match text.parse::<f64>() {
        Ok(rate) if (1.0..=1e9).contains(&rate) => Ok(Speed::Rate(rate)),
        _ => Err(format!(
            "`--speed` is a number of packets a second, from 1 on, or `max`, not `{text}`"
        )),
    }
}

fn sentence(error: lexopt::Error) -> String {
    match error {
        lexopt::Error::UnexpectedOption(flag) => format!("there is no flag `{flag}`"),
        lexopt::Error::MissingValue { option } => {
            format!("`{}` wants a value", option.unwrap_or_default())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arguments: &[&str]) -> String {
        let arguments = arguments.iter().map(OsString::from);
        parse(arguments).map(drop).expect_err("refused")
    }

    #[test]
    fn a_request_that_makes_no_sense_is_a_sentence() {
        for (arguments, sentence) in [
            (&["--lines", "3"][..], "`--lines` is 1 or 2, not `3`"),
            (
                &["--lose", "101"],
                "`--lose` is a percentage from 0 to 100, not `101`",
            ),
            (
                &["--lose", "NaN"],
                "`--lose` is a percentage from 0 to 100, not `NaN`",
            ),
            (&["--on", "c"], "`--on` is `a`, `b` or `both`, not `c`"),
            (&["--seed", "x"], "`--seed` is a whole number, not `x`"),
            (&["--seed"], "`--seed` wants a value"),
            (
                &["--speed", "0"],
                "`--speed` is a number of packets a second, from 1 on, or `max`, not `0`",
            ),
            (&["--fast"], "there is no flag `--fast`"),
        ] {
            assert_eq!(refused(arguments), sentence);
        }
    }
}
