//! What an operator may write in a variable: counts, sizes, times, and what to do when idle.
//!
//! Knows neither variables nor settings.

use std::num::IntErrorKind;
use std::time::Duration;

use crate::config::Idle;

pub(super) fn parse_count(text: &str) -> Option<usize> {
    match text.parse::<usize>() {
        Ok(count) => Some(count),
        // A number, and far too large: `check` names the limit that it passes.
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Some(usize::MAX),
        Err(_) => None,
    }
}

pub(super) fn parse_idle(text: &str) -> Option<Idle> {
    let mut words = text.split_whitespace();
    let idle = match (words.next()?, words.next()) {
        ("block", None) => Idle::Block,
        ("spin", None) => Idle::Spin,
        ("spin", Some(time)) => Idle::SpinThenBlock(parse_duration(time)?),
        _ => return None,
    };
    words.next().is_none().then_some(idle)
}

/// A whole number and a unit: `50us`, `10ms`, `5s`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number = number.parse::<u64>().ok()?;
    let nanoseconds = match unit.trim_start() {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(nanoseconds).map(Duration::from_nanos)
}

/// A whole number and a unit: `64KiB`, `1MiB`.
pub(super) fn parse_bytes(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let bytes = match unit.trim_start() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(bytes)
}
