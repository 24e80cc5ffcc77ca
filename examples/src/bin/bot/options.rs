//! The command line: what the bot is to do, or one sentence about what is wrong with the request.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use flux_examples::decimal::{DECIMALS_MAX, Decimals};
use flux_examples::exchange::faults::{Fault, KINDS};
use flux_examples::exchange::{MarketKind, Speed};
use lexopt::prelude::*;

use crate::feed::Client;

/// Made-up symbols if none are asked for.
const SYMBOLS: &str = "spot:BTCUSDT,spot:ETHUSDT,futures:BTCUSDT,futures:SOLUSDT";

/// The most symbols that one run follows.
const SYMBOLS_MAX: usize = 64;

/// How long a made-up market and a real endpoint are followed if nothing else is said.
const SECONDS: f64 = 10.0;

/// The longest time that can be asked for: a year.
const SECONDS_MAX: f64 = 31_536_000.0;

/// A symbol and the market that it is asked for in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// The market, if one was named.
    pub(crate) market: Option<MarketKind>,
    /// The symbol in upper case.
    pub(crate) name: String,
}

/// What the bot is to do.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Recordings to replay, instead of made-up markets.
    pub(crate) replay: Vec<PathBuf>,
    /// A real endpoint, instead of the embedded exchange.
    pub(crate) url: Option<String>,
    /// Where its snapshots are.
    pub(crate) rest: Option<String>,
    /// Whether the embedded exchange is spoken to over TLS.
    pub(crate) tls: bool,
    /// Whom to trust, instead of the public authorities.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) client: Client,
    pub(crate) speed: Speed,
    /// How long to run; none means until the end of the recordings, or until it is stopped.
    pub(crate) time: Option<Duration>,
    pub(crate) symbols: Vec<Symbol>,
    /// Whether the symbols were asked for or are the default.
    pub(crate) symbols_given: bool,
    pub(crate) core: Option<usize>,
    pub(crate) seed: u64,
    pub(crate) expected: Option<PathBuf>,
    pub(crate) decimals: Option<Decimals>,
    /// The longest silence that is borne.
    pub(crate) patience: Duration,
    pub(crate) faults: Vec<Fault>,
}

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Run(Box<Options>),
    Help,
}

/// Why a command line cannot be followed.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; `bot --help` shows what there is", self.0)
    }
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self(match error {
            lexopt::Error::UnexpectedOption(name) => format!("there is no flag `{name}`"),
            lexopt::Error::UnexpectedArgument(value) => {
                format!("nothing is done with `{}`", value.to_string_lossy())
            }
            lexopt::Error::MissingValue { option: Some(name) } => format!("`{name}` needs a value"),
            lexopt::Error::UnexpectedValue { option, .. } => format!("`{option}` takes no value"),
            other => other.to_string(),
        })
    }
}

