//! The command line.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use flux::EventEngine;
use lexopt::prelude::*;

/// The longest run that can be asked for: thirty days.
const SECONDS_MAX: f64 = 2_592_000.0;
/// The shortest: one interval to warm up, and one to compare.
const SECONDS_MIN: f64 = 1.0;

/// The help text.
pub(crate) const HELP: &str = "\
Does at random, all at once, what fibers can do to sockets and to each other, and counts what could leak.

Usage: soak [FLAGS]

  --seconds S         how long [10]
  --seed N            what the choices follow from [drawn, and printed]
  --engine NAME       `io_uring`, `epoll`, `kqueue` or `auto` [auto]
  --plant WHAT        leak a `descriptor`, a `fiber` or `memory` after each interval, or `hang`, to see
                      that the alarm is heard
  -h, --help          show this

Ctrl-C ends the run with the same report; a second one ends it at once.
Exit status: 0 if nothing drifted, 1 if something did, 2 if the request makes no sense.
";

/// What is to be leaked on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    Descriptor,
    Fiber,
    Memory,
    Hang,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    pub(crate) engine: EventEngine,
    pub(crate) plant: Option<Plant>,
}

impl Options {
    /// A line of the table for each of these.
    pub(crate) fn interval(&self) -> Duration {
        (self.time / 20).clamp(Duration::from_millis(400), Duration::from_secs(5))
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Run(Options),
    Help,
}

/// Why a command line cannot be followed.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; `soak --help` shows what there is", self.0)
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
        time: Duration::from_secs(10),
        seed: drawn_seed(),
        engine: EventEngine::Auto,
        plant: None,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("seconds") => options.time = seconds(&text("--seconds", parser.value()?)?)?,
            Long("seed") => {
                let seed = text("--seed", parser.value()?)?;
                options.seed = seed.parse().map_err(|_| {
                    UsageError(format!("`--seed {seed}` is not a whole number from 0 up"))
                })?;
            }
            Long("engine") => options.engine = engine(&text("--engine", parser.value()?)?)?,
            Long("plant") => options.plant = Some(plant(&text("--plant", parser.value()?)?)?),
            other => return Err(other.unexpected().into()),
        }
    }
    agrees_with_environment(options.engine)?;
    Ok(Request::Run(options))
}

/// A flag that the environment silently overrides is a bug report in waiting.
fn agrees_with_environment(engine: EventEngine) -> Result<(), UsageError> {
    match std::env::var("FLUX_ENGINE") {
        Ok(name) if engine != EventEngine::Auto && name.trim() != engine.name() => {
            Err(UsageError(format!(
                "`--engine {}` and `FLUX_ENGINE={name}` contradict each other",
                engine.name()
            )))
        }
        _ => Ok(()),
    }
}

fn drawn_seed() -> u64 {
    // The nanoseconds are what differs from run to run.
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |now| u64::from(now.subsec_nanos()))
}

fn text(flag: &str, value: OsString) -> Result<String, UsageError> {
    value
        .into_string()
        .map_err(|value| UsageError(format!("`{flag} {}` is not text", value.to_string_lossy())))
}

fn seconds(text: &str) -> Result<Duration, UsageError> {
    text.parse()
        .ok()
        .filter(|seconds| (SECONDS_MIN..=SECONDS_MAX).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| {
            UsageError(format!(
                "`--seconds {text}` is not a number of seconds from {SECONDS_MIN} to {SECONDS_MAX}"
            ))
        })
}

fn engine(name: &str) -> Result<EventEngine, UsageError> {
    [
        EventEngine::Auto,
        EventEngine::IoUring,
        EventEngine::Epoll,
        EventEngine::Kqueue,
    ]
    .into_iter()
    .find(|engine| engine.name() == name)
    .ok_or_else(|| {
        UsageError(format!(
            "`--engine {name}` is not one of `auto`, `io_uring`, `epoll`, `kqueue`"
        ))
    })
}

fn plant(name: &str) -> Result<Plant, UsageError> {
    match name {
        "descriptor" => Ok(Plant::Descriptor),
        "fiber" => Ok(Plant::Fiber),
        "memory" => Ok(Plant::Memory),
        "hang" => Ok(Plant::Hang),
        _ => Err(UsageError(format!(
            "`--plant {name}` is not one of `descriptor`, `fiber`, `memory`, `hang`"
        ))),
    }
}
