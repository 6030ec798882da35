//! Outputs on their way to the driver.

use std::collections::VecDeque;

/// A queue of outputs with a bound that its core knows it cannot reach.
///
/// The driver drains after each input, so the bound is the worst case of *one*
/// handler. Reaching it is a mistake in the core, not a condition of the
/// cluster: hence an assertion. What peers or clients can make long has a bound
/// of its own before it gets here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbox<O> {
    queue: VecDeque<O>,
    bound: usize,
}

impl<O> Outbox<O> {
    /// An empty outbox for at most `bound` outputs of one handler.
    pub fn with_bound(bound: usize) -> Self {
        Self { queue: VecDeque::new(), bound }
    }

    /// Appends an output.
    ///
    /// # Panics
    /// When one handler produced more than the bound.
    pub fn push(&mut self, output: O) {
        assert!(self.queue.len() < self.bound, "one input gave more than {} outputs", self.bound);
        self.queue.push_back(output);
    }

    /// Takes the oldest output.
    pub fn pop(&mut self) -> Option<O> {
        self.queue.pop_front()
    }

    /// How many outputs wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing waits; true whenever a handler is entered.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out() {
        let mut outbox = Outbox::with_bound(2);
        outbox.push('a');
        outbox.push('b');
        assert_eq!(outbox.len(), 2);
        assert_eq!((outbox.pop(), outbox.pop(), outbox.pop()), (Some('a'), Some('b'), None));
        assert!(outbox.is_empty());
    }

    #[test]
    #[should_panic(expected = "more than 1 outputs")]
    fn the_bound_is_asserted() {
        let mut outbox = Outbox::with_bound(1);
        outbox.push(1);
        outbox.push(2);
    }
}
