//! What each key may be. Sees one entry at a time, and finds what is wrong with it.

use quote::ToTokens;

use super::{Core, Engine, Idle};
use crate::entries::{Entry, Given};
use crate::fault::{Faults, did_you_mean, listed};
use crate::limits::{
    COUNT_MAX, FEED_BYTES_MAX, FEED_BYTES_MIN, FEEDS_MAX, PAGE_BYTES, STACK_BYTES_MAX,
    STACK_BYTES_MIN,
};
use crate::units::{bytes, in_words, nanoseconds};
use crate::value::{Amount, Kind, Value};

/// As the attribute writes it, as the variant of `EventEngine` is called, and the systems that have it.
pub(super) const ENGINES: [(&str, &str, &[&str]); 4] = [
    ("auto", "Auto", &[]),
    ("io_uring", "IoUring", &["linux"]),
    ("epoll", "Epoll", &["linux"]),
    ("kqueue", "Kqueue", &["macos", "freebsd"]),
];

pub(super) fn engine(entry: &Entry, faults: &mut Faults) -> Option<Engine> {
    let names = ENGINES.map(|(name, ..)| name);
    let all = format!("one of {}", listed(&names, '"'));
    let (name, value) = entry.string("engine = \"auto\"", &all, faults)?;
    let found = ENGINES.iter().find(|(known, ..)| *known == name);
    let Some((name, variant, systems)) = found else {
        let help = did_you_mean(&name, &names).map(|meant| format!("did you mean \"{meant}\"?"));
        let help = help.as_deref().unwrap_or(&all);
        faults.at(&value.tokens, &format!("unknown engine `{name}`"), help);
        return None;
    };
    Some(Engine {
        name,
        variant,
        systems,
        place: value.tokens.clone(),
    })
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
        Kind::Number(number) => return Some(Core::Number(Amount::Written(number))),
        Kind::Path => return Some(Core::Number(Amount::Constant(value.tokens.clone()))),
        Kind::Other(_) => (
            format!(
                "`core` takes the number of a core, found {}",
                value.described()
            ),
            HELP.into(),
        ),
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
pub(super) fn stacks(entry: &Entry, faults: &mut Faults) -> Option<Amount<usize>> {
    let name = entry.name();
    let (count, value) = count(entry, &format!("{name} = 32"), faults)?;
    if name == "large" && count.written() == Some(&0) {
        let help = "`large` is at least 1, since the main fiber runs on a large stack";
        faults.at(
            &value.tokens,
            "there is no large stack to run `main` on",
            help,
        );
        return None;
    }
    Some(count)
}

/// `auto`, in `stacks(auto)`: whether it stands as it must.
pub(super) fn stacks_auto(entry: &Entry, faults: &mut Faults) -> bool {
    let place = match &entry.given {
        Given::Nothing => return true,
        Given::Value(value) => value.tokens.clone(),
        Given::List(list) => list.to_token_stream(),
    };
    let help = "write `stacks(auto)`, and a number for a class that is to have one: `stacks(auto, medium = 8)`";
    faults.at(&place, "`auto` takes no value", help);
    false
}

/// How large the stacks of the class are that `entry` names.
pub(super) fn stack_size(entry: &Entry, faults: &mut Faults) -> Option<Amount<usize>> {
    let name = entry.name();
    let (size, value) = size(entry, &format!("{name} = \"128KiB\""), faults)?;
    if let Some(bytes) = size.written()
        && !(STACK_BYTES_MIN..=STACK_BYTES_MAX).contains(bytes)
    {
        let help = format!(
            "a stack has from {} to {}",
            in_words(STACK_BYTES_MIN),
            in_words(STACK_BYTES_MAX)
        );
        let message = format!("a {name} stack of {} is out of range", in_words(*bytes));
        faults.at(&value.tokens, &message, &help);
        return None;
    }
    Some(size)
}

pub(super) fn fibers(entry: &Entry, faults: &mut Faults) -> Option<Amount<usize>> {
    let (count, value) = count(entry, "fibers = 1024", faults)?;
    if count.written() == Some(&0) {
        let help = "`fibers` is at least 1, since the main fiber is one of them";
        faults.at(&value.tokens, "there is no room for the main fiber", help);
        return None;
    }
    Some(count)
}

pub(super) fn feeds(entry: &Entry, faults: &mut Faults) -> Option<Amount<usize>> {
    count_up_to(FEEDS_MAX, entry, "feeds = 16", faults).map(|(count, _)| count)
}

/// The page of the system that this will run on may be larger: the runtime looks again.
pub(super) fn feed_buffer(entry: &Entry, faults: &mut Faults) -> Option<Amount<usize>> {
    let (size, value) = size(entry, "feed_buffer = \"256KiB\"", faults)?;
    let Some(bytes) = size.written() else {
        return Some(size);
    };
    let (fault, help) = if !(FEED_BYTES_MIN..=FEED_BYTES_MAX).contains(bytes) {
        let (least, most) = (in_words(FEED_BYTES_MIN), in_words(FEED_BYTES_MAX));
        ("out of range", format!("a feed has from {least} to {most}"))
    } else if !bytes.is_multiple_of(PAGE_BYTES) {
        let next = in_words(bytes.next_multiple_of(PAGE_BYTES));
        (
            "not a whole number of pages",
            format!("pages have 4 KiB, or more: the next size is {next}"),
        )
    } else {
        return Some(size);
    };
    let message = format!("a feed buffer of {} is {fault}", in_words(*bytes));
    faults.at(&value.tokens, &message, &help);
    None
}

pub(super) fn timers(entry: &Entry, faults: &mut Faults) -> Option<Amount<usize>> {
    count(entry, "timers = 256", faults).map(|(count, _)| count)
}

pub(super) fn grace(entry: &Entry, faults: &mut Faults) -> Option<Amount<u64>> {
    let help = "write `grace = \"5s\"`, or a path to a `const` of type `Duration`";
    let value = entry.value("grace = \"5s\"", faults)?;
    let fault = match value.kind() {
        Kind::Path => return Some(Amount::Constant(value.tokens.clone())),
        Kind::String(text) => match nanoseconds(&text) {
            Ok(nanoseconds) => return Some(Amount::Written(nanoseconds)),
            Err(fault) => fault,
        },
        Kind::Number(_) | Kind::Other(_) => {
            let found = value.described();
            (format!("`grace` takes a duration, found {found}"), help)
        }
    };
    faults.at(&value.tokens, &fault.0, fault.1);
    None
}

/// The count that `entry` gives, with its value.
pub(crate) fn count<'a>(
    entry: &'a Entry,
    example: &str,
    faults: &mut Faults,
) -> Option<(Amount<usize>, &'a Value)> {
    count_up_to(COUNT_MAX, entry, example, faults)
}

