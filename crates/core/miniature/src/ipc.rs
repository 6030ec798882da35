//! What the ring and its local clients say to each other.
//!
//! Service `mini-ring`: requests [`TRACK`] and [`MCAST`], each answered by a
//! response of the same id whose error is 0 or a negative errno; events
//! [`VIEW`], [`GATHERING`] and [`DELIVER`] to those who track.

use std::collections::BTreeSet;

use observe::{Node, RingId};
use wire::{Malformed, Reader, Writer};

/// Request: from now on send me events; the current view comes first. The body
/// is empty, or [`FROM_START`].
pub const TRACK: i32 = 0;
/// Body of [`TRACK`] for a client that must see all messages of a ring or none:
/// if the current one has delivered some, a new one is formed.
pub const FROM_START: &[u8] = &[1];
/// Request: send a message to the members of the ring that I name.
pub const MCAST: i32 = 1;
/// Event: a membership was installed.
pub const VIEW: i32 = 0;
/// Event: the membership is gone, a new one is being formed.
pub const GATHERING: i32 = 1;
/// Event: an ordered message.
pub const DELIVER: i32 = 2;

/// Longest message of a client, in bytes.
pub const MAX_MESSAGE: usize = 512;
/// Most nodes of a cluster in miniature.
pub const MAX_NODES: usize = 64;

/// Body of [`VIEW`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewEvent {
    /// The membership.
    pub ring: RingId,
    /// Whether it is quorate.
    pub quorate: bool,
    /// Its members.
    pub members: BTreeSet<Node>,
}

/// Body of [`DELIVER`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverEvent {
    /// The membership in which it is delivered.
    pub ring: RingId,
    /// Its sender.
    pub sender: Node,
    /// What was sent.
    pub bytes: Vec<u8>,
}

pub(crate) fn put_ring(w: &mut Writer, ring: RingId) -> &mut Writer {
    w.u64(ring.seq).u32(ring.rep.0)
}

pub(crate) fn ring(r: &mut Reader<'_>) -> Result<RingId, Malformed> {
    Ok(RingId { seq: r.u64("a ring's sequence")?, rep: Node(r.u32("a representative")?) })
}

pub(crate) fn put_nodes<'a>(w: &mut Writer, nodes: impl Iterator<Item = &'a Node>) -> &mut Writer {
    let nodes: Vec<u32> = nodes.map(|n| n.0).collect();
    w.u8(u8::try_from(nodes.len()).expect("at most MAX_NODES"));
    for node in nodes {
        w.u32(node);
    }
    w
}

pub(crate) fn nodes(r: &mut Reader<'_>) -> Result<BTreeSet<Node>, Malformed> {
    let count = r.u8("a number of nodes")?;
    if usize::from(count) > MAX_NODES {
        return Err(r.refuse("at most 64 nodes"));
    }
    (0..count).map(|_| Ok(Node(r.u32("a node")?))).collect()
}

impl ViewEvent {
    /// The body of the event.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        put_nodes(put_ring(&mut w, self.ring).u8(self.quorate.into()), self.members.iter());
        w.finish()
    }

    /// Reads the body of the event.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let event =
            Self { ring: ring(&mut r)?, quorate: r.u8("a flag")? != 0, members: nodes(&mut r)? };
        r.end()?;
        Ok(event)
    }
}

impl DeliverEvent {
    /// The body of the event.
    pub fn encode(&self) -> Vec<u8> {
        put_ring(&mut Writer::new(), self.ring).u32(self.sender.0).blob(&self.bytes).finish()
    }

    /// Reads the body of the event.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let event = Self {
            ring: ring(&mut r)?,
            sender: Node(r.u32("a sender")?),
            bytes: r.blob(MAX_MESSAGE, "a message")?.to_vec(),
        };
        r.end()?;
        Ok(event)
    }
}

/// The body of [`MCAST`]: the ring for which the message was decided, and the
/// message.
pub fn encode_mcast(ring: RingId, bytes: &[u8]) -> Vec<u8> {
    put_ring(&mut Writer::new(), ring).blob(bytes).finish()
}

/// Reads the body of [`MCAST`].
pub fn decode_mcast(body: &[u8]) -> Result<(RingId, Vec<u8>), Malformed> {
    let mut r = Reader::new(body);
    let request = (ring(&mut r)?, r.blob(MAX_MESSAGE, "a message")?.to_vec());
    r.end()?;
    Ok(request)
}
