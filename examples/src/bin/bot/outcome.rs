//! Whether the books are right: compared with the exchange's truth, or with what was expected.

use flux_examples::books::Books;
use flux_examples::exchange::{Exchange, MarketKind};
use flux_examples::expected::Expected;
use flux_examples::report::grouped;
use flux_examples::verify::{Check, verify};

use crate::plan::{Reference, Task};
use crate::screen::Screen;

/// The result of all comparisons.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Books, or whole recordings, that are as they should be.
    pub(crate) matching: usize,
    /// Those that are not.
    pub(crate) differing: usize,
}

/// Compares every book that there is something to compare with, and prints what differs.
pub(crate) fn compare(screen: &mut Screen, exchange: Option<&Exchange>, tasks: &[Task]) -> Outcome {
    let mut outcome = Outcome::default();
    for task in tasks {
        match (&task.reference, exchange) {
            (Reference::Market(kind), Some(exchange)) => {
                market(screen, exchange, *kind, task, &mut outcome);
            }
            (Reference::Recording(number, expected, file), Some(exchange)) => {
                if exchange.replayed_to_the_end(*number) && task.feed.is_finished() {
                    recording(screen, expected.as_ref(), file, task, &mut outcome);
                } else {
                    screen.line(&format!(
                        "{}: stopped before the end of the recording, so nothing is compared",
                        task.feed.name
                    ));
                }
            }
            _ => {}
        }
    }
    outcome
}

/// Compares the books of a made-up market at the update where the exchange has stopped.
fn market(
    screen: &mut Screen,
    exchange: &Exchange,
    kind: MarketKind,
    task: &Task,
    outcome: &mut Outcome,
) {
    task.feed.look(|books| {
        let Books::Binance(books) = books else { return };
        for book in books.books() {
            let name = format!("{} {}", task.feed.name, book.symbol());
            let Some(truth) = exchange.truth(kind, book.symbol()) else { continue };
            let touch = (book.book().best_bid().map(|l| l.price), book.book().best_ask().map(|l| l.price));
            let found = (book.book_id(), book.book().crc32(), book.book().depth(), touch);
            if found == (Some(truth.id), truth.crc32, truth.depth, truth.touch) {
                outcome.matching += 1;
                continue;
            }
            outcome.differing += 1;
            match book.book_id() {
                None => screen.line(&format!("book differs: {name} has no book at the end; it is {}", book.state().word())),
                Some(id) => {
                    let (bids, asks) = book.book().depth();
                    let (true_bids, true_asks) = truth.depth;
                    screen.line(&format!(
                        "book differs: {name} has update {id}, {bids} x {asks} levels, checksum {:08x}; the exchange has update {}, {true_bids} x {true_asks} levels, checksum {:08x}",
                        book.book().crc32(), truth.id, truth.crc32
                    ));
                }
            }
        }
    });
}

/// Compares the books of a recording with what was computed elsewhere.
fn recording(
    screen: &mut Screen,
    expected: Option<&Expected>,
    file: &str,
    task: &Task,
    outcome: &mut Outcome,
) {
    let name = &task.feed.name;
    let Some(entry) = expected.and_then(|expected| expected.of(file)) else {
        screen.line(&format!(
            "{name}: nothing is known about `{file}`, so nothing is compared"
        ));
        return;
    };
    let unbroken = task.feed.is_unbroken();
    let checks = task.feed.look(|books| verify(books, entry, unbroken));
    screen.line(&format!("{name}: {}", task.feed.look(summary)));
    let wrong: Vec<&Check> = checks.iter().filter(|check| !check.agrees()).collect();
    for check in checks
        .iter()
        .filter(|check| check.is_book && check.agrees())
    {
        let what = check
            .what
            .rsplit_once(' ')
            .map_or("", |(product, _)| product);
        let gap = if what.is_empty() { "" } else { " " };
        screen.line(&format!("  book verified: {} OK{gap}{what}", check.found));
    }
    if let Some(path) = checks
        .iter()
        .find(|check| check.what == "path_crc32" && check.agrees())
    {
        screen.line(&format!("  path verified: {} OK", path.found));
    }
    for check in &wrong {
        screen.line(&format!(
            "  differs: {} is {}, expected {}",
            check.what, check.found, check.expected
        ));
    }
    if wrong.is_empty() && !checks.is_empty() {
        outcome.matching += 1;
        let broken = if unbroken {
            ""
        } else {
            "; counts and paths are not compared, since the stream was interrupted"
        };
        screen.line(&format!(
            "  {} comparisons, all agree{broken}",
            checks.len()
        ));
    } else {
        outcome.differing += 1;
        screen.line(&format!(
            "  {} of {} comparisons differ",
            wrong.len(),
            checks.len()
        ));
    }
}

/// What has been counted on the way, in the venue's own terms.
fn summary(books: &Books) -> String {
    match books {
        Books::Binance(books) => {
            let counts = books
                .books()
                .iter()
                .map(flux_examples::binance_book::BinanceBook::counts);
            let sums = counts.fold([0; 5], |sum, c| {
                [
                    sum[0] + c.applied,
                    sum[1] + c.stale,
                    sum[2] + c.duplicates,
                    sum[3] + c.gaps,
                    sum[4] + c.resyncs,
                ]
            });
            let [applied, stale, duplicates, gaps, resyncs] = sums.map(grouped);
            format!(
                "{applied} diffs applied, {stale} stale and {duplicates} duplicate ones dropped, {gaps} gaps, {resyncs} resyncs"
            )
        }
        Books::Kraken(books) => format!(
            "{} books, {} checksums agreed",
            books.in_band().books().len(),
            grouped(books.checksums())
        ),
        Books::Coinbase(books) => {
            let updates: u64 = books
                .in_band()
                .books()
                .iter()
                .map(|book| book.updates)
                .sum();
            format!(
                "{} books, {} updates applied",
                books.in_band().books().len(),
                grouped(updates)
            )
        }
        Books::Okx(books) => format!(
            "{} books, {} checksums agreed",
            books.in_band().books().len(),
            grouped(books.checksums())
        ),
        Books::Iex(books) => format!(
            "{} packets, {} messages, {} of them price levels of {} stocks, {} gaps",
            grouped(books.packets()),
            grouped(books.messages()),
            grouped(books.level_messages()),
            books.stocks(),
            books.gaps()
        ),
    }
}
