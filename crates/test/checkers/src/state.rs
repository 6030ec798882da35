//! In one ring one version of the cluster state is one content; after a quiet
//! time all agree.
//!
//! Two partitions may both count on from one version, so equal versions are
//! compared within a ring only; once the cluster has been healed and left alone,
//! every quorate node must have come to the same version and content.

use std::collections::BTreeMap;

use observe::{Event, Node, Observation, RingId};

use crate::{Checker, Finding, Report, Settings};

pub(crate) const NAME: &str = "state";

pub(crate) struct State {
    quiet: bool,
    contents: BTreeMap<(RingId, Version), Content>,
    nodes: BTreeMap<Node, Copy>,
}

type Version = (u64, u64, u64);

/// The first report of a version in a ring.
struct Content {
    digest: String,
    node: Node,
    index: usize,
}

/// What a node said of itself in this life.
#[derive(Default)]
struct Copy {
    ring: Option<RingId>,
    quorate: bool,
    state: Option<(Version, String, usize)>,
}

impl State {
    pub(crate) fn new(settings: &Settings) -> Self {
        let quiet = settings.quiet_from.is_some();
        Self { quiet, contents: BTreeMap::new(), nodes: BTreeMap::new() }
    }
}

impl Checker for State {
    fn name(&self) -> &'static str {
        NAME
    }

    fn see(&mut self, index: usize, seen: &Observation, report: &mut Report<'_>) {
        let node = seen.node;
        match &seen.event {
            Event::RingUp | Event::Left => {
                self.nodes.remove(&node);
            }
            Event::Power { target, on: false, .. } => {
                self.nodes.remove(target);
            }
            Event::View { ring, .. } => self.nodes.entry(node).or_default().ring = Some(*ring),
            Event::Quorum { quorate, .. } => {
                self.nodes.entry(node).or_default().quorate = *quorate;
            }
            Event::State { version, digest } => {
                let copy = self.nodes.entry(node).or_default();
                copy.state = Some((*version, digest.clone(), index));
                let Some(ring) = copy.ring else { return };
                let content = || Content { digest: digest.clone(), node, index };
                let first = self.contents.entry((ring, *version)).or_insert_with(content);
                if first.digest != *digest {
                    let (a, e, n) = version;
                    let what = format!(
                        "version {a}.{e}.{n} on {node} differs from that on {} in ring {ring}",
                        first.node
                    );
                    let (nodes, evidence) = (vec![first.node, node], vec![first.index, index]);
                    report.add(Finding { at: seen.at, what, nodes, evidence, rsc: None });
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, at: u64, report: &mut Report<'_>) {
        if !self.quiet {
            return;
        }
        let mut said = self.nodes.iter().filter_map(|(node, copy)| {
            copy.state.as_ref().filter(|_| copy.quorate).map(|state| (*node, state))
        });
        let Some((first, (version, digest, index))) = said.next() else { return };
        for (node, (other_version, other_digest, other_index)) in said {
            if (other_version, other_digest) != (version, digest) {
                let what = format!("{first} and {node} do not agree after a quiet time");
                let (nodes, evidence) = (vec![first, node], vec![*index, *other_index]);
                report.add(Finding { at, what, nodes, evidence, rsc: None });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{caught, settings};

    const RING: &str = "1 n1 view 1.1 1,2\n1 n1 quorum 1.1 yes\n1 n2 view 1.1 1,2\n\
                        1 n2 quorum 1.1 yes\n";

    fn verdict(quiet: bool, text: &str) -> Vec<&'static str> {
        let mut settings = settings(3);
        settings.quiet_from = quiet.then_some(0);
        caught(&settings, &format!("{RING}{text}"))
    }

    #[test]
    fn one_version_is_one_content_in_a_ring() {
        assert_eq!(verdict(true, "2 n1 state 0.1.0 aa\n3 n2 state 0.1.0 aa\n"), [""; 0]);
        assert_eq!(verdict(false, "2 n1 state 0.1.0 aa\n3 n2 state 0.1.0 bb\n"), ["state"]);
        assert_eq!(verdict(false, "2 n1 state 0.1.0 aa\n3 n1 state 0.1.0 bb\n"), ["state"]);
    }

    #[test]
    fn partitions_may_count_alike() {
        let apart = "2 n1 view 1.2 1\n2 n2 view 2.2 2\n3 n1 state 0.1.0 aa\n3 n2 state 0.1.0 bb\n";
        assert_eq!(verdict(false, apart), [""; 0]);
    }

    #[test]
    fn after_a_quiet_time_quorate_nodes_agree() {
        let behind = "2 n1 state 0.1.0 aa\n3 n2 state 0.1.0 aa\n4 n1 state 0.2.0 bb\n";
        assert_eq!(verdict(false, behind), [""; 0]);
        assert_eq!(verdict(true, behind), ["state"]);
        assert_eq!(verdict(true, &format!("{behind}5 n2 quorum 1.1 no\n")), [""; 0]);
        assert_eq!(verdict(true, &format!("{behind}5 n0 power n2 off fault\n")), [""; 0]);
    }
}
