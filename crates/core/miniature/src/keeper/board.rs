//! What all keepers of a ring know alike, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use observe::{Node, RingId};
use sansio::{Cancel, Job};
use wire::Writer;

use super::message::{Message, Status};
use crate::ipc::{self, ViewEvent};

/// The shared state of one ring: a function of the ring's members and of the
/// messages delivered in it, so that the same count of messages means the same
/// board everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    pub(super) ring: RingId,
    pub(super) quorate: bool,
    pub(super) members: BTreeSet<Node>,
    /// Every node of the cluster.
    pub(super) all: BTreeSet<Node>,
    /// Each member's resource, from its hello on.
    pub(super) status: BTreeMap<Node, Status>,
    /// Nodes that every hello so far has called down.
    pub(super) agreed_down: Option<BTreeSet<Node>>,
    /// Nodes fenced or gone in good order in this ring.
    pub(super) down: BTreeSet<Node>,
    /// Messages delivered in this ring.
    pub(super) count: u64,
}

impl Board {
    pub(super) fn new(view: ViewEvent, all: BTreeSet<Node>) -> Self {
        Self {
            ring: view.ring,
            quorate: view.quorate,
            members: view.members,
            all,
            status: BTreeMap::new(),
            agreed_down: None,
            down: BTreeSet::new(),
            count: 0,
        }
    }

    /// The lowest member decides.
    pub(super) fn coordinator(&self) -> Option<Node> {
        self.members.first().copied()
    }

    /// Takes the next message; false when it asks for what is no longer so.
    pub(super) fn apply(&mut self, sender: Node, message: &Message) -> bool {
        self.count += 1;
        match message {
            Message::Hello { status, down } => {
                self.status.insert(sender, *status);
                let agreed = self.agreed_down.take();
                self.agreed_down = Some(match agreed {
                    // One member that missed a node's return is enough to be wrong
                    // about it, so all must agree [MIN-5].
                    Some(agreed) => &agreed & down,
                    None => down.clone(),
                });
            }
            Message::Place(node) => {
                // Sent before its sender knew what all know now.
                if self.holders().any(|holder| holder != *node) {
                    return false;
                }
                self.status.insert(*node, Status::Changing);
            }
            Message::Clear(_) => {}
            Message::Report(status) => {
                self.status.insert(sender, *status);
            }
            Message::Fenced(node) => {
                if !self.members.contains(node) {
                    self.down.insert(*node);
                }
            }
            Message::Leaving => {
                self.down.insert(sender);
            }
        }
        true
    }

    /// Where the resource is, or may be, active.
    fn holders(&self) -> impl Iterator<Item = Node> {
        let may_run = |status: &Status| !matches!(status, Status::Stopped | Status::Unknown);
        self.status.iter().filter(move |(_, status)| may_run(status)).map(|(node, _)| *node)
    }

    /// Nodes that are known to run nothing: all members say so, or it was seen
    /// to in this ring. A member may be among them, on its way out.
    pub(super) fn known_down(&self) -> BTreeSet<Node> {
        let agreed = self.agreed_down.clone().unwrap_or_default();
        let agreed: BTreeSet<Node> = &agreed - &self.members;
        &agreed | &self.down
    }

    /// [MIN-5] Lost nodes that could still run something.
    pub(super) fn unclean(&self) -> BTreeSet<Node> {
        if sansio::mutant::active("MIN-5/remove") {
            return BTreeSet::new();
        }
        let lost: BTreeSet<Node> = &self.all - &self.members;
        &lost - &self.known_down()
    }

    /// [MIN-7] Whether every member has said how its resource stands.
    fn is_complete(&self) -> bool {
        let heard = self.status.len();
        if sansio::mutant::active("MIN-7/remove") {
            return heard > 0;
        }
        if sansio::mutant::active("MIN-7/weaken") {
            return heard * 2 > self.members.len();
        }
        let known = |node: &Node| self.status.get(node).is_some_and(|s| *s != Status::Unknown);
        self.members.iter().all(known)
    }

    /// A digest of all that the board says: 64-bit FNV-1a, in hexadecimal.
    pub(super) fn digest(&self) -> String {
        let mut w = Writer::new();
        ipc::put_ring(&mut w, self.ring).u8(self.quorate.into()).u64(self.count);
        ipc::put_nodes(&mut w, self.members.iter());
        for (node, status) in &self.status {
            w.u32(node.0).u8(status.code());
        }
        ipc::put_nodes(&mut w, self.known_down().iter());
        format!("{:016x}", sansio::Elided::of(&w.finish()).hash)
    }
}

/// What the coordinator should do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, for this reason.
    Wait(&'static str),
    /// Fence these nodes.
    Fence(BTreeSet<Node>),
    /// Start the resource there.
    Place(Node),
    /// Stop the resource there: it is active in two places.
    Clear(Node),
}

/// The slow work of a keeper: deciding, from a copy of the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(pub Board);

impl Job for Plan {
    type Outcome = Decision;

    fn kind(&self) -> &'static str {
        "plan"
    }

    fn run(&self, _: &Cancel<'_>) -> Decision {
        decide(&self.0)
    }
}

fn decide(board: &Board) -> Decision {
    if !board.quorate {
        return Decision::Wait("no quorum");
    }
    if !board.is_complete() {
        return Decision::Wait("not every member has said how its resource stands");
    }
    let failed = board.status.iter().filter(|(_, status)| **status == Status::Failed);
    let failed: BTreeSet<Node> = failed.map(|(node, _)| *node).collect();
    let to_fence = &board.unclean() | &failed;
    if !to_fence.is_empty() {
        return Decision::Fence(to_fence);
    }
    match board.holders().collect::<Vec<_>>().as_slice() {
        [] => place(board),
        [_] => Decision::Wait("the resource has its place"),
        [_, rest @ ..] => Decision::Clear(rest[0]),
    }
}

fn place(board: &Board) -> Decision {
    let leaving = board.known_down();
    let candidate = board.members.iter().find(|node| !leaving.contains(node));
    candidate.map_or(Decision::Wait("every member is leaving"), |node| Decision::Place(*node))
}
