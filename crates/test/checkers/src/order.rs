//! Within a ring all nodes deliver one order, without gaps and repetitions; who
//! moves on together delivered the same.
//!
//! The order of a ring is what the first node to reach each position delivered
//! there. Every other node follows it from its first message on. An observer that
//! may come late (see [`crate::Settings::late_observers`]) can start anywhere in
//! it; otherwise a node starts at the beginning and delivers only in the ring
//! that it installed last.

use std::collections::BTreeMap;

use observe::{Event, Node, Observation, RingId};

use crate::{Checker, Finding, Report, Settings};

pub(crate) const NAME: &str = "order";

pub(crate) struct Order {
    late: bool,
    rings: BTreeMap<RingId, Ring>,
    nodes: BTreeMap<Node, Life>,
    /// Who went from one ring to the next, with the observation of the next.
    moves: BTreeMap<(RingId, RingId), Vec<(Node, usize)>>,
}

type Key = (String, Node, u64, u64);

/// The order of one ring as far as any node delivered it.
#[derive(Default)]
struct Ring {
    order: Vec<(Key, usize)>,
    place: BTreeMap<Key, usize>,
    followers: BTreeMap<Node, Follower>,
}

/// How far a node has come in a ring: the position of its next message, and the
/// observation of its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Follower {
    next: usize,
    last: usize,
}

/// One life of a node's membership service.
#[derive(Default)]
struct Life {
    ring: Option<(RingId, usize)>,
    /// Last number of each sender's stream: number, ring, observation.
    streams: BTreeMap<(String, Node, u64), (u64, RingId, usize)>,
}

impl Order {
    pub(crate) fn new(settings: &Settings) -> Self {
        let late = settings.late_observers;
        Self { late, rings: BTreeMap::new(), nodes: BTreeMap::new(), moves: BTreeMap::new() }
    }
}

