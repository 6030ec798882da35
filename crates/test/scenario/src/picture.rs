//! What is true now, as far as observations tell.

use std::collections::{BTreeMap, BTreeSet};

use observe::{Event, Node, Observation, RingId, Step};

/// A cluster's state, folded from its observations in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    nodes: BTreeMap<Node, NodePicture>,
}

/// One node's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct NodePicture {
    off: bool,
    fenced: bool,
    view: Option<(RingId, BTreeSet<Node>)>,
    quorate: bool,
    /// Resources that a start has made active and no stop or power loss ended.
    active: BTreeSet<String>,
    state: Option<((u64, u64, u64), String)>,
}

impl Picture {
    /// Takes the next observation.
    pub fn apply(&mut self, seen: &Observation) {
        let node = self.nodes.entry(seen.node).or_default();
        match &seen.event {
            Event::RingUp => {
                node.forget_membership();
                node.fenced = false;
            }
            Event::View { ring, members } => node.view = Some((*ring, members.clone())),
            Event::Quorum { quorate, .. } => node.quorate = *quorate,
            Event::Start { rsc, step: Step::Ok } => {
                node.active.insert(rsc.clone());
            }
            Event::Stop { rsc, step: Step::Ok } => {
                node.active.remove(rsc);
            }
            Event::State { version, digest } => node.state = Some((*version, digest.clone())),
            Event::Left => node.forget_membership(),
            Event::Power { target, on, .. } => {
                let target = self.nodes.entry(*target).or_default();
                target.off = !on;
                if !on {
                    target.forget_membership();
                    target.active.clear();
                }
            }
            Event::Fenced { target, ok: true } => {
                self.nodes.entry(*target).or_default().fenced = true;
            }
            Event::Start { .. }
            | Event::Stop { .. }
            | Event::Fenced { .. }
            | Event::Deliver { .. }
            | Event::Mark { .. } => {}
        }
    }

    fn node(&self, node: Node) -> NodePicture {
        self.nodes.get(&node).cloned().unwrap_or_default()
    }

    /// Whether the node says that it is quorate.
    pub fn is_quorate(&self, node: Node) -> bool {
        self.node(node).quorate
    }

    /// The node's members, if it is in a membership.
    pub fn members(&self, node: Node) -> Option<BTreeSet<Node>> {
        self.node(node).view.map(|(_, members)| members)
    }

    /// The node's ring id, if it is in a membership.
    pub fn ring(&self, node: Node) -> Option<RingId> {
        self.node(node).view.map(|(ring, _)| ring)
    }

    /// Where the resource is active.
    pub fn holders(&self, rsc: &str) -> BTreeSet<Node> {
        let holds = |(_, n): &(&Node, &NodePicture)| n.active.contains(rsc);
        self.nodes.iter().filter(holds).map(|(node, _)| *node).collect()
    }

    /// Whether the node was fenced successfully since it last started.
    pub fn is_fenced(&self, node: Node) -> bool {
        self.node(node).fenced
    }

    /// Whether the node has power.
    pub fn has_power(&self, node: Node) -> bool {
        !self.node(node).off
    }

    /// The node's copy of the cluster state: version and digest.
    pub fn state(&self, node: Node) -> Option<((u64, u64, u64), String)> {
        self.node(node).state
    }
}

impl NodePicture {
    fn forget_membership(&mut self) {
        self.view = None;
        self.quorate = false;
        self.state = None;
    }
}
