//! The keys of `#[flux::main]` and `flux::init!`, and the `Config` that they stand for.
//!
//! Knows nothing of where they were written. What each key may be is in `keys`.

mod keys;

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use crate::entries::{self, Entry, Keys};
use crate::fault::Faults;
use crate::value::Count;

const KEYS: Keys = Keys {
    known: &[
        "engine", "core", "idle", "stacks", "fibers", "timers", "grace",
    ],
    later: &["feeds", "feed_buffer", "stall", "crate"],
};

const STACKS: Keys = Keys {
    known: &["small", "medium", "large"],
    later: &[],
};

/// What was written, checked. `None` leaves the default of `Config`.
#[derive(Default)]
pub(crate) struct Settings {
    engine: Option<&'static str>,
    core: Option<Core>,
    idle: Option<Idle>,
    small: Option<Count>,
    medium: Option<Count>,
    large: Option<Count>,
    fibers: Option<Count>,
    timers: Option<Count>,
    grace_ns: Option<u64>,
}

enum Core {
    Auto,
    None,
    Number(Count),
}

enum Idle {
    Block,
    Spin,
    SpinThenBlock { nanoseconds: u64 },
}

impl Settings {
    /// Reads and checks the tokens between the parentheses.
    pub(crate) fn parse(tokens: TokenStream, faults: &mut Faults) -> Self {
        let mut settings = Settings::default();
        let entries = entries::parse(tokens, faults);
        for entry in KEYS.sort_out(entries, faults) {
            match entry.name().as_str() {
                "engine" => settings.engine = keys::engine(&entry, faults),
                "core" => settings.core = keys::core(&entry, faults),
                "idle" => settings.idle = keys::idle(&entry, faults),
                "stacks" => settings.stacks(&entry, faults),
                "fibers" => settings.fibers = keys::fibers(&entry, faults),
                "timers" => settings.timers = keys::timers(&entry, faults),
                "grace" => settings.grace_ns = keys::grace(&entry, faults),
                // `sort_out` keeps nothing else.
                _ => {}
            }
        }
        settings
    }

    fn stacks(&mut self, entry: &Entry, faults: &mut Faults) {
        let example = "stacks(small = 256, medium = 32, large = 8)";
        let list = entry.list(example, faults).unwrap_or_default();
        for entry in STACKS.sort_out(list, faults) {
            let count = keys::stacks(&entry, faults);
            match entry.name().as_str() {
                "small" => self.small = count,
                "medium" => self.medium = count,
                _ => self.large = count,
            }
        }
    }

    /// The expression that builds the `Config`; `at` is where its errors show.
    pub(crate) fn config(&self, at: Span) -> TokenStream {
        let mut config = quote_spanned!(at=> ::flux::macro_support::Config::new());
        if let Some(engine) = self.engine {
            let engine = syn::Ident::new(engine, at);
            config
                .extend(quote_spanned!(at=> .engine(::flux::macro_support::EventEngine::#engine)));
        }
        if let Some(core) = &self.core {
            let core = match core {
                Core::Auto => quote_spanned!(at=> Auto),
                Core::None => quote_spanned!(at=> None),
                Core::Number(number) => quote_spanned!(at=> Number(#number)),
            };
            config.extend(quote_spanned!(at=> .core(::flux::macro_support::Core::#core)));
        }
        if let Some(idle) = &self.idle {
            let idle = match idle {
                Idle::Block => quote_spanned!(at=> Block),
                Idle::Spin => quote_spanned!(at=> Spin),
                Idle::SpinThenBlock { nanoseconds } => {
                    let duration = duration(*nanoseconds, at);
                    quote_spanned!(at=> SpinThenBlock(#duration))
                }
            };
            config.extend(quote_spanned!(at=> .idle(::flux::macro_support::Idle::#idle)));
        }
        for (class, count) in [
            ("Small", &self.small),
            ("Medium", &self.medium),
            ("Large", &self.large),
        ] {
            if let Some(count) = count {
                let class = syn::Ident::new(class, at);
                config.extend(
                    quote_spanned!(at=> .stacks(::flux::macro_support::StackClass::#class, #count)),
                );
            }
        }
        if let Some(fibers) = &self.fibers {
            config.extend(quote_spanned!(at=> .fibers(#fibers)));
        }
        if let Some(timers) = &self.timers {
            config.extend(quote_spanned!(at=> .timers(#timers)));
        }
        if let Some(grace_ns) = self.grace_ns {
            let grace = duration(grace_ns, at);
            config.extend(quote_spanned!(at=> .grace(#grace)));
        }
        config
    }
}

fn duration(nanoseconds: u64, at: Span) -> TokenStream {
    quote_spanned!(at=> ::core::time::Duration::from_nanos(#nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::keys::ENGINES;
    use super::*;

    fn parse(tokens: &str) -> (String, Vec<String>) {
        let mut faults = Faults::default();
        let settings = Settings::parse(tokens.parse().unwrap_or_default(), &mut faults);
        let config = settings
            .config(Span::call_site())
            .to_string()
            .replace(' ', "");
        (
            config
                .replace("::flux::macro_support::", "")
                .replace("::core::time::", ""),
            faults.messages(),
        )
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
        for (name, variant) in ENGINES {
            good(
                &format!("engine = \"{name}\""),
                &format!("Config::new().engine(EventEngine::{variant})"),
            );
        }
        good("core = 3", "Config::new().core(Core::Number(3))");
        good(
            "core = crate::CORE",
            "Config::new().core(Core::Number({letnumber:usize=crate::CORE;number}))",
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
            "Config::new().stacks(StackClass::Small,0).stacks(StackClass::Medium,{letnumber:usize=N;number}).stacks(StackClass::Large,2)",
        );
        good("fibers = 0x10,", "Config::new().fibers(16)");
        good("timers = 0", "Config::new().timers(0)");
        good(
            "grace = \"250ms\"",
            "Config::new().grace(Duration::from_nanos(250000000u64))",
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
                "unknown key `tiny`\nhelp: the keys are `small`, `medium`, `large`",
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
            &["`grace` takes a string, found the number 5\nhelp: write `grace = \"5s\"`"],
        );
        bad(
            "grace = \"5m\"",
            &[
                "`m` is not a unit of time\nhelp: a duration is a whole number and a unit: ns, us, ms, or s",
            ],
        );
    }

    #[test]
    fn keys_of_later_versions_are_told_from_misspelt_ones() {
        let keys = "the keys are `engine`, `core`, `idle`, `stacks`, `fibers`, `timers`, `grace`";
        for key in ["feeds", "feed_buffer", "stall", "crate"] {
            bad(
                &format!("{key} = 1"),
                &[&format!(
                    "`{key}` is not in this version of flux\nhelp: {keys}"
                )],
            );
        }
        bad(
            "fibres = 1",
            &["unknown key `fibres`\nhelp: did you mean `fibers`?"],
        );
    }
}
