//! What all fiber functions of the program may need at once, held against what there is.
//!
//! Owns the sums, the sentence of a budget that cannot hold, and the table of `FLUX_REPORT=1`. Which
//! functions there are is in [`registry`]; who counts while they run is the scheduler.
//!
//! A function without `max` has no sum: its fibers wait for stacks, as many as there are.

mod registry;

use std::fmt::{self, Write as _};

pub use registry::FiberFn;
pub(crate) use registry::all;

use crate::config::{Config, StackClass};
use crate::error::InitError;

/// The most functions that a sentence names.
const NAMES_MAX: usize = 8;

/// Sets the number of stacks where `stacks(auto)` leaves it to the functions, and refuses what cannot hold.
pub(crate) fn settle(mut config: Config, functions: &[FiberFn]) -> Result<Config, InitError> {
    for class in StackClass::ALL {
        if config.auto_stacks[class.index()] {
            has_bounds(class, functions)?;
            config.stacks[class.index()].count = sum(of_class(class, functions));
        }
    }
    check(&config, functions).map_err(InitError::Config)?;
    Ok(config)
}

fn of_class(class: StackClass, functions: &[FiberFn]) -> impl Iterator<Item = &FiberFn> + Clone {
    functions
        .iter()
        .filter(move |function| function.class() == class)
}

/// How many fibers of these functions may live at once, as far as that is bounded.
fn sum<'a>(functions: impl Iterator<Item = &'a FiberFn>) -> usize {
    functions
        .filter_map(FiberFn::max)
        .fold(0, |sum, max| sum.saturating_add(max as usize))
}

/// Refuses to derive a number from functions that have none.
fn has_bounds(class: StackClass, functions: &[FiberFn]) -> Result<(), InitError> {
    let unbounded = of_class(class, functions).find(|function| function.max().is_none());
    match unbounded {
        None => Ok(()),
        Some(function) => Err(InitError::Config(format!(
            "`stacks(auto)` finds no number of {class} stacks, since `{}` has no `max`: give it one, or \
             write `stacks(auto, {class} = n)`",
            function.name()
        ))),
    }
}

fn check(config: &Config, functions: &[FiberFn]) -> Result<(), String> {
    for class in StackClass::ALL {
        let need = sum(of_class(class, functions));
        let pool = config.stacks[class.index()].count;
        // A pool without a stack for the main fiber is refused in words of its own.
        if need > pool && pool > 0 {
            return Err(format!(
                "{} may need {need} {class} stacks, and the pool has {pool}: raise `stacks({class} = \
                 {need})` (or `FLUX_STACKS`), or lower a `max`",
                Names(of_class(class, functions))
            ));
        }
        if need > 0 && pool == 0 && class != StackClass::Large {
            return Err(format!(
                "{} may need {need} {class} stacks, and there are none: raise `stacks({class} = {need})` \
                 (or `FLUX_STACKS`)",
                Names(of_class(class, functions))
            ));
        }
    }
    let need = sum(functions.iter());
    if need > config.fibers && config.fibers > 0 {
        return Err(format!(
            "{} may need {need} control blocks, and there are {}: raise `fibers = {need}` (or \
             `FLUX_FIBERS`), or lower a `max`",
            Names(functions.iter()),
            config.fibers
        ));
    }
    Ok(())
}

/// The functions that have a bound: `handler`, or `handler` (64) and `quoter` (8) together.
struct Names<I>(I);

impl<'a, I: Iterator<Item = &'a FiberFn> + Clone> fmt::Display for Names<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bounded: Vec<(u32, &str)> = self
            .0
            .clone()
            .filter_map(|function| Some((function.max()?, function.name())))
            .collect();
        // The largest first: that is where to look.
        bounded.sort_by_key(|(max, name)| (std::cmp::Reverse(*max), *name));
        if let [(_, name)] = bounded[..] {
            return write!(f, "`{name}`");
        }
        let named = bounded.len().min(NAMES_MAX);
        for (at, (max, name)) in bounded[..named].iter().enumerate() {
            let joint = match at {
                0 => "",
                at if at + 1 == bounded.len() => " and ",
                _ => ", ",
            };
            write!(f, "{joint}`{name}` ({max})")?;
        }
        match bounded.len() - named {
            0 => f.write_str(" together"),
            more => write!(f, ", and {more} more, together"),
        }
    }
}

