//! Which authenticated datagrams are fresh.
//!
//! The ciphers live in the io crate `crypto`; what is decided here stands behind
//! a verified MAC: a sender's node, its *start* (a number that grows with each
//! life of the sender's process) and its *counter* (which grows with each
//! datagram). A datagram is taken once, and none of an earlier life is taken
//! after one of a later life. Requirements: docs/spec/crypto.md, CRYPT-4 to
//! CRYPT-7.

mod reports;
mod window;

use std::collections::BTreeMap;

use ha_types::Node;

pub use reports::Reports;
use window::Window;

/// Senders that a guard remembers; a key holder that invents node numbers
/// cannot make it grow beyond.
const MAX_SENDERS: usize = 1024;

/// What stands under the MAC beside the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The sender's node number.
    pub sender: Node,
    /// Grows with each life of the sender.
    pub start: u64,
    /// Grows with each datagram of a life, from 1.
    pub counter: u64,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not seen before: take it.
    Fresh,
    /// Seen before, or so old that nobody can tell.
    Repeated,
    /// From an earlier life of its sender than one that was heard already.
    EarlierLife,
    /// From a sender beyond the number that is remembered.
    TooManySenders,
}

/// A sender's last known life.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sender {
    start: u64,
    window: Window,
}

impl Sender {
    fn take(&mut self, counter: u64) -> Verdict {
        if self.window.take(counter) { Verdict::Fresh } else { Verdict::Repeated }
    }
}

/// The receiver's memory of what it has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    senders: BTreeMap<Node, Sender>,
}

impl Guard {
    /// Remembers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges a datagram whose MAC has been verified, and remembers it if it is
    /// fresh [CRYPT-4] [CRYPT-5].
    pub fn admit(&mut self, stamp: Stamp) -> Verdict {
        let full = self.senders.len() >= MAX_SENDERS;
        match self.senders.get_mut(&stamp.sender) {
            None if full => Verdict::TooManySenders,
            None => self.new_life(stamp),
            Some(known) if stamp.start < known.start => Verdict::EarlierLife,
            Some(known) if stamp.start > known.start => self.new_life(stamp),
            Some(known) => known.take(stamp.counter),
        }
    }

    fn new_life(&mut self, stamp: Stamp) -> Verdict {
        let mut life = Sender { start: stamp.start, window: Window::default() };
        let verdict = life.take(stamp.counter);
        if verdict == Verdict::Fresh {
            self.senders.insert(stamp.sender, life);
        }
        verdict
    }

    /// Forgets nodes that are no longer configured.
    pub fn retain(&mut self, is_configured: impl Fn(Node) -> bool) {
        self.senders.retain(|node, _| is_configured(*node));
    }
}

/// The sender's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamper {
    sender: Node,
    start: u64,
    counter: u64,
}

impl Stamper {
    /// A new life: `stored` is the start of the last one as it is on disk,
    /// `clock` nanoseconds of the wall clock. The result's [`Stamper::start`]
    /// must be durable before the first datagram leaves [CRYPT-6]: a clock that
    /// was set back must not make this life look like an earlier one.
    pub fn new(sender: Node, stored: Option<u64>, clock: u64) -> Self {
        let after = stored.map_or(0, |last| last.saturating_add(1));
        Self { sender, start: clock.max(after), counter: 0 }
    }

    /// The number of this life.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The stamp of the next datagram; None when the life's numbers are used up
    /// and the process must be restarted (2^64 - 1 datagrams).
    pub fn next_stamp(&mut self) -> Option<Stamp> {
        self.counter = self.counter.checked_add(1)?;
        Some(Stamp { sender: self.sender, start: self.start, counter: self.counter })
    }
}

#[cfg(test)]
mod tests {
    use sansio::Rng;

    use super::*;

    fn stamp(start: u64, counter: u64) -> Stamp {
        Stamp { sender: Node(1), start, counter }
    }

    #[test]
    fn a_datagram_is_taken_once_in_whatever_order() {
        let mut guard = Guard::new();
        let mut counters: Vec<u64> = (1..=500).collect();
        let mut rng = Rng::new(3);
        for at in (1..counters.len()).rev() {
            let other = usize::try_from(rng.below(at as u64 + 1)).unwrap();
            counters.swap(at, other);
        }
        for counter in &counters {
            assert_eq!(guard.admit(stamp(9, *counter)), Verdict::Fresh);
        }
        for counter in &counters {
            assert_eq!(guard.admit(stamp(9, *counter)), Verdict::Repeated);
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_refused() {
        let mut guard = Guard::new();
        assert_eq!(guard.admit(stamp(9, 5000)), Verdict::Fresh);
        assert_eq!(guard.admit(stamp(9, 5000 - window::SIZE)), Verdict::Repeated);
        assert_eq!(guard.admit(stamp(9, 5001 - window::SIZE)), Verdict::Fresh);
    }

    #[test]
    fn a_later_life_ends_the_earlier_one() {
        let mut guard = Guard::new();
        assert_eq!(guard.admit(stamp(9, 100)), Verdict::Fresh);
        assert_eq!(guard.admit(stamp(10, 1)), Verdict::Fresh);
        assert_eq!(guard.admit(stamp(9, 101)), Verdict::EarlierLife);
        assert_eq!(guard.admit(stamp(10, 1)), Verdict::Repeated);
        assert_eq!(guard.admit(stamp(10, 2)), Verdict::Fresh);
    }

    #[test]
    fn counter_zero_and_the_end_of_numbers_are_refused() {
        let mut guard = Guard::new();
        assert_eq!(guard.admit(stamp(1, 0)), Verdict::Repeated);
        assert_eq!(guard.admit(stamp(1, u64::MAX)), Verdict::Fresh);
        assert_eq!(guard.admit(stamp(1, u64::MAX)), Verdict::Repeated);
        let mut stamper = Stamper { sender: Node(1), start: 1, counter: u64::MAX - 1 };
        assert_eq!(stamper.next_stamp().map(|s| s.counter), Some(u64::MAX));
        assert_eq!(stamper.next_stamp(), None);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_matter() {
        let first = Stamper::new(Node(1), None, 1000);
        let second = Stamper::new(Node(1), Some(first.start()), 400);
        assert!(second.start() > first.start());
        assert_eq!(Stamper::new(Node(1), Some(first.start()), 5000).start(), 5000);
    }

    #[test]
    fn invented_senders_cannot_fill_the_memory() {
        let mut guard = Guard::new();
        for node in 0..1024 {
            let stamp = Stamp { sender: Node(node), start: 1, counter: 1 };
            assert_eq!(guard.admit(stamp), Verdict::Fresh);
        }
        let more = Stamp { sender: Node(5000), start: 1, counter: 1 };
        assert_eq!(guard.admit(more), Verdict::TooManySenders);
        guard.retain(|node| node.0 < 3);
        assert_eq!(guard.admit(more), Verdict::Fresh);
    }
}
