//! What keepers tell each other, in order, through the ring.

use std::collections::BTreeSet;

use observe::Node;
use wire::{Malformed, Reader, Writer};

use crate::ipc;

/// How the resource stands on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Not known yet: a probe is under way.
    Unknown,
    /// Not active, for sure.
    Stopped,
    /// Being started or stopped: may be active.
    Changing,
    /// Active.
    Running,
    /// A stop has failed: may be active, and only fencing helps.
    Failed,
}

impl Status {
    pub(super) fn code(self) -> u8 {
        match self {
            Status::Unknown => 0,
            Status::Stopped => 1,
            Status::Changing => 2,
            Status::Running => 3,
            Status::Failed => 4,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        let all =
            [Status::Unknown, Status::Stopped, Status::Changing, Status::Running, Status::Failed];
        all.get(usize::from(code)).copied()
    }
}

/// An ordered message between keepers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// First word in a new ring: how the resource stands here, and which nodes
    /// the sender knows to be down for good.
    Hello { status: Status, down: BTreeSet<Node> },
    /// The coordinator wants the resource started there.
    Place(Node),
    /// The coordinator wants the resource stopped there.
    Clear(Node),
    /// The sender's resource stands so now.
    Report(Status),
    /// The coordinator has fenced this node.
    Fenced(Node),
    /// The sender has stopped its resource and is about to end.
    Leaving,
}

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Message::Hello { status, down } => {
                ipc::put_nodes(w.u8(0).u8(status.code()), down.iter());
            }
            Message::Place(node) => {
                w.u8(1).u32(node.0);
            }
            Message::Clear(node) => {
                w.u8(2).u32(node.0);
            }
            Message::Report(status) => {
                w.u8(3).u8(status.code());
            }
            Message::Fenced(node) => {
                w.u8(4).u32(node.0);
            }
            Message::Leaving => {
                w.u8(5);
            }
        }
        w.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("a kind")? {
            0 => Message::Hello { status: status(&mut r)?, down: ipc::nodes(&mut r)? },
            1 => Message::Place(Node(r.u32("a node")?)),
            2 => Message::Clear(Node(r.u32("a node")?)),
            3 => Message::Report(status(&mut r)?),
            4 => Message::Fenced(Node(r.u32("a node")?)),
            5 => Message::Leaving,
            _ => return Err(r.refuse("a kind from 0 to 5")),
        };
        r.end()?;
        Ok(message)
    }
}

fn status(r: &mut Reader<'_>) -> Result<Status, Malformed> {
    let code = r.u8("a status")?;
    Status::from_code(code).ok_or_else(|| r.refuse("a status from 0 to 4"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_comes_back_and_damage_is_refused() {
        let messages = [
            Message::Hello { status: Status::Running, down: BTreeSet::from([Node(2), Node(3)]) },
            Message::Place(Node(1)),
            Message::Clear(Node(1)),
            Message::Report(Status::Failed),
            Message::Fenced(Node(7)),
            Message::Leaving,
        ];
        for message in messages {
            let bytes = message.encode();
            assert_eq!(Message::decode(&bytes), Ok(message));
            for cut in 0..bytes.len() {
                assert!(Message::decode(&bytes[..cut]).is_err());
            }
        }
        assert!(Message::decode(&[9]).is_err());
        assert!(Message::decode(&[3, 9]).is_err());
    }
}
