//! libqb's ring buffer over mapped files: one writer, one reader.
//!
//! Each side keeps its own cursor privately and only publishes it; of the other
//! side's words it reads each once and checks it. Orders of the writes are those
//! that libqb's peers rely on: state and cursors before the semaphore's post.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use crate::chunk::{self, ALLOCATED, COMMITTED, CONSUMED};
use crate::memory::Region;
use crate::semaphore::{self, Semaphore};

/// Bytes of the header file as libqb's server makes it.
pub(crate) const HEADER_FILE_SIZE: usize = 8252;
/// Bytes of the header file as libqb's client leaves it where it needs no flow control word.
pub(crate) const HEADER_FILE_MIN: usize = 8248;

const WRITE: usize = 0;
const READ: usize = 4;
const WORD_SIZE: usize = 8;
const HEADER_PATH: usize = 12;
const DATA_PATH: usize = 4108;
const PATH_SIZE: usize = 4096;
const REFERENCES: usize = 8204;
const SEMAPHORE: usize = 8208;
const FLOW_CONTROL: usize = 8240;

/// The files of a ring are not as they should be: the peer broke them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

/// A ring's two files within a region.
#[derive(Clone)]
pub(crate) struct Ring {
    region: Arc<Region>,
    header: usize,
    data: usize,
    words: u32,
}

impl Ring {
    /// The ring whose header is mapped at `header` and whose `data_size` bytes
    /// of data, a multiple of four, are mapped at `data`.
    pub(crate) fn new(region: Arc<Region>, header: usize, data: usize, data_size: usize) -> Self {
        let words = u32::try_from(data_size / 4).expect("a channel's bound fits 32 bits");
        Self { region, header, data, words }
    }

    /// Fills in a fresh header, as the side that made the files.
    pub(crate) fn initialise(&self, header_path: &str, data_path: &str) {
        self.word(WORD_SIZE).store(self.words, Ordering::Relaxed);
        for (at, path) in [(HEADER_PATH, header_path), (DATA_PATH, data_path)] {
            self.region.write(self.header + at, &path.as_bytes()[..path.len().min(PATH_SIZE - 1)]);
        }
        self.region.u64(self.header + SEMAPHORE).store(0, Ordering::Relaxed);
        self.word(SEMAPHORE + 8).store(semaphore::SHARED, Ordering::Relaxed);
        self.references().store(1, Ordering::Release);
    }

    /// The path of the data file in the bytes of a header file.
    pub(crate) fn data_path(header: &[u8]) -> &[u8] {
        &header[DATA_PATH..DATA_PATH + PATH_SIZE]
    }

    /// The number of words that the bytes of a header file claim.
    pub(crate) fn claimed_words(header: &[u8]) -> u32 {
        let mut word = [0; 4];
        word.copy_from_slice(&header[WORD_SIZE..WORD_SIZE + 4]);
        u32::from_ne_bytes(word)
    }

    /// How many sides hold the ring; clients send only while it is two.
    pub(crate) fn references(&self) -> &AtomicI32 {
        self.region.i32(self.header + REFERENCES)
    }

    /// Leaves the ring as libqb does: as the last one, whoever else is there.
    pub(crate) fn release(&self) {
        self.references().store(1, Ordering::Release);
        self.references().fetch_sub(1, Ordering::AcqRel);
    }

    /// The flow control level; on the request ring only.
    pub(crate) fn flow_control(&self) -> &AtomicI32 {
        self.region.i32(self.header + FLOW_CONTROL)
    }

    pub(crate) fn semaphore(&self) -> Semaphore<'_> {
        Semaphore::new(self.region.u64(self.header + SEMAPHORE))
    }

    /// Whether the peer took pages away.
    pub(crate) fn torn(&self) -> bool {
        self.region.torn()
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        self.region.u32(self.header + at)
    }

    fn data_word(&self, index: u32) -> &AtomicU32 {
        self.region.u32(self.data + index as usize * 4)
    }

    fn state(&self, at: u32) -> &AtomicU32 {
        self.data_word(chunk::wrap(self.words, u64::from(at) + 1))
    }

    fn bytes(&self) -> usize {
        self.words as usize * 4
    }

    /// Copies `bytes` to byte `at` of the data, around the end if need be.
    /// Returns the byte behind them.
    fn copy_in(&self, at: usize, bytes: &[u8]) -> usize {
        let (first, rest) = bytes.split_at(bytes.len().min(self.bytes() - at));
        self.region.write(self.data + at, first);
        self.region.write(self.data, rest);
        (at + bytes.len()) % self.bytes()
    }

    fn check_torn(&self) -> Result<(), Broken> {
        if self.torn() { Err(Broken("its files were truncated".into())) } else { Ok(()) }
    }
}

