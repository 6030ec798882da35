//! Without quorum resources are stopped in bounded time.
//!
//! The bound runs from the node's saying that it is not quorate, and counts only
//! time in which the node was able to act. A stop that returned failure is
//! excused: without quorum nobody can fence for it.

use std::collections::{BTreeMap, BTreeSet};

use observe::{Event, Node, Observation, Step};

use crate::activity::{Activity, Change};
use crate::{Checker, Finding, Report, Settings};

pub(crate) const NAME: &str = "minority-stops";

pub(crate) struct MinorityStops {
    settings: Settings,
    activity: Activity,
    inquorate: BTreeMap<Node, Inquorate>,
}

/// A stretch without quorum.
struct Inquorate {
    since: u64,
    index: usize,
    excused: BTreeSet<String>,
}

impl MinorityStops {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            activity: Activity::default(),
            inquorate: BTreeMap::new(),
        }
    }

    /// The stretch without quorum of `node` ends: what is active on it now was
    /// active to its end.
    fn end_stretch(&mut self, node: Node, at: u64, report: &mut Report<'_>) {
        let active: Vec<(String, usize)> =
            self.activity.on(node).map(|(rsc, since)| (rsc.clone(), since)).collect();
        self.judge(node, &active, at, report);
        self.inquorate.remove(&node);
    }

    fn judge(&self, node: Node, active: &[(String, usize)], at: u64, report: &mut Report<'_>) {
        let Some(stretch) = self.inquorate.get(&node) else { return };
        let unable = self.settings.unable_ns(node, stretch.since, at);
        let took = (at - stretch.since).saturating_sub(unable);
        if took <= self.settings.minority_stop_ns {
            return;
        }
        for (rsc, since) in active.iter().filter(|(rsc, _)| !stretch.excused.contains(rsc)) {
            report.add(Finding {
                at,
                what: format!(
                    "{rsc} is active on {node} {} after it lost quorum",
                    crate::seconds(took)
                ),
                nodes: vec![node],
                rsc: Some(rsc.clone()),
                evidence: vec![*since, stretch.index],
            });
        }
    }
}

impl Checker for MinorityStops {
    fn name(&self) -> &'static str {
        NAME
    }

    fn see(&mut self, index: usize, seen: &Observation, report: &mut Report<'_>) {
        if let Change::Ended(node, ended) = self.activity.apply(index, seen) {
            self.judge(node, &ended, seen.at, report);
        }
        match &seen.event {
            Event::Quorum { quorate: false, .. } => {
                let fresh = || Inquorate { since: seen.at, index, excused: BTreeSet::new() };
                self.inquorate.entry(seen.node).or_insert_with(fresh);
            }
            Event::Quorum { quorate: true, .. } | Event::RingUp | Event::Left => {
                self.end_stretch(seen.node, seen.at, report);
            }
            Event::Power { target, on: false, .. } => self.end_stretch(*target, seen.at, report),
            Event::Stop { rsc, step: Step::Failed } => {
                if let Some(stretch) = self.inquorate.get_mut(&seen.node) {
                    stretch.excused.insert(rsc.clone());
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, at: u64, report: &mut Report<'_>) {
        let nodes: Vec<Node> = self.inquorate.keys().copied().collect();
        for node in nodes {
            self.end_stretch(node, at, report);
        }
    }
}

#[cfg(test)]
mod tests {
    use observe::Node;

    use crate::Interval;
    use crate::testing::{caught, settings};

    const LOST: &str =
        "1 n1 view 1.1 1\n1 n1 start begin a\n2 n1 start ok a\n10 n1 quorum 1.1 no\n";

    fn verdict(text: &str) -> Vec<&'static str> {
        caught(&settings(3), &format!("{LOST}{text}"))
    }

    #[test]
    fn a_stop_within_the_bound_is_fine() {
        assert_eq!(verdict("20 n1 stop begin a\n110 n1 stop ok a\n500 n0 mark end\n"), [""; 0]);
    }

    #[test]
    fn a_late_stop_and_none_are_caught() {
        assert_eq!(verdict("20 n1 stop begin a\n111 n1 stop ok a\n"), ["minority-stops"]);
        assert_eq!(verdict("500 n0 mark end\n"), ["minority-stops"]);
        assert_eq!(verdict("500 n0 power n1 off fence\n"), ["minority-stops"]);
    }

    #[test]
    fn power_or_quorum_in_time_ends_it() {
        assert_eq!(verdict("50 n0 power n1 off fence\n500 n0 mark end\n"), [""; 0]);
        assert_eq!(verdict("50 n1 view 1.2 1,2\n50 n1 quorum 1.2 yes\n500 n0 mark end\n"), [""; 0]);
    }

    #[test]
    fn quorum_that_comes_too_late_excuses_nothing() {
        assert_eq!(verdict("500 n1 view 1.2 1,2\n500 n1 quorum 1.2 yes\n"), ["minority-stops"]);
    }

    #[test]
    fn saying_it_again_does_not_start_the_clock_again() {
        assert_eq!(verdict("90 n1 quorum 1.1 no\n150 n0 mark end\n"), ["minority-stops"]);
    }

    #[test]
    fn a_failed_stop_is_excused() {
        assert_eq!(verdict("20 n1 stop begin a\n30 n1 stop failed a\n500 n0 mark end\n"), [""; 0]);
    }

    #[test]
    fn a_start_without_quorum_is_caught() {
        let started = "20 n1 stop ok a\n200 n1 start begin a\n210 n0 mark end\n";
        assert_eq!(verdict(started), ["minority-stops"]);
    }

    #[test]
    fn time_in_which_it_could_not_act_does_not_count() {
        let mut settings = settings(3);
        settings.unable.push(Interval { node: Node(1), from: 50, to: 400 });
        let frozen = format!("{LOST}450 n1 stop ok a\n");
        assert_eq!(caught(&settings, &frozen), [""; 0]);
        let slow = format!("{LOST}600 n1 stop ok a\n");
        assert_eq!(caught(&settings, &slow), ["minority-stops"]);
    }
}
