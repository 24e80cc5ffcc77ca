//! What was found out about one thing: how it stands, what it is, and what to do about it.

use std::fmt::Write as _;

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing to do.
    Ok,
    /// Costs latency that may not matter, or cannot be told from here.
    Hint,
    /// Costs latency that does matter.
    Warn,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Hint => "hint",
            Self::Warn => "warn",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) topic: &'static str,
    pub(crate) found: String,
    /// Empty where there is nothing to do.
    pub(crate) remedy: String,
}

impl Finding {
    pub(crate) fn ok(topic: &'static str, found: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, topic, found, "")
    }

    pub(crate) fn hint(
        topic: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Verdict::Hint, topic, found, remedy)
    }

    pub(crate) fn warn(
        topic: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Verdict::Warn, topic, found, remedy)
    }

    /// For a file that should say and does not.
    pub(crate) fn unreadable(topic: &'static str, path: &str, error: &std::io::Error) -> Self {
        let found = format!("not readable: `/{path}`: {error}");
        Self::hint(topic, found, "run as root once, outside of a container")
    }

    fn new(
        verdict: Verdict,
        topic: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            verdict,
            topic,
            found: found.into(),
            remedy: remedy.into(),
        }
    }
}

/// The lines, with their columns under each other, and one that counts them.
pub(crate) fn report(findings: &[Finding]) -> String {
    let widths = findings.iter().map(|finding| finding.topic.len());
    let width = widths.max().unwrap_or(0);
    let mut report = String::new();
    for finding in findings {
        let (verdict, topic) = (finding.verdict.word(), finding.topic);
        let arrow = if finding.remedy.is_empty() {
            ""
        } else {
            " -> "
        };
        let (found, remedy) = (&finding.found, &finding.remedy);
        let _infallible = writeln!(
            report,
            "{verdict:<4}  {topic:<width$}  {found}{arrow}{remedy}"
        );
    }
    let count = |verdict| {
        let of_kind = findings.iter().filter(|finding| finding.verdict == verdict);
        of_kind.count()
    };
    let plural = |count| if count == 1 { "" } else { "s" };
    let (warnings, hints) = (count(Verdict::Warn), count(Verdict::Hint));
    let _infallible = writeln!(
        report,
        "\n{warnings} warning{}, {hints} hint{}",
        plural(warnings),
        plural(hints)
    );
    report
}

/// Expects a finding to stand so, and to hold the parts.
#[cfg(test)]
#[track_caller]
pub(crate) fn says(finding: &Finding, verdict: Verdict, parts: &[&str]) {
    assert_eq!(finding.verdict, verdict, "{finding:?}");
    for part in parts {
        let there = finding.found.contains(part) || finding.remedy.contains(part);
        assert!(there, "`{part}` is not in {finding:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_kinds_are_counted() {
        let findings = [
            Finding::ok("clock", "tsc"),
            Finding::warn("governor", "powersave", "set `performance`"),
            Finding::hint("isolated", "none", "isolcpus"),
            Finding::hint("swap", "on", "swapoff"),
        ];
        assert_eq!(
            report(&findings),
            "ok    clock     tsc\n\
             warn  governor  powersave -> set `performance`\n\
             hint  isolated  none -> isolcpus\n\
             hint  swap      on -> swapoff\n\
             \n\
             1 warning, 2 hints\n"
        );
    }
}
