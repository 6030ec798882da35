//! What a lost node may still run starts elsewhere only after a fenced or
//! confirmed stop.
//!
//! The rule is about what the cluster can have known, not about the truth: that
//! the power of a node failed is no knowledge, for a node that was cut off looks
//! the same. Knowledge is
//! - a stop of the resource that returned success there,
//! - a fence agent's success after its last start there, be it true or not
//!   (`fencing-truth` asks that),
//! - an administrator's switching the node off,
//! - the node itself, back in a membership with others after it lost its power.
//!
//! A node is lost when it is not in the starter's membership or has no power; a
//! start beside a node that is neither is `single-active`'s business alone.

use std::collections::{BTreeMap, BTreeSet};

use observe::{Event, Node, Observation, PowerCause, Step};

use crate::{Checker, Finding, Report};

pub(crate) const NAME: &str = "fence-before-start";

#[derive(Default)]
pub(crate) struct FenceBeforeStart {
    /// Resources that the cluster must hold for active, where, since which observation.
    presumed: BTreeMap<String, BTreeMap<Node, usize>>,
    views: BTreeMap<Node, BTreeSet<Node>>,
    losses: BTreeMap<Node, Loss>,
}

/// How far a node is that lost its power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// It has none, or its membership service is not up again.
    Down(usize),
    /// Its membership service came up after; nobody has met it yet.
    Back(usize),
}

impl Checker for FenceBeforeStart {
    fn name(&self) -> &'static str {
        NAME
    }

    fn see(&mut self, index: usize, seen: &Observation, report: &mut Report<'_>) {
        let node = seen.node;
        match &seen.event {
            Event::Start { rsc, step: Step::Begin } => {
                self.judge(rsc, index, seen, report);
                let places = self.presumed.entry(rsc.clone()).or_default();
                places.insert(node, index);
            }
            Event::Stop { rsc, step: Step::Ok } => {
                self.presumed.entry(rsc.clone()).or_default().remove(&node);
            }
            Event::Fenced { target, ok: true } => self.clear(*target),
            Event::Power { target, on: false, cause } => {
                self.losses.insert(*target, Loss::Down(index));
                if *cause == PowerCause::Operator {
                    self.clear(*target);
                }
            }
            Event::RingUp => {
                if let Some(Loss::Down(since)) = self.losses.get(&node).copied() {
                    self.losses.insert(node, Loss::Back(since));
                }
                self.views.remove(&node);
            }
            Event::View { members, .. } => self.meet(node, members),
            _ => {}
        }
    }
}

impl FenceBeforeStart {
    fn clear(&mut self, node: Node) {
        for places in self.presumed.values_mut() {
            places.remove(&node);
        }
    }

    /// Everybody in a membership knows of the others in it that they run
    /// nothing from before they lost their power.
    fn meet(&mut self, node: Node, members: &BTreeSet<Node>) {
        if members.len() > 1 {
            for member in members {
                if let Some(Loss::Back(_)) = self.losses.get(member) {
                    self.losses.remove(member);
                    self.clear(*member);
                }
            }
        }
        self.views.insert(node, members.clone());
    }

    fn judge(&self, rsc: &str, index: usize, seen: &Observation, report: &mut Report<'_>) {
        let Some(places) = self.presumed.get(rsc) else { return };
        let others = places.iter().filter(|(place, _)| **place != seen.node);
        let Some((place, since)) = others.into_iter().find(|(p, _)| self.is_lost(**p, seen.node))
        else {
            return;
        };
        let loss = match self.losses.get(place) {
            Some(Loss::Down(at) | Loss::Back(at)) => Some(*at),
            None => None,
        };
        report.add(Finding {
            at: seen.at,
            what: format!(
                "{rsc} starts on {} though {place}, where it may be active, was lost and neither \
                 fenced nor seen to stop it",
                seen.node
            ),
            nodes: vec![*place, seen.node],
            rsc: Some(rsc.to_string()),
            evidence: [Some(*since), loss, Some(index)].into_iter().flatten().collect(),
        });
    }

