//! What a ring is told and what it says: the plain data of its interface.

use std::collections::BTreeSet;

use bytes::Bytes;
use ha_types::Node;
use ha_types::ring::{Configuration, Event};
use sansio::edge::{Level, PersistId};

use super::reserve::Reserve;
use crate::group::{Class, Delivery, Group, QueueLevel};
use crate::timing::Timing;

sansio::timers! {
    /// The ring's timers.
    pub enum Timer {
        /// The services have taken what they were given; always due at once.
        Deliver => "deliver",
        /// An own message is to come back; always due at once.
        Loopback => "loopback",
        /// The token (or, while gathering, the commit token) is lost.
        Token => "token",
        /// The token has been away for long.
        Warning => "token-warning",
        /// The sent token may have been lost.
        Retransmit => "token-retransmit",
        /// The held token is to go round once.
        Hold => "hold",
        /// Time to look for other rings.
        Merge => "merge",
        /// The heartbeat is missing.
        Heartbeat => "heartbeat",
        /// The join is to be sent again.
        Join => "join",
        /// The join's random delay is over.
        SendJoin => "send-join",
        /// Agreement has had its time.
        Consensus => "consensus",
        /// The reservation of ring ids has not been written for too long.
        Reserve => "reserve",
        /// What queued up while the process stood still is over.
        Settle => "settle",
    }
}

impl Timer {
    /// Those of committing, recovery and a standing ring.
    pub(super) const OF_RINGS: &'static [Self] =
        &[Self::Token, Self::Warning, Self::Retransmit, Self::Hold, Self::Merge, Self::Heartbeat];
    /// Those of gathering.
    pub(super) const OF_GATHERING: &'static [Self] =
        &[Self::Join, Self::SendJoin, Self::Consensus, Self::Reserve];
}

/// What a ring is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node; not 0.
    pub node: Node,
    /// Timers and constants, validated.
    pub timing: Timing,
    /// Whom to listen to; None: anybody (udp without a nodelist).
    pub nodes: Option<BTreeSet<Node>>,
    /// `totem.netmtu`: the largest datagram with its IP and UDP headers.
    pub netmtu: usize,
    /// Whether the network is IPv6, whose header is larger.
    pub ipv6: bool,
    /// Bytes of messages that wait for the token before more are refused.
    pub queue_max: usize,
    /// The longest message taken. The reference's receivers end at 1 MiB and a
    /// little more: longer ones are for rings without it.
    pub message_max: usize,
    /// Content of `ringid_<node>`, if it exists.
    pub stored_ring_id: Option<Vec<u8>>,
    /// For the random delay of joins.
    pub seed: u64,
}

impl Config {
    /// The defaults for `node`.
    pub fn new(node: Node) -> Self {
        Self {
            node,
            timing: Timing::default(),
            nodes: None,
            netmtu: 1500,
            ipv6: false,
            queue_max: 4 << 20,
            message_max: (1 << 20) + (16 << 10),
            stored_ring_id: None,
            seed: node.0.into(),
        }
    }

    /// The name of the file that `stored_ring_id` is read from.
    pub fn ring_id_file(&self) -> String {
        Reserve::file_name(self.node)
    }
}

/// What can happen to a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A datagram came in; its clear bytes.
    Datagram(Bytes),
    /// The services want a message sent; [`crate::Totem::submit`] also says how it went.
    Submit {
        /// Whom it is for.
        group: Group,
        /// What it waits for.
        class: Class,
        /// Whether it is delivered only when all members have it.
        safe: bool,
        /// The message.
        bytes: Bytes,
    },
    /// The synchronization of the services is complete. To be said while the
    /// message that completed it is being taken, before any other input or
    /// timeout: what follows in the order is waiting for it [TOTEM-9].
    SyncDone,
    /// The reservation is on disk.
    Persisted(PersistId),
    /// It is not.
    PersistFailed {
        /// The request.
        id: PersistId,
        /// The system's error number.
        errno: i32,
    },
    /// The process stood still.
    Paused {
        /// For how many milliseconds.
        ms: u64,
    },
    /// The interface went up or down; it starts down.
    Interface {
        /// Whether it is up.
        up: bool,
    },
    /// The configuration was read again.
    Reconfigure {
        /// New timers and constants, validated.
        timing: Box<Timing>,
        /// New list of nodes.
        nodes: Option<BTreeSet<Node>>,
    },
    /// Leave in good order.
    Leave,
}

/// Whom a datagram goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Every other node of the configuration, member or not.
    All,
    /// The other members of the ring; more do no harm.
    Ring,
    /// One other node.
    Node(Node),
}

/// Why the ring ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It was asked to leave.
    Left,
    /// The state directory does not take the ring id.
    RingIdNotStored,
}

/// What a ring wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram; it may be lost.
    Send {
        /// Whom to.
        to: To,
        /// Its clear bytes.
        bytes: Bytes,
    },
    /// Replace a file in the state directory, durably.
    Persist {
        /// The number of the request.
        id: PersistId,
        /// The file's name.
        name: String,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// A message, in order.
    Deliver(Delivery),
    /// A membership change, in order with the messages.
    Configuration(Configuration),
    /// How full the queue is now.
    Level(QueueLevel),
    /// Say something to the administrator.
    Log {
        /// How important it is.
        level: Level,
        /// What.
        text: String,
    },
    /// The ring has ended; nothing follows.
    Exit(ExitReason),
}

impl Output {
    /// The ring's event for the services, if it is one.
    pub fn event(&self) -> Option<Event> {
        match self {
            Self::Deliver(Delivery { from, bytes, .. }) => {
                Some(Event::Deliver { from: *from, bytes: bytes.to_vec() })
            }
            Self::Configuration(configuration) => Some(Event::Configuration(configuration.clone())),
            _ => None,
        }
    }
}
