//! The two tokens: of the standing ring, and of the one that is being formed.

use bytes::Bytes;
use ha_types::{Node, RingId};
use wire::Malformed;

use super::{COMMIT_TOKEN, MAX_NODES, MAX_RETRANSMITS, ORF_TOKEN, Source, length, put_ring, start};

/// Goes round the ring; who has it may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrfToken {
    /// The highest sequence given to a message.
    pub(crate) seq: u32,
    /// Counts the token's steps, so that a repeated one is known.
    pub(crate) token_seq: u32,
    /// All received up to: every member has what is at or below.
    pub(crate) aru: u32,
    /// Who lowered the aru last; 0 when nobody lacks anything.
    pub(crate) aru_addr: u32,
    pub(crate) ring: RingId,
    /// Messages that wait on all members together.
    pub(crate) backlog: u32,
    /// Messages sent in the last rotation.
    pub(crate) fcc: u32,
    /// In recovery: whether somebody has still messages of the old ring to send.
    pub(crate) retrans_flg: bool,
    /// Who has these, please send them again.
    pub(crate) retransmits: Vec<RetransmitItem>,
}

/// A message that somebody lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetransmitItem {
    pub(crate) ring: RingId,
    pub(crate) seq: u32,
}

impl OrfToken {
    pub(super) fn decode(r: &mut Source<'_>) -> Result<Self, Malformed> {
        let seq = r.u32("sequence")?;
        let token_seq = r.u32("token sequence")?;
        let aru = r.u32("aru")?;
        let aru_addr = r.u32("aru address")?;
        let ring = r.ring()?;
        let backlog = r.u32("backlog")?;
        let fcc = r.u32("flow control count")?;
        let retrans_flg = r.u32("retransmission flag")? != 0;
        let entries = r.count(MAX_RETRANSMITS, "number of retransmission requests")?;
        let item = |r: &mut Source<'_>| {
            Ok(RetransmitItem { ring: r.ring()?, seq: r.u32("requested sequence")? })
        };
        let retransmits = (0..entries).map(|_| item(r)).collect::<Result<_, Malformed>>()?;
        Ok(Self { seq, token_seq, aru, aru_addr, ring, backlog, fcc, retrans_flg, retransmits })
    }

    pub(crate) fn encode(&self, from: Node, to: Node) -> Bytes {
        let mut w = start(ORF_TOKEN, from.0, to.0);
        w.u32(self.seq).u32(self.token_seq).u32(self.aru).u32(self.aru_addr);
        put_ring(&mut w, self.ring);
        w.u32(self.backlog).u32(self.fcc).u32(u32::from(self.retrans_flg));
        w.u32(length(&self.retransmits));
        for item in &self.retransmits {
            put_ring(&mut w, item.ring);
            w.u32(item.seq);
        }
        w.finish().into()
    }
}

/// Goes round twice when a ring is formed: to collect, then to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitToken {
    pub(crate) token_seq: u32,
    pub(crate) ring: RingId,
    pub(crate) retrans_flg: u32,
    /// How many members have filled in their entry.
    pub(crate) filled: usize,
    /// The members in the order of the ring.
    pub(crate) members: Vec<Node>,
    /// What each has of its old ring.
    pub(crate) entries: Vec<CommitEntry>,
}

/// What one member has of its old ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitEntry {
    pub(crate) ring: RingId,
    pub(crate) aru: u32,
    pub(crate) high_delivered: u32,
    /// Whether it lacks nothing that others of the old ring have.
    pub(crate) received: bool,
}

impl CommitEntry {
    /// Not filled in yet.
    pub(crate) const EMPTY: Self =
        Self { ring: RingId { seq: 0, rep: Node(0) }, aru: 0, high_delivered: 0, received: false };
}

impl CommitToken {
    pub(super) fn decode(r: &mut Source<'_>) -> Result<Self, Malformed> {
        let token_seq = r.u32("token sequence")?;
        let ring = r.ring()?;
        let retrans_flg = r.u32("retransmission flag")?;
        let filled = r.u32("member index")? as usize;
        let count = r.count(MAX_NODES, "number of members")?;
        if count == 0 || filled > count {
            return Err(r.reader.refuse("a member index within the members"));
        }
        let members = (0..count).map(|_| r.node("member")).collect::<Result<_, _>>()?;
        let entry = |r: &mut Source<'_>| {
            Ok(CommitEntry {
                ring: r.ring()?,
                aru: r.u32("aru")?,
                high_delivered: r.u32("highest delivered")?,
                received: r.u32("received flag")? != 0,
            })
        };
        let entries = (0..count).map(|_| entry(r)).collect::<Result<_, Malformed>>()?;
        Ok(Self { token_seq, ring, retrans_flg, filled, members, entries })
    }

    pub(crate) fn encode(&self, from: Node, to: Node) -> Bytes {
        let mut w = start(COMMIT_TOKEN, from.0, to.0);
        w.u32(self.token_seq);
        put_ring(&mut w, self.ring);
        let filled = u32::try_from(self.filled).expect("at most the number of members");
        w.u32(self.retrans_flg).u32(filled).u32(length(&self.members));
        for member in &self.members {
            w.u32(member.0);
        }
        for entry in &self.entries {
            put_ring(&mut w, entry.ring);
            w.u32(entry.aru).u32(entry.high_delivered).u32(u32::from(entry.received));
        }
        w.finish().into()
    }
}
