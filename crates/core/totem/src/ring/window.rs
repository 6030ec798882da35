//! The messages of one ring that this node has and may still need.

use std::collections::{BTreeSet, VecDeque};

use ha_types::{Node, RingId};

use crate::message::Mcast;
use crate::seq::before;

/// How many sequences a window spans; the reference's queue has the same size,
/// and flow control keeps every member's within it.
pub(crate) const SPAN: u32 = 16_384;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    /// Not here, and for how many rotations that has been noticed.
    Missing {
        noticed: u32,
    },
    Held(Mcast),
}

/// A queue of messages by sequence, from the oldest that some member may lack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// The sequence of the first slot.
    head: u32,
    slots: VecDeque<Slot>,
    /// All received up to here.
    pub(crate) aru: u32,
    /// The highest sequence received.
    pub(crate) high: u32,
}

impl Default for Window {
    fn default() -> Self {
        Self { head: 1, slots: VecDeque::new(), aru: 0, high: 0 }
    }
}

impl Window {
    /// Whether `seq` may be held.
    pub(crate) fn spans(&self, seq: u32) -> bool {
        seq.wrapping_sub(self.head) < SPAN
    }

    /// The last sequence that was let go.
    pub(crate) fn released(&self) -> u32 {
        self.head.wrapping_sub(1)
    }

    /// The message with this sequence, if it is here.
    pub(crate) fn message(&self, seq: u32) -> Option<&Mcast> {
        match self.slots.get(self.index(seq)?)? {
            Slot::Held(mcast) => Some(mcast),
            Slot::Missing { .. } => None,
        }
    }

    /// Takes a message in, unless it is here already or outside the span.
    pub(crate) fn insert(&mut self, mcast: Mcast) -> bool {
        if !self.spans(mcast.seq) || self.message(mcast.seq).is_some() {
            return false;
        }
        self.put(mcast);
        true
    }

    /// Takes a message of this node in: who has the token gives the sequence.
    pub(crate) fn put(&mut self, mcast: Mcast) {
        let seq = mcast.seq;
        let Some(slot) = self.slot(seq) else { return };
        *slot = Slot::Held(mcast);
        if before(self.high, seq) {
            self.high = seq;
        }
        while before(self.aru, self.high) && self.message(self.aru.wrapping_add(1)).is_some() {
            self.aru = self.aru.wrapping_add(1);
        }
    }

    /// Notices that `seq` is missing; says for how many rotations it has been.
    pub(crate) fn miss(&mut self, seq: u32) -> u32 {
        match self.slot(seq) {
            Some(Slot::Missing { noticed }) => {
                *noticed += 1;
                *noticed
            }
            _ => 0,
        }
    }

    /// Lets go of everything up to `seq`.
    pub(crate) fn release_to(&mut self, seq: u32) {
        let count = seq.wrapping_sub(self.released());
        if count > SPAN {
            return;
        }
        let held = self.slots.len().min(count as usize);
        self.slots.drain(..held);
        self.head = self.head.wrapping_add(count);
        if before(self.aru, seq) {
            self.aru = seq;
        }
        if before(self.high, seq) {
            self.high = seq;
        }
    }

    fn index(&self, seq: u32) -> Option<usize> {
        self.spans(seq).then(|| seq.wrapping_sub(self.head) as usize)
    }

    fn slot(&mut self, seq: u32) -> Option<&mut Slot> {
        let index = self.index(seq)?;
        while self.slots.len() <= index {
            self.slots.push_back(Slot::Missing { noticed: 0 });
        }
        self.slots.get_mut(index)
    }
}

/// What a node has of a ring, while it stands and until the next one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) id: RingId,
    pub(crate) members: BTreeSet<Node>,
    pub(crate) window: Window,
    /// Handed to the services up to here.
    pub(crate) delivered: u32,
    /// Known to be with every member up to here.
    pub(crate) safe: u32,
}

impl History {
    /// Of a node that has been in no ring yet.
    pub(crate) fn none(id: RingId) -> Self {
        let window = Window::default();
        Self { id, members: BTreeSet::new(), window, delivered: 0, safe: 0 }
    }

