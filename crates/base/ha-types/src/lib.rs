//! Types that every part of the stack speaks.

pub mod ring;

use std::fmt;

/// A cluster node by its number (`nodeid` in corosync.conf), from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub u32);

/// Identity of a membership: who formed it, and a number that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingId {
    /// Grows with every membership that a node installs.
    pub seq: u64,
    /// The ring's representative.
    pub rep: Node,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.rep.0, self.seq)
    }
}
