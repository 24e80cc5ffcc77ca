//! Runs contenders in alternation, and says what came out of it.
//!
//! Owns the arguments, the order of the runs, the statistics, the table and the goals. Does not know what
//! a contender does: it is a closure that gives a [`Sample`].
//!
//! This machine's noise is larger than the differences that matter, and it drifts: so contenders take
//! turns within each round, and what counts is the median over the rounds of the *ratio within a round*.

mod args;
mod goal;
mod sample;
mod stats;
mod table;

pub use args::{Args, Size};
pub use goal::Goal;
pub use sample::{Sample, timed};
pub use stats::{Spread, median};

use std::process::ExitCode;

use crate::Fault;
use crate::sys;
use table::Report;

/// The core that everything measured is pinned to.
pub const SERVER_CORE: usize = 0;
/// The core of the peer that drives it.
pub const LOAD_CORE: usize = 1;

/// One way to do the work of a group.
struct Contender<'a> {
    name: &'static str,
    run: Box<dyn FnMut() -> Result<Sample, Fault> + 'a>,
}

/// Contenders that do the same work, and what is expected of them.
pub struct Group<'a> {
    title: String,
    unit: &'static str,
    rounds: usize,
    contenders: Vec<Contender<'a>>,
    goals: Vec<Goal>,
}

impl<'a> Group<'a> {
    /// A group whose costs are printed in `unit`, such as `"ns/yield"`, measured in `rounds` rounds unless
    /// `--rounds` says otherwise.
    #[must_use]
    pub fn new(title: impl Into<String>, unit: &'static str, rounds: usize) -> Self {
        Self {
            title: title.into(),
            unit,
            rounds,
            contenders: Vec::new(),
            goals: Vec::new(),
        }
    }

    /// Adds a contender. Ratios are given for the first one over each of the others.
    #[must_use]
    pub fn contender(
        mut self,
        name: &'static str,
        run: impl FnMut() -> Result<Sample, Fault> + 'a,
    ) -> Self {
        self.contenders.push(Contender {
            name,
            run: Box::new(run),
        });
        self
    }

    /// Adds a line that says whether the goal was met. A goal whose contenders were filtered out is left
    /// out too.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }

    fn measure(mut self, args: &Args) -> Result<Option<Report>, Fault> {
        self.contenders.retain(|c| args.wants_contender(c.name));
        if self.contenders.is_empty() {
            return Ok(None);
        }
        let rounds = match args.size {
            Size::Full => args.rounds.unwrap_or(self.rounds),
            Size::Smoke => args.rounds.unwrap_or(2),
        };
        let count = self.contenders.len();
        let mut samples: Vec<Vec<Sample>> = vec![Vec::with_capacity(rounds); count];
        if args.size == Size::Full {
            // Page faults, branch predictors, the clock of a core that just woke up.
            for contender in &mut self.contenders {
                run_one(contender, &self.title)?;
            }
        }
        let switches = sys::involuntary_switches();
        for round in 0..rounds {
            for place in order(round, count) {
                samples[place].push(run_one(&mut self.contenders[place], &self.title)?);
            }
        }
        Ok(Some(Report {
            title: self.title,
            unit: self.unit,
            names: self.contenders.iter().map(|c| c.name).collect(),
            samples,
            goals: self.goals,
            switches: sys::involuntary_switches().saturating_sub(switches),
        }))
    }
}

fn run_one(contender: &mut Contender<'_>, title: &str) -> Result<Sample, Fault> {
    (contender.run)().map_err(|fault| format!("{title}: {}: {fault}", contender.name).into())
}

/// Who runs when in a round: each place leads as often as any other, and who follows whom changes too.
fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    let backwards = round % 2 == 1;
    (0..count).map(move |i| {
        let i = if backwards { count - 1 - i } else { i };
        (i + round / 2) % count
    })
}

/// The `main` of a bench: parses the arguments, pins the thread, and runs the groups that the filter names.
///
/// `groups` is given the size, so that a smoke run (in `cargo test`) makes small ones.
pub fn main<'a>(name: &str, groups: impl FnOnce(&Args) -> Vec<Group<'a>>) -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(sentence) => {
            eprintln!("{name}: {sentence}");
            return ExitCode::from(2);
        }
    };
    if args.list {
        if !args.ignored_only {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if let Err(error) = sys::pin_to_core(SERVER_CORE) {
        eprintln!("{name}: not pinned to core {SERVER_CORE}, so expect more noise: {error}");
    }
    println!("{}", table::heading(name, args.size));
    let mut ran = 0;
    for group in groups(&args) {
        if !args.wants_group(&group.title) {
            continue;
        }
        match group.measure(&args) {
            Ok(None) => {}
            Ok(Some(report)) => {
                ran += 1;
                match args.size {
                    Size::Full => println!("{report}"),
                    Size::Smoke => println!("{}: {}: right", report.title, report.names.join(", ")),
                }
            }
            Err(fault) => {
                eprintln!("{name}: {fault}");
                return ExitCode::FAILURE;
            }
        }
    }
    if ran == 0 {
        println!("nothing here matches the filter");
    }
    ExitCode::SUCCESS
}

/// `1 fiber`, `2 fibers`.
#[must_use]
pub fn counted(count: impl std::fmt::Display, thing: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// Says that a bench cannot run on this system. Loud, so that nobody takes silence for a result.
#[must_use]
pub fn skip(name: &str, why: &str) -> ExitCode {
    println!("{name}: SKIPPED: {why}");
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contender_runs_once_a_round_and_each_leads_as_often() {
        let mut led = [0; 3];
        for round in 0..12 {
            let mut seen: Vec<usize> = order(round, 3).collect();
            led[seen[0]] += 1;
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2]);
        }
        assert_eq!(led, [4, 4, 4]);
    }

    #[test]
    fn a_contender_that_fails_is_named() {
        let args = Args::parse(std::iter::empty()).expect("no arguments");
        let group = Group::new("yield", "ns", 1)
            .contender("odd", || Err("the sum is 3 and should be 4".into()));
        let fault = group.measure(&args).expect_err("the contender failed");
        assert_eq!(
            fault.to_string(),
            "yield: odd: the sum is 3 and should be 4"
        );
    }
}
