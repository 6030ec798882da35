//! Who is reported fenced really lost its power.
//!
//! The answer comes after the fact: the node has no power now, or lost it not
//! longer before the answer than a fence agent may take.

use std::collections::BTreeMap;

use observe::{Event, Node, Observation};

use crate::{Checker, Finding, Report, Settings};

pub(crate) const NAME: &str = "fencing-truth";

pub(crate) struct FencingTruth {
    window_ns: u64,
    power: BTreeMap<Node, Power>,
}

/// A node that lost its power at least once.
struct Power {
    on: bool,
    lost_at: u64,
    index: usize,
}

impl FencingTruth {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { window_ns: settings.fence_window_ns, power: BTreeMap::new() }
    }
}

impl Checker for FencingTruth {
    fn name(&self) -> &'static str {
        NAME
    }

    fn see(&mut self, index: usize, seen: &Observation, report: &mut Report<'_>) {
        match &seen.event {
            Event::Power { target, on: false, .. } => {
                self.power.insert(*target, Power { on: false, lost_at: seen.at, index });
            }
            Event::Power { target, on: true, .. } => {
                if let Some(power) = self.power.get_mut(target) {
                    power.on = true;
                }
            }
            Event::Fenced { target, ok: true } => {
                let power = self.power.get(target);
                let true_answer = power.is_some_and(|power| {
                    !power.on || power.lost_at.saturating_add(self.window_ns) >= seen.at
                });
                if !true_answer {
                    let last = power.map(|power| power.index);
                    report.add(Finding {
                        at: seen.at,
                        what: format!(
                            "{} was told that {target} is fenced, which did not lose its power",
                            seen.node
                        ),
                        nodes: vec![seen.node, *target],
                        rsc: None,
                        evidence: last.into_iter().chain([index]).collect(),
                    });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{caught, settings};

    fn verdict(text: &str) -> Vec<&'static str> {
        caught(&settings(3), text)
    }

    #[test]
    fn a_node_without_power_is_fenced() {
        assert_eq!(verdict("1 n0 power n1 off fence\n2 n2 fenced n1 yes\n"), [""; 0]);
        assert_eq!(verdict("1 n0 power n1 off fault\n900 n2 fenced n1 yes\n"), [""; 0]);
    }

    #[test]
    fn a_reboot_counts_for_as_long_as_an_agent_may_take() {
        let reboot = "1 n0 power n1 off fence\n5 n0 power n1 on fence\n";
        assert_eq!(verdict(&format!("{reboot}101 n2 fenced n1 yes\n")), [""; 0]);
        assert_eq!(verdict(&format!("{reboot}102 n2 fenced n1 yes\n")), ["fencing-truth"]);
    }

    #[test]
    fn a_lie_is_caught_and_a_failure_is_none() {
        assert_eq!(verdict("2 n2 fenced n1 yes\n"), ["fencing-truth"]);
        let other = "1 n0 power n3 off fence\n2 n2 fenced n1 yes\n";
        assert_eq!(verdict(other), ["fencing-truth"]);
        assert_eq!(verdict("2 n2 fenced n1 no\n"), [""; 0]);
    }
}
