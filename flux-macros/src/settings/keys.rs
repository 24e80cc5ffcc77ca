//! What each key may be. Sees one entry at a time, and finds what is wrong with it.

use proc_macro2::Span;
use syn::spanned::Spanned;

use super::{Core, Idle};
use crate::entries::Entry;
use crate::fault::{Faults, did_you_mean, listed};
use crate::value::{Count, Kind, nanoseconds};

/// As the attribute writes it, and as the variant of `EventEngine` is called.
pub(super) const ENGINES: [(&str, &str); 4] = [
    ("auto", "Auto"),
    ("io_uring", "IoUring"),
    ("epoll", "Epoll"),
    ("kqueue", "Kqueue"),
];

pub(super) fn engine(entry: &Entry, faults: &mut Faults) -> Option<&'static str> {
    let names = ENGINES.map(|(name, _)| name);
    let all = format!("one of {}", listed(&names, '"'));
    let (name, value) = entry.string("engine = \"auto\"", &all, faults)?;
    let found = ENGINES.iter().find(|(known, _)| *known == name);
    if found.is_none() {
        let help = did_you_mean(&name, &names).map(|meant| format!("did you mean \"{meant}\"?"));
        let help = help.as_deref().unwrap_or(&all);
        faults.at(&value.tokens, &format!("unknown engine `{name}`"), help);
    }
    found.map(|(_, variant)| *variant)
}

pub(super) fn core(entry: &Entry, faults: &mut Faults) -> Option<Core> {
    const HELP: &str = "write `core = 3`, or one of \"auto\", \"none\"";
    let value = entry.value("core = 3", faults)?;
    let (message, help) = match value.kind() {
        Kind::String(text) => match text.as_str() {
            "auto" => return Some(Core::Auto),
            "none" => return Some(Core::None),
            digits if digits.parse::<usize>().is_ok() => (
                format!(
                    "`core` takes the number of a core, found {}",
                    value.described()
                ),
                format!("write `core = {digits}`, without quotes"),
            ),
            other => (
                format!("unknown core `{other}`"),
                did_you_mean(other, &["auto", "none"])
                    .map_or(HELP.into(), |meant| format!("did you mean \"{meant}\"?")),
            ),
        },
        Kind::Path if matches!(value.tokens.to_string().as_str(), "auto" | "none") => (
            format!("`{}` is a string here", value.tokens),
            format!("write `core = \"{}\"`", value.tokens),
        ),
        _ => match Count::of(value) {
            Some(number) => return Some(Core::Number(number)),
            None => (
                format!(
                    "`core` takes the number of a core, found {}",
                    value.described()
                ),
                HELP.into(),
            ),
        },
    };
    faults.at(&value.tokens, &message, &help);
    None
}

pub(super) fn idle(entry: &Entry, faults: &mut Faults) -> Option<Idle> {
    const HELP: &str =
        "one of \"block\", \"spin\", or \"spin 50us\", which spins that long, then blocks";
    let (text, value) = entry.string("idle = \"block\"", HELP, faults)?;
    let (message, help) = match text.split_once(' ') {
        None if text == "block" => return Some(Idle::Block),
        None if text == "spin" => return Some(Idle::Spin),
        Some(("spin", duration)) => match nanoseconds(duration) {
            Ok(0) => (
                format!("`{text}` does not spin at all"),
                "write `idle = \"block\"`, or a longer time",
            ),
            Ok(nanoseconds) => return Some(Idle::SpinThenBlock { nanoseconds }),
            Err(fault) => fault,
        },
        _ => (format!("unknown way to idle `{text}`"), HELP),
    };
    faults.at(&value.tokens, &message, help);
    None
}

/// How many stacks of the class that `entry` names.
pub(super) fn stacks(entry: &Entry, faults: &mut Faults) -> Option<Count> {
    let name = entry.name();
    let (count, at) = count(entry, &format!("{name} = 32"), faults)?;
    if name == "large" && count.is_zero() {
        let help = "`large` is at least 1, since the main fiber runs on a large stack";
        faults.at_span(at, "there is no large stack to run `main` on", help);
        return None;
    }
    Some(count)
}

pub(super) fn fibers(entry: &Entry, faults: &mut Faults) -> Option<Count> {
    let (count, at) = count(entry, "fibers = 1024", faults)?;
    if count.is_zero() {
        let help = "`fibers` is at least 1, since the main fiber is one of them";
        faults.at_span(at, "there is no room for the main fiber", help);
        return None;
    }
    Some(count)
}

pub(super) fn timers(entry: &Entry, faults: &mut Faults) -> Option<Count> {
    count(entry, "timers = 256", faults).map(|(count, _)| count)
}

pub(super) fn grace(entry: &Entry, faults: &mut Faults) -> Option<u64> {
    let example = "grace = \"5s\"";
    let (text, value) = entry.string(example, &format!("write `{example}`"), faults)?;
    let result = nanoseconds(&text);
    if let Err((message, help)) = &result {
        faults.at(&value.tokens, message, help);
    }
    result.ok()
}

/// The count that `entry` gives, and where.
fn count(entry: &Entry, example: &str, faults: &mut Faults) -> Option<(Count, Span)> {
    let value = entry.value(example, faults)?;
    let count = Count::of(value);
    if count.is_none() {
        let message = format!(
            "`{}` takes a number, found {}",
            entry.name(),
            value.described()
        );
        let help = format!("write `{example}`, or a path to a `const` of type `usize`");
        faults.at(&value.tokens, &message, &help);
    }
    count.map(|count| (count, value.tokens.span()))
}
