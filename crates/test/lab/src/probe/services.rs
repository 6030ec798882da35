//! Corosync's services `quorum` and `cpg` as far as the probe speaks them:
//! layouts and numbers as its public headers (ipc_quorum.h, ipc_cpg.h) give
//! them. Every field begins at a multiple of eight bytes, except that a list
//! follows the last counter at once; the byte order is the machine's.

use std::collections::BTreeSet;
use std::io;

use observe::{Node, RingId};
use qb_ipc::Error;
use sansio::edge::Frame;

/// The longest message of a connection, as corosync's own library asks for it.
pub(super) const BUFFER: u32 = 1024 * 1024;

/// The process group in which probes talk.
pub(super) const GROUP: &str = "systole-probe";

/// The code by which corosync's answers say that all is well.
const CS_OK: i32 = 1;

const QUORUM_TRACKSTART: i32 = 1;
const QUORUM_MODEL_GETTYPE: i32 = 4;
const QUORUM_VERDICT_V1: i32 = 6;
const QUORUM_MEMBERS_V1: i32 = 7;

const CPG_JOIN: i32 = 0;
const CPG_MCAST: i32 = 2;
const CPG_CONFCHG: i32 = 4;
const CPG_DELIVERY: i32 = 5;
const CPG_TOTEM_CONFCHG: i32 = 13;

/// Bytes of a group's name with its length.
const NAME: usize = 136;

/// What `quorum` tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum QuorumEvent {
    Members { ring: RingId, members: BTreeSet<Node> },
    Verdict { ring: RingId, quorate: bool, members: BTreeSet<Node> },
}

/// What `cpg` tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CpgEvent {
    /// A new ring with its nodes.
    Ring {
        ring: RingId,
        members: BTreeSet<Node>,
    },
    /// Nodes with a process in the group.
    Group(BTreeSet<Node>),
    Message {
        sender: Node,
        epoch: u64,
        number: u64,
    },
}

/// An answer that is none of corosync's errors.
pub(super) fn accepted(answer: &Frame) -> Result<(), Error> {
    if answer.error == CS_OK {
        return Ok(());
    }
    Err(Error::from(io::Error::other(format!("corosync answers {}", answer.error))))
}

/// The requests that ask for every change, in the form that names whole ring ids.
pub(super) fn quorum_tracking() -> [(i32, Vec<u8>); 2] {
    let (model_v1, current_and_changes) = (1_u32, 3_u32);
    [(QUORUM_MODEL_GETTYPE, field(model_v1)), (QUORUM_TRACKSTART, field(current_and_changes))]
}

/// Joins the probes' group, and asks for every ring.
pub(super) fn cpg_join(pid: u32) -> (i32, Vec<u8>) {
    let totem_changes = 1_u32;
    let mut body = field(u32::try_from(GROUP.len()).unwrap_or(0));
    body.extend(GROUP.bytes());
    body.resize(NAME, 0);
    body.extend(field(pid));
    body.extend(field(totem_changes));
    (CPG_JOIN, body)
}

/// A numbered message to the group, in agreed order.
pub(super) fn cpg_message(epoch: u64, number: u64) -> (i32, Vec<u8>) {
    let agreed = 2_u32;
    // This request has the header of an answer, which is eight bytes longer.
    let mut body = vec![0; 8];
    body.extend(field(agreed));
    body.extend(field(16));
    body.extend(epoch.to_ne_bytes());
    body.extend(number.to_ne_bytes());
    (CPG_MCAST, body)
}

fn field(value: u32) -> Vec<u8> {
    let mut bytes = value.to_ne_bytes().to_vec();
    bytes.resize(8, 0);
    bytes
}

/// An event of `quorum`; none: not one that the probe asked for.
pub(super) fn quorum_event(id: i32, body: &[u8]) -> Option<QuorumEvent> {
    match id {
        QUORUM_VERDICT_V1 => Some(QuorumEvent::Verdict {
            quorate: u32_at(body, 0)? != 0,
            ring: ring_at(body, 8)?,
            members: list(body, 28, u32_at(body, 24)?)?,
        }),
        QUORUM_MEMBERS_V1 => Some(QuorumEvent::Members {
            ring: ring_at(body, 0)?,
            members: list(body, 36, u32_at(body, 16)?)?,
        }),
        _ => None,
    }
}

/// An event of `cpg`; none: not one that the probe asked for.
pub(super) fn cpg_event(id: i32, body: &[u8]) -> Option<CpgEvent> {
    match id {
        CPG_TOTEM_CONFCHG => Some(CpgEvent::Ring {
            ring: ring_at(body, 0)?,
            members: list(body, 20, u32_at(body, 16)?)?,
        }),
        CPG_CONFCHG => Some(CpgEvent::Group(addresses(body, NAME + 24, u32_at(body, NAME)?)?)),
        CPG_DELIVERY => Some(CpgEvent::Message {
            sender: Node(u32_at(body, NAME + 8)?),
            epoch: u64_at(body, NAME + 24)?,
            number: u64_at(body, NAME + 32)?,
        }),
        _ => None,
    }
}

fn list(body: &[u8], at: usize, count: u32) -> Option<BTreeSet<Node>> {
    let count = usize::try_from(count).ok()?;
    let bytes = body.get(at..at.checked_add(count.checked_mul(4)?)?)?;
    Some((0..count).filter_map(|i| u32_at(bytes, i * 4).map(Node)).collect())
}

/// The nodes of a list of processes: node, pid and reason of each.
fn addresses(body: &[u8], at: usize, count: u32) -> Option<BTreeSet<Node>> {
    let count = usize::try_from(count).ok()?;
    let bytes = body.get(at..at.checked_add(count.checked_mul(24)?)?)?;
    Some((0..count).filter_map(|i| u32_at(bytes, i * 24).map(Node)).collect())
}

fn ring_at(body: &[u8], at: usize) -> Option<RingId> {
    Some(RingId { rep: Node(u32_at(body, at)?), seq: u64_at(body, at.checked_add(8)?)? })
}

fn u32_at(body: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(body.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(body: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(body.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_ne_bytes()).collect()
    }

    #[test]
    fn a_verdict_names_ring_and_members() {
        let body = words(&[1, 0, 2, 0, 9, 0, 2, 1, 2]);
        let ring = RingId { rep: Node(2), seq: 9 };
        let members = BTreeSet::from([Node(1), Node(2)]);
        let wanted = QuorumEvent::Verdict { ring, quorate: true, members };
        assert_eq!(quorum_event(QUORUM_VERDICT_V1, &body), Some(wanted));
        for end in 0..body.len() {
            assert_eq!(quorum_event(QUORUM_VERDICT_V1, &body[..end]), None);
        }
        let huge = words(&[1, 0, 2, 0, 9, 0, u32::MAX, 1, 2]);
        assert_eq!(quorum_event(QUORUM_VERDICT_V1, &huge), None);
    }

    #[test]
    fn a_message_comes_back_as_it_was_sent() {
        let (_, sent) = cpg_message(7, 8);
        let mut body = vec![0; NAME];
        body.extend(field(16));
        body.extend(field(3));
        body.extend(field(1234));
        body.extend(&sent[24..]);
        let wanted = CpgEvent::Message { sender: Node(3), epoch: 7, number: 8 };
        assert_eq!(cpg_event(CPG_DELIVERY, &body), Some(wanted));
        assert_eq!(cpg_join(1).1.len(), NAME + 16);
    }
}
