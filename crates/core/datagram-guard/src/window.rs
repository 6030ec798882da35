//! The counters of one life that have been taken.

/// How far behind the highest counter a datagram may come and still be taken.
pub(crate) const SIZE: u64 = 1024;

const WORDS: usize = 16;

/// The highest counter taken, and which of the [`SIZE`] up to it have been: bit
/// `c % SIZE` belongs to counter `c`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    highest: u64,
    taken: [u64; WORDS],
}

impl Window {
    /// Takes `counter`; false when it was taken before or is too old to tell.
    pub(crate) fn take(&mut self, counter: u64) -> bool {
        if counter == 0 || self.highest.saturating_sub(counter) >= SIZE {
            return false;
        }
        if counter > self.highest {
            self.advance(counter);
        }
        let (word, bit) = place(counter);
        let fresh = self.taken[word] & bit == 0;
        self.taken[word] |= bit;
        fresh
    }

    fn advance(&mut self, highest: u64) {
        let steps = highest - self.highest;
        if steps >= SIZE {
            self.taken = [0; WORDS];
        } else {
            for counter in self.highest + 1..=highest {
                let (word, bit) = place(counter);
                self.taken[word] &= !bit;
            }
        }
        self.highest = highest;
    }
}

fn place(counter: u64) -> (usize, u64) {
    let slot = counter % SIZE;
    let word = usize::try_from(slot / 64).expect("below WORDS");
    (word, 1 << (slot % 64))
}
