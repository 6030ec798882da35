//! The file format of a recording.
//!
//! A segment is the magic and then entries: a varint length, a protobuf
//! [`Entry`] of that length, and the CRC-32 of its bytes (little-endian). The
//! first entry is a [`Header`], the second a [`Snapshot`] where the core gave
//! one. Files come from machines in trouble: the reader trusts no length, and
//! says at which offset it stopped and why.

use std::fmt;

use prost::Message;

/// The first bytes of a segment: name and version of the format.
pub const MAGIC: &[u8; 8] = b"SYSFLR1\n";

/// No entry is longer; a longer one is damage.
pub const ENTRY_MAX: usize = 64 << 20;

/// One record of a segment.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// Which kind, with its fields; None from a newer version.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub kind: Option<Kind>,
}

/// The kinds of record.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// Starts the segment.
    #[prost(message, tag = "1")]
    Header(Header),
    /// The core's whole state.
    #[prost(message, tag = "2")]
    Snapshot(Snapshot),
    /// Something happened to the core.
    #[prost(message, tag = "3")]
    Input(Input),
    /// A deadline was handled.
    #[prost(message, tag = "4")]
    Deadline(Deadline),
    /// What the core wanted done after the record before; missing when nothing.
    #[prost(message, tag = "5")]
    Outputs(Outputs),
    /// The recorder could not keep up.
    #[prost(message, tag = "6")]
    Dropped(Dropped),
    /// The daemon ended, or went on in the next segment.
    #[prost(message, tag = "7")]
    End(End),
}

/// Who recorded, where and when.
#[derive(Clone, PartialEq, Message)]
pub struct Header {
    /// The daemon's name.
    #[prost(string, tag = "1")]
    pub daemon: String,
    /// Version of the daemon, and id of the build where there is one.
    #[prost(string, tag = "2")]
    pub version: String,
    /// The machine's name.
    #[prost(string, tag = "3")]
    pub host: String,
    /// The node's number in the cluster, 0 when it has none.
    #[prost(uint32, tag = "4")]
    pub node: u32,
    /// Process id: with `started_wall` the identity of a life of the daemon.
    #[prost(uint32, tag = "5")]
    pub pid: u32,
    /// When the process started, nanoseconds since 1970 UTC.
    #[prost(fixed64, tag = "6")]
    pub started_wall: u64,
    /// The number of this segment in the process's life, from 0.
    #[prost(uint64, tag = "7")]
    pub segment: u64,
    /// When the segment started.
    #[prost(message, optional, tag = "8")]
    pub at: Option<Time>,
    /// Whether a snapshot follows.
    #[prost(bool, tag = "9")]
    pub has_snapshot: bool,
    /// How the daemon was set up, in words of its own: what a core is made
    /// from when replay begins at process start. Without secrets.
    #[prost(bytes = "vec", tag = "10")]
    pub setup: Vec<u8>,
    /// Why there is no snapshot although the core gives one.
    #[prost(string, tag = "11")]
    pub snapshot_missing: String,
    /// Whether records between the segment before and this one are lost.
    #[prost(bool, tag = "12")]
    pub after_loss: bool,
}

/// The time of an input, as the core was told it.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Time {
    /// Nanoseconds of CLOCK_BOOTTIME.
    #[prost(fixed64, tag = "1")]
    pub mono: u64,
    /// Nanoseconds since 1970 UTC.
    #[prost(sfixed64, tag = "2")]
    pub wall: i64,
    /// Seconds east of UTC.
    #[prost(sint32, tag = "3")]
    pub utc_offset_s: i32,
}

/// See [`sansio::Recorded::snapshot`].
#[derive(Clone, PartialEq, Message)]
pub struct Snapshot {
    /// The core's bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub state: Vec<u8>,
}

/// An input as its core redacted it.
#[derive(Clone, PartialEq, Message)]
pub struct Input {
    /// Number of the record in the process's life, from 1, inputs and deadlines together.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// When.
    #[prost(message, optional, tag = "2")]
    pub at: Option<Time>,
    /// The cause: which kind of input.
    #[prost(string, tag = "3")]
    pub kind: String,
    /// What `restore` makes it from.
    #[prost(bytes = "vec", tag = "4")]
    pub body: Vec<u8>,
    /// What was left out.
    #[prost(message, optional, tag = "5")]
    pub elided: Option<Elided>,
}

/// Bulk that was left out.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Elided {
    /// Its length.
    #[prost(uint64, tag = "1")]
    pub len: u64,
    /// Its FNV-1a hash.
    #[prost(fixed64, tag = "2")]
    pub hash: u64,
}

/// A deadline that the core had asked for.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Deadline {
    /// As of [`Input::number`].
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// When it was handled.
    #[prost(message, optional, tag = "2")]
    pub at: Option<Time>,
    /// When it was due; the difference is the loop's lateness.
    #[prost(fixed64, tag = "3")]
    pub due: u64,
}

/// The outputs after one input or deadline.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Outputs {
    /// How many.
    #[prost(uint64, tag = "1")]
    pub count: u64,
    /// Their digest: the same core gives the same.
    #[prost(fixed64, tag = "2")]
    pub digest: u64,
}

/// Records that are missing here.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Dropped {
    /// How many inputs and deadlines.
    #[prost(uint64, tag = "1")]
    pub count: u64,
}

/// Nothing follows in this segment.
#[derive(Clone, PartialEq, Message)]
pub struct End {
    /// Why.
    #[prost(string, tag = "1")]
    pub why: String,
}

