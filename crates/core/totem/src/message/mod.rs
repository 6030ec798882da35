//! The datagrams of the ring, byte for byte as Corosync 3 has them
//! (`docs/spec/totem.md`, "On the wire").
//!
//! Every message starts with a 13-byte header. The magic says in which byte
//! order its sender writes; both are read, little-endian is written. A message
//! has exactly the length that its counts say: what is shorter or longer is
//! refused, as no sender makes it.

mod token;

use bytes::Bytes;
use ha_types::{Node, RingId};
use wire::{Malformed, Reader, Writer};

pub(crate) use token::{CommitEntry, CommitToken, OrfToken, RetransmitItem};

/// First two bytes of each message, in the sender's byte order.
const MAGIC: u16 = 0xC070;
/// Version of the protocol.
const VERSION: u8 = 3;
/// Length of the header that all messages share.
const HEADER_LEN: usize = 13;
/// Length of what stands before the content of an ordered message.
pub(crate) const MCAST_LEN: usize = 45;
/// More nodes than this are no cluster; bounds every list on the wire.
pub(crate) const MAX_NODES: usize = 384;
/// More requests than this no sender puts in a token.
pub(crate) const MAX_RETRANSMITS: usize = 30;
/// Sequences beyond this are nobody's: at four for each membership they would
/// take longer than any machine lives, and adding to them must not overflow.
pub(crate) const MAX_RING_SEQ: u64 = 1 << 60;

const ORF_TOKEN: u8 = 0;
const MCAST: u8 = 1;
const MERGE_DETECT: u8 = 2;
const JOIN: u8 = 3;
const COMMIT_TOKEN: u8 = 4;
const HOLD_CANCEL: u8 = 5;

const ENCAPSULATED: u8 = 1;
const PLAIN: u8 = 2;

/// One message of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Token(OrfToken),
    Mcast(Mcast),
    MergeDetect(MergeDetect),
    Join(Join),
    Commit(CommitToken),
    HoldCancel(HoldCancel),
}

/// A message that is ordered by the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mcast {
    /// Who delivers it to itself and others: the node of the header.
    pub(crate) sender: Node,
    /// Who put it on the ring; the same, but a field of its own on the wire.
    pub(crate) from: Node,
    pub(crate) seq: u32,
    pub(crate) ring: RingId,
    /// Whether it waits until all members have it.
    pub(crate) safe: bool,
    /// Whether the content is a whole message of an older ring.
    pub(crate) encapsulated: bool,
    /// Whether the sender's byte order is the other one; its content is, too.
    pub(crate) swapped: bool,
    /// All of it, header included: what is sent again when somebody lacks it.
    pub(crate) raw: Bytes,
}

/// Tells other rings that this one exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MergeDetect {
    pub(crate) from: Node,
    pub(crate) ring: RingId,
}

/// A node's view of who should be in the next ring and who not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Join {
    pub(crate) from: Node,
    /// Whether the sender says good-bye: its header names no node.
    pub(crate) leaving: bool,
    pub(crate) ring_seq: u64,
    pub(crate) proc_list: Vec<Node>,
    /// In a good-bye its last entry is who leaves.
    pub(crate) failed_list: Vec<Node>,
}

/// Asks for the token to go round at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HoldCancel {
    pub(crate) ring: RingId,
}

impl Message {
    /// Reads a datagram.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut r = Source::new(bytes)?;
        let message = match r.kind {
            ORF_TOKEN => Self::Token(OrfToken::decode(&mut r)?),
            MCAST => return Ok(Self::Mcast(Mcast::decode_from(r, bytes)?)),
            MERGE_DETECT => {
                Self::MergeDetect(MergeDetect { from: r.node("sender")?, ring: r.ring()? })
            }
            JOIN => Self::Join(Join::decode(&mut r)?),
            COMMIT_TOKEN => Self::Commit(CommitToken::decode(&mut r)?),
            HOLD_CANCEL => Self::HoldCancel(HoldCancel { ring: r.ring()? }),
            _ => return Err(r.reader.refuse("a known message type")),
        };
        r.reader.end()?;
        Ok(message)
    }
}

impl Mcast {
    /// Reads an ordered message, for those that are carried inside others.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let r = Source::new(bytes)?;
        if r.kind != MCAST {
            return Err(r.reader.refuse("an ordered message"));
        }
        Self::decode_from(r, bytes)
    }

    fn decode_from(mut r: Source<'_>, bytes: &Bytes) -> Result<Self, Malformed> {
        let from = r.node("sender")?;
        let seq = r.u32("sequence")?;
        r.u32("number of this node's message")?;
        let ring = r.ring()?;
        r.u32("spare node id")?;
        let safe = r.u32("guarantee")? == 1;
        if r.sender == 0 {
            return Err(r.reader.refuse("a sender"));
        }
        Ok(Self {
            sender: Node(r.sender),
            from,
            seq,
            ring,
            safe,
            encapsulated: r.encapsulated == ENCAPSULATED,
            swapped: r.swapped,
            raw: bytes.clone(),
        })
    }

    /// What stands behind the header.
    pub(crate) fn content(&self) -> Bytes {
        self.raw.slice(MCAST_LEN..)
    }

    /// A message of this node with the content that `fill` appends.
    pub(crate) fn compose(place: &Place, capacity: usize, fill: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut raw = Vec::with_capacity(MCAST_LEN + capacity);
        let kind = if place.encapsulated { ENCAPSULATED } else { PLAIN };
        raw.extend_from_slice(&header(MCAST, kind, place.node.0, 0));
        raw.extend_from_slice(&place.node.0.to_le_bytes());
        raw.extend_from_slice(&place.seq.to_le_bytes());
        raw.extend_from_slice(&place.number.to_le_bytes());
        raw.extend_from_slice(&place.ring.rep.0.to_le_bytes());
        raw.extend_from_slice(&place.ring.seq.to_le_bytes());
        raw.extend_from_slice(&0_u32.to_le_bytes());
        raw.extend_from_slice(&u32::from(place.safe).to_le_bytes());
        fill(&mut raw);
        Self {
            sender: place.node,
            from: place.node,
            seq: place.seq,
            ring: place.ring,
            safe: place.safe,
            encapsulated: place.encapsulated,
            swapped: false,
            raw: raw.into(),
        }
    }
}

