//! Votes and quorum.
//!
//! Every node has votes; a partition whose votes reach the quorum may act. The
//! options of `votequorum(5)` change when that is. [`VoteQuorum`] decides,
//! [`Quorum`] tells those who only want to know.
//!
//! `docs/spec/quorum.md` numbers the requirements and lists which options allow
//! two partitions to act at the same time. Source of the behaviour:
//! `votequorum(5)`, and Corosync 3.1.7 where it is silent.

mod config;
mod count;
mod device;
mod message;
mod notify;
mod quorum;
mod requests;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ha_types::{Node, RingId};
use ring_service::{MapValue, Output, mcast};
use sansio::edge::{Conn, Level};
use sansio::{Mono, Now, TimerTable};

pub use config::{Config, Device, NodeList, TieBreaker};
use config::{Resolved, When};
use device::DeviceState;
pub use message::{Message, Param, flags};
use notify::Tracker;
pub use quorum::{Quorum, REQUESTS as QUORUM_REQUESTS};
pub use requests::REQUESTS;

/// The file that keeps the highest number of votes ever expected: a `u32`.
pub const FILE: &str = "ev_tracking";

/// The planted mistakes of `docs/spec/quorum.md`.
pub const MUTANTS: &[&str] = &[
    "VQ-1/remove",
    "VQ-1/weaken",
    "VQ-2/remove",
    "VQ-2/weaken",
    "VQ-3/remove",
    "VQ-3/weaken",
    "VQ-4/remove",
    "VQ-4/weaken",
    "VQ-5/remove",
    "VQ-5/weaken",
    "VQ-6/remove",
    "VQ-6/weaken",
    "VQ-7/remove",
    "VQ-7/weaken",
];

sansio::timers! {
    /// Timers of votequorum.
    pub enum Timer {
        /// The window of last_man_standing is over.
        LastMan => "last-man-standing",
        /// The quorum device should have reported.
        Device => "quorum-device",
    }
}

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// In the ring.
    Member = 1,
    /// Not in the ring.
    Dead = 2,
    /// About to leave it in good order.
    Leaving = 3,
}

/// What is known of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeVotes {
    /// How it stands.
    pub state: NodeState,
    /// Its votes.
    pub votes: u32,
    /// What it expects of the whole cluster.
    pub expected_votes: u32,
    /// See [`flags`].
    pub flags: u32,
}

/// The service of one node.
#[derive(Clone, Debug)]
pub struct VoteQuorum {
    me: Node,
    config: Config,
    two_node: bool,
    wait_for_all: bool,
    /// Still waiting; meaningless without `wait_for_all`.
    waiting: bool,
    last_man_standing: bool,
    tie_breaker: TieBreaker,
    tracking: bool,
    tracked: u32,
    /// Writes of [`FILE`] that are not on disk yet.
    unwritten: u32,
    /// Expected votes below which allow_downscale does not go.
    barrier: u32,
    nodes: BTreeMap<Node, NodeVotes>,
    lowest: Option<Node>,
    highest: Option<Node>,
    quorum: u32,
    quorate: bool,
    members: BTreeSet<Node>,
    previous_members: BTreeSet<Node>,
    ring: RingId,
    device: DeviceState,
    synchronizing: bool,
    said: bool,
    /// The process stood still, and no ring has been synchronized since.
    stale: bool,
    clients: BTreeMap<Conn, Option<Tracker>>,
    timers: TimerTable<Timer>,
    dropped: u64,
    out: VecDeque<Output>,
}