    fn is_lost(&self, node: Node, starter: Node) -> bool {
        let member = self.views.get(&starter).is_some_and(|members| members.contains(&node));
        !member && self.views.contains_key(&starter) || self.losses.contains_key(&node)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{caught, settings};

    /// Three nodes in a ring, `a` active on n1.
    const RUNNING: &str = "1 n1 ring-up\n1 n2 ring-up\n1 n3 ring-up\n2 n1 view 1.1 1,2,3\n\
                           2 n2 view 1.1 1,2,3\n2 n3 view 1.1 1,2,3\n3 n1 start begin a\n";

    fn verdict(text: &str) -> Vec<&'static str> {
        caught(&settings(3), &format!("{RUNNING}{text}"))
    }

    #[test]
    fn luck_is_no_knowledge() {
        let lucky = "4 n0 power n1 off fault\n5 n2 view 2.2 2,3\n6 n2 start begin a\n";
        assert_eq!(verdict(lucky), ["fence-before-start"]);
        let unnoticed = "4 n0 power n1 off fault\n6 n2 start begin a\n";
        assert_eq!(verdict(unnoticed), ["fence-before-start"]);
    }

    #[test]
    fn a_node_that_lives_and_was_lost_breaks_both_rules() {
        let cut = "5 n2 view 2.2 2,3\n6 n2 start begin a\n";
        assert_eq!(verdict(cut), ["single-active", "fence-before-start"]);
    }

    #[test]
    fn fenced_or_stopped_or_switched_off_is_knowledge() {
        let lost = "5 n2 view 2.2 2,3\n";
        let fenced = "6 n0 power n1 off fence\n7 n2 fenced n1 yes\n8 n2 start begin a\n";
        assert_eq!(verdict(&format!("{lost}{fenced}")), [""; 0]);
        assert_eq!(verdict(&format!("4 n1 stop ok a\n{lost}8 n2 start begin a\n")), [""; 0]);
        let operator = "4 n0 power n1 off operator\n8 n2 start begin a\n";
        assert_eq!(verdict(operator), [""; 0]);
    }

    #[test]
    fn a_failed_fencing_is_none() {
        let failed = "4 n0 power n1 off fault\n5 n2 view 2.2 2,3\n6 n2 fenced n1 no\n\
                      7 n2 start begin a\n";
        assert_eq!(verdict(failed), ["fence-before-start"]);
    }

    #[test]
    fn a_fencing_before_the_last_start_says_nothing_of_it() {
        let early = "4 n0 power n1 off fence\n5 n2 fenced n1 yes\n6 n0 power n1 on operator\n\
                     7 n1 ring-up\n8 n1 view 1.5 1,2,3\n9 n1 start begin a\n\
                     10 n0 power n1 off fault\n11 n2 view 2.6 2,3\n12 n2 start begin a\n";
        assert_eq!(verdict(early), ["fence-before-start"]);
    }

    #[test]
    fn a_node_that_comes_back_empty_and_is_met_is_known_clean() {
        let back = "4 n0 power n1 off fault\n5 n0 power n1 on operator\n6 n1 ring-up\n";
        let met = "7 n2 view 1.5 1,2,3\n8 n2 start begin a\n";
        assert_eq!(verdict(&format!("{back}{met}")), [""; 0]);
        let alone = "7 n1 view 1.3 1\n7 n2 view 2.5 2,3\n8 n2 start begin a\n";
        assert_eq!(verdict(&format!("{back}{alone}")), ["fence-before-start"]);
    }

    #[test]
    fn a_restarted_daemon_says_nothing_of_what_runs() {
        let restarted = "4 n1 ring-up\n5 n1 view 1.5 1,2,3\n6 n2 view 2.6 2,3\n\
                         7 n2 start begin a\n";
        assert_eq!(verdict(restarted), ["single-active", "fence-before-start"]);
    }
}