/// Reads the arguments behind the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, UsageError> {
    let mut options = Options {
        replay: Vec::new(),
        url: None,
        rest: None,
        tls: false,
        ca: None,
        client: Client::Flux,
        speed: Speed::Times(1.0),
        time: None,
        symbols: symbols(SYMBOLS)?,
        symbols_given: false,
        core: None,
        seed: 1,
        expected: None,
        decimals: None,
        patience: Duration::from_secs(10),
        faults: Vec::new(),
    };
    let (mut seconds, mut help) = (None, false);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => help = true,
            Long("replay") => options.replay.extend(parser.values()?.map(PathBuf::from)),
            // A list of files that the shell made: `--replay *.gz` needs no quoting.
            Value(file) if !options.replay.is_empty() => options.replay.push(file.into()),
            Long("url") => options.url = Some(text("--url", parser.value()?)?),
            Long("rest") => options.rest = Some(text("--rest", parser.value()?)?),
            Long("tls") => options.tls = true,
            Long("ca") => options.ca = Some(parser.value()?.into()),
            Long("client") => options.client = client(&text("--client", parser.value()?)?)?,
            Long("speed") => options.speed = speed(&text("--speed", parser.value()?)?)?,
            Long("seconds") => {
                seconds = Some(number(
                    "--seconds",
                    &text("--seconds", parser.value()?)?,
                    0.0,
                )?);
            }
            Long("symbols") => {
                options.symbols = symbols(&text("--symbols", parser.value()?)?)?;
                options.symbols_given = true;
            }
            Long("core") => {
                options.core = Some(whole("--core", &text("--core", parser.value()?)?)?);
            }
            Long("seed") => options.seed = whole("--seed", &text("--seed", parser.value()?)?)?,
            Long("expected") => options.expected = Some(parser.value()?.into()),
            Long("decimals") => {
                options.decimals = Some(decimals(&text("--decimals", parser.value()?)?)?);
            }
            Long("timeout") => {
                let seconds = number("--timeout", &text("--timeout", parser.value()?)?, 0.01)?;
                options.patience = Duration::from_secs_f64(seconds);
            }
            Long("fault") => {
                let fault = text("--fault", parser.value()?)?;
                options.faults.push(fault.parse().map_err(UsageError)?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if help {
        return Ok(Request::Help);
    }
    // Recordings end by themselves; 0 means for ever.
    let default = if options.replay.is_empty() {
        SECONDS
    } else {
        0.0
    };
    let seconds = seconds.unwrap_or(default);
    options.time = (seconds > 0.0).then(|| Duration::from_secs_f64(seconds));
    check(&options)?;
    Ok(Request::Run(Box::new(options)))
}

/// Refuses what contradicts itself: a flag that is silently ignored is a bug report in waiting.
fn check(options: &Options) -> Result<(), UsageError> {
    let replay = !options.replay.is_empty();
    let clash = |what: &str| Err(UsageError(what.to_owned()));
    match &options.url {
        Some(_) if replay => clash("`--url` and `--replay` exclude each other"),
        Some(_) if options.tls => {
            clash("`--tls` is for the embedded exchange; a `--url` asks for it by `wss://`")
        }
        Some(_) if !options.faults.is_empty() => {
            clash("`--fault` is for the embedded exchange, not for `--url`")
        }
        Some(_) if options.speed != Speed::Times(1.0) => {
            clash("`--speed` is for the embedded exchange, not for `--url`")
        }
        Some(_)
            if options.symbols.iter().any(|symbol| symbol.market.is_some())
                && options.symbols_given =>
        {
            clash("`spot:` and `futures:` are for the embedded exchange; a `--url` is one market")
        }
        None if options.rest.is_some() => clash("`--rest` needs `--url`"),
        None if options.ca.is_some() => {
            clash("`--ca` needs `--url`: the embedded exchange's certificate is trusted as it is")
        }
        _ if !options.tls && options.faults.iter().any(|fault| fault.kind.needs_tls()) => {
            clash("a `--fault` in TLS records needs `--tls`")
        }
        _ if replay && options.symbols_given => clash(
            "`--symbols` and `--replay` exclude each other: a recording has the symbols that it has",
        ),
        _ if !replay && options.expected.is_some() => clash("`--expected` needs `--replay`"),
        _ => Ok(()),
    }
}

fn text(flag: &str, value: OsString) -> Result<String, UsageError> {
    value
        .into_string()
        .map_err(|value| UsageError(format!("`{flag} {}` is not text", value.to_string_lossy())))
}

fn number(flag: &str, text: &str, least: f64) -> Result<f64, UsageError> {
    text.parse()
        .ok()
        .filter(|number| (least..=SECONDS_MAX).contains(number))
        .ok_or_else(|| {
            UsageError(format!(
                "`{flag} {text}` is not a number of seconds from {least} to {SECONDS_MAX}"
            ))
        })
}

fn whole<N: std::str::FromStr>(flag: &str, text: &str) -> Result<N, UsageError> {
    text.parse()
        .map_err(|_| UsageError(format!("`{flag} {text}` is not a whole number from 0 up")))
}

fn speed(text: &str) -> Result<Speed, UsageError> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    text.parse()
        .ok()
        .filter(|times| (0.001..=1e6).contains(times))
        .map(Speed::Times)
        .ok_or_else(|| {
            UsageError(format!(
                "`--speed {text}` is neither `max` nor a factor from 0.001 to 1000000"
            ))
        })
}

fn client(text: &str) -> Result<Client, UsageError> {
    match text {
        "flux" => Ok(Client::Flux),
        "tungstenite" => Ok(Client::Tungstenite),
        _ => Err(UsageError(format!(
            "no client is called `{text}`; there are `flux` and `tungstenite`"
        ))),
    }
}