impl VoteQuorum {
    /// A node that has just started; `stored` is the content of [`FILE`].
    ///
    /// # Errors
    /// The configuration contradicts itself.
    pub fn new(me: Node, config: Config, stored: Option<&[u8]>) -> Result<Self, String> {
        let resolved = config::resolve(&config, When::Start)?;
        let own = NodeVotes {
            state: NodeState::Member,
            votes: 1,
            expected_votes: 0,
            flags: flags::FIRST,
        };
        let mut this = Self {
            me,
            two_node: false,
            wait_for_all: false,
            waiting: false,
            last_man_standing: config.last_man_standing,
            tie_breaker: TieBreaker::None,
            tracking: config.expected_votes_tracking || config.allow_downscale,
            tracked: stored.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes),
            unwritten: 0,
            barrier: 0,
            nodes: BTreeMap::from([(me, own)]),
            lowest: None,
            highest: None,
            quorum: 0,
            quorate: false,
            members: BTreeSet::new(),
            previous_members: BTreeSet::new(),
            ring: RingId { rep: Node(0), seq: 0 },
            device: DeviceState::default(),
            synchronizing: false,
            said: false,
            stale: false,
            clients: BTreeMap::new(),
            timers: TimerTable::new(),
            dropped: 0,
            out: VecDeque::new(),
            config,
        };
        this.publish("this_node_id", MapValue::U32(me.0));
        if this.tracking {
            this.publish("ev_tracking_barrier", MapValue::U32(this.tracked));
        }
        this.apply(resolved);
        if this.wait_for_all {
            this.set_waiting(true);
        }
        this.recalculate(false, false);
        this.say_node_info(me);
        Ok(this)
    }

    /// The configuration was read again. What contradicts itself is logged, and
    /// what cannot change while running does not.
    pub fn reconfigure(&mut self, config: &Config) {
        let running = self.config.clone();
        self.config = Config {
            wait_for_all: running.wait_for_all,
            last_man_standing: running.last_man_standing,
            last_man_standing_window_ms: running.last_man_standing_window_ms,
            auto_tie_breaker: running.auto_tie_breaker,
            auto_tie_breaker_node: running.auto_tie_breaker_node.clone(),
            allow_downscale: running.allow_downscale,
            expected_votes_tracking: running.expected_votes_tracking,
            ..config.clone()
        };
        let device_registered = self.own().flags & flags::QDEVICE_REGISTERED != 0;
        let old = *self.own();
        match config::resolve(&self.config, When::Run { device_registered }) {
            Ok(resolved) => self.apply(resolved),
            Err(why) => {
                self.config = running;
                self.log(Level::Error, format!("{why}; going on as before"));
            }
        }
        let own = *self.own();
        self.say_node_info(self.me);
        self.say_node_info(Node(0));
        if own.votes != old.votes {
            self.say_reconfigure(Param::NodeVotes, self.me, own.votes);
        }
        if own.expected_votes != old.expected_votes {
            self.say_reconfigure(Param::ExpectedVotes, self.me, own.expected_votes);
        }
    }

    /// The administrator does not want to wait for all any more, on any node.
    pub fn cancel_wait_for_all(&mut self) {
        self.say_reconfigure(Param::CancelWaitForAll, self.me, 0);
    }

    /// This node leaves in good order: with allow_downscale the others need not
    /// count with it.
    pub fn leave(&mut self) {
        if self.config.allow_downscale {
            self.own_mut().flags |= flags::LEAVING;
            self.say_node_info(self.me);
        }
    }

    /// The oldest write of [`FILE`] has ended, well or not.
    pub fn persisted(&mut self, written: bool) {
        self.unwritten = self.unwritten.saturating_sub(1);
        if !written {
            let text = format!(
                "cannot write {FILE}: after a restart of all nodes a minority may \
                                count as quorate; check the disk of the state directory"
            );
            self.log(Level::Warning, text);
        }
        if self.unwritten == 0 {
            self.recalculate(false, false);
        }
    }

    /// Whether this partition may act.
    pub fn is_quorate(&self) -> bool {
        self.quorate
    }

    /// Votes that are needed.
    pub fn quorum(&self) -> u32 {
        self.quorum
    }

    /// What is known of each node.
    pub fn nodes(&self) -> &BTreeMap<Node, NodeVotes> {
        &self.nodes
    }

    /// How many messages were malformed or made no sense.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`VoteQuorum::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Handles one timer that is due.
    pub fn handle_timeout(&mut self, now: Now) {
        match self.timers.pop_due(now.mono) {
            Some(Timer::LastMan) => self.last_man_window_over(),
            Some(Timer::Device) => self.device_silent(),
            None => {}
        }
    }

    /// A message of this service was delivered.
    pub fn deliver(&mut self, from: Node, bytes: &[u8]) {
        let taken = match Message::decode(bytes) {
            Ok(Message::NodeInfo { node, votes, expected_votes, flags }) => {
                let told = NodeVotes { state: NodeState::Member, votes, expected_votes, flags };
                self.node_info(from, node, told)
            }
            Ok(Message::Reconfigure { node, value, param }) => {
                self.reconfigured(from, node, value, param);
                true
            }
            Ok(Message::Device { register, name }) => {
                self.device_message(from, register, &name);
                true
            }
            Ok(Message::RenameDevice { old, new }) => {
                self.rename_device(&old, new);
                true
            }
            Err(_) => false,
        };
        if !taken {
            self.dropped += 1;
            self.log(Level::Warning, format!("votequorum message of {from} dropped"));
        }
    }

    fn own(&self) -> &NodeVotes {
        &self.nodes[&self.me]
    }

    fn own_mut(&mut self) -> &mut NodeVotes {
        self.nodes.get_mut(&self.me).expect("this node is always known")
    }

    fn log(&mut self, level: Level, text: String) {
        self.out.push_back(Output::Log { level, text });
    }

    fn publish(&mut self, key: &str, value: MapValue) {
        let key = format!("runtime.votequorum.{key}");
        self.out.push_back(Output::MapSet { key, value });
    }

    fn say(&mut self, message: &Message) {
        self.out.push_back(mcast(message.encode()));
    }

    /// Says how a node stands; node 0 is the quorum device.
    fn say_node_info(&mut self, node: Node) {
        let known =
            if node.0 == 0 { Some(self.device.info()) } else { self.nodes.get(&node).copied() };
        let Some(NodeVotes { votes, expected_votes, flags, .. }) = known else { return };
        self.say(&Message::NodeInfo { node, votes, expected_votes, flags });
    }

    fn say_reconfigure(&mut self, param: Param, node: Node, value: u32) {
        self.say(&Message::Reconfigure { node, value, param });
    }

    /// Takes over a configuration that goes together.
    fn apply(&mut self, resolved: Resolved) {
        for warning in resolved.warnings {
            self.log(Level::Warning, warning);
        }
        self.two_node = resolved.two_node;
        self.tie_breaker = resolved.tie_breaker;
        self.wait_for_all = self.config.wait_for_all.unwrap_or(self.two_node);
        self.device.can_operate = resolved.device_can_operate;
        if self.config.device.is_none() {
            self.device.votes = 0;
        }
        self.device.votes = resolved.device_votes.unwrap_or(self.device.votes);
        let configured = self.config.expected_votes.unwrap_or(0);
        let expected = if self.tracking { configured.max(self.tracked) } else { configured };
        let listed = self.config.nodes.map(|nodes| (nodes.own_votes, resolved.listed_votes));
        let votes = listed.map_or(self.config.votes.unwrap_or(1), |(own, _)| own);
        let own = self.own_mut();
        own.votes = votes;
        own.expected_votes = listed.map_or(own.expected_votes, |(_, all)| all);
        if expected > 0 {
            own.expected_votes = expected;
        }
        self.barrier = self.own().expected_votes;
        self.publish_configuration();
        if !self.wait_for_all && self.waiting {
            self.set_waiting(false);
        }
    }

    fn publish_configuration(&mut self) {
        self.publish("two_node", MapValue::U8(self.two_node.into()));
        self.publish("atb_type", MapValue::U32(self.tie_breaker.number()));
        self.publish("ev_barrier", MapValue::U32(self.barrier));
        if self.config.device.is_some() {
            let can = MapValue::U8(self.device.can_operate.into());
            self.publish("qdevice_can_operate", can);
        }
    }

    fn set_waiting(&mut self, waiting: bool) {
        self.waiting = waiting;
        let own = self.own_mut();
        own.flags &= !flags::WAIT_FOR_ALL;
        if waiting {
            own.flags |= flags::WAIT_FOR_ALL;
        }
        self.publish("wait_for_all_status", MapValue::U8(waiting.into()));
    }
}