/// What every function may need, and what there is of it: aligned columns, for stderr.
pub(crate) fn table(config: &Config, functions: &[FiberFn]) -> String {
    let mut sorted: Vec<&FiberFn> = functions.iter().collect();
    sorted.sort_by_key(|function| (function.class().index(), function.name()));
    let widest = |least: &str| {
        let names = sorted
            .iter()
            .map(|function| function.name().chars().count());
        names.chain([least.len()]).max().unwrap_or(0)
    };
    let width = widest("control blocks");
    let mut table = format!(
        "flux: budget\n  {:<width$}  {:>6}  {:>8}",
        "fiber", "stack", "max"
    );
    let mut line = |name: &str, middle: &str, last: &dyn fmt::Display| {
        // Writing to a `String` cannot fail.
        let _infallible = write!(table, "\n  {name:<width$}  {middle:>6}  {last:>8}");
    };
    for function in sorted {
        match function.max() {
            Some(max) => line(function.name(), function.class().name(), &max),
            None => line(function.name(), function.class().name(), &"-"),
        }
    }
    line("", "sum", &"there are");
    for class in StackClass::ALL {
        let need = sum(of_class(class, functions));
        let pool = config.stacks[class.index()].count;
        line(&format!("{class} stacks"), &need.to_string(), &pool);
    }
    let need = sum(functions.iter());
    line("control blocks", &need.to_string(), &config.fibers);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(listed: &[(&'static str, StackClass, usize)]) -> Vec<FiberFn> {
        let bound = |max: usize| (max > 0).then_some(max);
        let main = [("main", StackClass::Large, 1)];
        main.iter()
            .chain(listed)
            .map(|(name, class, max)| FiberFn::new(name, *class, bound(*max)))
            .collect()
    }

    #[track_caller]
    fn refused(config: Config, listed: &[(&'static str, StackClass, usize)], sentence: &str) {
        let error = settle(config, &functions(listed)).unwrap_err();
        assert!(
            matches!(&error, InitError::Config(said) if said == sentence),
            "{error}"
        );
    }

    use StackClass::{Large, Medium, Small};

    #[test]
    fn a_budget_that_cannot_hold_names_the_functions_and_the_numbers() {
        refused(
            Config::new().stacks(Small, 48),
            &[("handler", Small, 64)],
            "`handler` may need 64 small stacks, and the pool has 48: raise `stacks(small = 64)` (or \
             `FLUX_STACKS`), or lower a `max`",
        );
        refused(
            Config::new().stacks(Medium, 10),
            &[
                ("quoter", Medium, 3),
                ("handler", Medium, 6),
                ("logger", Medium, 2),
            ],
            "`handler` (6), `quoter` (3) and `logger` (2) together may need 11 medium stacks, and the pool \
             has 10: raise `stacks(medium = 11)` (or `FLUX_STACKS`), or lower a `max`",
        );
        refused(
            Config::new(),
            &[("deep", Large, 8)],
            "`deep` (8) and `main` (1) together may need 9 large stacks, and the pool has 8: raise \
             `stacks(large = 9)` (or `FLUX_STACKS`), or lower a `max`",
        );
        refused(
            Config::new().stacks(Small, 0),
            &[("handler", Small, 64)],
            "`handler` may need 64 small stacks, and there are none: raise `stacks(small = 64)` (or \
             `FLUX_STACKS`)",
        );
        refused(
            Config::new().fibers(40),
            &[("handler", Small, 40)],
            "`handler` (40) and `main` (1) together may need 41 control blocks, and there are 40: raise \
             `fibers = 41` (or `FLUX_FIBERS`), or lower a `max`",
        );
    }

    #[test]
    fn more_functions_than_a_sentence_holds_are_counted() {
        let many: Vec<_> = (0..12).map(|_| ("f", Small, 100)).collect();
        let error = settle(Config::new(), &functions(&many))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`f` (100), and 4 more, together may need 1200 small"),
            "{error}"
        );
    }

    #[test]
    fn a_budget_that_holds_changes_nothing() {
        let config = Config::new().stacks(Small, 64);
        let settled = settle(
            config.clone(),
            &functions(&[("handler", Small, 64), ("any", Medium, 0)]),
        );
        assert_eq!(settled.unwrap(), config);
    }

    #[test]
    fn auto_takes_the_sums_and_leaves_the_classes_that_were_given_a_number() {
        let listed = [("a", Small, 64), ("b", Small, 8), ("c", Medium, 0)];
        let config = Config::new().stacks_auto().stacks(Medium, 5);
        let settled = settle(config, &functions(&listed)).unwrap();
        assert_eq!(settled.stacks.map(|pool| pool.count), [72, 5, 1]);
        refused(
            Config::new().stacks_auto(),
            &listed,
            "`stacks(auto)` finds no number of medium stacks, since `c` has no `max`: give it one, or write \
             `stacks(auto, medium = n)`",
        );
    }

    #[test]
    fn the_table_has_columns() {
        let listed = [("handler", Small, 64), ("any", Medium, 0)];
        let shown = table(&Config::new(), &functions(&listed));
        assert_eq!(
            shown,
            "\
flux: budget
  fiber            stack       max
  handler          small        64
  any             medium         -
  main             large         1
                     sum  there are
  small stacks        64       256
  medium stacks        0        32
  large stacks         1         8
  control blocks      65      1024"
        );
    }
}
