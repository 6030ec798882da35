//! Datagrams between rings: 4 bytes magic, version, kind, sender, the sender's
//! epoch, then the fields of the kind.

use std::collections::{BTreeMap, BTreeSet};

use observe::{Node, RingId};
use wire::{Malformed, Reader, Writer};

use crate::ipc::{self, MAX_MESSAGE, MAX_NODES};

const MAGIC: u32 = 0x696e_696d;
const VERSION: u8 = 1;

/// How many messages may be ordered and not yet known to be everywhere; bounds
/// each log, each flush and each burst of retransmissions.
pub(super) const WINDOW: usize = 16;

/// A client's message on its way through the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) sender: Node,
    pub(super) epoch: u64,
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
}

/// A log of ordered messages by their sequence in their ring.
pub(super) type Log = BTreeMap<u64, Message>;

/// What a node tells everybody, ten times a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beat {
    /// The ring it is in.
    pub(super) view: Option<RingId>,
    /// The highest sequence it has promised.
    pub(super) promised: u64,
    /// Up to where it has delivered in `view`.
    pub(super) delivered: u64,
    /// From the representative: up to where everybody has.
    pub(super) stable: u64,
    /// Whom it hears.
    pub(super) heard: BTreeSet<Node>,
    /// Whether this is its last one.
    pub(super) leaving: bool,
}

/// A node's consent to a proposal, with what it knows of the ring it was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accept {
    pub(super) ring: RingId,
    pub(super) old: Option<Old>,
}

/// The end of a ring as one node saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Old {
    pub(super) ring: RingId,
    pub(super) delivered: u64,
    pub(super) log: Log,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Beat(Beat),
    /// The sender asks these nodes, in these lives, to form a ring.
    Propose {
        ring: RingId,
        members: BTreeMap<Node, u64>,
    },
    Accept(Accept),
    /// All accepted: install, after delivering what is missing of the old rings.
    Commit {
        ring: RingId,
        members: BTreeMap<Node, u64>,
        flush: Vec<(RingId, Log)>,
    },
    /// To the representative: please order. `first` is the sender's first
    /// number in this ring.
    Forward {
        ring: RingId,
        first: u64,
        message: Message,
    },
    /// From the representative: ordered.
    Data {
        ring: RingId,
        seq: u64,
        message: Message,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Datagram {
    pub(super) sender: Node,
    pub(super) epoch: u64,
    pub(super) body: Body,
}

impl Datagram {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u32(MAGIC).u8(VERSION).u8(self.body.kind()).u32(self.sender.0).u64(self.epoch);
        match &self.body {
            Body::Beat(beat) => put_beat(&mut w, beat),
            Body::Propose { ring, members } => put_members(ipc::put_ring(&mut w, *ring), members),
            Body::Accept(accept) => {
                ipc::put_ring(&mut w, accept.ring);
                put_old(&mut w, accept.old.as_ref());
            }
            Body::Commit { ring, members, flush } => {
                put_members(ipc::put_ring(&mut w, *ring), members);
                w.u8(u8::try_from(flush.len()).expect("at most one of each member"));
                for (old, log) in flush {
                    put_log(ipc::put_ring(&mut w, *old), log);
                }
            }
            Body::Forward { ring, first: number, message }
            | Body::Data { ring, seq: number, message } => {
                put_message(ipc::put_ring(&mut w, *ring).u64(*number), message);
            }
        }
        w.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        if r.u32("the magic number")? != MAGIC || r.u8("a version")? != VERSION {
            return Err(r.refuse("a datagram of the miniature, version 1"));
        }
        let kind = r.u8("a kind")?;
        let (sender, epoch) = (Node(r.u32("a sender")?), r.u64("an epoch")?);
        let body = read_body(kind, &mut r)?;
        r.end()?;
        Ok(Self { sender, epoch, body })
    }
}

impl Body {
    fn kind(&self) -> u8 {
        match self {
            Body::Beat(_) => 0,
            Body::Propose { .. } => 1,
            Body::Accept(_) => 2,
            Body::Commit { .. } => 3,
            Body::Forward { .. } => 4,
            Body::Data { .. } => 5,
        }
    }
}