    /// [TOTEM-4] [TOTEM-5] The next message that may be delivered: in sequence
    /// without a gap, and one that asks for it only when all members have it.
    pub(crate) fn next_in_order(&mut self) -> Option<Mcast> {
        let mut seq = self.delivered.wrapping_add(1);
        if sansio::mutant::active("TOTEM-4/remove") {
            while before(seq, self.window.high) && self.window.message(seq).is_none() {
                seq = seq.wrapping_add(1);
            }
        }
        if sansio::mutant::active("TOTEM-4/weaken") && self.window.message(seq).is_none() {
            seq = seq.wrapping_add(1);
        }
        let mcast = self.window.message(seq)?;
        let waits = mcast.safe && !sansio::mutant::active("TOTEM-5/remove");
        if waits && before(self.safe, seq) {
            return None;
        }
        let mcast = mcast.clone();
        self.delivered = seq;
        Some(mcast)
    }

    /// The next message behind a gap, when nobody can fill it any more: only
    /// from `together`, as all of them have the same of each other.
    pub(crate) fn next_of(&mut self, together: &BTreeSet<Node>) -> Option<Mcast> {
        while before(self.delivered, self.window.high) {
            self.delivered = self.delivered.wrapping_add(1);
            match self.window.message(self.delivered) {
                Some(mcast) if together.contains(&mcast.from) => return Some(mcast.clone()),
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Place;

    fn mcast(seq: u32, safe: bool) -> Mcast {
        let ring = RingId { rep: Node(1), seq: 4 };
        let node = Node(1 + seq % 2);
        let place = Place { node, ring, seq, number: 0, safe, encapsulated: false };
        Mcast::compose(&place, 0, |_| {})
    }

    #[test]
    fn the_aru_stops_at_a_gap() {
        let mut window = Window::default();
        assert!(window.insert(mcast(1, false)));
        assert!(window.insert(mcast(3, false)));
        assert!(!window.insert(mcast(3, false)), "twice");
        assert_eq!((window.aru, window.high), (1, 3));
        assert_eq!((window.miss(2), window.miss(2), window.miss(3)), (1, 2, 0));
        assert!(window.insert(mcast(2, false)));
        assert_eq!(window.aru, 3);
    }

    #[test]
    fn what_is_outside_the_span_is_not_held() {
        let mut window = Window::default();
        assert!(!window.insert(mcast(0, false)));
        assert!(!window.insert(mcast(SPAN + 1, false)));
        assert!(window.insert(mcast(SPAN, false)));
        window.release_to(5);
        assert!(window.spans(SPAN + 5) && !window.spans(5));
        assert_eq!(window.released(), 5);
        window.release_to(2);
        assert_eq!(window.released(), 5, "never back");
    }

    #[test]
    fn sequences_wrap() {
        let mut window = Window {
            head: u32::MAX,
            slots: VecDeque::new(),
            aru: u32::MAX - 1,
            high: u32::MAX - 1,
        };
        for seq in [u32::MAX, 0, 1] {
            assert!(window.insert(mcast(seq, false)));
        }
        assert_eq!(window.aru, 1);
        window.release_to(0);
        assert!(window.message(1).is_some() && window.message(0).is_none());
    }

    #[test]
    fn order_waits_for_gaps_and_for_safety() {
        let mut history = History::none(RingId { rep: Node(1), seq: 4 });
        for seq in [1, 2, 4, 6] {
            history.window.insert(mcast(seq, seq == 2));
        }
        let next = |history: &mut History| history.next_in_order().map(|m| m.seq);
        assert_eq!((next(&mut history), next(&mut history)), (Some(1), None), "2 is not safe yet");
        history.safe = 2;
        assert_eq!((next(&mut history), next(&mut history)), (Some(2), None), "3 is missing");
        let together = BTreeSet::from([Node(1)]);
        assert_eq!(history.next_of(&together).map(|m| m.seq), Some(4));
        assert_eq!(history.next_of(&together).map(|m| m.seq), Some(6));
        assert_eq!(history.next_of(&together), None);
    }
}