fn decimals(text: &str) -> Result<Decimals, UsageError> {
    let read = |part: &str| part.parse().ok().filter(|&n| n <= DECIMALS_MAX);
    text.split_once(',')
        .and_then(|(price, quantity)| {
            Some(Decimals {
                price: read(price)?,
                quantity: read(quantity)?,
            })
        })
        .ok_or_else(|| {
            UsageError(format!(
                "`--decimals {text}` is not two numbers from 0 to {DECIMALS_MAX}, as in `2,3`"
            ))
        })
}

fn symbols(text: &str) -> Result<Vec<Symbol>, UsageError> {
    let list = text
        .split(',')
        .map(symbol)
        .collect::<Result<Vec<Symbol>, UsageError>>()?;
    let twice = list
        .iter()
        .enumerate()
        .find(|(index, symbol)| list[..*index].contains(symbol));
    if let Some((_, symbol)) = twice {
        return Err(UsageError(format!(
            "`--symbols` names {} twice",
            symbol.name
        )));
    }
    if list.len() > SYMBOLS_MAX {
        return Err(UsageError(format!(
            "`--symbols` names {} symbols, and {SYMBOLS_MAX} is the most",
            list.len()
        )));
    }
    Ok(list)
}

fn symbol(text: &str) -> Result<Symbol, UsageError> {
    let (market, name) = match text.split_once(':') {
        None => (None, text),
        Some(("spot", name)) => (Some(MarketKind::Spot), name),
        Some(("futures", name)) => (Some(MarketKind::Futures), name),
        Some((market, _)) => {
            return Err(UsageError(format!(
                "no market is called `{market}`; there are `spot` and `futures`"
            )));
        }
    };
    let fits = !name.is_empty()
        && name.len() <= 32
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !fits {
        return Err(UsageError(format!(
            "`{text}` in `--symbols` is no symbol; one is written like `BTCUSDT` or `futures:BTCUSDT`"
        )));
    }
    Ok(Symbol {
        market,
        name: name.to_uppercase(),
    })
}

/// The help text.
pub(crate) fn help() -> String {
    let faults: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
    let kinds: Vec<String> = faults.chunks(6).map(|few| few.join(", ")).collect();
    format!(
        "\
Follows order books over real WebSockets, on one pinned core, and checks that they are right.

Usage: bot [FLAGS]

Without flags: ten seconds against an exchange in this program, with made-up order flow whose
true final books it knows. The bot compares, and fails if a book differs.

What to follow
  --replay FILE..     replay these recordings instead; text (.txt.gz) or capture (.pcap.gz)
  --expected FILE     check their final books against this file [expected.json beside a recording]
  --tls               speak TLS with the exchange in this program, snapshots too
  --url URL           follow a real endpoint, for example ws://127.0.0.1:9000/stream; over TLS with
                      wss://
  --rest URL          where its snapshots are, http:// or https:// [/api/v3/depth at the same place]
  --ca FILE           trust the certificates in this file (PEM) and no others [the public ones]
  --symbols LIST      symbols, separated by commas; `futures:` or `spot:` before one says which
                      made-up market is meant [{SYMBOLS}]
  --decimals P,Q      digits after the point of prices and quantities [8,8, or what is expected]

How
  --seconds S         how long; 0 means until it is stopped [10, or to the end of the recordings]
  --speed X           speed of the embedded exchange: a factor, or `max` [1]
  --seed N            what the made-up order flow follows from [1]
  --client NAME       which libraries to use: `flux`, all in place, or for comparison `tungstenite`,
                      with rustls [flux]
  --core N            pin the bot to this core [chosen by flux]
  --timeout S         the longest silence of a feed, and the longest wait for an answer [10]
  --fault KIND[@N]    let the embedded exchange misbehave at its N-th diff or snapshot; may be
                      repeated. Those in records need --tls. Kinds:
                      {}
  -h, --help          show this

Ctrl-C ends the run with the same report; a second one ends it at once.
Exit status: 0 if all books match, 1 if one doesn't or nothing came, 2 if the request makes no sense.
",
        kinds.join(",\n                      "),
    )
}
