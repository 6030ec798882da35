//! What the flight recorder keeps of an input, and how it comes back.

use std::collections::BTreeMap;
use std::fmt;

use crate::Core;

/// An input as it is written down: bytes of the core's own making, without
/// secrets, perhaps without bulk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Name of the input's kind, for people and filters: `datagram`, `frame`.
    pub kind: &'static str,
    /// What [`Recorded::restore`] makes the input from again.
    pub body: Vec<u8>,
    /// What was left out, if anything: replay cannot bring it back.
    pub elided: Option<Elided>,
}

/// Bulk that a record leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elided {
    /// Its length in bytes.
    pub len: u64,
    /// Its 64-bit FNV-1a hash: to compare two nodes' copies, not to trust.
    pub hash: u64,
}

impl Elided {
    /// Describes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        Self { len: bytes.len() as u64, hash: bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold) }
    }
}

/// Secrets of one segment, each replaced by a number: the same secret gets the
/// same number, and the number says nothing about it (a hash could be guessed).
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    numbers: BTreeMap<Vec<u8>, u64>,
}

impl Secrets {
    /// The number that stands for `secret` in this segment, from 1.
    pub fn number(&mut self, secret: &[u8]) -> u64 {
        if let Some(number) = self.numbers.get(secret) {
            return *number;
        }
        let number = self.numbers.len() as u64 + 1;
        self.numbers.insert(secret.to_vec(), number);
        number
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        for (mut secret, _) in std::mem::take(&mut self.numbers) {
            secret.fill(0);
            // Keeps the fill from being optimized away as a dead store.
            std::hint::black_box(&secret);
        }
    }
}

/// Why a record cannot become an input again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The record leaves bulk out.
    Elided,
    /// The bytes are not this core's.
    Malformed(wire::Malformed),
    /// The kind is not known to this version of the core.
    UnknownKind(String),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elided => write!(f, "its payload was not recorded"),
            Self::Malformed(why) => write!(f, "{why}"),
            Self::UnknownKind(kind) => write!(f, "this version knows no input \"{kind}\""),
        }
    }
}

impl std::error::Error for RecordError {}

impl From<wire::Malformed> for RecordError {
    fn from(why: wire::Malformed) -> Self {
        Self::Malformed(why)
    }
}

/// A core whose inputs can be recorded and replayed.
pub trait Recorded: Core + Sized {
    /// Writes an input down without its secrets. No default: each core decides.
    fn redact(input: &Self::Input, secrets: &mut Secrets) -> Record;

    /// Makes the input from its record again.
    fn restore(kind: &str, body: &[u8], elided: Option<Elided>)
    -> Result<Self::Input, RecordError>;

    /// The whole state, where the core can give it: a segment that starts with
    /// one replays without those before it.
    fn snapshot(&self) -> Option<Vec<u8>>;

    /// A core in the state of a snapshot.
    fn resume(snapshot: &[u8]) -> Result<Self, RecordError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_one_number_in_a_segment() {
        let mut secrets = Secrets::default();
        assert_eq!(secrets.number(b"alpha"), 1);
        assert_eq!(secrets.number(b"beta"), 2);
        assert_eq!(secrets.number(b"alpha"), 1);
    }

    #[test]
    fn elided_bulk_keeps_length_and_hash() {
        assert_eq!(Elided::of(b""), Elided { len: 0, hash: 0xcbf2_9ce4_8422_2325 });
        assert_ne!(Elided::of(b"a").hash, Elided::of(b"b").hash);
    }
}
