//! What is seen of the world: observations, planted violations, counters.

use std::collections::BTreeMap;

use observe::{Event, Node, Observation, Step};
use scenario::{Plant, PowerMode};

use super::World;
use crate::Verb;

impl World {
    /// Something has happened that checkers see.
    pub(super) fn observe(&mut self, node: Node, event: Event) {
        let place = if node == Node(0) { "world".to_string() } else { node.to_string() };
        self.line(place, format_args!("* {event}"));
        let seen = Observation { at: self.now, node, event };
        if node == Node(0) {
            return self.observations.push(seen);
        }
        let state = self.node(node);
        match &seen.event {
            Event::View { ring, members } => state.last.view = Some((*ring, members.clone())),
            Event::State { version, digest } => {
                state.last.state = Some((*version, digest.clone()));
            }
            Event::RingUp | Event::Left => state.last = super::node::Last::default(),
            _ => {}
        }
        self.report(node, seen);
    }

    /// Reports an observation, or what a plant makes of it.
    fn report(&mut self, node: Node, mut seen: Observation) {
        let (now, quorum) = (self.now, self.majority());
        let state = self.node(node);
        if let Event::Quorum { ring, quorate } = &mut seen.event
            && state.plants.quorate
            && state
                .last
                .view
                .as_ref()
                .is_some_and(|(r, members)| r == ring && members.len() < quorum)
        {
            *quorate = true;
            state.plants.quorate = false;
        }
        let is_delivery = matches!(seen.event, Event::Deliver { .. });
        match state.plants.held.take() {
            None if is_delivery && state.plants.reorder => state.plants.held = Some(seen),
            Some(held) if is_delivery => {
                state.plants.reorder = false;
                self.observations.extend([seen, Observation { at: now, ..held }]);
            }
            // Before anything but a delivery it is still in its place.
            held => self.observations.extend(held.into_iter().chain([seen])),
        }
    }

    fn majority(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    /// Plants a violation that a checker must catch.
    pub fn plant(&mut self, plant: Plant, node: Node) -> Result<(), String> {
        let last = &self.node(node).last;
        let view = last.view.clone().ok_or_else(|| format!("{node} is in no membership"));
        match plant {
            Plant::DoubleStart | Plant::UnfencedStart => self.rogue_start(node),
            Plant::FalseQuorum => match view? {
                (ring, members) if members.len() < self.majority() => {
                    self.report_false(node, Event::Quorum { ring, quorate: true });
                }
                _ => self.node(node).plants.quorate = true,
            },
            Plant::FalseView => {
                let (ring, mut members) = view?;
                let other = members.iter().rev().find(|member| **member != node).copied();
                members.remove(&other.ok_or_else(|| format!("{node} is alone in its ring"))?);
                self.report_false(node, Event::View { ring, members });
            }
            Plant::Reorder => self.node(node).plants.reorder = true,
            Plant::FalseState => {
                let state = last.state.clone();
                let (version, digest) = state.ok_or_else(|| format!("{node} told no state"))?;
                let digest = format!("not-{digest}");
                self.report_false(node, Event::State { version, digest });
            }
            Plant::KeepRunning => self.node(node).plants.deaf_to_stops = true,
            Plant::FalseFence => {
                self.agents.switch.insert(node, PowerMode::Lie);
            }
        }
        Ok(())
    }

    fn report_false(&mut self, node: Node, event: Event) {
        self.line(node, format_args!("* planted: {event}"));
        self.observations.push(Observation { at: self.now, node, event });
    }

    /// Somebody starts the resource by hand.
    fn rogue_start(&mut self, node: Node) {
        for step in [Step::Begin, Step::Ok] {
            self.observe_call(node, Verb::Start, step);
        }
        let rsc = self.layout.rsc.clone();
        self.node(node).active.insert(rsc);
    }
}

/// What has happened how often: faults and the like by name, states and timers
/// of each daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Faults, named `fault: ...`, and other things worth knowing.
    pub things: BTreeMap<&'static str, u64>,
    /// Inputs after which a daemon was in a state.
    pub states: BTreeMap<(&'static str, &'static str), u64>,
    /// How often a daemon's timer fired.
    pub timers: BTreeMap<(&'static str, &'static str), u64>,
}

impl Counters {
    /// Counts one more.
    pub fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: &'static str, more: u64) {
        if more > 0 {
            *self.things.entry(what).or_default() += more;
        }
    }

    pub(super) fn state(&mut self, daemon: &'static str, state: &'static str) {
        *self.states.entry((daemon, state)).or_default() += 1;
    }

    pub(super) fn timer(&mut self, daemon: &'static str, timer: &'static str) {
        *self.timers.entry((daemon, timer)).or_default() += 1;
    }

    /// Adds what another run counted.
    pub fn merge(&mut self, other: &Counters) {
        for (what, more) in &other.things {
            *self.things.entry(what).or_default() += more;
        }
        for (what, more) in &other.states {
            *self.states.entry(*what).or_default() += more;
        }
        for (what, more) in &other.timers {
            *self.timers.entry(*what).or_default() += more;
        }
    }
}
