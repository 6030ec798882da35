//! What a node has in every phase: its identity and options, its timers, the
//! queues of its services, and the way out.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use ha_types::ring::{Configuration, ConfigurationKind};
use ha_types::{Node, RingId};
use sansio::edge::Level;
use sansio::{Mono, Outbox, Rng, TimerTable};

use super::reserve::{Request, Reserve};
use super::{Config, ExitReason, Output, Timer, To};
use crate::group::{Assembler, Delivery, Group, Lanes, frame_room};
use crate::message::Mcast;
use crate::stats::Stats;
use crate::timing::Timing;

/// Worst case of one handler: a whole window of full frames of the smallest
/// messages is delivered when a missing one arrives.
const OUTBOX: usize = 1 << 24;

/// A reservation must reach this far beyond the highest sequence heard of
/// before a node agrees to anything: others may have heard of a higher one.
const MARGIN: u64 = 64;

/// What goes to the services.
#[derive(Clone, Debug)]
pub(crate) enum Upward {
    Message(Mcast),
    Configuration(Configuration),
}

#[derive(Clone, Debug)]
pub(crate) struct Station {
    pub(crate) me: Node,
    pub(crate) timing: Timing,
    /// Whom to listen to; None: anybody.
    pub(crate) nodes: Option<BTreeSet<Node>>,
    /// The ring this node is in or was committed to last.
    pub(crate) ring: RingId,
    /// The highest ring sequence heard of.
    pub(crate) seq_seen: u64,
    pub(crate) reserve: Reserve,
    /// Who has said good-bye since the last membership.
    pub(crate) said_goodbye: BTreeSet<Node>,
    /// Whether this node gave up receiving and goes for a ring of its own.
    pub(crate) failed_to_receive: bool,
    pub(crate) lanes: Lanes,
    pub(crate) assembler: Assembler,
    pub(crate) timers: TimerTable<Timer>,
    pub(crate) stats: Stats,
    pub(crate) out: Outbox<Output>,
    /// Own messages that come back to this node.
    pub(crate) loopback: VecDeque<Bytes>,
    /// What waits for the services to take what they were given.
    upward: VecDeque<Upward>,
    /// Whether they were given something of their synchronization.
    paused: bool,
    /// Who left with the last transitional configuration.
    departed: BTreeSet<Node>,
    /// Number of the next ordered message.
    pub(crate) number: u32,
    /// Whether the interface is up.
    pub(crate) connected: bool,
    /// When nodes outside the ring were last reached by anything.
    heard_by_all_at: Mono,
    pub(crate) rng: Rng,
}

impl Station {
    pub(crate) fn new(config: Config) -> Self {
        let seq = Reserve::read(config.stored_ring_id.as_deref()) + 1;
        let room = frame_room(config.netmtu, config.ipv6);
        Self {
            me: config.node,
            timing: config.timing,
            nodes: config.nodes,
            ring: RingId { rep: config.node, seq },
            seq_seen: seq,
            reserve: Reserve::new(config.node),
            said_goodbye: BTreeSet::new(),
            failed_to_receive: false,
            lanes: Lanes::new(room, config.queue_max, config.message_max),
            assembler: Assembler::syncing(),
            timers: TimerTable::new(),
            stats: Stats::default(),
            out: Outbox::with_bound(OUTBOX),
            loopback: VecDeque::new(),
            upward: VecDeque::new(),
            paused: false,
            departed: BTreeSet::new(),
            number: 0,
            connected: false,
            heard_by_all_at: Mono(0),
            rng: Rng::new(config.seed),
        }
    }

    /// Arms `timer` in `ms` milliseconds.
    pub(crate) fn arm(&mut self, now: Mono, timer: Timer, ms: u32) {
        self.timers.arm(timer, now + Duration::from_millis(ms.into()));
    }

    /// The token is expected from now on.
    pub(crate) fn arm_token(&mut self, now: Mono) {
        self.arm(now, Timer::Token, self.timing.token_ms);
        match self.timing.warning() {
            Some(after) => self.timers.arm(Timer::Warning, now + after),
            None => self.timers.disarm(Timer::Warning),
        }
    }

    /// The sent token is sent again unless it comes back.
    pub(crate) fn arm_retransmit(&mut self, now: Mono) {
        self.arm(now, Timer::Retransmit, self.timing.token_retransmit_ms);
    }

    /// Sends to every node there is, and to this one.
    pub(crate) fn send_all_and_self(&mut self, now: Mono, bytes: Bytes) {
        self.loopback.push_back(bytes.clone());
        self.timers.arm_if_idle(Timer::Loopback, now);
        self.send_all(now, bytes);
    }

