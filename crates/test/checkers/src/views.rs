//! One ring id names one set of members; a node's ring ids grow, also over
//! restarts; a node is a member of its own views.

use std::collections::{BTreeMap, BTreeSet};

use observe::{Event, Node, Observation, RingId};

use crate::{Checker, Finding, Report};

pub(crate) const NAME: &str = "views";

#[derive(Default)]
pub(crate) struct Views {
    /// The first report of each ring.
    rings: BTreeMap<RingId, (Node, BTreeSet<Node>, usize)>,
    /// The last ring of each node, and whether its service restarted since.
    last: BTreeMap<Node, Last>,
}

#[derive(Clone, Copy)]
struct Last {
    ring: RingId,
    index: usize,
    restarted: bool,
}

impl Checker for Views {
    fn name(&self) -> &'static str {
        NAME
    }

    fn see(&mut self, index: usize, seen: &Observation, report: &mut Report<'_>) {
        match &seen.event {
            Event::View { ring, members } => {
                let finding = |what, nodes, evidence| Finding {
                    at: seen.at,
                    what,
                    nodes,
                    evidence,
                    rsc: None,
                };
                if !members.contains(&seen.node) {
                    let what = format!("{} is no member of its own ring {ring}", seen.node);
                    report.add(finding(what, vec![seen.node], vec![index]));
                }
                if let Some((what, other, earlier)) = self.differs(seen.node, *ring, members) {
                    report.add(finding(what, vec![other, seen.node], vec![earlier, index]));
                }
                if let Some((what, earlier)) = self.goes_back(seen.node, *ring) {
                    report.add(finding(what, vec![seen.node], vec![earlier, index]));
                }
                self.rings.entry(*ring).or_insert((seen.node, members.clone(), index));
                self.last.insert(seen.node, Last { ring: *ring, index, restarted: false });
            }
            Event::RingUp => {
                if let Some(last) = self.last.get_mut(&seen.node) {
                    last.restarted = true;
                }
            }
            _ => {}
        }
    }
}

impl Views {
    fn differs(
        &self,
        node: Node,
        ring: RingId,
        members: &BTreeSet<Node>,
    ) -> Option<(String, Node, usize)> {
        let (other, known, index) = self.rings.get(&ring)?;
        let what = || format!("ring {ring} has other members on {node} than on {other}");
        (known != members).then(|| (what(), *other, *index))
    }

    fn goes_back(&self, node: Node, ring: RingId) -> Option<(String, usize)> {
        let last = self.last.get(&node)?;
        let repeated = ring == last.ring && !last.restarted;
        let what = || format!("{node} installs ring {ring} after ring {}", last.ring);
        (ring.seq <= last.ring.seq && !repeated).then(|| (what(), last.index))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{caught, settings};

    fn verdict(text: &str) -> Vec<&'static str> {
        caught(&settings(3), text)
    }

    #[test]
    fn growing_rings_with_equal_members_are_fine() {
        let fine = "1 n1 view 1.1 1\n2 n2 view 2.1 2\n3 n1 view 1.4 1,2\n4 n2 view 1.4 1,2\n\
                    5 n1 ring-up\n6 n1 view 1.5 1\n";
        assert_eq!(verdict(fine), [""; 0]);
    }

    #[test]
    fn one_ring_has_one_set_of_members() {
        assert_eq!(verdict("1 n1 view 1.4 1,2\n2 n2 view 1.4 1,2,3\n"), ["views"]);
    }

    #[test]
    fn ring_ids_of_two_representatives_are_two_rings() {
        assert_eq!(verdict("1 n1 view 1.4 1,2\n2 n3 view 3.4 3\n"), [""; 0]);
    }

    #[test]
    fn a_number_never_comes_again_on_a_node() {
        assert_eq!(verdict("1 n1 view 1.4 1,2\n2 n1 view 1.3 1\n"), ["views"]);
        assert_eq!(verdict("1 n1 view 1.4 1,2\n2 n1 view 2.4 1,2\n"), ["views"]);
        let forgotten = "1 n1 view 1.1 1\n2 n1 ring-up\n3 n1 view 1.1 1\n";
        assert_eq!(verdict(forgotten), ["views"]);
    }

    #[test]
    fn an_observer_may_repeat_itself() {
        assert_eq!(verdict("1 n1 view 1.4 1,2\n2 n1 view 1.4 1,2\n"), [""; 0]);
    }

    #[test]
    fn a_node_is_in_its_own_view() {
        assert_eq!(verdict("1 n1 view 2.4 2,3\n"), ["views"]);
    }
}
