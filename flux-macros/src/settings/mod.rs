//! The keys of `#[flux::main]`, `#[flux::test]` and `flux::init!`, and the `Config` that they stand for.
//!
//! Knows nothing of where they were written. What each key may be is in `keys`; the code for it is in
//! `expand`.

pub(crate) mod expand;
pub(crate) mod keys;

use proc_macro2::TokenStream;

use crate::blocking::Leave;
use crate::entries::{self, Entry, Given, Keys};
use crate::fault::Faults;
use crate::limits::STACK_BYTES;
use crate::root::Root;
use crate::units::in_words;
use crate::value::Amount;

/// The keys of `#[flux::main]` and `#[flux::test]`.
pub(crate) const FUNCTION: Keys = Keys {
    known: &[
        "engine",
        "core",
        "idle",
        "stacks",
        "stack_sizes",
        "fibers",
        "feeds",
        "feed_buffer",
        "timers",
        "grace",
        "blocking_ok",
        "crate",
    ],
    later: &["stall"],
};

/// The keys of `flux::init!`.
pub(crate) const EXPRESSION: Keys = Keys {
    known: &[
        "engine",
        "core",
        "idle",
        "stacks",
        "stack_sizes",
        "fibers",
        "feeds",
        "feed_buffer",
        "timers",
        "grace",
        "crate",
    ],
    later: &["stall"],
};

const STACKS: Keys = Keys {
    known: &["auto", "small", "medium", "large"],
    later: &[],
};

const STACK_SIZES: Keys = Keys {
    known: &["small", "medium", "large"],
    later: &[],
};

/// What was written, checked. `None` leaves the default of `Config`.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) root: Root,
    pub(crate) leave: Leave,
    engine: Option<Engine>,
    pub(crate) core: Option<Core>,
    idle: Option<Idle>,
    stacks_auto: bool,
    /// In the order of `STACK_BYTES`, as the sizes are.
    stacks: [Option<Amount<usize>>; 3],
    stack_sizes: [Option<Amount<usize>>; 3],
    fibers: Option<Amount<usize>>,
    feeds: Option<Amount<usize>>,
    feed_buffer: Option<Amount<usize>>,
    timers: Option<Amount<usize>>,
    grace_ns: Option<Amount<u64>>,
}

struct Engine {
    name: &'static str,
    variant: &'static str,
    /// The systems that have it; none where all do.
    systems: &'static [&'static str],
    place: TokenStream,
}

pub(crate) enum Core {
    Auto,
    None,
    Number(Amount<usize>),
}

enum Idle {
    Block,
    Spin,
    SpinThenBlock { nanoseconds: u64 },
}

impl Settings {
    /// Reads and checks the tokens between the parentheses.
    pub(crate) fn parse(tokens: TokenStream, keys: &Keys, faults: &mut Faults) -> Self {
        let mut settings = Settings::default();
        let entries = entries::parse(tokens, faults);
        for entry in keys.sort_out(entries, faults) {
            match entry.name().as_str() {
                "engine" => settings.engine = keys::engine(&entry, faults),
                "core" => settings.core = keys::core(&entry, faults),
                "idle" => settings.idle = keys::idle(&entry, faults),
                "stacks" => settings.stacks(&entry, faults),
                "stack_sizes" => settings.stack_sizes(&entry, faults),
                "fibers" => settings.fibers = keys::fibers(&entry, faults),
                "feeds" => settings.feeds = keys::feeds(&entry, faults),
                "feed_buffer" => settings.feed_buffer = keys::feed_buffer(&entry, faults),
                "timers" => settings.timers = keys::timers(&entry, faults),
                "grace" => settings.grace_ns = keys::grace(&entry, faults),
                "blocking_ok" => settings.leave = Leave::read(&entry, faults),
                "crate" => settings.root = Root::read(&entry, faults),
                // `sort_out` keeps nothing else.
                _ => {}
            }
        }
        settings
    }

    fn stacks(&mut self, entry: &Entry, faults: &mut Faults) {
        let example = match &entry.given {
            Given::Value(value) if value.tokens.to_string().contains("auto") => "stacks(auto)",
            _ => "stacks(small = 256, medium = 32, large = 8)",
        };
        let list = entry.list(example, faults).unwrap_or_default();
        for entry in STACKS.sort_out(list, faults) {
            if entry.name() == "auto" {
                self.stacks_auto = keys::stacks_auto(&entry, faults);
            } else {
                let count = keys::stacks(&entry, faults);
                set(&mut self.stacks, &entry, count.as_ref());
            }
        }
    }

