//! Medians and quartiles. Pure.

/// The middle of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// A quarter of the figures lie below.
    pub low: f64,
    /// Half of the figures lie below.
    pub median: f64,
    /// A quarter of the figures lie above.
    pub high: f64,
}

impl Spread {
    /// The spread of at least one figure.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        assert!(!sorted.is_empty(), "a spread needs at least one figure");
        sorted.sort_by(f64::total_cmp);
        Self {
            low: quantile(&sorted, 1),
            median: quantile(&sorted, 2),
            high: quantile(&sorted, 3),
        }
    }
}

/// The median of at least one figure.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    Spread::of(figures).median
}

/// The smallest of at least one figure, which are sorted, that `percent` of a hundred are not above.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    debug_assert!(sorted.is_sorted());
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// The value below which `quarters` quarters of the sorted figures lie, between two neighbours if need be.
fn quantile(sorted: &[f64], quarters: usize) -> f64 {
    let position = (sorted.len() - 1) * quarters;
    let below = sorted[position / 4];
    let above = sorted[position.div_ceil(4)];
    let part = [0.0, 0.25, 0.5, 0.75][position % 4];
    below + (above - below) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between_the_middle_two() {
        assert!((median([4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn quartiles_do_not_depend_on_the_order() {
        let spread = Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(
            spread,
            Spread {
                low: 2.0,
                median: 3.0,
                high: 4.0
            }
        );
    }

    #[test]
    fn a_percentile_is_one_of_the_figures() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 50), 50);
        assert_eq!(percentile(&hundred, 99), 99);
        assert_eq!(percentile(&hundred, 100), 100);
        assert_eq!(percentile(&[7, 9, 11], 99), 11);
        assert_eq!(percentile(&[7], 0), 7);
    }

    #[test]
    fn one_figure_is_its_own_spread() {
        let spread = Spread::of([7.0]);
        assert_eq!((spread.low, spread.median, spread.high), (7.0, 7.0, 7.0));
    }
}
