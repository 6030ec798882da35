//! Votes, expected votes and the quorum device.

use std::time::Duration;

use wire::{Malformed, Reader, Writer};

use crate::CsError;
use crate::connection::{Aligned, Connection, put_padded, until_nul};
use crate::quorum::{TRACK_CHANGES, TRACK_CURRENT};

const GET_INFO: i32 = 0;
const SET_EXPECTED: i32 = 1;
const SET_VOTES: i32 = 2;
const TRACK_START: i32 = 3;
const DEVICE_UNREGISTER: i32 = 6;

/// Ids of the events.
const QUORUM: i32 = 3;
const EXPECTED_VOTES: i32 = 4;
const NODE_LIST: i32 = 5;

/// Bytes of the field of a device's name.
const DEVICE_FIELD: usize = 255;

/// What holds for a node, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// The cluster has two nodes and knows it.
    pub const TWO_NODE: Self = Self(1);
    /// It is quorate.
    pub const QUORATE: Self = Self(2);
    /// The first quorum needs all nodes.
    pub const WAIT_FOR_ALL: Self = Self(4);
    /// Expected votes follow losses.
    pub const LAST_MAN_STANDING: Self = Self(8);
    /// Half of the votes may be enough.
    pub const AUTO_TIE_BREAKER: Self = Self(16);
    /// Expected votes follow clean leaves.
    pub const ALLOW_DOWNSCALE: Self = Self(32);
    /// A device is registered.
    pub const DEVICE_REGISTERED: Self = Self(64);
    /// The device is alive.
    pub const DEVICE_ALIVE: Self = Self(128);
    /// The device votes for the node.
    pub const DEVICE_CAST_VOTE: Self = Self(256);
    /// The device's partition wins.
    pub const DEVICE_MASTER_WINS: Self = Self(512);

    /// Whether one of the bits of `flag` is set.
    pub fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }
}

/// What votequorum knows of a node, and of the whole as that node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// The node.
    pub node: u32,
    /// Its votes.
    pub votes: u32,
    /// The votes that it expects.
    pub expected_votes: u32,
    /// The most that any member expects.
    pub highest_expected: u32,
    /// The votes that are there.
    pub total_votes: u32,
    /// The votes that are needed.
    pub quorum: u32,
    /// What holds for it.
    pub flags: Flags,
    /// The votes of its device.
    pub device_votes: u32,
    /// The name of its device.
    pub device_name: Vec<u8>,
}

/// A ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingId {
    /// The node that formed it.
    pub representative: u32,
    /// Its number.
    pub seq: u64,
}

/// A connection to the service `votequorum`.
pub struct Votequorum {
    connection: Connection,
}

impl Votequorum {
    /// Connects.
    pub fn open() -> Result<Self, CsError> {
        Ok(Self { connection: Connection::open("votequorum")? })
    }

    /// What is known of a node.
    pub fn info(&mut self, node: u32) -> Result<NodeInfo, CsError> {
        let body = self.connection.call(GET_INFO, &Writer::new().u32(node).u32(0).finish())?;
        Ok(decode_info(&body)?)
    }

    /// Sets the votes that all nodes expect.
    pub fn set_expected(&mut self, votes: u32) -> Result<(), CsError> {
        let request = Writer::new().u32(votes).u32(0).finish();
        self.connection.call(SET_EXPECTED, &request).map(|_| ())
    }

    /// Sets a node's votes.
    pub fn set_votes(&mut self, node: u32, votes: u32) -> Result<(), CsError> {
        let request = Writer::new().u32(votes).u32(node).finish();
        self.connection.call(SET_VOTES, &request).map(|_| ())
    }

    /// Removes a quorum device from the local node.
    pub fn unregister_device(&mut self, name: &[u8]) -> Result<(), CsError> {
        let mut out = Writer::new();
        put_padded(&mut out, name, DEVICE_FIELD);
        self.connection.call(DEVICE_UNREGISTER, &out.u8(0).finish()).map(|_| ())
    }

    /// Asks for the state as it is now.
    pub fn track_current(&mut self) -> Result<(), CsError> {
        self.track(TRACK_CURRENT)
    }

    /// Asks for the state at each change from now on.
    pub fn track_changes(&mut self) -> Result<(), CsError> {
        self.track(TRACK_CHANGES)
    }

    fn track(&mut self, flags: u32) -> Result<(), CsError> {
        let request = Writer::new().u64(0).u32(flags).u32(0).finish();
        self.connection.call(TRACK_START, &request).map(|_| ())
    }

    /// Waits for the next list of nodes and gives its ring; other events pass.
    pub fn next_ring(&mut self, timeout: Option<Duration>) -> Result<Option<RingId>, CsError> {
        loop {
            let Some(frame) = self.connection.event(timeout)? else { return Ok(None) };
            match frame.id {
                NODE_LIST => return Ok(Some(decode_ring(&frame.body)?)),
                QUORUM | EXPECTED_VOTES => {}
                _ => return Err(CsError::LIBRARY),
            }
        }
    }
}

fn decode_info(body: &[u8]) -> Result<NodeInfo, Malformed> {
    let mut r = Reader::new(body);
    let mut number = || r.u32("a node's numbers");
    let node = number()?;
    let _state = number()?;
    Ok(NodeInfo {
        node,
        votes: number()?,
        expected_votes: number()?,
        highest_expected: number()?,
        total_votes: number()?,
        quorum: number()?,
        flags: Flags(number()?),
        device_votes: number()?,
        device_name: until_nul(r.take(DEVICE_FIELD, "a device's name")?).into(),
    })
}

fn decode_ring(body: &[u8]) -> Result<RingId, Malformed> {
    let mut r = Reader::new(body);
    r.u64("the context")?;
    Ok(RingId { representative: r.u32_of_8("the ring's node")?, seq: r.u64("the ring")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_node_is_read() {
        let mut out = Writer::new();
        for number in [4, 1, 2, 3, 5, 6, 7, 0x42, 8] {
            out.u32(number);
        }
        put_padded(&mut out, b"Qdevice", DEVICE_FIELD);
        let bytes = out.finish();
        let info = decode_info(&bytes).unwrap();
        assert_eq!((info.node, info.votes, info.expected_votes), (4, 2, 3));
        assert_eq!((info.highest_expected, info.total_votes, info.quorum), (5, 6, 7));
        assert!(info.flags.has(Flags::QUORATE) && info.flags.has(Flags::DEVICE_REGISTERED));
        assert!(!info.flags.has(Flags::TWO_NODE));
        assert_eq!((info.device_votes, info.device_name), (8, b"Qdevice".to_vec()));
        assert!(decode_info(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn rings_are_read() {
        let bytes = Writer::new().u64(0).u32(2).u32(0).u64(0x2f).u32(0).finish();
        assert_eq!(decode_ring(&bytes), Ok(RingId { representative: 2, seq: 0x2f }));
        assert!(decode_ring(&bytes[..20]).is_err());
    }
}
