//! The observation schema.
//!
//! Checkers see a cluster only through these events: in the simulator they come
//! from the processes directly, on real nodes from the probe of each node, the
//! journals of the agents and the journal of the power switch. One line of text
//! per observation (`Display` and `FromStr`) so that a trace can be read, cut
//! and given to a checker again.
//!
//! `at` is nanoseconds on one clock for all nodes: virtual time, or the host's
//! CLOCK_REALTIME, which nodes on one machine share. An oracle may compare the
//! times of two nodes; nothing under test ever does.

#[cfg(test)]
mod corpus;
mod text;

use std::collections::BTreeSet;

pub use ha_types::{Node, RingId};
pub use text::ParseError;

/// One thing that happened, where and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Nanoseconds on the clock that all nodes of the run share.
    pub at: u64,
    /// Where: a node, or node 0 for the power switch and the runner itself.
    pub node: Node,
    /// What.
    pub event: Event,
}

/// What can be observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The membership service came up, with nothing remembered but its disk.
    RingUp,
    /// The node installed a membership.
    View {
        /// Its identity.
        ring: RingId,
        /// Its members, this node among them.
        members: BTreeSet<Node>,
    },
    /// The node says whether its partition is quorate.
    Quorum {
        /// The membership it speaks of.
        ring: RingId,
        /// Its verdict.
        quorate: bool,
    },
    /// An ordered message was delivered to the observer on this node.
    Deliver {
        /// The membership in which it was delivered.
        ring: RingId,
        /// The group it was sent to.
        group: String,
        /// Its sender.
        sender: Node,
        /// The sender's own number of the message, from 1, unique per `epoch`.
        number: u64,
        /// Which life of the sender sent it (start time, pid: any unique number).
        epoch: u64,
    },
    /// A resource agent was called to start or promote, or returned from it.
    Start {
        /// The resource, with its instance where it is a clone.
        rsc: String,
        /// How far the call has come.
        step: Step,
    },
    /// A resource agent was called to stop, or returned from it.
    Stop {
        /// The resource.
        rsc: String,
        /// How far the call has come.
        step: Step,
    },
    /// The node lost or got its power; the truth, seen by who switched it.
    Power {
        /// The node that was switched (`node` of the observation is 0).
        target: Node,
        /// On or off.
        on: bool,
        /// Why.
        cause: PowerCause,
    },
    /// A fence agent answered a request: what the cluster was told, true or not.
    Fenced {
        /// The node that was to be fenced.
        target: Node,
        /// Whether the agent reported success.
        ok: bool,
    },
    /// The node's copy of the cluster state.
    State {
        /// `admin_epoch.epoch.num_updates`, or the count of changes.
        version: (u64, u64, u64),
        /// Digest of the content, in hexadecimal.
        digest: String,
    },
    /// The node's cluster software ended on purpose, all its resources stopped.
    Left,
    /// The runner injected or ended a fault, or a scenario reached a point.
    Mark {
        /// Free text for the reader of the timeline.
        text: String,
    },
}

/// How far an agent's call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Called; from now on the resource may be active (or not yet stopped).
    Begin,
    /// Returned success.
    Ok,
    /// Returned failure or timed out: the resource may still be active.
    Failed,
}

/// Why a node lost or got its power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerCause {
    /// A fence agent asked for it.
    Fence,
    /// The scenario did it, as a failure would.
    Fault,
    /// The scenario did it, as an administrator would.
    Operator,
}
