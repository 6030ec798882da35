//! What will happen, ordered by time and, within one instant, by the order in
//! which it was decided. Nothing else orders events: no address, no hash.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Something that will happen.
#[derive(Debug)]
pub(crate) struct Scheduled<E> {
    /// When, in nanoseconds of virtual time.
    pub(crate) at: u64,
    /// Its number: grows with each event scheduled.
    pub(crate) id: u64,
    /// Number of the event during which it was decided; 0: by the runner.
    pub(crate) cause: u64,
    /// What.
    pub(crate) what: E,
}

impl<E> PartialEq for Scheduled<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Scheduled<E> {}

impl<E> PartialOrd for Scheduled<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Scheduled<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.id).cmp(&(other.at, other.id))
    }
}

/// The queue of a world.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    heap: BinaryHeap<Reverse<Scheduled<E>>>,
    last_id: u64,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), last_id: 0 }
    }

    /// Schedules `what` at `at` because of event `cause`.
    pub(crate) fn push(&mut self, at: u64, cause: u64, what: E) {
        self.last_id += 1;
        self.heap.push(Reverse(Scheduled { at, id: self.last_id, cause, what }));
    }

    /// When the next event is due.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(event)| event.at)
    }

    /// Takes the next event.
    pub(crate) fn pop(&mut self) -> Option<Scheduled<E>> {
        self.heap.pop().map(|Reverse(event)| event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_first_then_the_order_of_scheduling() {
        let mut queue = Queue::new();
        queue.push(5, 0, 'c');
        queue.push(3, 0, 'a');
        queue.push(5, 0, 'd');
        queue.push(3, 9, 'b');
        assert_eq!(queue.next_at(), Some(3));
        let order: String = std::iter::from_fn(|| queue.pop()).map(|event| event.what).collect();
        assert_eq!(order, "abcd");
    }
}
