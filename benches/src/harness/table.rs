//! How results look: an aligned table per group, goals below it.

use std::fmt;

use super::args::Size;
use super::goal::Goal;
use super::sample::Sample;
use super::stats::Spread;
use crate::sys;

/// The first line of a bench's output, with how busy the machine is: a figure taken beside a build is none.
pub(super) fn heading(name: &str, size: Size) -> String {
    let size = match size {
        Size::Full => "full size",
        Size::Smoke => "smoke size: answers are checked, times are not",
    };
    match sys::load_average() {
        Some(load) => format!("\n== {name} ({size}; load average {load})"),
        None => format!("\n== {name} ({size})"),
    }
}

/// All samples of a group, by contender, then by round.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) title: String,
    pub(super) unit: &'static str,
    pub(super) names: Vec<&'static str>,
    pub(super) samples: Vec<Vec<Sample>>,
    pub(super) goals: Vec<Goal>,
    pub(super) switches: u64,
}

impl Report {
    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|&n| n == name)
    }

    fn costs(&self, place: usize) -> Spread {
        Spread::of(self.samples[place].iter().map(|sample| sample.cost))
    }

    /// The ratio of two contenders within each round.
    fn ratios(&self, place: usize, over: usize) -> Spread {
        let pairs = self.samples[place].iter().zip(&self.samples[over]);
        Spread::of(pairs.map(|(mine, theirs)| mine.cost / theirs.cost))
    }

    fn goal_line(&self, goal: Goal) -> Option<String> {
        let (what, got, at_most) = match goal {
            Goal::Cost { contender, at_most } => {
                let got = self.costs(self.place(contender)?).median;
                let what = format!(
                    "{contender} at most {} {}",
                    figure(at_most).trim(),
                    self.unit
                );
                (what, got, at_most)
            }
            Goal::Ratio {
                contender,
                over,
                at_most,
            } => {
                let got = self
                    .ratios(self.place(contender)?, self.place(over)?)
                    .median;
                (
                    format!("{contender} / {over} at most {at_most:.3}"),
                    got,
                    at_most,
                )
            }
        };
        let verdict = if got <= at_most { "met" } else { "MISSED" };
        let got = match goal {
            Goal::Cost { .. } => figure(got).trim().to_owned(),
            Goal::Ratio { .. } => format!("{got:.3}"),
        };
        Some(format!("  goal: {what:<44} {got:>9}  {verdict}"))
    }
}

/// Three or four digits that mean something.
fn figure(value: f64) -> String {
    if value < 100.0 {
        format!("{value:>9.2}")
    } else if value < 1000.0 {
        format!("{value:>9.1}")
    } else {
        format!("{value:>9.0}")
    }
}

/// Operations per second, short.
fn rate(value: f64) -> String {
    if value <= 0.0 {
        String::from("-")
    } else if value >= 1e6 {
        format!("{:.1} M/s", value / 1e6)
    } else {
        format!("{:.1} k/s", value / 1e3)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.samples[0].len();
        writeln!(
            f,
            "\n{} ({rounds} rounds, in alternation; {} involuntary switches)",
            self.title, self.switches
        )?;
        let subject = self.names[0];
        writeln!(
            f,
            "  {:<24} {:>9}  {:<19} {:>11}   {} / it (quartiles)",
            "contender", self.unit, "  quartiles", "rate", subject
        )?;
        for (place, name) in self.names.iter().enumerate() {
            let cost = self.costs(place);
            let rates = Spread::of(self.samples[place].iter().map(|sample| sample.rate));
            write!(
                f,
                "  {name:<24} {} {}..{} {:>11}",
                figure(cost.median),
                figure(cost.low),
                figure(cost.high).trim(),
                rate(rates.median),
            )?;
            if place > 0 {
                let ratio = self.ratios(0, place);
                write!(
                    f,
                    "   {:.3} ({:.3}..{:.3})",
                    ratio.median, ratio.low, ratio.high
                )?;
            }
            writeln!(f)?;
        }
        for line in self.goals.iter().filter_map(|&goal| self.goal_line(goal)) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let costs = |figures: [f64; 3]| figures.map(|cost| Sample { cost, rate: 0.0 }).to_vec();
        Report {
            title: String::from("yield"),
            unit: "ns/yield",
            names: vec!["flux", "tokio"],
            // The machine was twice as slow in the last round: the ratio does not see it.
            samples: vec![costs([6.0, 6.0, 12.0]), costs([120.0, 120.0, 240.0])],
            goals: vec![
                Goal::Cost {
                    contender: "flux",
                    at_most: 5.0,
                },
                Goal::Ratio {
                    contender: "flux",
                    over: "tokio",
                    at_most: 0.06,
                },
                Goal::Ratio {
                    contender: "flux",
                    over: "absent",
                    at_most: 1.0,
                },
            ],
            switches: 0,
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let ratio = report().ratios(0, 1);
        assert!((ratio.low - 0.05).abs() < 1e-9 && (ratio.high - 0.05).abs() < 1e-9);
    }

    #[test]
    fn a_missed_goal_says_so_and_one_without_its_contender_is_left_out() {
        let text = report().to_string();
        let goals: Vec<&str> = text.lines().filter(|line| line.contains("goal:")).collect();
        assert_eq!(goals.len(), 2);
        assert!(goals[0].ends_with("MISSED") && goals[1].ends_with("met"));
    }
}
