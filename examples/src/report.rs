//! How results are written down: a latency histogram in fit units, and tables whose columns align.

use std::fmt::{self, Write as _};
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that is told apart; longer ones count as this one.
const LATENCY_MAX: Duration = Duration::from_mins(1);

/// Latencies from the arrival of bytes to the book that they changed.
///
/// All memory is taken at the start: recording never allocates.
#[derive(Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        let highest = u64::try_from(LATENCY_MAX.as_nanos()).unwrap_or(u64::MAX);
        // The only errors are bounds that make no sense; these are constants that do.
        Self(
            Histogram::new_with_bounds(1, highest, 3)
                .expect("one nanosecond to one minute is a range"),
        )
    }
}

impl Latency {
    /// Adds one latency.
    pub fn record(&mut self, latency: Duration) {
        self.0
            .saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds all latencies of another histogram.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, so every value fits.
        let _ = self.0.add(&other.0);
    }

    /// How many latencies there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing was measured");
        }
        let at = |quantile| Nanoseconds(self.0.value_at_quantile(quantile));
        write!(
            f,
            "p50 {}   p90 {}   p99 {}   p99.9 {}   max {}",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            Nanoseconds(self.0.max())
        )
    }
}

/// A time in the unit that reads best.
#[must_use]
pub fn time(time: Duration) -> String {
    Nanoseconds(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).to_string()
}

/// A time in the unit that reads best.
struct Nanoseconds(u64);

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, unit, scale) = match self.0 {
            ns @ 0..=999 => return write!(f, "{ns} ns"),
            ns @ 1_000..=999_999 => (ns, "us", 1_000),
            ns @ 1_000_000..=999_999_999 => (ns, "ms", 1_000_000),
            ns => (ns, "s", 1_000_000_000),
        };
        write!(
            f,
            "{}.{:02} {unit}",
            whole / scale,
            whole % scale * 100 / scale
        )
    }
}

/// A count with its thousands apart: `93,954`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of bytes in the unit that reads best.
#[must_use]
pub fn bytes(count: u64) -> String {
    match count {
        0..=9_999 => format!("{} B", grouped(count)),
        10_000..=9_999_999 => format!("{} kB", grouped(count / 1_000)),
        _ => format!("{} MB", grouped(count / 1_000_000)),
    }
}

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table that is as wide as its content.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    #[must_use]
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells that are missing stay empty.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether there is nothing under the headings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self
                .rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells.max().unwrap_or(0).max(self.columns[column].0.len())
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let headings: Vec<String> = self
            .columns
            .iter()
            .map(|(heading, _)| (*heading).to_owned())
            .collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.columns) {
                let gap = if line.is_empty() { "" } else { "  " };
                match align {
                    Align::Left => write!(line, "{gap}{cell:<width$}")?,
                    Align::Right => write!(line, "{gap}{cell:>width$}")?,
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_units_that_read_well() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [7, 10_000, 25_784_516].map(bytes),
            ["7 B", "10 kB", "25 MB"]
        );
        let text = |ns| Nanoseconds(ns).to_string();
        assert_eq!(
            [999, 1_050, 2_500_000, 1_000_000_000].map(text),
            ["999 ns", "1.05 us", "2.50 ms", "1.00 s"]
        );
    }

    #[test]
    fn latencies_are_summed_up() {
        let mut latency = Latency::default();
        assert_eq!(latency.to_string(), "nothing was measured");
        for _ in 0..99 {
            latency.record(Duration::from_nanos(100));
        }
        latency.record(Duration::from_hours(1));
        let mut all = Latency::default();
        all.add(&latency);
        assert_eq!(all.count(), 100);
        assert!(
            all.to_string()
                .starts_with("p50 100 ns   p90 100 ns   p99 100 ns   p99.9 60.0"),
            "{all}"
        );
    }

    #[test]
    fn columns_align() {
        let mut table = Table::new(&[("symbol", Align::Left), ("n", Align::Right)]);
        table.row(vec!["A".to_owned(), "12".to_owned()]);
        table.row(vec!["BTCUSDT".to_owned(), "5".to_owned()]);
        assert_eq!(table.to_string(), "symbol    n\nA        12\nBTCUSDT   5\n");
        assert!(!table.is_empty());
    }
}