fn count_up_to<'a>(
    most: usize,
    entry: &'a Entry,
    example: &str,
    faults: &mut Faults,
) -> Option<(Amount<usize>, &'a Value)> {
    let value = entry.value(example, faults)?;
    let name = entry.name();
    let (message, help) = match value.kind() {
        Kind::Number(number) if number > most => (
            format!("`{name}` is {number}, more than there can be"),
            format!("{most} is the most"),
        ),
        Kind::Number(number) => return Some((Amount::Written(number), value)),
        Kind::Path => return Some((Amount::Constant(value.tokens.clone()), value)),
        Kind::String(_) | Kind::Other(_) => (
            format!("`{name}` takes a number, found {}", value.described()),
            format!("write `{example}`, or a path to a `const` of type `usize`"),
        ),
    };
    faults.at(&value.tokens, &message, &help);
    None
}

/// The bytes that `entry` gives, with its value.
fn size<'a>(
    entry: &'a Entry,
    example: &str,
    faults: &mut Faults,
) -> Option<(Amount<usize>, &'a Value)> {
    let value = entry.value(example, faults)?;
    let help = format!("write `{example}`, or a path to a `const` of type `usize`, in bytes");
    let (message, help) = match value.kind() {
        Kind::Path => return Some((Amount::Constant(value.tokens.clone()), value)),
        Kind::String(text) => match bytes(&text) {
            Ok(bytes) => return Some((Amount::Written(bytes), value)),
            Err((message, help)) => (message, help.to_string()),
        },
        Kind::Number(_) | Kind::Other(_) => {
            let name = entry.name();
            (
                format!(
                    "`{name}` takes a size with a unit, found {}",
                    value.described()
                ),
                help,
            )
        }
    };
    faults.at(&value.tokens, &message, &help);
    None
}
