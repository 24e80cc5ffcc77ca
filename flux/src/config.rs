//! Every setting and every limit of a reactor, named once.
//!
//! Owns the defaults, the `FLUX_*` variables that override them, and the checks that need no kernel.
//! Does not know how any of it is used.

pub(crate) mod feeds;
mod network;
mod parse;
mod privileges;
mod stacks;

use std::fmt;
use std::time::Duration;

use crate::error::InitError;
use parse::{parse_bytes, parse_count, parse_duration, parse_idle};

/// How the reactor talks to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventEngine {
    /// The best that this machine allows. On Windows one that has no other name: its fibers wait for time and for
    /// each other, and there are no sockets.
    #[default]
    Auto,
    /// Linux's `io_uring`: completions, one kernel entry a turn.
    IoUring,
    /// Linux's `epoll`.
    Epoll,
    /// `kqueue`, of macOS and FreeBSD. Type-checked for those, and run on Linux against a double of that
    /// interface; its authors have never run it on a BSD.
    Kqueue,
}

impl EventEngine {
    /// The name, as in `engine = ".."` and `FLUX_ENGINE`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
            Self::Kqueue => "kqueue",
        }
    }
}

/// The core that the reactor's thread is pinned to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Core {
    /// An isolated core that this process may use, if there is one; else the core that init runs on.
    /// On macOS: not pinned.
    #[default]
    Auto,
    /// Not pinned.
    None,
    /// This one, counted as the system does, from 0. Refused by macOS, where a program does not choose. On Windows:
    /// within the group of at most 64 processors that the thread is in.
    Number(usize),
}

/// What the core does while nothing is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idle {
    /// Sleeps in the kernel. Leaves the core to others; waking up costs tens of microseconds.
    #[default]
    Block,
    /// Watches memory that the kernel writes, without a syscall. Keeps the core busy.
    Spin,
    /// Spins for so long, then sleeps.
    SpinThenBlock(Duration),
}

/// The three sizes of stack that a fiber can run on.
///
/// Sizes are virtual: what a fiber does not touch costs address space alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StackClass {
    /// 64 KiB: handlers. Holds a panic with a backtrace.
    Small,
    /// 256 KiB: a TLS or WebSocket handshake, also in a debug build.
    Medium,
    /// 1 MiB: the main fiber, and whatever recurses.
    Large,
}

