//! Arithmetic of libqb's ring buffer, without any memory of its own.
//!
//! The ring is an array of 32-bit words. A chunk is a word with the payload's
//! length in bytes, a word with its state, and the payload, rounded up to words;
//! it may wrap around the end.

use std::fmt;

/// State word of a chunk that may be read.
pub(crate) const COMMITTED: u32 = 0xA1A1_A1A1;
/// State word of a chunk that is being written.
pub(crate) const ALLOCATED: u32 = 0xA110_CED0;
/// State word of a chunk that has been read.
pub(crate) const CONSUMED: u32 = 0xD0D0_D0D0;
/// Bytes that a writer keeps free beside the payload.
pub(crate) const MARGIN: u64 = 12;
const HEADER_WORDS: u64 = 2;
const WORD: u64 = 4;

/// A chunk that may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Word at which the payload begins.
    pub payload: u32,
    /// Bytes of the payload.
    pub len: u32,
    /// Word at which the next chunk begins.
    pub next: u32,
}

/// Why there is no chunk to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// The ring is too small for any chunk, or the cursor lies outside.
    Outside,
    /// The state word does not say that the chunk is committed.
    NotCommitted(u32),
    /// The length exceeds the ring or the channel.
    TooLong(u32),
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside => f.write_str("cursor outside of the ring"),
            Self::NotCommitted(state) => write!(f, "chunk with state {state:#x}"),
            Self::TooLong(len) => write!(f, "chunk of {len} bytes"),
        }
    }
}

/// Reads the chunk at word `at` of a ring given as bytes; `max` bounds its
/// payload. The words of the payload lie within the ring, modulo its size.
pub fn decode_chunk(ring: &[u8], at: u32, max: u32) -> Result<Chunk, ChunkError> {
    let words = u32::try_from(ring.len() / 4).unwrap_or(u32::MAX);
    if at >= words {
        return Err(ChunkError::Outside);
    }
    let word = |index: u32| {
        let start = index as usize * 4;
        u32::from_ne_bytes([ring[start], ring[start + 1], ring[start + 2], ring[start + 3]])
    };
    check(words, at, word(wrap(words, u64::from(at) + 1)), word(at), max)
}

/// [`decode_chunk`] on two words that have been read already, once.
pub(crate) fn check(
    words: u32,
    at: u32,
    state: u32,
    len: u32,
    max: u32,
) -> Result<Chunk, ChunkError> {
    if at >= words || u64::from(words) <= HEADER_WORDS {
        return Err(ChunkError::Outside);
    }
    if state != COMMITTED {
        return Err(ChunkError::NotCommitted(state));
    }
    if len > max || u64::from(len) + MARGIN > u64::from(words) * WORD {
        return Err(ChunkError::TooLong(len));
    }
    let payload = wrap(words, u64::from(at) + HEADER_WORDS);
    Ok(Chunk { payload, len, next: step(words, at, len) })
}

/// The word after a chunk of `len` bytes at `at`.
pub(crate) fn step(words: u32, at: u32, len: u32) -> u32 {
    wrap(words, u64::from(at) + HEADER_WORDS + u64::from(len).div_ceil(WORD))
}

/// Whether a payload of `len` bytes fits between the cursors; `queued` says
/// whether any chunk waits, which equal cursors leave open.
pub(crate) fn fits(words: u32, write: u32, read: u32, queued: bool, len: u64) -> bool {
    let (words, write, read) = (u64::from(words), u64::from(write), u64::from(read));
    let free = match write.cmp(&read) {
        std::cmp::Ordering::Greater => read + words - write - 1,
        std::cmp::Ordering::Less => read - write - 1,
        std::cmp::Ordering::Equal if queued => 0,
        std::cmp::Ordering::Equal => words,
    };
    free * WORD >= len + MARGIN
}

/// Data bytes of a ring that carries messages of up to `max_msg_size` bytes.
pub(crate) fn data_size(max_msg_size: u32, page_size: usize) -> usize {
    (max_msg_size as usize + 13).next_multiple_of(page_size)
}

pub(crate) fn wrap(words: u32, index: u64) -> u32 {
    u32::try_from(index % u64::from(words)).expect("a remainder is below its divisor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_steps_over_header_and_rounded_payload() {
        assert_eq!(step(100, 0, 0), 2);
        assert_eq!(step(100, 0, 1), 3);
        assert_eq!(step(100, 0, 4), 3);
        assert_eq!(step(100, 97, 5), 1);
        assert_eq!(step(100, 0, u32::MAX), wrap(100, 2 + (1 << 30)));
    }

    #[test]
    fn writers_leave_a_margin() {
        assert!(fits(1024, 0, 0, false, 4096 - 12));
        assert!(!fits(1024, 0, 0, false, 4096 - 11));
        assert!(!fits(1024, 0, 0, true, 0));
        assert!(fits(1024, 10, 14, false, 0));
        assert!(!fits(1024, 10, 13, false, 0));
        assert!(fits(1024, 14, 10, true, 4 * 1019 - 12));
        assert!(!fits(1024, 14, 10, true, 4 * 1019 - 11));
    }

    #[test]
    fn a_write_never_closes_the_ring() {
        for words in [1024_u32, 4096] {
            for len in 0..words * 4 {
                if fits(words, 5, 5, false, u64::from(len)) {
                    assert_ne!(step(words, 5, len), 5, "{words} {len}");
                }
            }
        }
    }

    #[test]
    fn lies_are_refused() {
        assert_eq!(check(1024, 1024, COMMITTED, 0, 9), Err(ChunkError::Outside));
        assert_eq!(check(2, 0, COMMITTED, 0, 9), Err(ChunkError::Outside));
        assert_eq!(check(1024, 0, CONSUMED, 0, 9), Err(ChunkError::NotCommitted(CONSUMED)));
        assert_eq!(check(1024, 0, COMMITTED, 10, 9), Err(ChunkError::TooLong(10)));
        assert_eq!(check(1024, 0, COMMITTED, 4085, 9999), Err(ChunkError::TooLong(4085)));
        let last = Chunk { payload: 1, len: 4084, next: 1022 };
        assert_eq!(check(1024, 1023, COMMITTED, 4084, 9999), Ok(last));
    }

    #[test]
    fn rings_hold_one_longest_message_in_whole_pages() {
        assert_eq!(data_size(12328, 4096), 16384);
        assert_eq!(data_size(4083, 4096), 4096);
        assert_eq!(data_size(4084, 4096), 8192);
    }
}
