//! What runs on a node: the daemons of a stack, and how they call agents.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use observe::Node;
use sansio::Now;
use sansio::edge::Spawn;

use crate::Machine;

/// One daemon of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaemonSpec {
    /// Its name, as scenario files use it.
    pub name: &'static str,
    /// The local services that it serves.
    pub services: &'static [&'static str],
    /// Whether the node's datagram sockets are its own.
    pub datagrams: bool,
}

/// What every node of a cluster is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Address of each node on each link.
    pub addresses: BTreeMap<Node, Vec<SocketAddr>>,
    /// The resource to keep running, by the name that agents are called with.
    pub rsc: String,
    /// What it is made of, in order, as observations name it: itself, or the
    /// members of a group.
    pub members: Vec<String>,
}

/// What a daemon is told at its start.
pub struct Boot<'a> {
    /// Where it runs.
    pub node: Node,
    /// The time.
    pub now: Now,
    /// A number that no other life of a daemon on this node has.
    pub epoch: u64,
    /// The cluster.
    pub layout: &'a Layout,
    /// Reads a file of its state directory.
    pub read: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    /// Whether to check that its recording replays.
    pub shadow: bool,
}

/// What a program that a daemon starts is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentCall {
    /// A resource agent.
    Resource {
        /// The resource.
        rsc: String,
        /// What it is to do.
        verb: Verb,
    },
    /// A fence agent.
    Fence {
        /// The node.
        target: Node,
        /// Whether it gets its power back.
        reboot: bool,
    },
}

/// What a resource agent is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Start the resource.
    Start,
    /// Stop it.
    Stop,
    /// Look whether it is active: exit status 0, or 7 when it is not.
    Monitor,
}

/// What a daemon's core can be in and what can wake it, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Its states.
    pub states: Vec<&'static str>,
    /// Its timers.
    pub timers: Vec<&'static str>,
}

impl Coverage {
    /// What `D` says of itself.
    pub fn of<D: sansio::Inspect>() -> Self {
        Self { states: D::states().to_vec(), timers: D::timers() }
    }
}

/// A stack: which daemons a node runs and how they start.
pub trait Stack {
    /// Its name in the head of scenario files.
    fn name(&self) -> &'static str;

    /// The daemons of a node in the order in which they start.
    fn daemons(&self) -> &[DaemonSpec];

    /// Starts the daemon in `slot` of [`Stack::daemons`].
    fn boot(&self, slot: usize, boot: &Boot<'_>) -> Box<dyn Machine>;

    /// Every state and every timer of the daemon in `slot`, for coverage.
    fn coverage(&self, slot: usize) -> Coverage;

    /// What a program is; None: there is no such program.
    fn agent(&self, spawn: &Spawn) -> Option<AgentCall>;
}