impl StackClass {
    /// All three, smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// The name, as in `stack = ".."`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for StackClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Count and size of one stack class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StackPool {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

/// The largest number of fibers, stacks of a class, or entries: indices are `u32`, and one is kept for
/// "none".
pub(crate) const COUNT_MAX: usize = 1 << 24;
pub(crate) const STACK_BYTES_MIN: usize = 16 * 1024;
pub(crate) const STACK_BYTES_MAX: usize = 1 << 30;
const SUBMISSION_ENTRIES_MAX: u32 = 32_768;

/// How a reactor is set up: every capacity that it will ever have.
///
/// `#[flux::main(..)]` makes one of these out of its keys. [`run`](Self::run) then lets the environment
/// override it, so that an operator can move a bot without a rebuild:
///
/// | variable | holds | example |
/// |---|---|---|
/// | `FLUX_ENGINE` | `auto`, `io_uring`, `epoll`, `kqueue` | `io_uring` |
/// | `FLUX_CORE` | a number, `auto`, `none` | `3` |
/// | `FLUX_IDLE` | `block`, `spin`, `spin` and a duration | `spin 50us` |
/// | `FLUX_STACKS` | counts by class, or `auto` | `small=512,large=4` |
/// | `FLUX_STACK_SIZES` | sizes by class | `small=128KiB` |
/// | `FLUX_FIBERS` | a number | `4096` |
/// | `FLUX_TIMERS` | a number | `1024` |
/// | `FLUX_FEEDS` | a number | `32` |
/// | `FLUX_FEED_BUFFER` | a size | `1MiB` |
/// | `FLUX_GRACE` | a duration | `500ms` |
///
/// # Example
/// ```
/// use flux::{Config, Core, StackClass};
///
/// # fn main() -> Result<(), flux::RunError> {
/// let answer = Config::new()
///     .core(Core::None)
///     .stacks(StackClass::Small, 64)
///     .run(|| 42)?;
/// assert_eq!(answer, 42);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a configuration does nothing until it is `run`"]
pub struct Config {
    pub(crate) engine: EventEngine,
    pub(crate) core: Core,
    /// The variable that set the core, if one did.
    pub(crate) core_variable: Option<&'static str>,
    pub(crate) idle: Idle,
    pub(crate) stacks: [StackPool; 3],
    /// The classes whose count is left to the fiber functions.
    pub(crate) auto_stacks: [bool; 3],
    /// Whether to print what the fiber functions may need.
    pub(crate) report: bool,
    pub(crate) prefault: usize,
    pub(crate) fibers: usize,
    pub(crate) timers: usize,
    pub(crate) feeds: usize,
    pub(crate) feed_buffer: usize,
    pub(crate) submission_entries: u32,
    pub(crate) grace: Duration,
    /// The real-time priority of the reactor's thread, if it is to have one.
    pub(crate) realtime: Option<u8>,
    pub(crate) lock_memory: bool,
    pub(crate) napi_busy_poll: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// The defaults: the best engine, an isolated core if there is one, blocking when idle, 256 small,
    /// 32 medium and 8 large stacks, 1024 fibers, 16 feeds of 256 KiB.
    pub const fn new() -> Self {
        Self {
            engine: EventEngine::Auto,
            core: Core::Auto,
            core_variable: None,
            idle: Idle::Block,
            stacks: [
                StackPool {
                    count: 256,
                    bytes: 64 * 1024,
                },
                StackPool {
                    count: 32,
                    bytes: 256 * 1024,
                },
                StackPool {
                    count: 8,
                    bytes: 1024 * 1024,
                },
            ],
            auto_stacks: [false; 3],
            report: false,
            prefault: 8 * 1024,
            fibers: 1024,
            timers: 256,
            feeds: 16,
            feed_buffer: 256 * 1024,
            submission_entries: 512,
            grace: Duration::from_secs(5),
            realtime: None,
            lock_memory: false,
            napi_busy_poll: None,
        }
    }

    /// How to talk to the kernel.
    pub const fn engine(mut self, engine: EventEngine) -> Self {
        self.engine = engine;
        self
    }

    /// Where to run.
    pub const fn core(mut self, core: Core) -> Self {
        self.core = core;
        self
    }

    /// What to do while nothing is ready.
    pub const fn idle(mut self, idle: Idle) -> Self {
        self.idle = idle;
        self
    }

    /// How many stacks of a class there are: so many fibers of that class can have started and not yet
    /// ended; a further one waits, unstarted, for one of them to end. The main fiber takes a large one.
    pub const fn stacks(mut self, class: StackClass, count: usize) -> Self {
        self.stacks[class.index()].count = count;
        self.auto_stacks[class.index()] = false;
        self
    }

    /// How large the stacks of a class are, in bytes; rounded up to whole pages.
    pub const fn stack_size(mut self, class: StackClass, bytes: usize) -> Self {
        self.stacks[class.index()].bytes = bytes;
        self
    }

    /// How many bytes at the top of every stack are backed by memory at init; rounded up to whole pages.
    ///
    /// The first touch of a page in mid-trading costs microseconds. What is prefaulted is resident, used
    /// or not: 8 KiB for each stack by default.
    pub const fn prefault(mut self, bytes: usize) -> Self {
        self.prefault = bytes;
        self
    }

    /// How many fibers live at once, the main fiber and unjoined results included.
    pub const fn fibers(mut self, fibers_max: usize) -> Self {
        self.fibers = fibers_max;
        self
    }

    /// How many callback timers there are at once: those that are set, and those whose handle is held.
    pub const fn timers(mut self, timers_max: usize) -> Self {
        self.timers = timers_max;
        self
    }

    /// How many requests the kernel's submission queue holds; rounded up to a power of two. More are
    /// queued in order behind it, so that this bounds a batch, not the work. The completion queue is
    /// eight times as long.
    pub const fn submission_entries(mut self, entries: u32) -> Self {
        self.submission_entries = entries;
        self
    }

