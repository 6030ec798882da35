//! What the cpg services of the nodes say to each other.

use ha_types::Node;
use ring_service::{Layout, NODES_MAX, Service, View};
use sansio::edge::Conn;
use wire::Malformed;

use crate::name::{NAME_LEN, Name};

const PROCJOIN: u16 = 0;
const PROCLEAVE: u16 = 1;
const JOINLIST: u16 = 2;
const MCAST: u16 = 3;
const DOWNLIST_OLD: u16 = 4;
const DOWNLIST: u16 = 5;
const PARTIAL_MCAST: u16 = 6;

const JOINLIST_HEADER: usize = 24;
const JOINLIST_ENTRY: usize = 8 + NAME_LEN;
const DOWNLIST_LEN: usize = 1568;

/// Why a process joined or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It asked to.
    Join = 1,
    /// It asked to.
    Leave = 2,
    /// Its node has gone.
    NodeDown = 3,
    /// Its node has come.
    NodeUp = 4,
    /// It ended, or its connection did.
    ProcDown = 5,
}

impl Reason {
    /// The number in messages and lists.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// A part of a message that was too long for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Length of the whole message.
    pub whole_len: u32,
    /// 1 first, 2 continued, 3 last.
    pub kind: u32,
}

/// A message between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A process of the sender joins.
    Join {
        /// The group.
        group: Name,
        /// The process.
        pid: u32,
    },
    /// A process of the sender leaves; the reason is passed on as it came.
    Leave {
        /// The group.
        group: Name,
        /// The process.
        pid: u32,
        /// A [`Reason`] by number.
        reason: u32,
    },
    /// All processes of the sender, during synchronization.
    JoinList(Vec<(u32, Name)>),
    /// A message to a group, whole or in parts.
    Mcast {
        /// The group.
        group: Name,
        /// The sending process.
        pid: u32,
        /// What was sent.
        bytes: Vec<u8>,
        /// None: the message is whole.
        part: Option<Part>,
    },
    /// Which nodes the sender has lost; nobody acts on it, each knows its own.
    DownList {
        /// How many members the sender's last synchronized ring had.
        old_members: u32,
        /// Those that have not come along.
        left: Vec<Node>,
    },
    /// The same of versions before 2.0; nobody acts on it.
    DownListOld,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// It is cut short, its counts do not fit its size, or nobody knows it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (id, view) = View::message(bytes)?;
        let id = u16::try_from(id & 0xffff).unwrap_or(u16::MAX);
        match id {
            PROCJOIN | PROCLEAVE => process(id, &view),
            JOINLIST => join_list(&view),
            MCAST => whole(&view),
            PARTIAL_MCAST => part(&view),
            DOWNLIST => down_list(&view),
            DOWNLIST_OLD => Ok(Self::DownListOld),
            _ => Err(Malformed { at: 0, wanted: "a message of cpg" }),
        }
    }

    /// The message as it goes to the ring; `source` is the local connection on
    /// whose behalf `me` sends.
    pub fn encode(&self, me: Node, source: Conn) -> Vec<u8> {
        match self {
            Self::Join { group, pid } => {
                encode_process(PROCJOIN, group, *pid, Reason::Join.number())
            }
            Self::Leave { group, pid, reason } => encode_process(PROCLEAVE, group, *pid, *reason),
            Self::JoinList(entries) => encode_join_list(entries),
            Self::Mcast { group, pid, bytes, part } => {
                encode_mcast(group, *pid, bytes, part.as_ref(), (me, source))
            }
            Self::DownList { old_members, left } => {
                let layout = Layout::message(Service::CPG.message_id(DOWNLIST), DOWNLIST_LEN);
                let layout = layout.u32(16, *old_members).count(24, left.len());
                let write = |l: Layout, (i, node): (usize, &Node)| l.u32(32 + 4 * i, node.0);
                left.iter().enumerate().fold(layout, write).finish()
            }
            Self::DownListOld => {
                Layout::message(Service::CPG.message_id(DOWNLIST_OLD), 1560).finish()
            }
        }
    }
}

