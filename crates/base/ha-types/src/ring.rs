//! What a ring hands out to the services above it, and what they ask of it.
//!
//! Events are totally ordered: configuration changes and messages arrive in the
//! same order on all nodes that go together (extended virtual synchrony).

use std::collections::BTreeSet;

use crate::{Node, RingId};

/// What the ring hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message, in agreed order; the sender's own come back to it too.
    Deliver {
        /// Who sent it.
        from: Node,
        /// What was sent, whole.
        bytes: Vec<u8>,
    },
    /// The membership changed.
    Configuration(Configuration),
}

/// A membership change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Transitional: who goes together from the old ring; regular: the new ring.
    pub kind: ConfigurationKind,
    /// The new ring (the old one's id in a transitional configuration).
    pub ring: RingId,
    /// Its members.
    pub members: BTreeSet<Node>,
    /// Who is not in it any more.
    pub left: BTreeSet<Node>,
    /// Who is new in it.
    pub joined: BTreeSet<Node>,
}

/// The two kinds of configuration of extended virtual synchrony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigurationKind {
    /// The members of the old ring that go on together.
    Transitional,
    /// The new ring.
    Regular,
}
