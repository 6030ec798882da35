//! Oracles over the observation schema, for the simulator and for real nodes.
//!
//! A checker sees [`observe::Observation`]s in order of time and nothing else:
//! no state of a core, no scenario. [`check`] runs all of them that the
//! [`Settings`] don't switch off; each [`Violation`] carries the observations
//! that prove it, in the text form in which a trace can be cut and checked again.
//!
//! | checker | what must hold |
//! |---|---|
//! | `single-active` | no resource is active on two nodes at once |
//! | `fence-before-start` | what a lost node may still run starts elsewhere only after a fenced or confirmed stop |
//! | `quorum` | a node that says quorate is in a membership with enough votes |
//! | `views` | one ring id names one set of members; a node's ring ids grow, also over restarts |
//! | `order` | within a ring all nodes deliver one order; who moves on together delivered the same |
//! | `state` | in one ring one version is one content; after a quiet time all agree |
//! | `minority-stops` | without quorum resources are stopped in bounded time |
//! | `fencing-truth` | who is reported fenced really lost its power |
//!
//! The first two differ in what they ask: `single-active` compares with the
//! truth, `fence-before-start` with what the cluster can have known. A cluster
//! that starts a service without fencing and is lucky breaks only the second.

mod activity;
mod fence_before_start;
mod fencing_truth;
mod minority_stops;
mod order;
mod quorum;
mod settings;
mod single_active;
mod state;
#[cfg(test)]
mod testing;
mod views;

use std::fmt;

use observe::{Node, Observation};

pub use settings::{Interval, Settings};

/// The names of all checkers, as scenario files and settings use them.
pub const NAMES: &[&str] = &[
    single_active::NAME,
    fence_before_start::NAME,
    quorum::NAME,
    views::NAME,
    order::NAME,
    state::NAME,
    minority_stops::NAME,
    fencing_truth::NAME,
];

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which checker found it.
    pub checker: &'static str,
    /// When it became visible, nanoseconds as in the observations.
    pub at: u64,
    /// What happened, in one sentence.
    pub what: String,
    /// The nodes that it concerns.
    pub nodes: Vec<Node>,
    /// The resource that it concerns, if it concerns one.
    pub rsc: Option<String>,
    /// What proves it, in order of time.
    pub evidence: Vec<Observation>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.checker, seconds(self.at), self.what)?;
        for seen in &self.evidence {
            write!(f, "\n    {seen}")?;
        }
        Ok(())
    }
}

/// Runs every checker that is on over a trace and gives what they found, in
/// order of time. An unsorted trace is sorted first; observations of one
/// instant keep their order.
pub fn check(settings: &Settings, trace: &[Observation]) -> Vec<Violation> {
    if trace.is_sorted_by_key(|seen| seen.at) {
        return check_sorted(settings, trace);
    }
    let mut sorted = trace.to_vec();
    sorted.sort_by_key(|seen| seen.at);
    check_sorted(settings, &sorted)
}

fn check_sorted(settings: &Settings, trace: &[Observation]) -> Vec<Violation> {
    let mut found = Vec::new();
    for mut checker in checkers(settings) {
        let mut report = Report { name: checker.name(), trace, found: &mut found };
        for (index, seen) in trace.iter().enumerate() {
            checker.see(index, seen, &mut report);
        }
        checker.finish(trace.last().map_or(0, |seen| seen.at), &mut report);
    }
    found.sort_by_key(|violation| violation.at);
    found
}

fn checkers(settings: &Settings) -> Vec<Box<dyn Checker>> {
    let all: Vec<Box<dyn Checker>> = vec![
        Box::<single_active::SingleActive>::default(),
        Box::<fence_before_start::FenceBeforeStart>::default(),
        Box::new(quorum::Quorum::new(settings)),
        Box::<views::Views>::default(),
        Box::new(order::Order::new(settings)),
        Box::new(state::State::new(settings)),
        Box::new(minority_stops::MinorityStops::new(settings)),
        Box::new(fencing_truth::FencingTruth::new(settings)),
    ];
    all.into_iter().filter(|checker| !settings.off.contains_key(checker.name())).collect()
}

/// One oracle: fed the trace once, in order.
trait Checker {
    fn name(&self) -> &'static str;

    /// Takes the observation at `index` of the trace.
    fn see(&mut self, index: usize, seen: &Observation, report: &mut Report<'_>);

    /// The trace ended at `at`.
    fn finish(&mut self, at: u64, report: &mut Report<'_>) {
        let _ = (at, report);
    }
}

/// Where a checker says what it found.
struct Report<'a> {
    name: &'static str,
    trace: &'a [Observation],
    found: &'a mut Vec<Violation>,
}

/// What a violation is about; `evidence` are indices of the trace.
#[derive(Default)]
struct Finding {
    at: u64,
    what: String,
    nodes: Vec<Node>,
    rsc: Option<String>,
    evidence: Vec<usize>,
}

/// A broken rule tends to stay broken; after so many, one checker stops
/// listing them.
const MAX_FINDINGS: usize = 20;

impl Report<'_> {
    fn add(&mut self, finding: Finding) {
        let earlier = self.found.iter().filter(|v| v.checker == self.name).count();
        if earlier >= MAX_FINDINGS {
            return;
        }
        let Finding { at, what, nodes, rsc, mut evidence } = finding;
        evidence.sort_unstable();
        evidence.dedup();
        let evidence = evidence.into_iter().map(|index| self.trace[index].clone()).collect();
        self.found.push(Violation { checker: self.name, at, what, nodes, rsc, evidence });
    }
}

/// `12.034s`, for people.
fn seconds(nanos: u64) -> String {
    format!("{}.{:03}s", nanos / 1_000_000_000, nanos / 1_000_000 % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{caught, settings, trace};

    #[test]
    fn each_plant_has_a_checker_and_each_checker_a_plant() {
        let mut planted: Vec<&str> = scenario::PLANTS.iter().map(|(_, _, name)| *name).collect();
        let mut names = NAMES.to_vec();
        planted.sort_unstable();
        names.sort_unstable();
        assert_eq!(planted, names);
    }

    #[test]
    fn a_trace_out_of_order_is_sorted_first() {
        let late = "5 n1 stop ok a\n1 n1 start begin a\n9 n2 start begin a\n";
        assert_eq!(caught(&settings(2), late), [""; 0]);
    }

    #[test]
    fn a_checker_can_be_switched_off_with_a_reason() {
        let double = "1 n1 start begin a\n9 n2 start begin a\n";
        assert_eq!(caught(&settings(2), double), ["single-active"]);
        let mut lax = settings(2);
        lax.off.insert("single-active", "the variant shows what is lost".into());
        assert_eq!(caught(&lax, double), [""; 0]);
    }

    #[test]
    fn a_violation_reads_as_a_sentence_with_its_evidence() {
        let trace = trace("1000000000 n1 start begin a\n2500000000 n2 start begin a\n");
        let text = check(&settings(2), &trace)[0].to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "single-active at 2.500s: a starts on n2 while it is active on n1");
        assert_eq!(lines[1].trim(), "1000000000 n1 start begin a");
        assert_eq!(lines[2].trim(), "2500000000 n2 start begin a");
    }

    #[test]
    fn a_rule_that_stays_broken_is_listed_so_often_only() {
        let starts = (0..100).map(|i| format!("{i} n{} start begin a\n", 1 + i % 2));
        let trace = trace(&starts.collect::<String>());
        assert_eq!(check(&settings(2), &trace).len(), MAX_FINDINGS);
    }
}