/// Appends an entry with its frame to `out`.
pub fn encode(kind: Kind, out: &mut Vec<u8>) {
    let entry = Entry { kind: Some(kind) };
    let len = entry.encoded_len();
    prost::encoding::encode_varint(len as u64, out);
    let start = out.len();
    entry.encode(out).expect("a Vec grows");
    let sum = crc32(&out[start..]);
    out.extend_from_slice(&sum.to_le_bytes());
}

/// Damage in a segment: what and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Offset of the entry in the file, in bytes.
    pub at: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "damaged at byte {}: {}", self.at, self.what)
    }
}

impl std::error::Error for Damage {}

/// The entries of a segment's bytes, until the end or the first damage.
#[derive(Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    done: bool,
}

impl<'a> Entries<'a> {
    /// Starts behind the magic.
    pub fn of(bytes: &'a [u8]) -> Result<Self, Damage> {
        if !bytes.starts_with(MAGIC) {
            let what = "this is no recording (its first bytes are others)".to_string();
            return Err(Damage { at: 0, what });
        }
        Ok(Self { bytes, at: MAGIC.len(), done: false })
    }

    fn damage(&self, what: impl Into<String>) -> Damage {
        Damage { at: self.at, what: what.into() }
    }

    fn read(&mut self) -> Result<Kind, Damage> {
        let mut rest = &self.bytes[self.at..];
        let len = prost::encoding::decode_varint(&mut rest);
        let len = len.map_err(|_| self.damage("a length is cut off or too long"))?;
        let len = usize::try_from(len).ok().filter(|len| *len <= ENTRY_MAX);
        let len = len.ok_or_else(|| self.damage("an entry claims more than 64 MiB"))?;
        let body = rest.get(..len);
        let body =
            body.ok_or_else(|| self.damage(format!("an entry of {len} bytes is cut off")))?;
        let sum = rest.get(len..len + 4).ok_or_else(|| self.damage("a checksum is cut off"))?;
        if sum != crc32(body).to_le_bytes() {
            return Err(self.damage("an entry does not fit its checksum"));
        }
        let entry = Entry::decode(body).map_err(|why| self.damage(why.to_string()))?;
        let kind = entry.kind.ok_or_else(|| self.damage("an entry of a kind unknown here"))?;
        self.at = self.bytes.len() - (rest.len() - len - 4);
        Ok(kind)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Kind, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done || self.at == self.bytes.len() {
            return None;
        }
        let entry = self.read();
        self.done = entry.is_err();
        Some(entry)
    }
}

/// CRC-32 (IEEE 802.3), a byte at a time.
fn crc32(bytes: &[u8]) -> u32 {
    let step =
        |crc: u32, byte: &u8| CRC_TABLE[usize::from((crc ^ u32::from(*byte)) as u8)] ^ (crc >> 8);
    !bytes.iter().fold(!0, step)
}

const CRC_TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[index as usize] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> Vec<u8> {
        let at = Some(Time { mono: 5, wall: -6, utc_offset_s: 3600 });
        let mut bytes = MAGIC.to_vec();
        let header = Header { daemon: "mini".into(), node: 2, at, ..Header::default() };
        encode(Kind::Header(header), &mut bytes);
        encode(Kind::Snapshot(Snapshot { state: vec![7; 300] }), &mut bytes);
        let elided = Some(Elided { len: 9, hash: 10 });
        let input = Input { number: 1, at, kind: "frame".into(), body: vec![1, 2], elided };
        encode(Kind::Input(input), &mut bytes);
        encode(Kind::Outputs(Outputs { count: 1, digest: 77 }), &mut bytes);
        encode(Kind::Deadline(Deadline { number: 2, at, due: 4 }), &mut bytes);
        encode(Kind::Dropped(Dropped { count: 3 }), &mut bytes);
        encode(Kind::End(End { why: "stopped".into() }), &mut bytes);
        bytes
    }

    fn read(bytes: &[u8]) -> (usize, Option<Damage>) {
        let entries = match Entries::of(bytes) {
            Ok(entries) => entries,
            Err(damage) => return (0, Some(damage)),
        };
        let mut good = 0;
        for entry in entries {
            match entry {
                Ok(_) => good += 1,
                Err(damage) => return (good, Some(damage)),
            }
        }
        (good, None)
    }

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&segment()), (7, None));
    }

    #[test]
    fn a_cut_is_found_wherever_it_is() {
        let whole = segment();
        let mut ends = 0;
        for cut in 0..whole.len() {
            let (good, damage) = read(&whole[..cut]);
            assert!(good < 7);
            match damage {
                Some(damage) => assert!(damage.at <= cut),
                // Exactly between two entries: nothing is wrong with what is there.
                None => ends += 1,
            }
        }
        assert_eq!(ends, 7, "behind the magic and behind each entry but the last");
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let whole = segment();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (good, damage) = read(&bytes);
            assert!(good < 7 && damage.is_some(), "bit {bit}");
        }
    }

    #[test]
    fn noise_is_refused_without_panic_or_hunger() {
        let mut rng = sansio::Rng::new(1);
        for round in 0..20_000 {
            let mut bytes = if round % 2 == 0 { segment() } else { MAGIC.to_vec() };
            for _ in 0..rng.range(1, 20) {
                let at = usize::try_from(rng.below(bytes.len() as u64 + 1)).unwrap();
                let value = rng.next_u64().to_le_bytes()[0];
                match rng.below(3) {
                    0 => bytes.insert(at, value),
                    1 if at < bytes.len() => bytes[at] = value,
                    _ => bytes.truncate(at),
                }
            }
            let (good, _) = read(&bytes);
            assert!(good <= 7);
        }
        let mut huge = MAGIC.to_vec();
        prost::encoding::encode_varint(u64::MAX, &mut huge);
        let damage = read(&huge).1.unwrap();
        assert_eq!((damage.at, damage.what.contains("64 MiB")), (8, true));
    }
}