fn process(id: u16, view: &View<'_>) -> Result<Message, Malformed> {
    let group = Name::read(view, 16)?;
    let pid = view.u32(152, "a process")?;
    let reason = view.u32(160, "a reason")?;
    Ok(match id {
        PROCJOIN => Message::Join { group, pid },
        _ => Message::Leave { group, pid, reason },
    })
}

fn join_list(view: &View<'_>) -> Result<Message, Malformed> {
    let entries = view.tail(JOINLIST_HEADER, "a list of processes")?;
    if entries.len() % JOINLIST_ENTRY != 0 {
        return Err(Malformed { at: JOINLIST_HEADER, wanted: "whole entries" });
    }
    let read = |at: usize| Ok((view.u32(at, "a process")?, Name::read(view, at + 8)?));
    let ats = (0..entries.len() / JOINLIST_ENTRY).map(|i| JOINLIST_HEADER + i * JOINLIST_ENTRY);
    Ok(Message::JoinList(ats.map(read).collect::<Result<_, Malformed>>()?))
}

fn whole(view: &View<'_>) -> Result<Message, Malformed> {
    let len = usize::try_from(view.u32(152, "a length")?).unwrap_or(usize::MAX);
    let bytes = view.raw(184, len, "a message")?.to_vec();
    let pid = view.u32(160, "a process")?;
    Ok(Message::Mcast { group: Name::read(view, 16)?, pid, bytes, part: None })
}

fn part(view: &View<'_>) -> Result<Message, Malformed> {
    let len = usize::try_from(view.u32(160, "a length")?).unwrap_or(usize::MAX);
    let bytes = view.raw(200, len, "a part of a message")?.to_vec();
    let part = Part { whole_len: view.u32(152, "a length")?, kind: view.u32(176, "a kind")? };
    let pid = view.u32(168, "a process")?;
    Ok(Message::Mcast { group: Name::read(view, 16)?, pid, bytes, part: Some(part) })
}

fn down_list(view: &View<'_>) -> Result<Message, Malformed> {
    let count = usize::try_from(view.u32(24, "a number of nodes")?).unwrap_or(usize::MAX);
    if count > NODES_MAX {
        return Err(Malformed { at: 24, wanted: "at most 384 nodes" });
    }
    let left = (0..count).map(|i| Ok(Node(view.u32(32 + 4 * i, "a node")?)));
    let left = left.collect::<Result<_, Malformed>>()?;
    Ok(Message::DownList { old_members: view.u32(16, "a number of nodes")?, left })
}

fn encode_process(number: u16, group: &Name, pid: u32, reason: u32) -> Vec<u8> {
    let layout = Layout::message(Service::CPG.message_id(number), 168);
    group.write(layout, 16).u32(152, pid).u32(160, reason).finish()
}

fn encode_join_list(entries: &[(u32, Name)]) -> Vec<u8> {
    let size = JOINLIST_HEADER + entries.len() * JOINLIST_ENTRY;
    let layout = Layout::message(Service::CPG.message_id(JOINLIST), size);
    let write = |layout: Layout, (i, (pid, group)): (usize, &(u32, Name))| {
        let at = JOINLIST_HEADER + i * JOINLIST_ENTRY;
        group.write(layout.u32(at, *pid), at + 8)
    };
    entries.iter().enumerate().fold(layout, write).finish()
}

fn encode_mcast(
    group: &Name,
    pid: u32,
    bytes: &[u8],
    part: Option<&Part>,
    (me, source): (Node, Conn),
) -> Vec<u8> {
    let layout = match part {
        None => {
            let layout = Layout::message(Service::CPG.message_id(MCAST), 184);
            layout.count(152, bytes.len()).u32(160, pid).u32(168, me.0).u64(176, source.0)
        }
        Some(part) => {
            let layout = Layout::message(Service::CPG.message_id(PARTIAL_MCAST), 200);
            let layout = layout.u32(152, part.whole_len).count(160, bytes.len());
            layout.u32(168, pid).u32(176, part.kind).u32(184, me.0).u64(192, source.0)
        }
    };
    group.write(layout, 16).then(bytes).finish()
}