    /// How long the other fibers may take to end, once the main fiber has returned and they were
    /// cancelled. Those that are left are named on stderr.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// This configuration with what the environment overrides.
    pub(crate) fn with_environment(
        mut self,
        read: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, InitError> {
        let parse = |variable, expected, apply: &mut dyn FnMut(&str) -> Option<()>| {
            let Some(value) = read(variable) else {
                return Ok(());
            };
            apply(value.trim()).ok_or(InitError::Environment {
                variable,
                value,
                expected,
            })
        };
        parse(
            "FLUX_ENGINE",
            "one of `auto`, `io_uring`, `epoll`, `kqueue`",
            &mut |value| {
                self.engine = [
                    EventEngine::Auto,
                    EventEngine::IoUring,
                    EventEngine::Epoll,
                    EventEngine::Kqueue,
                ]
                .into_iter()
                .find(|engine| engine.name() == value)?;
                Some(())
            },
        )?;
        parse(
            "FLUX_CORE",
            "a core's number, `auto` or `none`",
            &mut |value| {
                self.core = match value {
                    "auto" => Core::Auto,
                    "none" => Core::None,
                    number => Core::Number(number.parse().ok()?),
                };
                self.core_variable = Some("FLUX_CORE");
                Some(())
            },
        )?;
        parse(
            "FLUX_IDLE",
            "`block`, `spin`, or `spin` and a duration such as `spin 50us`",
            &mut |value| {
                self.idle = parse_idle(value)?;
                Some(())
            },
        )?;
        parse(
            "FLUX_STACKS",
            "`auto`, or counts by class such as `small=512,medium=32,large=8`",
            &mut |value| self.read_stacks(value),
        )?;
        parse(
            "FLUX_STACK_SIZES",
            "sizes by class such as `small=128KiB,large=2MiB`",
            &mut |value| self.read_stack_sizes(value),
        )?;
        parse("FLUX_REPORT", "`1` or `0`", &mut |value| {
            self.report = matches!(value, "1" | "0").then_some(value == "1")?;
            Some(())
        })?;
        parse("FLUX_FIBERS", "a number of fibers", &mut |value| {
            self.fibers = parse_count(value)?;
            Some(())
        })?;
        parse("FLUX_TIMERS", "a number of callback timers", &mut |value| {
            self.timers = parse_count(value)?;
            Some(())
        })?;
        parse("FLUX_FEEDS", "a number of feeds", &mut |value| {
            self.feeds = parse_count(value)?;
            Some(())
        })?;
        parse(
            "FLUX_FEED_BUFFER",
            "a size such as `256KiB` or `1MiB`",
            &mut |value| {
                self.feed_buffer = parse_bytes(value)?;
                Some(())
            },
        )?;
        parse(
            "FLUX_GRACE",
            "a duration such as `500ms` or `5s`",
            &mut |value| {
                self.grace = parse_duration(value)?;
                Some(())
            },
        )?;
        Ok(self)
    }

    /// Refuses what cannot work, in one sentence with the numbers and the key.
    pub(crate) fn check(&self) -> Result<(), InitError> {
        let refuse = |sentence: String| Err(InitError::Config(sentence));
        if self.fibers == 0 || self.fibers > COUNT_MAX {
            return refuse(format!(
                "`fibers` is {}, but must be from 1 (the main fiber) to {COUNT_MAX}",
                self.fibers
            ));
        }
        if self.timers > COUNT_MAX {
            return refuse(format!(
                "`timers` is {}, but {COUNT_MAX} is the most",
                self.timers
            ));
        }
        for class in StackClass::ALL {
            let pool = self.stacks[class.index()];
            if pool.count > COUNT_MAX {
                return refuse(format!(
                    "`stacks({class} = {})` is too many: {COUNT_MAX} at the most",
                    pool.count
                ));
            }
            if !(STACK_BYTES_MIN..=STACK_BYTES_MAX).contains(&pool.bytes) {
                return refuse(format!(
                    "the stack size of class {class} is {} bytes, but must be from \
                     {STACK_BYTES_MIN} to {STACK_BYTES_MAX}",
                    pool.bytes
                ));
            }
            if self.prefault > pool.bytes {
                return refuse(format!(
                    "`prefault` is {} bytes, more than the {} bytes of a {class} stack",
                    self.prefault, pool.bytes
                ));
            }
        }
        let [small, medium, large] = self.stacks.map(|pool| pool.bytes);
        if small > medium || medium > large {
            return refuse(format!(
                "stack sizes must not fall from small to large, but are {small}, {medium} and {large} bytes"
            ));
        }
        if self.stacks[StackClass::Large.index()].count == 0 {
            return refuse(
                "`stacks(large = 0)` leaves no stack for the main fiber, which needs one".into(),
            );
        }
        if !(1..=SUBMISSION_ENTRIES_MAX).contains(&self.submission_entries) {
            return refuse(format!(
                "`submission_entries` is {}, but must be from 1 to {SUBMISSION_ENTRIES_MAX}",
                self.submission_entries
            ));
        }
        self.check_feeds()?;
        self.check_privileges()?;
        self.check_network()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variable: &'static str, value: &'static str) -> Result<Config, InitError> {
        Config::new().with_environment(|asked| (asked == variable).then(|| value.to_owned()))
    }

    #[test]
    fn the_environment_overrides_each_setting() {
        let config = with("FLUX_ENGINE", "io_uring").unwrap();
        assert_eq!(config.engine, EventEngine::IoUring);
        assert_eq!(with("FLUX_CORE", "3").unwrap().core, Core::Number(3));
        assert_eq!(with("FLUX_CORE", "none").unwrap().core, Core::None);
        assert_eq!(with("FLUX_IDLE", "spin").unwrap().idle, Idle::Spin);
        assert_eq!(
            with("FLUX_IDLE", "spin 50us").unwrap().idle,
            Idle::SpinThenBlock(Duration::from_micros(50))
        );
        let config = with("FLUX_STACKS", "small=512, large=4").unwrap();
        assert_eq!(config.stacks.map(|pool| pool.count), [512, 32, 4]);
        assert_eq!(with("FLUX_FIBERS", "7").unwrap().fibers, 7);
        assert_eq!(with("FLUX_FEEDS", "3").unwrap().feeds, 3);
        let config = with("FLUX_FEED_BUFFER", "1 MiB").unwrap();
        assert_eq!(config.feed_buffer, 1 << 20);
        assert_eq!(
            with("FLUX_GRACE", "250ms").unwrap().grace,
            Duration::from_millis(250)
        );
    }

    #[test]
    fn a_bad_value_is_an_error_that_names_its_variable() {
        for (variable, value) in [
            ("FLUX_ENGINE", "nonsense"),
            ("FLUX_CORE", "-1"),
            ("FLUX_CORE", ""),
            ("FLUX_IDLE", "fast"),
            ("FLUX_IDLE", "spin 50"),
            ("FLUX_IDLE", "spin 50us more"),
            ("FLUX_STACKS", "tiny=4"),
            ("FLUX_STACKS", "small"),
            ("FLUX_FIBERS", "many"),
            ("FLUX_FEEDS", "some"),
            ("FLUX_FEED_BUFFER", "256"),
            ("FLUX_FEED_BUFFER", "256KB"),
            ("FLUX_GRACE", "5 minutes"),
            ("FLUX_GRACE", "99999999999999s"),
        ] {
            let error = with(variable, value).unwrap_err().to_string();
            assert!(
                error.contains(variable) && error.contains(value),
                "{variable}={value}: {error}"
            );
        }
    }

    #[test]
    fn a_limit_out_of_range_is_refused_with_its_key() {
        let refused = |config: Config, word: &str| {
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(Config::new().fibers(0), "`fibers`");
        refused(Config::new().fibers(usize::MAX), "`fibers`");
        refused(
            Config::new().stacks(StackClass::Large, 0),
            "`stacks(large = 0)`",
        );
        refused(
            Config::new().stacks(StackClass::Small, usize::MAX),
            "`stacks(small",
        );
        refused(Config::new().stack_size(StackClass::Small, 100), "small");
        refused(
            Config::new().stack_size(StackClass::Medium, 32 * 1024),
            "must not fall",
        );
        refused(Config::new().prefault(1 << 20), "`prefault`");
        refused(Config::new().submission_entries(0), "`submission_entries`");
        assert!(Config::new().check().is_ok());
    }
}