fn read_body(kind: u8, r: &mut Reader<'_>) -> Result<Body, Malformed> {
    Ok(match kind {
        0 => Body::Beat(read_beat(r)?),
        1 => Body::Propose { ring: ipc::ring(r)?, members: read_members(r)? },
        2 => Body::Accept(Accept { ring: ipc::ring(r)?, old: read_old(r)? }),
        3 => Body::Commit { ring: ipc::ring(r)?, members: read_members(r)?, flush: read_flush(r)? },
        4 => Body::Forward {
            ring: ipc::ring(r)?,
            first: r.u64("a first number")?,
            message: read_message(r)?,
        },
        5 => {
            Body::Data { ring: ipc::ring(r)?, seq: r.u64("a sequence")?, message: read_message(r)? }
        }
        _ => return Err(r.refuse("a kind from 0 to 5")),
    })
}

fn put_beat(w: &mut Writer, beat: &Beat) {
    put_option(w, beat.view.as_ref(), |w, ring| {
        ipc::put_ring(w, *ring);
    });
    w.u64(beat.promised).u64(beat.delivered).u64(beat.stable).u8(beat.leaving.into());
    ipc::put_nodes(w, beat.heard.iter());
}

fn read_beat(r: &mut Reader<'_>) -> Result<Beat, Malformed> {
    Ok(Beat {
        view: read_option(r, ipc::ring)?,
        promised: r.u64("a promise")?,
        delivered: r.u64("a delivery")?,
        stable: r.u64("a stable mark")?,
        leaving: r.u8("a flag")? != 0,
        heard: ipc::nodes(r)?,
    })
}

pub(super) fn put_option<T>(w: &mut Writer, value: Option<&T>, put: impl Fn(&mut Writer, &T)) {
    w.u8(value.is_some().into());
    if let Some(value) = value {
        put(w, value);
    }
}

pub(super) fn read_option<T>(
    r: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    match r.u8("a flag")? {
        0 => Ok(None),
        1 => Ok(Some(read(r)?)),
        _ => Err(r.refuse("flag 0 or 1")),
    }
}

pub(super) fn put_members(w: &mut Writer, members: &BTreeMap<Node, u64>) {
    w.u8(u8::try_from(members.len()).expect("at most MAX_NODES"));
    for (node, epoch) in members {
        w.u32(node.0).u64(*epoch);
    }
}

pub(super) fn read_members(r: &mut Reader<'_>) -> Result<BTreeMap<Node, u64>, Malformed> {
    let count = r.u8("a number of members")?;
    if usize::from(count) > MAX_NODES {
        return Err(r.refuse("at most 64 members"));
    }
    (0..count).map(|_| Ok((Node(r.u32("a member")?), r.u64("an epoch")?))).collect()
}

pub(super) fn put_message(w: &mut Writer, message: &Message) {
    w.u32(message.sender.0).u64(message.epoch).u64(message.number).blob(&message.bytes);
}

pub(super) fn read_message(r: &mut Reader<'_>) -> Result<Message, Malformed> {
    Ok(Message {
        sender: Node(r.u32("a sender")?),
        epoch: r.u64("an epoch")?,
        number: r.u64("a number")?,
        bytes: r.blob(MAX_MESSAGE, "a message")?.to_vec(),
    })
}

pub(super) fn put_log(w: &mut Writer, log: &Log) {
    w.u8(u8::try_from(log.len()).expect("at most WINDOW"));
    for (seq, message) in log {
        put_message(w.u64(*seq), message);
    }
}

pub(super) fn read_log(r: &mut Reader<'_>) -> Result<Log, Malformed> {
    let count = r.u8("a number of messages")?;
    if usize::from(count) > WINDOW {
        return Err(r.refuse("at most a window of messages"));
    }
    (0..count).map(|_| Ok((r.u64("a sequence")?, read_message(r)?))).collect()
}

pub(super) fn put_old(w: &mut Writer, old: Option<&Old>) {
    put_option(w, old, |w, old| {
        put_log(ipc::put_ring(w, old.ring).u64(old.delivered), &old.log);
    });
}

pub(super) fn read_old(r: &mut Reader<'_>) -> Result<Option<Old>, Malformed> {
    read_option(r, |r| {
        Ok(Old { ring: ipc::ring(r)?, delivered: r.u64("a delivery")?, log: read_log(r)? })
    })
}

fn read_flush(r: &mut Reader<'_>) -> Result<Vec<(RingId, Log)>, Malformed> {
    let count = r.u8("a number of rings")?;
    if usize::from(count) > MAX_NODES {
        return Err(r.refuse("at most 64 old rings"));
    }
    (0..count).map(|_| Ok((ipc::ring(r)?, read_log(r)?))).collect()
}
