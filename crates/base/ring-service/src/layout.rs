//! C structures, written and read by offset.

use ha_types::{Node, RingId};
use wire::{Malformed, Reader};

const REQUEST_HEADER: usize = 16;
const RESPONSE_HEADER: usize = 24;

/// Bytes of a ring's identity inside a message between nodes.
pub const RING_ID_LEN: usize = 12;

/// A structure that is being written. Offsets count from the start of the C
/// structure, header included; what is not written is zero.
#[derive(Clone, Debug)]
pub struct Layout {
    bytes: Vec<u8>,
    base: usize,
}

impl Layout {
    /// A message between nodes of `size` bytes with its header.
    pub fn message(id: i32, size: usize) -> Self {
        let layout = Self { bytes: vec![0; size], base: 0 };
        let total = u32::try_from(size).expect("messages are bounded far below 4 GiB");
        layout.raw(0, &id.to_le_bytes()).u32(8, total)
    }

    /// A response or event of `size` bytes; its header is written by the
    /// transport, so the result holds what follows it.
    pub fn response(size: usize) -> Self {
        Self { bytes: vec![0; size - RESPONSE_HEADER], base: RESPONSE_HEADER }
    }

    /// Writes a `u8`.
    #[must_use]
    pub fn u8(self, at: usize, value: u8) -> Self {
        self.raw(at, &[value])
    }

    /// Writes a `u32`.
    #[must_use]
    pub fn u32(self, at: usize, value: u32) -> Self {
        self.raw(at, &value.to_le_bytes())
    }

