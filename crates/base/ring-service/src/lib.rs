//! What a service above the ring is given, and what it asks for.
//!
//! A service (cpg, votequorum, quorum, cfg, cmap) is a pure state machine that
//! sees ordered messages, synchronization steps and requests of local clients,
//! and answers with [`Output`]s. Its messages and its IPC structures are C
//! structures with every field on a multiple of eight; [`Layout`] and [`View`]
//! write and read them by the offsets that the C compiler gives them.
//!
//! Sources: `corosync/corotypes.h`, `corosync/corodefs.h` and the libqb header.

mod layout;
mod status;

use std::collections::BTreeSet;

use ha_types::{Node, RingId};
use sansio::edge::{Channel, Conn, Frame, Level};

pub use layout::{Layout, RING_ID_LEN, View};
pub use status::Status;

/// Most nodes that any message or answer can name.
pub const NODES_MAX: usize = 384;

/// A service by its number, which orders synchronization and tags messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service(pub u16);

impl Service {
    /// The configuration map.
    pub const CMAP: Self = Self(0);
    /// Status, shutdown, kill, reload.
    pub const CFG: Self = Self(1);
    /// Closed process groups.
    pub const CPG: Self = Self(2);
    /// Who is there, and whether that is enough.
    pub const QUORUM: Self = Self(3);
    /// Votes.
    pub const VOTEQUORUM: Self = Self(5);

    /// The name under which local clients find it.
    pub fn ipc_name(self) -> Option<&'static str> {
        match self {
            Self::CMAP => Some("cmap"),
            Self::CFG => Some("cfg"),
            Self::CPG => Some("cpg"),
            Self::QUORUM => Some("quorum"),
            Self::VOTEQUORUM => Some("votequorum"),
            _ => None,
        }
    }

    /// The service behind an IPC name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::CMAP, Self::CFG, Self::CPG, Self::QUORUM, Self::VOTEQUORUM];
        all.into_iter().find(|service| service.ipc_name() == Some(name))
    }

    /// The id in a message's header: the service above, its own number below.
    pub fn message_id(self, number: u16) -> i32 {
        i32::from_ne_bytes((u32::from(self.0) << 16 | u32::from(number)).to_ne_bytes())
    }
}

/// The two groups of messages that share the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Messages of the services; on the wire `a`.
    Services,
    /// Messages of the barrier; on the wire `sync`.
    Sync,
}

impl Group {
    /// The group's name on the wire.
    pub fn name(self) -> &'static [u8] {
        match self {
            Self::Services => b"a",
            Self::Sync => b"sync",
        }
    }
}

/// How sure a delivery must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// In the same order everywhere.
    Agreed,
    /// And only when all members have it.
    Safe,
}

/// A value that a service publishes in the configuration map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapValue {
    /// Type u8.
    U8(u8),
    /// Type u32.
    U32(u32),
    /// Type str.
    Text(String),
}

/// A quorate or inquorate membership, as votequorum tells the quorum service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumView {
    /// Its members.
    pub members: BTreeSet<Node>,
    /// Whether they may act.
    pub quorate: bool,
    /// Its ring.
    pub ring: RingId,
}

/// The start of a synchronization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncStart {
    /// The new ring.
    pub ring: RingId,
    /// Its members.
    pub members: BTreeSet<Node>,
    /// Who of them has come along from the old ring.
    pub came_along: BTreeSet<Node>,
}

/// A step of synchronization, for a service that somebody else owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncStep {
    /// A new ring: forget the last synchronization.
    Init(SyncStart),
    /// Say what the others must know; the owner reports when that is done.
    Process,
    /// All have said it: act on it.
    Activate,
    /// The ring has gone while the service was at it.
    Abort,
}

/// What a service wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send an ordered message, header included.
    Mcast {
        /// To whom.
        group: Group,
        /// How surely.
        guarantee: Guarantee,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Send a client an answer or an event.
    Frame {
        /// The client.
        conn: Conn,
        /// The message.
        frame: Frame,
    },
    /// Serve the requests of a client or not (libqb's levels 0, 1 and 2).
    FlowControl {
        /// The client.
        conn: Conn,
        /// The level.
        level: u8,
    },
    /// Publish a value.
    MapSet {
        /// Its key.
        key: String,
        /// The value.
        value: MapValue,
    },
    /// Replace a file of the state directory; answered by `persisted`.
    Persist {
        /// The file's name.
        name: &'static str,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// Votequorum has decided anew; for the quorum service.
    Quorum(QuorumView),
    /// Whether this node may act has changed.
    Quorate(bool),
    /// A step of a service that the daemon itself owns.
    Step {
        /// The service.
        service: Service,
        /// The step.
        step: SyncStep,
    },
    /// A message of a service that the daemon itself owns.
    Deliver {
        /// The service.
        service: Service,
        /// Who sent it.
        from: Node,
        /// The message, header included.
        bytes: Vec<u8>,
    },
    /// All services have synchronized in this ring.
    Synchronized(RingId),
    /// A node asks all to read their configuration again.
    Reload {
        /// Who asks.
        by: Node,
        /// The local client that waits for the outcome.
        asker: Option<Conn>,
    },
    /// A client wants the log files opened anew and waits for the outcome.
    ReopenLogs {
        /// The client.
        asker: Conn,
    },
    /// A phase of a change of keys, for the transport.
    CryptoPhase(u32),
    /// The daemon is asked to end in good order.
    Shutdown,
    /// The daemon must end at once.
    Killed {
        /// Who wants that.
        by: Node,
        /// Why.
        reason: String,
    },
    /// Say something to the administrator.
    Log {
        /// How important it is.
        level: Level,
        /// What.
        text: String,
    },
}

/// An answer to a client.
pub fn response(conn: Conn, id: i32, status: Status, body: Vec<u8>) -> Output {
    let frame = Frame { channel: Channel::Response, id, error: status.code(), body };
    Output::Frame { conn, frame }
}

/// An event for a client.
pub fn event(conn: Conn, id: i32, status: Status, body: Vec<u8>) -> Output {
    let frame = Frame { channel: Channel::Event, id, error: status.code(), body };
    Output::Frame { conn, frame }
}

/// An agreed message of a service.
pub fn mcast(bytes: Vec<u8>) -> Output {
    Output::Mcast { group: Group::Services, guarantee: Guarantee::Agreed, bytes }
}
