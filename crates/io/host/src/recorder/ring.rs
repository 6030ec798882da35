//! The loop's way to the recorder's thread: a ring of words that neither side
//! ever waits for.
//!
//! One producer, one consumer. Items lie one behind the other, each a word with
//! its length in bytes and then its bytes, filled up to whole words. `head` and
//! `tail` only grow; a word's place is its number modulo the size. The producer
//! publishes an item by storing `head` after its words (release), the consumer
//! gives the words back by storing `tail` after it has dealt with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::sys;

const WORD: usize = size_of::<u64>();

struct Ring {
    words: Box<[AtomicU64]>,
    head: AtomicUsize,
    tail: AtomicUsize,
}

/// The loop's side.
pub(crate) struct Producer(Arc<Ring>);

/// The thread's side. An item's place is given back when the next is asked for:
/// what the producer sees as gone has been dealt with.
pub(crate) struct Consumer {
    ring: Arc<Ring>,
    next: usize,
}

/// A ring of `bytes`, touched and, where the limits allow it, locked in memory.
pub(crate) fn ring(bytes: usize) -> (Producer, Consumer) {
    let words: Box<[AtomicU64]> =
        (0..bytes.div_ceil(WORD).max(16)).map(|_| AtomicU64::new(0)).collect();
    if let Err(error) = sys::lock_memory(&words) {
        tracing::debug!("The recorder's ring can be swapped out: {error}");
    }
    let ring = Arc::new(Ring { words, head: AtomicUsize::new(0), tail: AtomicUsize::new(0) });
    (Producer(ring.clone()), Consumer { ring, next: 0 })
}

fn words_for(bytes: usize) -> usize {
    1 + bytes.div_ceil(WORD)
}

impl Producer {
    /// Appends an item; false when there is no room for it.
    pub(crate) fn push(&mut self, item: &[u8]) -> bool {
        if !self.has_room(item.len()) {
            return false;
        }
        let ring = &*self.0;
        let mut at = ring.head.load(Ordering::Relaxed);
        ring.store(at, item.len() as u64);
        for chunk in item.chunks(WORD) {
            at = at.wrapping_add(1);
            let mut word = [0; WORD];
            word[..chunk.len()].copy_from_slice(chunk);
            ring.store(at, u64::from_ne_bytes(word));
        }
        ring.head.store(at.wrapping_add(1), Ordering::Release);
        true
    }

    /// Whether an item of `bytes` fits now.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        words_for(bytes) <= self.free_words()
    }

    /// Whether the other side has taken everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.free_words() == self.0.words.len()
    }

    /// Whether at least half of the ring is free.
    pub(crate) fn is_half_free(&self) -> bool {
        self.free_words() >= self.0.words.len() / 2
    }

    /// The longest item that can ever fit.
    pub(crate) fn max_item(&self) -> usize {
        (self.0.words.len() - 1) * WORD
    }

    fn free_words(&self) -> usize {
        let ring = &*self.0;
        let used =
            ring.head.load(Ordering::Relaxed).wrapping_sub(ring.tail.load(Ordering::Acquire));
        ring.words.len() - used
    }
}

impl Consumer {
    /// Takes the oldest item into `item`; false when there is none.
    pub(crate) fn pop(&mut self, item: &mut Vec<u8>) -> bool {
        let ring = &*self.ring;
        let mut at = self.next;
        ring.tail.store(at, Ordering::Release);
        if at == ring.head.load(Ordering::Acquire) {
            return false;
        }
        let len = usize::try_from(ring.load(at)).unwrap_or(0);
        item.clear();
        while item.len() < len {
            at = at.wrapping_add(1);
            let word = ring.load(at).to_ne_bytes();
            item.extend_from_slice(&word[..WORD.min(len - item.len())]);
        }
        self.next = at.wrapping_add(1);
        true
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.ring.head.load(Ordering::Acquire)
    }
}

impl Ring {
    fn store(&self, at: usize, word: u64) {
        self.words[at % self.words.len()].store(word, Ordering::Relaxed);
    }

    fn load(&self, at: usize) -> u64 {
        self.words[at % self.words.len()].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_is_said_and_nothing_is_mixed_up() {
        let (mut producer, mut consumer) = ring(128);
        let mut item = Vec::new();
        for round in 0..100_u8 {
            let len = usize::from(round) % 40;
            assert!(producer.push(&vec![round; len]));
            assert!(consumer.pop(&mut item));
            assert_eq!(item, vec![round; len]);
        }
        assert!(!consumer.pop(&mut item), "asking again gives the last item's place back");
        assert!(!producer.push(&[0; 200]), "longer than the ring");
        while producer.push(b"eleven byte") {}
        assert!(!producer.is_half_free());
        let mut count = 0;
        while consumer.pop(&mut item) {
            assert_eq!(item, b"eleven byte");
            count += 1;
        }
        assert_eq!(count, 16 / 3);
        assert!(consumer.is_empty());
    }

    #[test]
    fn two_threads_see_the_same_items() {
        let (mut producer, mut consumer) = ring(256);
        let reader = std::thread::spawn(move || {
            let (mut item, mut next) = (Vec::new(), 0_u32);
            while next < 20_000 {
                if consumer.pop(&mut item) {
                    assert_eq!(item, next.to_le_bytes().repeat((next % 7) as usize));
                    next += 1;
                }
            }
        });
        for n in 0..20_000_u32 {
            let item = n.to_le_bytes().repeat((n % 7) as usize);
            while !producer.push(&item) {
                std::thread::yield_now();
            }
        }
        reader.join().unwrap();
    }
}