    /// Writes a count of things that are bounded far below 4 G.
    #[must_use]
    pub fn count(self, at: usize, count: usize) -> Self {
        self.u32(at, u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Writes a `u64`.
    #[must_use]
    pub fn u64(self, at: usize, value: u64) -> Self {
        self.raw(at, &value.to_le_bytes())
    }

    /// Writes bytes.
    ///
    /// # Panics
    /// When they lie outside the structure, which is a mistake in its writer.
    #[must_use]
    pub fn raw(mut self, at: usize, bytes: &[u8]) -> Self {
        let at = at - self.base;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Writes a text of at most `room - 1` bytes and its NUL.
    #[must_use]
    pub fn text(self, at: usize, room: usize, text: &str) -> Self {
        let len = text.len().min(room - 1);
        self.raw(at, &text.as_bytes()[..len])
    }

    /// Writes a ring's identity as local clients see it, 16 bytes.
    #[must_use]
    pub fn ring(self, at: usize, ring: RingId) -> Self {
        self.u32(at, ring.rep.0).u64(at + 8, ring.seq)
    }

    /// Writes a ring's identity as nodes exchange it, [`RING_ID_LEN`] bytes.
    #[must_use]
    pub fn packed_ring(self, at: usize, ring: RingId) -> Self {
        self.u32(at, ring.rep.0).u64(at + 4, ring.seq)
    }

    /// Appends bytes behind the structure and corrects the size in a message's
    /// header.
    #[must_use]
    pub fn then(mut self, tail: &[u8]) -> Self {
        self.bytes.extend_from_slice(tail);
        if self.base > 0 {
            return self;
        }
        let total = u32::try_from(self.bytes.len()).expect("messages are bounded far below 4 GiB");
        self.u32(8, total)
    }

    /// Appends node numbers.
    #[must_use]
    pub fn then_nodes<'a>(self, nodes: impl IntoIterator<Item = &'a Node>) -> Self {
        let tail: Vec<u8> = nodes.into_iter().flat_map(|node| node.0.to_le_bytes()).collect();
        self.then(&tail)
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// A structure that is being read, by the same offsets.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    bytes: &'a [u8],
    base: usize,
}

impl<'a> View<'a> {
    /// A message between nodes, header included. Its own size must be that of
    /// what came.
    ///
    /// # Errors
    /// A header that is cut short or lies about the size.
    pub fn message(bytes: &'a [u8]) -> Result<(i32, Self), Malformed> {
        let view = Self { bytes, base: 0 };
        let id = view.i32(0, "a message id")?;
        let size = view.u32(8, "a message size")?;
        if usize::try_from(size) != Ok(bytes.len()) {
            return Err(Malformed { at: 8, wanted: "the size of the message" });
        }
        Ok((id, view))
    }

    /// What follows a request's header.
    pub fn request(body: &'a [u8]) -> Self {
        Self { bytes: body, base: REQUEST_HEADER }
    }

    /// Takes `len` bytes.
    ///
    /// # Errors
    /// They are not there.
    pub fn raw(&self, at: usize, len: usize, wanted: &'static str) -> Result<&'a [u8], Malformed> {
        let mut reader = Reader::new(self.bytes);
        reader.take(at - self.base, wanted)?;
        reader.take(len, wanted)
    }

    /// Reads a `u8`.
    ///
    /// # Errors
    /// It is not there.
    pub fn u8(&self, at: usize, wanted: &'static str) -> Result<u8, Malformed> {
        Ok(self.raw(at, 1, wanted)?[0])
    }

    /// Reads a `u32`.
    ///
    /// # Errors
    /// It is not there.
    pub fn u32(&self, at: usize, wanted: &'static str) -> Result<u32, Malformed> {
        Reader::new(self.raw(at, 4, wanted)?).u32(wanted)
    }

    /// Reads an `i32`.
    ///
    /// # Errors
    /// It is not there.
    pub fn i32(&self, at: usize, wanted: &'static str) -> Result<i32, Malformed> {
        Reader::new(self.raw(at, 4, wanted)?).i32(wanted)
    }

    /// Reads a `u64`.
    ///
    /// # Errors
    /// It is not there.
    pub fn u64(&self, at: usize, wanted: &'static str) -> Result<u64, Malformed> {
        Reader::new(self.raw(at, 8, wanted)?).u64(wanted)
    }

    /// Reads a NUL-terminated text out of `room` bytes.
    ///
    /// # Errors
    /// The room is not there, has no NUL, or holds no UTF-8.
    pub fn text(&self, at: usize, room: usize, wanted: &'static str) -> Result<&'a str, Malformed> {
        let bytes = self.raw(at, room, wanted)?;
        let refused = Malformed { at: at - self.base, wanted };
        let end = bytes.iter().position(|byte| *byte == 0).ok_or_else(|| refused.clone())?;
        std::str::from_utf8(&bytes[..end]).map_err(|_| refused)
    }

    /// Reads a ring's identity as nodes exchange it.
    ///
    /// # Errors
    /// It is not there.
    pub fn packed_ring(&self, at: usize) -> Result<RingId, Malformed> {
        let rep = Node(self.u32(at, "a representative")?);
        Ok(RingId { rep, seq: self.u64(at + 4, "a ring's sequence")? })
    }

    /// What lies at and behind `at`.
    ///
    /// # Errors
    /// The structure ends before.
    pub fn tail(&self, at: usize, wanted: &'static str) -> Result<&'a [u8], Malformed> {
        let len = (self.base + self.bytes.len()).checked_sub(at);
        self.raw(at, len.ok_or(Malformed { at: self.bytes.len(), wanted })?, wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_at_the_same_offsets() {
        let ring = RingId { rep: Node(7), seq: 9 };
        let bytes = Layout::message(0x2_0003, 32).packed_ring(16, ring).then(b"abc").finish();
        let (id, view) = View::message(&bytes).expect("well formed");
        assert_eq!((id, bytes.len()), (0x2_0003, 35));
        assert_eq!(view.packed_ring(16), Ok(ring));
        assert_eq!(view.tail(32, "text"), Ok(&b"abc"[..]));
        assert_eq!(view.tail(35, "text"), Ok(&b""[..]));
        assert!(view.tail(36, "text").is_err());
        assert!(view.u64(31, "number").is_err());
    }

    #[test]
    fn a_size_that_lies_is_refused() {
        let mut bytes = Layout::message(1, 24).finish();
        bytes.push(0);
        assert!(View::message(&bytes).is_err());
        assert!(View::message(&bytes[..7]).is_err());
    }

    #[test]
    fn texts_need_their_nul() {
        let body = [b'a', b'b', 0, b'c'];
        let view = View::request(&body);
        assert_eq!(view.text(16, 4, "name"), Ok("ab"));
        assert!(view.text(18, 3, "name").is_err());
        assert!(View::request(b"abcd").text(16, 4, "name").is_err());
    }
}