/// The writing side.
pub(crate) struct RingWriter {
    pub(crate) ring: Ring,
    cursor: u32,
}

impl RingWriter {
    pub(crate) fn new(ring: Ring) -> Self {
        let cursor = ring.word(WRITE).load(Ordering::Acquire) % ring.words;
        Self { ring, cursor }
    }

    /// Writes one chunk from its parts; `false` if there is no room now.
    pub(crate) fn try_write(&mut self, parts: &[&[u8]]) -> Result<bool, Broken> {
        let ring = &self.ring;
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let read = ring.word(READ).load(Ordering::Acquire);
        if read >= ring.words {
            return Err(Broken(format!("read cursor {read} of {}", ring.words)));
        }
        let queued = read == self.cursor && ring.semaphore().value() > 0;
        if !chunk::fits(ring.words, self.cursor, read, queued, len as u64) {
            ring.check_torn()?;
            return Ok(false);
        }
        let len = u32::try_from(len).expect("what fits a ring fits 32 bits");
        let start = self.cursor;
        ring.data_word(start).store(0, Ordering::Relaxed);
        ring.state(start).store(ALLOCATED, Ordering::Release);
        let mut at = chunk::wrap(ring.words, u64::from(start) + 2) as usize * 4;
        for part in parts {
            at = ring.copy_in(at, part);
        }
        ring.data_word(start).store(len, Ordering::Relaxed);
        self.cursor = chunk::step(ring.words, start, len);
        ring.word(WRITE).store(self.cursor, Ordering::Relaxed);
        ring.state(start).store(COMMITTED, Ordering::Release);
        if !ring.semaphore().post() {
            return Err(Broken("its semaphore is at the limit".into()));
        }
        ring.check_torn()?;
        Ok(true)
    }
}

/// The reading side.
pub(crate) struct RingReader {
    pub(crate) ring: Ring,
    cursor: u32,
}

impl RingReader {
    pub(crate) fn new(ring: Ring) -> Self {
        let cursor = ring.word(READ).load(Ordering::Acquire) % ring.words;
        Self { ring, cursor }
    }

    /// Whether a chunk seems to wait.
    pub(crate) fn ready(&self) -> bool {
        self.ring.semaphore().value() > 0
    }

    /// Takes the next chunk of at most `max` bytes out: its first `head.len()`
    /// bytes into `head`, the rest appended to `body`. Returns its length, or
    /// `None` if nothing waits. A chunk shorter than `head` fills only a part.
    pub(crate) fn try_read(
        &mut self,
        max: u32,
        head: &mut [u8],
        body: &mut Vec<u8>,
    ) -> Result<Option<usize>, Broken> {
        let ring = &self.ring;
        if !ring.semaphore().try_wait() {
            ring.check_torn()?;
            return Ok(None);
        }
        let state = ring.state(self.cursor).load(Ordering::Acquire);
        let len = ring.data_word(self.cursor).load(Ordering::Relaxed);
        let chunk = chunk::check(ring.words, self.cursor, state, len, max)
            .map_err(|e| Broken(e.to_string()))?;
        let len = chunk.len as usize;
        let mut at = chunk.payload as usize * 4;
        let head_len = head.len().min(len);
        at = self.copy_head(at, &mut head[..head_len]);
        self.copy_body(at, len - head_len, body);
        let ring = &self.ring;
        ring.data_word(self.cursor).store(0, Ordering::Relaxed);
        ring.state(self.cursor).store(CONSUMED, Ordering::Release);
        self.cursor = chunk.next;
        ring.word(READ).store(self.cursor, Ordering::Release);
        ring.check_torn()?;
        Ok(Some(len))
    }

    /// Headers are whole words, so they are read as such. Returns the byte behind.
    fn copy_head(&self, at: usize, head: &mut [u8]) -> usize {
        let mut at = at;
        for piece in head.chunks_mut(4) {
            let index = u32::try_from(at / 4).expect("an offset within the ring");
            let word = self.ring.data_word(index).load(Ordering::Relaxed).to_ne_bytes();
            piece.copy_from_slice(&word[..piece.len()]);
            at = (at + piece.len()) % self.ring.bytes();
        }
        at
    }

    fn copy_body(&self, at: usize, len: usize, body: &mut Vec<u8>) {
        let first = len.min(self.ring.bytes() - at);
        body.reserve(len);
        self.ring.region.read(self.ring.data + at, first, body);
        self.ring.region.read(self.ring.data, len - first, body);
    }
}

#[cfg(test)]
mod tests;
