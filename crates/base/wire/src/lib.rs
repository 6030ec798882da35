//! Checked cursors over bytes.
//!
//! Every byte that comes from a peer, a client, an agent or a file is read
//! through [`Reader`]: no index arithmetic in decoders, no panic, and an error
//! that says what was wanted and where. Integers are little-endian unless the
//! method's name says otherwise; same-host protocols (libqb's) use the native
//! order, which on every supported machine is little-endian as well.

use std::fmt;

/// Why bytes could not be decoded: what was wanted, and at which offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset in bytes from the start of the input.
    pub at: usize,
    /// What the decoder wanted there.
    pub wanted: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed at byte {}: wanted {}", self.at, self.wanted)
    }
}

impl std::error::Error for Malformed {}

/// A cursor that only moves forward and never past the end.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

macro_rules! read_int {
    ($name:ident, $ty:ty) => {
        #[doc = concat!("Reads a little-endian `", stringify!($ty), "`.")]
        pub fn $name(&mut self, wanted: &'static str) -> Result<$ty, Malformed> {
            let raw = self.take(size_of::<$ty>(), wanted)?;
            let mut buf = [0; size_of::<$ty>()];
            buf.copy_from_slice(raw);
            Ok(<$ty>::from_le_bytes(buf))
        }
    };
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    read_int!(u8, u8);
    read_int!(u16, u16);
    read_int!(u32, u32);
    read_int!(u64, u64);
    read_int!(i32, i32);
    read_int!(i64, i64);

    /// Offset of the next byte.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Bytes that have not been read yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Takes `len` bytes.
    pub fn take(&mut self, len: usize, wanted: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(Malformed { at: self.at, wanted })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// Takes a `u32` length and that many bytes; longer than `max` is malformed.
    pub fn blob(&mut self, max: usize, wanted: &'static str) -> Result<&'a [u8], Malformed> {
        let at = self.at;
        let len = self.u32(wanted)? as usize;
        if len > max {
            return Err(Malformed { at, wanted });
        }
        self.take(len, wanted)
    }

    /// Takes a [`Reader::blob`] that must be UTF-8.
    pub fn text(&mut self, max: usize, wanted: &'static str) -> Result<&'a str, Malformed> {
        let at = self.at;
        std::str::from_utf8(self.blob(max, wanted)?).map_err(|_| Malformed { at, wanted })
    }

    /// An error at the current place, for values that decode but are not allowed.
    pub fn refuse(&self, wanted: &'static str) -> Malformed {
        Malformed { at: self.at, wanted }
    }

    /// Checks that nothing is left over.
    pub fn end(&self) -> Result<(), Malformed> {
        if self.remaining() == 0 { Ok(()) } else { Err(self.refuse("the end")) }
    }
}

/// Appends values in the layout that [`Reader`] reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    bytes: Vec<u8>,
}

macro_rules! write_int {
    ($name:ident, $ty:ty) => {
        #[doc = concat!("Appends a little-endian `", stringify!($ty), "`.")]
        pub fn $name(&mut self, value: $ty) -> &mut Self {
            self.bytes.extend_from_slice(&value.to_le_bytes());
            self
        }
    };
}

impl Writer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    write_int!(u8, u8);
    write_int!(u16, u16);
    write_int!(u32, u32);
    write_int!(u64, u64);
    write_int!(i32, i32);
    write_int!(i64, i64);

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends a `u32` length and the bytes.
    ///
    /// # Panics
    /// When `bytes` is 4 GiB or longer, which no caller's bound allows.
    pub fn blob(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).expect("blobs are bounded far below 4 GiB"));
        self.raw(bytes)
    }

    /// Appends a text as [`Writer::blob`].
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.blob(text.as_bytes())
    }

    /// The bytes written.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = Writer::new().u8(1).u16(2).u32(3).u64(4).i32(-5).i64(-6).text("ring").finish();
        let mut r = Reader::new(&bytes);
        assert_eq!(r.u8("a"), Ok(1));
        assert_eq!(r.u16("b"), Ok(2));
        assert_eq!(r.u32("c"), Ok(3));
        assert_eq!(r.u64("d"), Ok(4));
        assert_eq!(r.i32("e"), Ok(-5));
        assert_eq!(r.i64("f"), Ok(-6));
        assert_eq!(r.text(4, "g"), Ok("ring"));
        assert_eq!(r.end(), Ok(()));
    }

    #[test]
    fn short_and_long_inputs_name_the_place() {
        let mut r = Reader::new(&[1, 0]);
        assert_eq!(r.u8("version"), Ok(1));
        assert_eq!(r.u32("length"), Err(Malformed { at: 1, wanted: "length" }));
        assert_eq!(r.end(), Err(Malformed { at: 1, wanted: "the end" }));
        let mut r = Reader::new(&[0xff; 8]);
        assert_eq!(r.blob(16, "name"), Err(Malformed { at: 0, wanted: "name" }));
        assert_eq!(
            Reader::new(&[0xff; 8]).blob(usize::MAX, "name"),
            Err(Malformed { at: 4, wanted: "name" })
        );
    }
}