    fn stack_sizes(&mut self, entry: &Entry, faults: &mut Faults) {
        let example = "stack_sizes(small = \"128KiB\")";
        let list = entry.list(example, faults).unwrap_or_default();
        let entries = STACK_SIZES.sort_out(list, faults);
        for entry in &entries {
            let size = keys::stack_size(entry, faults);
            set(&mut self.stack_sizes, entry, size.as_ref());
        }
        self.sizes_must_rise(&entries, faults);
    }

    /// A size below that of a smaller class is a fault at the later one of the two that was written.
    fn sizes_must_rise(&mut self, entries: &[Entry], faults: &mut Faults) {
        let known = |(given, (_, default)): (&Option<Amount<usize>>, &(&str, usize))| match given {
            Some(size) => size.written().copied(),
            None => Some(*default),
        };
        let sizes: Vec<Option<usize>> = self
            .stack_sizes
            .iter()
            .zip(&STACK_BYTES)
            .map(known)
            .collect();
        let pairs = sizes.windows(2).zip(STACK_BYTES.windows(2));
        let falls = pairs.filter_map(|(sizes, classes)| match (sizes, classes) {
            ([Some(lower), Some(upper)], [(smaller, _), (larger, _)]) if lower > upper => {
                Some((*smaller, *lower, *larger, *upper))
            }
            _ => None,
        });
        // One is enough: mending it changes the others.
        let Some((smaller, lower, larger, upper)) = falls.into_iter().next() else {
            return;
        };
        let at = |name: &str| entries.iter().rev().find(|entry| entry.name() == name);
        let Some(entry) = at(larger).or_else(|| at(smaller)) else {
            return;
        };
        let message = format!(
            "{smaller} stacks of {} are larger than {larger} ones of {}",
            in_words(lower),
            in_words(upper)
        );
        let help =
            format!("sizes rise from small to large: lower `{smaller}`, or raise `{larger}`");
        match &entry.given {
            Given::Value(value) => faults.at(&value.tokens, &message, &help),
            Given::Nothing | Given::List(_) => faults.at(&entry.key, &message, &help),
        }
        // Whatever was written, the runtime's check must not say it again.
        self.stack_sizes = [None, None, None];
    }
}

