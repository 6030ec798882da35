//! One line per event, and a hash over all of them.
//!
//! The hash also takes what has no line of its own (the bytes that processes
//! send), so that two runs with equal hashes did the same.

use std::collections::VecDeque;
use std::fmt::{self, Write};

/// How much of a trace is kept as text; the hash always covers all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: for runs that only need the hash.
    Hash,
    /// The last lines.
    Tail(usize),
    /// Everything.
    All,
}

/// The trace of a run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    keep: Keep,
    lines: VecDeque<String>,
    buffer: String,
    count: u64,
}

impl Trace {
    /// An empty trace.
    pub fn new(keep: Keep) -> Self {
        let (lines, buffer) = (VecDeque::new(), String::new());
        Self { hash: 0xcbf2_9ce4_8422_2325, keep, lines, buffer, count: 0 }
    }

    /// Appends a line.
    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) {
        self.buffer.clear();
        // Writing to a string cannot fail.
        let _ = self.buffer.write_fmt(text);
        self.count += 1;
        self.hash = fold(self.hash, self.buffer.as_bytes());
        match self.keep {
            Keep::Hash => return,
            Keep::All => {}
            Keep::Tail(most) => {
                if self.lines.len() >= most {
                    self.lines.pop_front();
                }
            }
        }
        self.lines.push_back(self.buffer.clone());
    }

    /// Hashes bytes that get no line.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.hash = fold(self.hash, bytes);
    }

    /// The hash of all lines and bytes so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many lines there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The lines that were kept.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

/// Eight bytes at a time, multiply and rotate: not for security, only to tell
/// two runs apart, and cheap beside the formatting.
fn fold(hash: u64, bytes: &[u8]) -> u64 {
    let mix =
        |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let mut hash = mix(hash, bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(lines: &[&str]) -> u64 {
        let mut trace = Trace::new(Keep::Hash);
        for line in lines {
            trace.line(format_args!("{line}"));
        }
        trace.hash()
    }

    #[test]
    fn the_hash_tells_lines_and_their_borders_apart() {
        assert_eq!(hash_of(&["ab", "c"]), hash_of(&["ab", "c"]));
        assert_ne!(hash_of(&["ab", "c"]), hash_of(&["a", "bc"]));
        assert_ne!(hash_of(&["ab", "c"]), hash_of(&["c", "ab"]));
        assert_ne!(hash_of(&["a"]), hash_of(&["a\0"]));
    }

    #[test]
    fn a_tail_keeps_the_last_lines_and_the_same_hash() {
        let mut trace = Trace::new(Keep::Tail(2));
        for line in ["one", "two", "three"] {
            trace.line(format_args!("{line}"));
        }
        assert_eq!(trace.lines().collect::<Vec<_>>(), ["two", "three"]);
        assert_eq!((trace.hash(), trace.count()), (hash_of(&["one", "two", "three"]), 3));
    }
}
