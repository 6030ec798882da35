//! Group names.

use std::fmt;

use ring_service::{Layout, View};
use wire::Malformed;

/// Longest name in bytes.
pub const NAME_MAX: usize = 128;
/// Bytes of a name in a structure: length, then [`NAME_MAX`] bytes.
pub const NAME_LEN: usize = 136;

/// A group's name: any bytes; a client decides whether a NUL is one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(Vec<u8>);

impl Name {
    /// None: longer than [`NAME_MAX`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= NAME_MAX).then(|| Self(bytes.to_vec()))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn read(view: &View<'_>, at: usize) -> Result<Self, Malformed> {
        let len = view.u32(at, "a name's length")?;
        let value = view.raw(at + 8, NAME_MAX, "a name")?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let bytes = value.get(..len).ok_or(Malformed { at, wanted: "a name of at most 128 bytes" });
        Ok(Self(bytes?.to_vec()))
    }

    pub(crate) fn write(&self, layout: Layout, at: usize) -> Layout {
        layout.count(at, self.0.len()).raw(at + 8, &self.0)
    }
}

impl fmt::Display for Name {
    /// Printable bytes as they are, others as `\xNN`, a backslash doubled.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0 {
            match byte {
                b'\\' => f.write_str("\\\\")?,
                b' '..=b'~' => write!(f, "{}", char::from(*byte))?,
                _ => write!(f, "\\x{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_without_control_characters() {
        let name = Name::new(b"a b\\\0\xff").expect("short");
        assert_eq!(name.to_string(), "a b\\\\\\x00\\xFF");
        assert_eq!(Name::new(&[b'x'; 129]), None);
    }
}