/// Where a message of this node stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) node: Node,
    pub(crate) ring: RingId,
    pub(crate) seq: u32,
    /// Counts this node's messages; nobody reads it.
    pub(crate) number: u32,
    pub(crate) safe: bool,
    pub(crate) encapsulated: bool,
}

impl MergeDetect {
    pub(crate) fn encode(&self) -> Bytes {
        let mut w = start(MERGE_DETECT, self.from.0, 0);
        w.u32(self.from.0);
        put_ring(&mut w, self.ring);
        w.finish().into()
    }
}

impl HoldCancel {
    pub(crate) fn encode(&self, from: Node) -> Bytes {
        let mut w = start(HOLD_CANCEL, from.0, 0);
        put_ring(&mut w, self.ring);
        w.finish().into()
    }
}

impl Join {
    fn decode(r: &mut Source<'_>) -> Result<Self, Malformed> {
        let leaving = r.sender == 0;
        let from = r.node("sender")?;
        let procs = r.count(MAX_NODES, "number of members")?;
        let failed = r.count(MAX_NODES, "number of failed nodes")?;
        let ring_seq = r.ring_seq()?;
        let proc_list = (0..procs).map(|_| r.node("member")).collect::<Result<_, _>>()?;
        let failed_list = (0..failed).map(|_| r.node("failed node")).collect::<Result<_, _>>()?;
        Ok(Self { from, leaving, ring_seq, proc_list, failed_list })
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut w = start(JOIN, if self.leaving { 0 } else { self.from.0 }, 0);
        w.u32(self.from.0);
        w.u32(length(&self.proc_list)).u32(length(&self.failed_list)).u64(self.ring_seq);
        for node in self.proc_list.iter().chain(&self.failed_list) {
            w.u32(node.0);
        }
        w.finish().into()
    }
}

/// A reader that knows the sender's byte order.
struct Source<'a> {
    reader: Reader<'a>,
    swapped: bool,
    kind: u8,
    encapsulated: u8,
    /// Node of the header; 0 in a good-bye.
    sender: u32,
}

impl<'a> Source<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let swapped = match reader.u16("magic")? {
            MAGIC => false,
            other if other == MAGIC.swap_bytes() => true,
            _ => return Err(Malformed { at: 0, wanted: "the magic" }),
        };
        if reader.u8("version")? != VERSION {
            return Err(Malformed { at: 2, wanted: "version 3" });
        }
        let kind = reader.u8("type")?;
        let encapsulated = reader.u8("encapsulation")?;
        let mut source = Self { reader, swapped, kind, encapsulated, sender: 0 };
        source.sender = source.u32("node of the header")?;
        source.u32("target of the header")?;
        Ok(source)
    }

    fn u32(&mut self, wanted: &'static str) -> Result<u32, Malformed> {
        let value = self.reader.u32(wanted)?;
        Ok(if self.swapped { value.swap_bytes() } else { value })
    }

    /// A node id; 0 is none.
    fn node(&mut self, wanted: &'static str) -> Result<Node, Malformed> {
        match self.u32(wanted)? {
            0 => Err(self.reader.refuse(wanted)),
            id => Ok(Node(id)),
        }
    }

    fn count(&mut self, max: usize, wanted: &'static str) -> Result<usize, Malformed> {
        let count = self.u32(wanted)? as usize;
        if count > max { Err(self.reader.refuse(wanted)) } else { Ok(count) }
    }

    fn ring_seq(&mut self) -> Result<u64, Malformed> {
        let value = self.reader.u64("ring sequence")?;
        let value = if self.swapped { value.swap_bytes() } else { value };
        let bounded = value <= MAX_RING_SEQ;
        if bounded { Ok(value) } else { Err(self.reader.refuse("a possible ring sequence")) }
    }

    fn ring(&mut self) -> Result<RingId, Malformed> {
        let rep = Node(self.u32("representative")?);
        Ok(RingId { rep, seq: self.ring_seq()? })
    }
}

fn header(kind: u8, encapsulated: u8, node: u32, target: u32) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[..2].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[2..5].copy_from_slice(&[VERSION, kind, encapsulated]);
    bytes[5..9].copy_from_slice(&node.to_le_bytes());
    bytes[9..].copy_from_slice(&target.to_le_bytes());
    bytes
}

fn start(kind: u8, node: u32, target: u32) -> Writer {
    let mut w = Writer::new();
    w.raw(&header(kind, 0, node, target));
    w
}

fn put_ring(w: &mut Writer, ring: RingId) {
    w.u32(ring.rep.0).u64(ring.seq);
}

fn length<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).expect("lists are bounded by the number of nodes")
}

#[cfg(test)]
mod tests;
