//! Runs contenders in alternation, and says what came out of it.
//!
//! Owns the arguments, the order of the runs, the statistics, the table and the goals. Does not know what
//! a contender does: it is a closure that gives a [`Sample`], or several where a run is looked at from several
//! sides.
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
pub use sample::{Sample, Samples, timed};
pub use stats::{Spread, median, percentile};

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
    run: Box<dyn FnMut() -> Result<Samples, Fault> + 'a>,
}

/// One side from which the runs of a group are looked at: a table of its own.
struct Side {
    title: String,
    unit: &'static str,
    goals: Vec<Goal>,
}

/// Contenders that do the same work, and what is expected of them.
pub struct Group<'a> {
    rounds: usize,
    contenders: Vec<Contender<'a>>,
    /// The group's own comes first.
    sides: Vec<Side>,
}

impl<'a> Group<'a> {
    /// A group whose costs are printed in `unit`, such as `"ns/yield"`, measured in `rounds` rounds unless
    /// `--rounds` says otherwise.
    #[must_use]
    pub fn new(title: impl Into<String>, unit: &'static str, rounds: usize) -> Self {
        let group = Self {
            rounds,
            contenders: Vec::new(),
            sides: Vec::new(),
        };
        group.side(title, unit)
    }

    /// Adds a table of the same runs, for a further sample that each of them gives. Goals that are added from here
    /// on are about that one.
    #[must_use]
    pub fn side(mut self, title: impl Into<String>, unit: &'static str) -> Self {
        self.sides.push(Side {
            title: title.into(),
            unit,
            goals: Vec::new(),
        });
        self
    }

    /// Adds a contender. Ratios are given for the first one over each of the others.
    #[must_use]
    pub fn contender<S: Into<Samples>>(
        mut self,
        name: &'static str,
        mut run: impl FnMut() -> Result<S, Fault> + 'a,
    ) -> Self {
        self.contenders.push(Contender {
            name,
            run: Box::new(move || run().map(Into::into)),
        });
        self
    }

    /// Adds a line that says whether the goal was met. A goal whose contenders were filtered out is left
    /// out too.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        if let Some(side) = self.sides.last_mut() {
            side.goals.push(goal);
        }
        self
    }

    fn title(&self) -> &str {
        self.sides.first().map_or("", |side| &side.title)
    }

    /// Runs one contender once: a sample for each side.
    fn run_one(&mut self, place: usize) -> Result<Samples, Fault> {
        let samples = (self.contenders[place].run)();
        let name = self.contenders[place].name;
        let told = |fault: Fault| Fault::from(format!("{}: {name}: {fault}", self.title()));
        let samples = samples.map_err(told)?;
        match (samples.len(), self.sides.len()) {
            (found, wanted) if found == wanted => Ok(samples),
            (found, wanted) => Err(told(
                format!(
                    "gave {} where {wanted} were asked for",
                    counted(found, "sample")
                )
                .into(),
            )),
        }
    }

    /// A report for each side; none if no contender is wanted.
    fn measure(mut self, args: &Args) -> Result<Vec<Report>, Fault> {
        self.contenders.retain(|c| args.wants_contender(c.name));
        if self.contenders.is_empty() {
            return Ok(Vec::new());
        }
        let rounds = match args.size {
            Size::Full => args.rounds.unwrap_or(self.rounds),
            Size::Smoke => args.rounds.unwrap_or(2),
        };
        let count = self.contenders.len();
        if args.size == Size::Full {
            // Page faults, branch predictors, the clock of a core that just woke up.
            for place in 0..count {
                self.run_one(place)?;
            }
        }
        let mut runs: Vec<Vec<Samples>> = vec![Vec::with_capacity(rounds); count];
        let switches = sys::involuntary_switches();
        for round in 0..rounds {
            for place in order(round, count) {
                let samples = self.run_one(place)?;
                runs[place].push(samples);
            }
        }
        let switches = sys::involuntary_switches().saturating_sub(switches);
        let names: Vec<&'static str> = self.contenders.iter().map(|c| c.name).collect();
        let of_side = |number: usize| {
            let of_contender = |runs: &Vec<Samples>| runs.iter().map(|run| run[number]).collect();
            runs.iter().map(of_contender).collect()
        };
        let sides = self.sides.into_iter().enumerate();
        Ok(sides
            .map(|(number, side)| Report {
                title: side.title,
                unit: side.unit,
                names: names.clone(),
                samples: of_side(number),
                goals: side.goals,
                switches,
            })
            .collect())
    }
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
    try_main(name, |args| Ok(groups(args)))
}

/// The same for a bench whose groups need something that may be missing.
pub fn try_main<'a>(
    name: &str,
    groups: impl FnOnce(&Args) -> Result<Vec<Group<'a>>, Fault>,
) -> ExitCode {
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
    let groups = match groups(&args) {
        Ok(groups) => groups,
        Err(fault) => {
            eprintln!("{name}: {fault}");
            return ExitCode::FAILURE;
        }
    };
    let mut ran = 0;
    for group in groups {
        if !group.sides.iter().any(|side| args.wants_group(&side.title)) {
            continue;
        }
        match group.measure(&args) {
            Ok(reports) => {
                ran += reports.len();
                for report in reports {
                    match args.size {
                        Size::Full => println!("{report}"),
                        Size::Smoke => {
                            println!("{}: {}: right", report.title, report.names.join(", "));
                        }
                    }
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
        let group = Group::new("yield", "ns", 1).contender("odd", || {
            Err::<Sample, _>("the sum is 3 and should be 4".into())
        });
        let fault = group.measure(&args).expect_err("the contender failed");
        assert_eq!(
            fault.to_string(),
            "yield: odd: the sum is 3 and should be 4"
        );
    }

    #[test]
    fn each_side_of_a_run_has_its_own_report_and_goals() {
        let args = Args::parse(std::iter::empty()).expect("no arguments");
        let goal = |at_most| Goal::Cost {
            contender: "one",
            at_most,
        };
        let reports = Group::new("cpu", "ns", 1)
            .contender("one", || Ok([Sample::cost(3.0, 1), Sample::cost(5.0, 1)]))
            .goal(goal(3.0))
            .side("lateness", "us")
            .goal(goal(4.0))
            .measure(&args)
            .expect("two samples for two sides");
        let texts: Vec<String> = reports.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 2);
        assert!(texts[0].contains("cpu") && texts[0].contains("3.00  met"));
        assert!(texts[1].contains("lateness") && texts[1].contains("5.00  MISSED"));
    }

    #[test]
    fn a_run_that_gives_too_few_samples_is_an_error() {
        let args = Args::parse(std::iter::empty()).expect("no arguments");
        let group = Group::new("cpu", "ns", 1)
            .side("lateness", "us")
            .contender("one", || Ok(Sample::cost(3.0, 1)));
        let fault = group.measure(&args).expect_err("one sample is missing");
        assert_eq!(
            fault.to_string(),
            "cpu: one: gave 1 sample where 2 were asked for"
        );
    }
}
