//! What the checkers are told about a run.

use std::collections::BTreeMap;

use observe::Node;

/// A stretch of time of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The node.
    pub node: Node,
    /// Its first nanosecond.
    pub from: u64,
    /// The nanosecond after its last.
    pub to: u64,
}

/// What the checkers are told about a run: the configuration that the rules
/// depend on, and what the runner did that observations don't show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Votes of each configured node.
    pub votes: BTreeMap<Node, u32>,
    /// How many votes make a partition quorate.
    pub quorum: u32,
    /// Checkers that are off, each with the reason that the report repeats.
    pub off: BTreeMap<&'static str, String>,
    /// How long a node without quorum may take to stop its resources.
    pub minority_stop_ns: u64,
    /// How long before its answer a fence agent may have switched the power.
    pub fence_window_ns: u64,
    /// Stretches in which a node could not act: frozen, or its cluster software
    /// killed and not yet back.
    pub unable: Vec<Interval>,
    /// Since when the cluster has been healed and left alone long enough to
    /// agree, if the run ended so.
    pub quiet_from: Option<u64>,
    /// Whether an observer of deliveries may have come up later than the
    /// membership in which it delivers, as on real nodes.
    pub late_observers: bool,
}

impl Settings {
    /// Nodes 1 to `count` with one vote each and every checker on.
    pub fn majority(count: u32) -> Self {
        Self {
            votes: (1..=count).map(|n| (Node(n), 1)).collect(),
            quorum: count / 2 + 1,
            off: BTreeMap::new(),
            minority_stop_ns: 60_000_000_000,
            fence_window_ns: 120_000_000_000,
            unable: Vec::new(),
            quiet_from: None,
            late_observers: false,
        }
    }

    /// Switches off what needs fencing, because the run has none.
    pub fn without_fencing(mut self, because: &str) -> Self {
        self.off.insert(crate::fence_before_start::NAME, because.to_string());
        self
    }

    /// Nanoseconds of `[from, to)` in which `node` could not act.
    pub(crate) fn unable_ns(&self, node: Node, from: u64, to: u64) -> u64 {
        let mine = self.unable.iter().filter(|i| i.node == node);
        mine.map(|i| i.to.min(to).saturating_sub(i.from.max(from))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unable_time_is_cut_to_the_stretch_asked_for() {
        let mut settings = Settings::majority(3);
        settings.unable.push(Interval { node: Node(1), from: 10, to: 20 });
        settings.unable.push(Interval { node: Node(2), from: 0, to: 99 });
        assert_eq!(settings.unable_ns(Node(1), 0, 15), 5);
        assert_eq!(settings.unable_ns(Node(1), 12, 15), 3);
        assert_eq!(settings.unable_ns(Node(1), 20, 30), 0);
    }
}
