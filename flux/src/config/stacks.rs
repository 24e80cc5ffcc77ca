//! How many stacks of each class there are, and how large: what an operator may write, and leaving the number to
//! the fiber functions.
//!
//! Does not know which functions there are.

use crate::config::parse::{parse_bytes, parse_count};
use crate::config::{Config, StackClass};

impl Config {
    /// As many stacks of each class as the `max` of all its `#[flux::fiber]` functions add up to, and a large one
    /// for the main fiber. A class that [`stacks`](Self::stacks) gives a number afterwards has that.
    ///
    /// A function without `max` has no sum, so that its class wants a number; and closures, which run on medium
    /// stacks, are in no sum.
    ///
    /// # Errors
    /// Init fails with [`InitError::Config`](crate::InitError::Config) when a function without `max` has a class
    /// that was given no number.
    ///
    /// # Example
    /// ```
    /// #[flux::fiber(stack = "small", max = 64)]
    /// fn handler() {}
    ///
    /// # fn main() -> Result<(), flux::RunError> {
    /// let config = flux::Config::new().stacks_auto();
    /// let small = config.run(|| flux::stats().stacks[0].count)?;
    /// assert_eq!(small, 64);
    /// # Ok(())
    /// # }
    /// ```
    pub const fn stacks_auto(mut self) -> Self {
        self.auto_stacks = [true; 3];
        self
    }

    /// Reads `auto,medium=8`.
    pub(super) fn read_stacks(&mut self, text: &str) -> Option<()> {
        for part in text.split(',') {
            if part.trim() == "auto" {
                self.auto_stacks = [true; 3];
                continue;
            }
            let (class, count) = of_class(part)?;
            *self = self.clone().stacks(class, parse_count(count)?);
        }
        Some(())
    }

    /// Reads `small=128KiB,large=2MiB`.
    pub(super) fn read_stack_sizes(&mut self, text: &str) -> Option<()> {
        for part in text.split(',') {
            let (class, bytes) = of_class(part)?;
            self.stacks[class.index()].bytes = parse_bytes(bytes)?;
        }
        Some(())
    }
}

fn of_class(part: &str) -> Option<(StackClass, &str)> {
    let (name, value) = part.split_once('=')?;
    let mut classes = StackClass::ALL.into_iter();
    let class = classes.find(|class| class.name() == name.trim())?;
    Some((class, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variable: &'static str, value: &'static str) -> Option<Config> {
        let read = |asked| (asked == variable).then(|| value.to_owned());
        Config::new().with_environment(read).ok()
    }

    #[test]
    fn an_operator_may_leave_the_numbers_to_the_functions() {
        let config = with("FLUX_STACKS", "auto, medium=8").unwrap();
        assert_eq!(config.auto_stacks, [true, false, true]);
        assert_eq!(config.stacks[1].count, 8);
        let config = with("FLUX_STACKS", "small=8").unwrap();
        assert_eq!(config.auto_stacks, [false; 3]);
        assert!(with("FLUX_STACKS", "auto=1").is_none());
    }

    #[test]
    fn an_operator_may_set_the_sizes() {
        let config = with("FLUX_STACK_SIZES", "small=128KiB, large=2MiB").unwrap();
        let bytes = config.stacks.map(|pool| pool.bytes);
        assert_eq!(bytes, [128 << 10, 256 << 10, 2 << 20]);
        assert!(with("FLUX_STACK_SIZES", "small=64").is_none());
    }

    #[test]
    fn a_report_is_asked_for_or_not() {
        assert!(with("FLUX_REPORT", "1").unwrap().report);
        assert!(!with("FLUX_REPORT", "0").unwrap().report);
        assert!(with("FLUX_REPORT", "yes").is_none());
    }
}