/// Puts what a class was given into its place.
fn set(classes: &mut [Option<Amount<usize>>; 3], entry: &Entry, amount: Option<&Amount<usize>>) {
    let name = entry.name();
    let place = classes.iter_mut().zip(STACK_BYTES);
    for (class, _) in place.filter(|(_, (class, _))| *class == name) {
        *class = amount.cloned();
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::expand::Generated;
    use super::keys::ENGINES;
    use super::*;

    fn parse(tokens: &str) -> (String, Vec<String>) {
        let mut faults = Faults::default();
        let tokens = tokens.parse().unwrap_or_default();
        let settings = Settings::parse(tokens, &FUNCTION, &mut faults);
        let Generated { items, config } = settings.expand(Span::call_site());
        let plain = format!("{items}{config}")
            .replace(' ', "")
            .replace("::flux::macro_support::", "")
            .replace("::core::time::", "");
        (plain, faults.messages())
    }

    #[track_caller]
    fn good(tokens: &str, config: &str) {
        assert_eq!(parse(tokens), (config.to_string(), vec![]), "{tokens}");
    }

    #[track_caller]
    fn bad(tokens: &str, faults: &[&str]) {
        assert_eq!(parse(tokens).1, faults, "{tokens}");
    }

    #[test]
    fn each_key_becomes_a_call_of_the_builder() {
        good("", "Config::new()");
        for (name, variant, systems) in ENGINES {
            let (config, faults) = parse(&format!("engine = \"{name}\""));
            let builder = format!("Config::new().engine(EventEngine::{variant})");
            assert!(config.ends_with(&builder) && faults.is_empty(), "{config}");
            assert_eq!(config.contains("#[cfg(not(any("), !systems.is_empty());
        }
        good("core = 3", "Config::new().core(Core::Number(3))");
        good(
            "core = crate::CORE",
            "constFLUX_CORE:usize=crate::CORE;Config::new().core(Core::Number(FLUX_CORE))",
        );
        good("core = \"auto\"", "Config::new().core(Core::Auto)");
        good("core = \"none\"", "Config::new().core(Core::None)");
        good("idle = \"block\"", "Config::new().idle(Idle::Block)");
        good("idle = \"spin\"", "Config::new().idle(Idle::Spin)");
        good(
            "idle = \"spin 50us\"",
            "Config::new().idle(Idle::SpinThenBlock(Duration::from_nanos(50000u64)))",
        );
        good(
            "stacks(large = 2, small = 0, medium = N)",
            "constFLUX_STACKS_MEDIUM:usize=N;const_:()=assert_stacks(FLUX_STACKS_MEDIUM);Config::new().stacks(StackClass::Small,0).stacks(StackClass::Medium,FLUX_STACKS_MEDIUM).stacks(StackClass::Large,2)",
        );
        good("fibers = 0x10,", "Config::new().fibers(16)");
        good("timers = 0", "Config::new().timers(0)");
        good(
            "grace = \"250ms\"",
            "Config::new().grace(Duration::from_nanos(250000000u64))",
        );
        good(
            "grace = limits::GRACE",
            "constFLUX_GRACE:Duration=limits::GRACE;Config::new().grace(FLUX_GRACE)",
        );
        good(
            "stacks(auto, medium = 8)",
            "Config::new().stacks_auto().stacks(StackClass::Medium,8)",
        );
        good(
            "stack_sizes(small = \"128KiB\", large = \"2MiB\")",
            "Config::new().stack_size(StackClass::Small,131072).stack_size(StackClass::Large,2097152)",
        );
        good(
            "stack_sizes(small = SMALL)",
            "constFLUX_STACK_SIZE_SMALL:usize=SMALL;const_:()=assert_stack_size(FLUX_STACK_SIZE_SMALL);const_:()=assert_stack_sizes_rise([FLUX_STACK_SIZE_SMALL,262144,1048576]);Config::new().stack_size(StackClass::Small,FLUX_STACK_SIZE_SMALL)",
        );
        good("feeds = 0", "Config::new().feeds(0)");
        good(
            "feed_buffer = \"256KiB\"",
            "Config::new().feed_buffer(262144)",
        );
    }

    #[test]
    fn all_faults_are_found_at_once() {
        bad(
            "engine = \"uring\", core = \"3\", stacks(large = 0, tiny = 1), fibers = 0, fibers = 1",
            &[
                "`fibers` is given twice\nhelp: keep one of the two",
                "unknown engine `uring`\nhelp: one of \"auto\", \"io_uring\", \"epoll\", \"kqueue\"",
                "`core` takes the number of a core, found the string \"3\"\nhelp: write `core = 3`, without quotes",
                "unknown key `tiny`\nhelp: the keys are `auto`, `small`, `medium`, `large`",
                "there is no large stack to run `main` on\nhelp: `large` is at least 1, since the main fiber runs on a large stack",
                "there is no room for the main fiber\nhelp: `fibers` is at least 1, since the main fiber is one of them",
            ],
        );
    }

    #[test]
    fn values_of_the_wrong_type_are_named() {
        bad(
            "core = 3.5",
            &[
                "`core` takes the number of a core, found a number with a fraction\nhelp: write `core = 3`, or one of \"auto\", \"none\"",
            ],
        );
        bad(
            "core = -1",
            &[
                "`core` takes the number of a core, found a negative number\nhelp: write `core = 3`, or one of \"auto\", \"none\"",
            ],
        );
        bad(
            "core = auto",
            &["`auto` is a string here\nhelp: write `core = \"auto\"`"],
        );
        bad(
            "core = \"atuo\"",
            &["unknown core `atuo`\nhelp: did you mean \"auto\"?"],
        );
        bad(
            "core = \"last\"",
            &["unknown core `last`\nhelp: write `core = 3`, or one of \"auto\", \"none\""],
        );
        bad(
            "engine = epoll",
            &[
                "`engine` takes a string, found `epoll`\nhelp: one of \"auto\", \"io_uring\", \"epoll\", \"kqueue\"",
            ],
        );
        bad(
            "engine = \"iouring\"",
            &["unknown engine `iouring`\nhelp: did you mean \"io_uring\"?"],
        );
        bad(
            "engine",
            &["`engine` needs a value\nhelp: write `engine = \"auto\"`"],
        );
        bad(
            "engine(x)",
            &["`engine` takes one value, not a list\nhelp: write `engine = \"auto\"`"],
        );
        bad(
            "stacks = 3",
            &[
                "`stacks` takes a list, not one value\nhelp: write `stacks(small = 256, medium = 32, large = 8)`",
            ],
        );
        bad(
            "stacks",
            &["`stacks` needs a list\nhelp: write `stacks(small = 256, medium = 32, large = 8)`"],
        );
        bad(
            "stacks(small = \"1\")",
            &[
                "`small` takes a number, found the string \"1\"\nhelp: write `small = 32`, or a path to a `const` of type `usize`",
            ],
        );
    }

    #[test]
    fn durations_say_what_is_wrong_with_them() {
        bad(
            "idle = \"spin 50\"",
            &[
                "the duration `50` has no unit\nhelp: a duration is a whole number and a unit: ns, us, ms, or s",
            ],
        );
        bad(
            "idle = \"spin 0us\"",
            &["`spin 0us` does not spin at all\nhelp: write `idle = \"block\"`, or a longer time"],
        );
        bad(
            "idle = \"sleep\"",
            &[
                "unknown way to idle `sleep`\nhelp: one of \"block\", \"spin\", or \"spin 50us\", which spins that long, then blocks",
            ],
        );
        bad(
            "grace = 5",
            &[
                "`grace` takes a duration, found the number 5\nhelp: write `grace = \"5s\"`, or a path to a `const` of type `Duration`",
            ],
        );
        bad(
            "grace = \"5m\"",
            &[
                "`m` is not a unit of time\nhelp: a duration is a whole number and a unit: ns, us, ms, or s",
            ],
        );
    }

    #[test]
    fn sizes_are_checked_alone_and_against_each_other() {
        for (tokens, faults) in [
            (
                "stack_sizes(small = \"4KiB\")",
                "a small stack of 4 KiB is out of range\nhelp: a stack has from 16 KiB to 1 GiB",
            ),
            (
                "stack_sizes(small = \"512KiB\")",
                "small stacks of 512 KiB are larger than medium ones of 256 KiB\nhelp: sizes rise from small to large: lower `small`, or raise `medium`",
            ),
            (
                "stack_sizes(large = \"128KiB\", medium = \"256KiB\")",
                "medium stacks of 256 KiB are larger than large ones of 128 KiB\nhelp: sizes rise from small to large: lower `medium`, or raise `large`",
            ),
            (
                "stack_sizes(small = 65536)",
                "`small` takes a size with a unit, found the number 65536\nhelp: write `small = \"128KiB\"`, or a path to a `const` of type `usize`, in bytes",
            ),
            (
                "feed_buffer = \"100000B\"",
                "a feed buffer of 100000 bytes is not a whole number of pages\nhelp: pages have 4 KiB, or more: the next size is 100 KiB",
            ),
            (
                "feed_buffer = \"4KiB\"",
                "a feed buffer of 4 KiB is out of range\nhelp: a feed has from 32 KiB to 1 GiB",
            ),
            (
                "feeds = 40000",
                "`feeds` is 40000, more than there can be\nhelp: 32768 is the most",
            ),
            (
                "fibers = 99999999",
                "`fibers` is 99999999, more than there can be\nhelp: 16777216 is the most",
            ),
            (
                "stacks(auto = 3)",
                "`auto` takes no value\nhelp: write `stacks(auto)`, and a number for a class that is to have one: `stacks(auto, medium = 8)`",
            ),
            (
                "stacks = \"auto\"",
                "`stacks` takes a list, not one value\nhelp: write `stacks(auto)`",
            ),
            (
                "crate = \"my_flux\"",
                "`crate` takes a path, found the string \"my_flux\"\nhelp: write `crate = my_flux`, without quotes",
            ),
        ] {
            bad(tokens, &[faults]);
        }
    }

    #[test]
    fn keys_of_later_versions_are_told_from_misspelt_ones() {
        let keys = "the keys are `engine`, `core`, `idle`, `stacks`, `stack_sizes`, `fibers`, `feeds`, `feed_buffer`, `timers`, `grace`, `blocking_ok`, `crate`";
        bad(
            "stall = \"10ms\"",
            &[&format!(
                "`stall` is not in this version of flux\nhelp: {keys}"
            )],
        );
        bad(
            "fibres = 1",
            &["unknown key `fibres`\nhelp: did you mean `fibers`?"],
        );
    }

    #[test]
    fn a_renamed_crate_is_named_wherever_flux_would_be() {
        let (config, faults) = parse("crate = crate::deps::fl, fibers = N, idle = \"spin\"");
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(
            config,
            "constFLUX_FIBERS:usize=N;const_:()=crate::deps::fl::macro_support::assert_fibers(FLUX_FIBERS);crate::deps::fl::macro_support::Config::new().idle(crate::deps::fl::macro_support::Idle::Spin).fibers(FLUX_FIBERS)"
        );
    }
}
