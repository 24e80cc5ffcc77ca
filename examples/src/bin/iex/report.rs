//! What a run is said to have come to, and whether that is right.

use std::fmt::Write as _;
use std::ops::Range;

use flux_examples::books::Books;
use flux_examples::expected::Expected;
use flux_examples::report::{Align, Table, grouped};
use flux_examples::verify::verify;

use crate::receiver::Outcome;

/// The most gaps that are written out.
const GAPS_SHOWN: usize = 8;

/// The report, and whether everything is right.
pub(crate) fn of(outcome: &Outcome) -> Result<(String, bool), String> {
    let mut text = format!("engine      {}\n", outcome.engine);
    lines(&mut text, outcome);
    let counts = outcome.counts;
    let all = outcome.plan.sequence.end - outcome.plan.sequence.start;
    // Writing to a text does not fail.
    let _ = writeln!(
        text,
        "messages    {} of {}: {} duplicates, {} late, at most {} packets held",
        grouped(counts.fresh),
        grouped(all),
        grouped(counts.duplicates),
        grouped(counts.late),
        counts.held_most
    );
    let _ = writeln!(text, "to the book {}", outcome.latency);
    let gaps = gaps(&mut text, outcome);
    let books = books(&mut text, outcome)?;
    Ok((text, gaps && books))
}

fn lines(text: &mut String, outcome: &Outcome) {
    let columns = [
        "lost",
        "moved",
        "received",
        "dropped",
        "starved",
        "first with",
    ];
    let mut columns: Vec<_> = columns.map(|name| (name, Align::Right)).into();
    columns.insert(0, ("line", Align::Left));
    columns.insert(1, ("group", Align::Left));
    columns.insert(2, ("sources", Align::Left));
    let mut table = Table::new(&columns);
    for (line, tally) in outcome.tallies.iter().enumerate() {
        let (lost, moved) = outcome.plan.faults[line];
        table.row(vec![
            ["A", "B"][line].to_owned(),
            outcome.addresses[line].to_string(),
            ["any", "127.0.0.1"][line].to_owned(),
            grouped(lost),
            grouped(moved),
            grouped(tally.packets),
            grouped(tally.dropped),
            grouped(tally.starved),
            grouped(outcome.lines[line].fresh),
        ]);
    }
    let _ = write!(text, "{table}");
}

/// Whether what was found missing is what all lines have lost.
fn gaps(text: &mut String, outcome: &Outcome) -> bool {
    let (found, made) = (&outcome.missing, &outcome.plan.lost);
    let _ = writeln!(
        text,
        "gaps        {} found, {} messages: {}",
        grouped(found.len() as u64),
        grouped(found.iter().map(|range| range.end - range.start).sum()),
        shown(found)
    );
    let dropped: u64 = outcome.tallies.iter().map(|tally| tally.dropped).sum();
    if found == made {
        text.push_str("gaps        as lost on purpose: OK\n");
        return true;
    }
    let _ = writeln!(
        text,
        "gaps        differ: lost on purpose were {}: {}",
        grouped(made.len() as u64),
        shown(made)
    );
    if dropped > 0 {
        let _ = writeln!(
            text,
            "            the kernel has dropped {} packets: give `--speed`, or raise `net.core.rmem_max`",
            grouped(dropped)
        );
    }
    false
}

fn shown(ranges: &[Range<u64>]) -> String {
    if ranges.is_empty() {
        return "none".to_owned();
    }
    let first = ranges.iter().take(GAPS_SHOWN);
    let mut words: Vec<_> = first
        .map(|range| match range.end - range.start {
            1 => range.start.to_string(),
            _ => format!("{}-{}", range.start, range.end - 1),
        })
        .collect();
    if ranges.len() > GAPS_SHOWN {
        words.push(format!("and {} more", ranges.len() - GAPS_SHOWN));
    }
    words.join(", ")
}

/// Whether the books are right, as far as that can be said.
fn books(text: &mut String, outcome: &Outcome) -> Result<bool, String> {
    if let Some(error) = outcome.refused {
        let _ = writeln!(text, "books       wrong: {error}");
        return Ok(false);
    }
    if !outcome.missing.is_empty() {
        text.push_str("books       in doubt, since messages are missing: not compared\n");
        return Ok(true);
    }
    let expected = Expected::beside(&outcome.capture).map_err(|error| error.to_string())?;
    let name = outcome.capture.file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    let Some(entry) = expected.as_ref().and_then(|expected| expected.of(&name)) else {
        let _ = writeln!(
            text,
            "books       not compared: nothing is known about `{name}`"
        );
        return Ok(true);
    };
    // A copy of its sums would do; the books are small.
    let books = Books::Iex(outcome.books.clone());
    let mut right = true;
    for check in verify(&books, entry, true) {
        // Packets without messages are not given to the books.
        if check.what == "packets"
            || check.agrees() && !check.is_book && !check.what.contains("crc")
        {
            continue;
        }
        right &= check.agrees();
        let what = if check.is_book { "book" } else { &check.what };
        let _ = if check.agrees() {
            writeln!(text, "{what} verified: {} OK", check.found)
        } else {
            writeln!(
                text,
                "{what} differs: {}, expected {}",
                check.found, check.expected
            )
        };
    }
    Ok(right)
}
