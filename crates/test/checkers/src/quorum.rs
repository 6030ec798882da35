//! A node that says quorate is in a membership with enough votes.
//!
//! The members are those of the ring that the node speaks of, wherever that ring
//! has been seen; a ring that nobody ever installed cannot be quorate.

use std::collections::{BTreeMap, BTreeSet};

use observe::{Event, Node, Observation, RingId};

use crate::{Checker, Finding, Report, Settings};

pub(crate) const NAME: &str = "quorum";

pub(crate) struct Quorum {
    votes: BTreeMap<Node, u32>,
    quorum: u32,
    rings: BTreeMap<(Node, RingId), Installed>,
    /// The first installation of each ring, for claims of who did not show his own.
    first: BTreeMap<RingId, Installed>,
    /// Claims whose ring has not been seen yet.
    pending: Vec<Claim>,
}

#[derive(Clone)]
struct Installed {
    members: BTreeSet<Node>,
    index: usize,
}

#[derive(Clone, Copy)]
struct Claim {
    at: u64,
    node: Node,
    ring: RingId,
    index: usize,
}

impl Quorum {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            votes: settings.votes.clone(),
            quorum: settings.quorum,
            rings: BTreeMap::new(),
            first: BTreeMap::new(),
            pending: Vec::new(),
        }
    }

    fn judge(&self, claim: Claim, report: &mut Report<'_>) -> bool {
        let own = self.rings.get(&(claim.node, claim.ring));
        let Some(installed) = own.or_else(|| self.first.get(&claim.ring)) else { return false };
        let votes: u32 = installed.members.iter().filter_map(|n| self.votes.get(n)).sum();
        if votes < self.quorum || !installed.members.contains(&claim.node) {
            let what = format!(
                "{} says that ring {} is quorate, which has {votes} of {} votes ({} needed)",
                claim.node,
                claim.ring,
                self.votes.values().sum::<u32>(),
                self.quorum
            );
            let evidence = vec![installed.index, claim.index];
            let nodes = vec![claim.node];
            report.add(Finding { at: claim.at, what, nodes, evidence, ..Finding::default() });
        }
        true
    }
}

impl Checker for Quorum {
    fn name(&self) -> &'static str {
        NAME
    }

    fn see(&mut self, index: usize, seen: &Observation, report: &mut Report<'_>) {
        match &seen.event {
            Event::View { ring, members } => {
                let installed = Installed { members: members.clone(), index };
                self.first.entry(*ring).or_insert_with(|| installed.clone());
                self.rings.insert((seen.node, *ring), installed);
                let waiting = std::mem::take(&mut self.pending);
                for claim in waiting {
                    if claim.ring != *ring || !self.judge(claim, report) {
                        self.pending.push(claim);
                    }
                }
            }
            Event::Quorum { ring, quorate: true } => {
                let claim = Claim { at: seen.at, node: seen.node, ring: *ring, index };
                if !self.judge(claim, report) {
                    self.pending.push(claim);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, _: u64, report: &mut Report<'_>) {
        for claim in std::mem::take(&mut self.pending) {
            let what =
                format!("{} says that ring {} is quorate: nobody saw it", claim.node, claim.ring);
            let (nodes, evidence) = (vec![claim.node], vec![claim.index]);
            report.add(Finding { at: claim.at, what, nodes, evidence, ..Finding::default() });
        }
    }
}

#[cfg(test)]
mod tests {
    use observe::Node;

    use crate::testing::{caught, settings};

    #[test]
    fn a_majority_may_say_so() {
        let majority = "1 n1 view 1.1 1,2\n2 n1 quorum 1.1 yes\n3 n2 view 1.1 1,2\n\
                        4 n2 quorum 1.1 yes\n5 n3 view 3.1 3\n6 n3 quorum 3.1 no\n";
        assert_eq!(caught(&settings(3), majority), [""; 0]);
    }

    #[test]
    fn a_minority_and_a_half_may_not() {
        assert_eq!(caught(&settings(3), "1 n3 view 3.1 3\n2 n3 quorum 3.1 yes\n"), ["quorum"]);
        assert_eq!(caught(&settings(4), "1 n1 view 1.1 1,2\n2 n1 quorum 1.1 yes\n"), ["quorum"]);
    }

    #[test]
    fn votes_count_not_heads() {
        let mut weighted = settings(3);
        weighted.votes.insert(Node(1), 3);
        weighted.quorum = 3;
        assert_eq!(caught(&weighted, "1 n1 view 1.1 1\n2 n1 quorum 1.1 yes\n"), [""; 0]);
        assert_eq!(caught(&weighted, "1 n2 view 2.1 2,3\n2 n2 quorum 2.1 yes\n"), ["quorum"]);
    }

    #[test]
    fn strangers_have_no_votes() {
        assert_eq!(caught(&settings(3), "1 n1 view 1.1 1,8,9\n2 n1 quorum 1.1 yes\n"), ["quorum"]);
    }

    #[test]
    fn the_membership_may_be_told_after_the_verdict_but_must_be_told() {
        let late = "1 n1 quorum 1.1 yes\n2 n1 view 1.1 1,2\n";
        assert_eq!(caught(&settings(3), late), [""; 0]);
        assert_eq!(caught(&settings(3), "1 n1 quorum 1.1 yes\n2 n1 view 1.1 1\n"), ["quorum"]);
        assert_eq!(caught(&settings(3), "1 n1 quorum 1.1 yes\n"), ["quorum"]);
    }

    #[test]
    fn a_ring_is_quorate_for_its_members_only() {
        let stranger = "1 n1 view 1.1 1,2\n2 n3 quorum 1.1 yes\n";
        assert_eq!(caught(&settings(3), stranger), ["quorum"]);
    }
}
