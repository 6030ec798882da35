//! Totals of tests, and the table that a run ends with.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

/// How many tests passed, failed and did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Tests that ran and passed.
    pub(crate) passed: usize,
    /// Tests that ran and failed, or did not run though they had to.
    pub(crate) failed: usize,
    /// Tests that did not run.
    pub(crate) skipped: usize,
}

impl Totals {
    /// The totals of one check.
    pub(crate) fn of(passed: bool) -> Self {
        Self { passed: usize::from(passed), failed: usize::from(!passed), skipped: 0 }
    }

    /// How many tests there are.
    pub(crate) fn count(self) -> usize {
        self.passed + self.failed + self.skipped
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// What each tier did.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<(&'static str, Totals, Duration)>,
}

impl Report {
    /// Adds a tier.
    pub(super) fn add(&mut self, tier: &'static str, totals: Totals, took: Duration) {
        self.rows.push((tier, totals, took));
    }

    /// The totals of all tiers.
    pub(super) fn totals(&self) -> Totals {
        let mut all = Totals::default();
        self.rows.iter().for_each(|(_, totals, _)| all += *totals);
        all
    }
}

impl fmt::Display for Report {
    /// The table, and the totals alone on the last line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12} {:>7} {:>7} {:>8} {:>8}",
            "tier", "passed", "failed", "skipped", "time"
        )?;
        for (tier, Totals { passed, failed, skipped }, took) in &self.rows {
            let seconds = took.as_secs();
            let time = format!("{}:{:02}", seconds / 60, seconds % 60);
            writeln!(f, "{tier:<12} {passed:>7} {failed:>7} {skipped:>8} {time:>8}")?;
        }
        write!(f, "{}", self.totals())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_with_the_table_and_one_line() {
        let mut report = Report::default();
        let took = Duration::from_secs(61);
        report.add("check", Totals { passed: 5, failed: 0, skipped: 1 }, took);
        report.add("unit", Totals { passed: 120, failed: 2, skipped: 0 }, Duration::ZERO);
        assert_eq!(
            report.to_string(),
            "tier          passed  failed  skipped     time\n\
             check              5       0        1     1:01\n\
             unit             120       2        0     0:00\n\
             125 passed, 2 failed, 1 skipped"
        );
    }
}
