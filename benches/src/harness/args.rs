//! The command line of a bench.
//!
//! `cargo bench` passes `--bench`, `cargo test` does not: that decides the size. What libtest would take
//! is accepted and ignored, since `cargo test -- --nocapture` hands its flags to every target.

/// How much work a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Enough to resolve what the README claims.
    Full,
    /// Enough to see that the bench works and its answers are right.
    Smoke,
}

impl Size {
    /// One of two numbers, by size.
    #[must_use]
    pub fn pick<T>(self, full: T, smoke: T) -> T {
        match self {
            Self::Full => full,
            Self::Smoke => smoke,
        }
    }
}

/// What the command line asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// Full or smoke.
    pub size: Size,
    /// Rounds per group, if given.
    pub rounds: Option<usize>,
    pub(super) list: bool,
    pub(super) ignored_only: bool,
    groups: Vec<String>,
    contenders: Vec<String>,
}

impl Args {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// A sentence that names the argument at fault.
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            size: Size::Smoke,
            rounds: None,
            list: false,
            ignored_only: false,
            groups: Vec::new(),
            contenders: Vec::new(),
        };
        let mut smoke = false;
        let mut args = args;
        while let Some(arg) = args.next() {
            let (flag, inline) = match arg.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
                _ => (arg.as_str(), None),
            };
            let mut value = || {
                inline
                    .clone()
                    .or_else(|| args.next())
                    .ok_or_else(|| format!("`{flag}` needs a value"))
            };
            match flag {
                "--bench" => parsed.size = Size::Full,
                "--smoke" => smoke = true,
                "--rounds" => {
                    let text = value()?;
                    let rounds = text.parse().ok().filter(|&rounds| rounds > 0);
                    parsed.rounds = Some(rounds.ok_or_else(|| {
                        format!("`--rounds` takes a number from 1 up, not `{text}`")
                    })?);
                }
                "--filter" => parsed.groups.push(value()?),
                "--contender" => parsed.contenders.push(value()?),
                "--list" => parsed.list = true,
                "--ignored" => parsed.ignored_only = true,
                "--test" | "--nocapture" | "--no-capture" | "--show-output" | "--exact"
                | "--include-ignored" | "--quiet" | "-q" => {}
                "--test-threads" | "--color" | "--format" | "--skip" => drop(value()?),
                _ if flag.starts_with('-') => {
                    return Err(format!(
                        "unknown argument `{arg}`; known are --rounds N, --filter TEXT (part of a \
                         group's title), --contender NAME, --smoke"
                    ));
                }
                _ => parsed.groups.push(arg),
            }
        }
        if smoke {
            parsed.size = Size::Smoke;
        }
        Ok(parsed)
    }

    pub(super) fn wants_group(&self, title: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|part| title.contains(part.as_str()))
    }

    pub(super) fn wants_contender(&self, name: &str) -> bool {
        self.contenders.is_empty() || self.contenders.iter().any(|wanted| wanted == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_size_is_full_only_under_cargo_bench() {
        assert_eq!(parse("--bench").map(|a| a.size), Ok(Size::Full));
        assert_eq!(parse("").map(|a| a.size), Ok(Size::Smoke));
        assert_eq!(
            parse("--nocapture --test-threads=1").map(|a| a.size),
            Ok(Size::Smoke)
        );
        assert_eq!(parse("--bench --smoke").map(|a| a.size), Ok(Size::Smoke));
    }

    #[test]
    fn filters_choose_groups_by_a_part_of_the_title_and_contenders_by_name() {
        let args = parse("--filter yield --contender flux --rounds 3").expect("known arguments");
        assert!(args.wants_group("yield, 2 fibers") && !args.wants_group("spawn"));
        assert!(args.wants_contender("flux") && !args.wants_contender("tokio"));
        assert_eq!(args.rounds, Some(3));
    }

    #[test]
    fn a_wrong_argument_is_named() {
        assert!(parse("--round 3").unwrap_err().contains("`--round`"));
        assert!(parse("--rounds none").unwrap_err().contains("`none`"));
        assert_eq!(
            parse("--rounds"),
            Err("`--rounds` needs a value".to_owned())
        );
    }
}