impl Checker for Order {
    fn name(&self) -> &'static str {
        NAME
    }

    fn see(&mut self, index: usize, seen: &Observation, report: &mut Report<'_>) {
        let node = seen.node;
        match &seen.event {
            Event::RingUp => {
                self.nodes.remove(&node);
            }
            Event::View { ring, .. } => {
                let life = self.nodes.entry(node).or_default();
                if let Some((before, _)) = life.ring.filter(|(before, _)| before != ring) {
                    self.moves.entry((before, *ring)).or_default().push((node, index));
                }
                life.ring = Some((*ring, index));
            }
            Event::Deliver { ring, group, sender, number, epoch } => {
                let key = (group.clone(), *sender, *epoch, *number);
                let problems = [
                    self.wrong_ring(node, *ring),
                    self.wrong_number(node, *ring, &key, index),
                    self.wrong_place(node, *ring, key, index),
                ];
                for (what, earlier) in problems.into_iter().flatten() {
                    let evidence = [earlier, Some(index)].into_iter().flatten().collect();
                    let nodes = vec![node];
                    report.add(Finding { at: seen.at, what, nodes, rsc: None, evidence });
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, at: u64, report: &mut Report<'_>) {
        for ((from, to), movers) in &self.moves {
            let Some(ring) = self.rings.get(from) else { continue };
            if let Some(finding) = ring.parted(movers, self.late) {
                let what =
                    format!("{} in ring {from} and went to ring {to} together", finding.what);
                report.add(Finding { at, what, ..finding });
            }
        }
    }
}

type Problem = Option<(String, Option<usize>)>;

impl Order {
    fn wrong_ring(&self, node: Node, ring: RingId) -> Problem {
        let (current, index) = self.nodes.get(&node)?.ring?;
        let what = || format!("{node} delivers in ring {ring} while it is in ring {current}");
        (current != ring && !self.late).then(|| (what(), Some(index)))
    }

    fn wrong_number(&mut self, node: Node, ring: RingId, key: &Key, index: usize) -> Problem {
        let (group, sender, epoch, number) = key;
        let life = self.nodes.entry(node).or_default();
        let stream = (group.clone(), *sender, *epoch);
        let before = life.streams.insert(stream, (*number, ring, index))?;
        let (last, last_ring, last_index) = before;
        let problem = if *number <= last {
            "again or late"
        } else if last_ring == ring && *number != last + 1 {
            "with a gap"
        } else {
            return None;
        };
        let what = format!("{node} delivers message {number} of {sender} {problem}, after {last}");
        Some((what, Some(last_index)))
    }

    fn wrong_place(&mut self, node: Node, ring: RingId, key: Key, index: usize) -> Problem {
        let installed = self.nodes.get(&node).is_some_and(|life| life.ring.is_some());
        let from_start = installed && !self.late;
        let ring = self.rings.entry(ring).or_default();
        let expected = match ring.followers.get(&node) {
            Some(follower) => Some(follower.next),
            None => from_start.then_some(0),
        };
        let place = ring.place_of(key, index);
        ring.followers.insert(node, Follower { next: place + 1, last: index });
        let expected = expected.filter(|expected| *expected != place)?;
        let (_, sender, _, number) = &ring.order[place].0;
        let delivers = format!("{node} delivers message {number} of {sender}");
        let Some((wanted, first)) = ring.order.get(expected) else {
            return Some((format!("{delivers} after what others delivered later"), None));
        };
        let what =
            format!("{delivers} where others delivered message {} of {}", wanted.3, wanted.1);
        Some((what, Some(*first)))
    }
}

impl Ring {
    /// The message's position, at the end if nobody delivered it before.
    fn place_of(&mut self, key: Key, index: usize) -> usize {
        if let Some(place) = self.place.get(&key) {
            return *place;
        }
        self.order.push((key.clone(), index));
        self.place.insert(key, self.order.len() - 1);
        self.order.len() - 1
    }

    /// Whether nodes that moved on together had delivered different amounts.
    fn parted(&self, movers: &[(Node, usize)], late: bool) -> Option<Finding> {
        let reached = |node: Node| self.followers.get(&node).map_or(0, |follower| follower.next);
        // A late observer that saw nothing of the ring proves nothing.
        let saw = |node: &Node| !late || self.followers.contains_key(node);
        let movers: Vec<(Node, usize)> =
            movers.iter().filter(|(node, _)| saw(node)).copied().collect();
        let (most, most_view) = *movers.iter().max_by_key(|(node, _)| reached(*node))?;
        let (least, least_view) = *movers.iter().min_by_key(|(node, _)| reached(*node))?;
        let (more, less) = (reached(most), reached(least));
        let mut evidence = vec![most_view, least_view];
        evidence.extend(self.followers.get(&most).map(|follower| follower.last));
        evidence.extend(self.followers.get(&least).map(|follower| follower.last));
        let what = format!("{most} delivered up to message {more} and {least} up to {less}");
        let nodes = vec![most, least];
        (more != less).then(|| Finding { what, nodes, evidence, ..Finding::default() })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{caught, check_lines, settings};

    const RING: &str = "1 n1 view 1.1 1,2\n1 n2 view 1.1 1,2\n";

    fn verdict(text: &str) -> Vec<&'static str> {
        caught(&settings(3), &format!("{RING}{text}"))
    }

    #[test]
    fn prefixes_of_one_order_are_fine() {
        let prefix = "2 n1 deliver 1.1 n1 7 1 g\n3 n1 deliver 1.1 n2 9 1 g\n\
                      4 n2 deliver 1.1 n1 7 1 g\n5 n2 deliver 1.1 n2 9 1 g\n\
                      6 n2 deliver 1.1 n2 9 2 g\n";
        assert_eq!(verdict(prefix), [""; 0]);
    }

    #[test]
    fn two_orders_are_caught() {
        let crossed = "2 n1 deliver 1.1 n1 7 1 g\n3 n1 deliver 1.1 n2 9 1 g\n\
                       4 n2 deliver 1.1 n2 9 1 g\n5 n2 deliver 1.1 n1 7 1 g\n";
        assert_eq!(verdict(crossed), ["order", "order"]);
    }

    #[test]
    fn repetitions_and_gaps_are_caught() {
        let twice = "2 n1 deliver 1.1 n1 7 1 g\n3 n1 deliver 1.1 n1 7 1 g\n";
        assert_eq!(verdict(twice)[0], "order");
        let gap = "2 n1 deliver 1.1 n1 7 1 g\n3 n1 deliver 1.1 n1 7 3 g\n";
        assert_eq!(verdict(gap), ["order"]);
    }

    #[test]
    fn a_repetition_in_the_next_ring_is_caught_but_a_gap_between_rings_is_not() {
        let next = "2 n1 deliver 1.1 n1 7 1 g\n2 n2 deliver 1.1 n1 7 1 g\n\
                    3 n1 view 1.2 1,2,3\n3 n2 view 1.2 1,2,3\n";
        assert_eq!(verdict(&format!("{next}4 n1 deliver 1.2 n1 7 1 g\n")), ["order"]);
        assert_eq!(verdict(&format!("{next}4 n1 deliver 1.2 n1 7 5 g\n")), [""; 0]);
    }

    #[test]
    fn the_beginning_may_be_missed_by_a_late_observer_only() {
        let missed = "2 n1 deliver 1.1 n1 7 1 g\n3 n1 deliver 1.1 n2 9 1 g\n\
                      4 n2 deliver 1.1 n2 9 1 g\n";
        assert_eq!(verdict(missed), ["order"]);
        let mut late = settings(3);
        late.late_observers = true;
        assert_eq!(caught(&late, &format!("{RING}{missed}")), [""; 0]);
        let moved = "5 n1 view 1.2 1,2\n5 n2 view 1.2 1,2\n";
        assert_eq!(caught(&late, &format!("{RING}{missed}{moved}")), [""; 0]);
    }

    #[test]
    fn who_moves_on_together_delivered_the_same() {
        let one_more = "2 n1 deliver 1.1 n1 7 1 g\n";
        let together = "3 n1 view 1.2 1,2\n3 n2 view 1.2 1,2\n";
        assert_eq!(verdict(&format!("{one_more}{together}")), ["order"]);
        let apart = "3 n1 view 1.2 1\n3 n2 view 2.2 2\n";
        assert_eq!(verdict(&format!("{one_more}{apart}")), [""; 0]);
        let restarted = "3 n1 view 1.2 1,2\n3 n2 ring-up\n4 n2 view 1.2 1,2\n";
        assert_eq!(verdict(&format!("{one_more}{restarted}")), [""; 0]);
    }

    #[test]
    fn a_ring_that_was_left_delivers_nothing() {
        let after = "3 n1 view 1.2 1\n4 n1 deliver 1.1 n1 7 1 g\n";
        assert_eq!(verdict(after), ["order"]);
    }

    #[test]
    fn a_new_life_of_a_sender_counts_from_one_again() {
        let lives = "2 n1 deliver 1.1 n2 7 5 g\n3 n1 deliver 1.1 n2 8 1 g\n";
        assert_eq!(verdict(lives), [""; 0]);
    }

    #[test]
    fn what_was_found_says_who_and_where() {
        let gap = format!("{RING}2 n1 deliver 1.1 n1 7 1 g\n3 n1 deliver 1.1 n1 7 3 g\n");
        let lines = check_lines(&settings(3), &gap);
        assert_eq!(lines[0], "order at 0.000s: n1 delivers message 3 of n1 with a gap, after 1");
        assert_eq!(lines.len(), 3);
    }
}