    /// Sends to every other node there is.
    pub(crate) fn send_all(&mut self, now: Mono, bytes: Bytes) {
        self.heard_by_all_at = now;
        self.push_send(To::All, bytes);
    }

    /// Sends an ordered message. Now and then it goes to everybody: a ring that
    /// is busy detects others by their messages alone.
    pub(crate) fn send_ring(&mut self, now: Mono, bytes: Bytes) {
        let merge = Duration::from_millis(self.timing.merge_ms.into());
        if now - self.heard_by_all_at >= merge {
            return self.send_all(now, bytes);
        }
        self.push_send(To::Ring, bytes);
    }

    /// Sends to one node, which may be this one.
    pub(crate) fn send_node(&mut self, now: Mono, to: Node, bytes: Bytes) {
        if to == self.me {
            self.loopback.push_back(bytes);
            return self.timers.arm_if_idle(Timer::Loopback, now);
        }
        self.push_send(To::Node(to), bytes);
    }

    fn push_send(&mut self, to: To, bytes: Bytes) {
        if self.connected {
            self.out.push(Output::Send { to, bytes });
        }
    }

    pub(crate) fn log(&mut self, level: Level, text: impl Into<String>) {
        self.out.push(Output::Log { level, text: text.into() });
    }

    /// Something was not believed: counted, and told to who debugs.
    pub(crate) fn drop_message(&mut self, why: impl std::fmt::Display) {
        self.stats.rx_msg_dropped += 1;
        self.log(Level::Debug, format!("message dropped: {why}"));
    }

    /// Hands something up, in order.
    ///
    /// A message of the synchronization may be the one that completes it, and
    /// from there on frames belong to other assemblies [TOTEM-9]: what follows
    /// waits until the services have had the chance to say so.
    pub(crate) fn hand_up(&mut self, item: Upward) {
        if self.paused {
            return self.upward.push_back(item);
        }
        match item {
            Upward::Message(mcast) => self.deliver(&mcast),
            Upward::Configuration(configuration) => self.configure(configuration),
        }
    }

    /// The services have taken what they were given.
    pub(crate) fn resume(&mut self) {
        self.paused = false;
        while let Some(item) = self.upward.pop_front() {
            if self.paused {
                return self.upward.push_front(item);
            }
            self.hand_up(item);
        }
    }

    fn deliver(&mut self, mcast: &Mcast) {
        if mcast.encapsulated {
            return;
        }
        let (out, mut of_sync) = (&mut self.out, false);
        let mut deliver = |delivery: Delivery| {
            of_sync |= delivery.group == Group::Sync;
            out.push(Output::Deliver(delivery));
        };
        let body = mcast.content();
        let taken = self.assembler.receive(mcast.sender, &body, mcast.swapped, &mut deliver);
        if let Err(why) = taken {
            self.drop_message(format_args!("frame of {}: {why}", mcast.sender));
        }
        if of_sync && self.assembler.syncing {
            self.paused = true;
            // Before everything else that is due.
            self.timers.arm(Timer::Deliver, Mono(0));
        }
    }

    /// Who left is forgotten only when the new ring begins: behind the
    /// transitional configuration there may be some of its last messages.
    fn configure(&mut self, configuration: Configuration) {
        if configuration.kind == ConfigurationKind::Regular {
            for node in std::mem::take(&mut self.departed) {
                self.assembler.forget(node);
            }
            self.lanes.membership_changed();
            self.assembler.syncing = true;
        } else {
            self.departed = configuration.left.clone();
        }
        self.out.push(Output::Configuration(configuration));
    }

    /// Whether this node may agree to a membership.
    pub(crate) fn is_reserved(&self) -> bool {
        self.reserve.covers(self.seq_seen + MARGIN)
    }

    /// Asks for a reservation that suffices for what has been heard of.
    pub(crate) fn reserve_ahead(&mut self) {
        let request = self.reserve.want(self.seq_seen + MARGIN);
        self.persist(request);
    }

    pub(crate) fn persist(&mut self, request: Option<Request>) {
        if let Some(Request { id, name, bytes }) = request {
            self.out.push(Output::Persist { id, name, bytes });
        }
    }

    /// Whether messages of `node` count.
    pub(crate) fn listens_to(&self, node: Node) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(&node))
    }

    pub(crate) fn exit(&mut self, reason: ExitReason) {
        self.timers.clear();
        self.loopback.clear();
        self.out.push(Output::Exit(reason));
    }
}
