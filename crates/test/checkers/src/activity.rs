//! Which resource may be active where: the truth, as agents and power switch
//! saw it.

use std::collections::BTreeMap;

use observe::{Event, Node, Observation, Step};

/// Where resources may be active: from the call of a start until a stop returned
/// success or the node lost its power. Each entry holds the index of the
/// observation since which it is so.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    active: BTreeMap<String, BTreeMap<Node, usize>>,
}

/// What an observation changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A start was called; true when the resource was not active there before.
    Begun(bool),
    /// These resources of the node are no longer active.
    Ended(Node, Vec<(String, usize)>),
    /// Nothing.
    None,
}

impl Activity {
    /// Takes the next observation.
    pub(crate) fn apply(&mut self, index: usize, seen: &Observation) -> Change {
        match &seen.event {
            Event::Start { rsc, step: Step::Begin } => {
                let places = self.active.entry(rsc.clone()).or_default();
                let fresh = !places.contains_key(&seen.node);
                places.entry(seen.node).or_insert(index);
                Change::Begun(fresh)
            }
            Event::Stop { rsc, step: Step::Ok } => {
                let since = self.active.get_mut(rsc).and_then(|places| places.remove(&seen.node));
                let ended = since.map(|since| (rsc.clone(), since));
                Change::Ended(seen.node, ended.into_iter().collect())
            }
            Event::Power { target, on: false, .. } => Change::Ended(*target, self.clear(*target)),
            _ => Change::None,
        }
    }

    fn clear(&mut self, node: Node) -> Vec<(String, usize)> {
        let places = self.active.iter_mut();
        places.filter_map(|(rsc, places)| Some((rsc.clone(), places.remove(&node)?))).collect()
    }

    /// Where `rsc` may be active, other than on `node`.
    pub(crate) fn elsewhere(&self, rsc: &str, node: Node) -> Option<(Node, usize)> {
        let places = self.active.get(rsc)?;
        places.iter().find(|(place, _)| **place != node).map(|(place, since)| (*place, *since))
    }

    /// What may be active on `node`, with the index since when.
    pub(crate) fn on(&self, node: Node) -> impl Iterator<Item = (&String, usize)> {
        let here = move |(rsc, places): (_, &BTreeMap<Node, usize>)| {
            places.get(&node).map(|since| (rsc, *since))
        };
        self.active.iter().filter_map(here)
    }
}
