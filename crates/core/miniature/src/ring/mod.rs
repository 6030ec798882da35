//! The membership daemon of the miniature.
//!
//! Nodes gather until one of them, the lowest that all others hear, proposes a
//! ring; who accepts has left its old ring for good; when all have accepted the
//! proposer commits, and everybody installs the ring after delivering what is
//! missing of the old one. In a ring its representative (the proposer) orders
//! the messages.
//!
//! ```text
//!            formation timer                all accepted
//!  GATHER ───────────────────▶ PROPOSE ──────────────────▶ MEMBER
//!    ▲ ▲     proposal received           commit received    ▲ │
//!    │ └──────────────────────▶ PROMISE ────────────────────┘ │
//!    └─────────── member lost, paused, timed out ─────────────┘
//! ```
//!
//! Requirements (docs/spec/miniature.md): MIN-1 to MIN-4 and MIN-9.

mod clients;
mod form;
mod message;
mod order;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use observe::{Event, Node, RingId};
use sansio::edge::{self, Input, Level, Link, Output, PersistId};
use sansio::{Core, Inspect, Mono, NoJob, Now, Outbox, TimerId, TimerTable};

use clients::Clients;
use form::Phase;
use message::{Beat, Body, Datagram};

/// The local service.
pub const SERVICE: &str = "mini-ring";
/// The file that keeps the highest promised sequence: 8 bytes little-endian.
pub const FILE: &str = "ring-sequence";

/// How often a node tells of itself.
pub const BEAT: Duration = Duration::from_millis(100);
/// Silence after which a node counts as lost.
pub const LOST: Duration = Duration::from_millis(500);
const GATHER: Duration = Duration::from_millis(250);
const CONSENSUS: Duration = Duration::from_millis(400);
const MERGE: Duration = Duration::from_millis(300);

/// No node forms that many rings while another one is away.
const AHEAD_MAX: u64 = 1 << 32;
/// A stored promise beyond this is damage.
const STORED_MAX: u64 = 1 << 63;

/// Worst case of one handler: a commit to all members with a flush that is
/// delivered to every client, of which there are a few thousand, or a beat with
/// its retransmissions.
const OUTBOX: usize = 131_072;

sansio::timers! {
    /// The ring's timers.
    pub enum Timer {
        /// Time to tell of oneself, and to look who has gone silent.
        Beat => "ring-beat",
        /// Gathering, proposing or promising has lasted long enough.
        Formation => "ring-formation",
        /// Somebody else could be a member.
        Merge => "ring-merge",
    }
}

/// What a ring is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub node: Node,
    /// A number that no other life of this node has had: its start time.
    pub epoch: u64,
    /// Every node of the cluster with its address, this one among them.
    pub nodes: BTreeMap<Node, SocketAddr>,
    /// Content of [`FILE`], if it exists. A short or long one, or one that no
    /// node can have got to, counts as none.
    pub stored: Option<Vec<u8>>,
}

/// What is known of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Peer {
    epoch: u64,
    heard_at: Mono,
    hears_me: bool,
    promised: u64,
}

/// The membership daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    node: Node,
    epoch: u64,
    nodes: BTreeMap<Node, SocketAddr>,
    phase: Phase,
    /// The highest sequence this node has promised or used, in memory; on disk
    /// before anybody hears of it [MIN-1].
    promised: u64,
    persists: u64,
    peers: BTreeMap<Node, Peer>,
    clients: Clients,
    /// Number of the last message that this life of the node has sent.
    sent: u64,
    timers: TimerTable<Timer>,
    last_timer: Option<Timer>,
    out: Outbox<Output<NoJob>>,
}

impl Ring {
    /// A ring that has just come up.
    pub fn new(now: Now, config: Config) -> Self {
        let stored = config.stored.and_then(|bytes| bytes.try_into().ok());
        let mut ring = Self {
            node: config.node,
            epoch: config.epoch,
            nodes: config.nodes,
            phase: Phase::Gather { old: None },
            promised: stored.map(u64::from_le_bytes).filter(|seq| *seq < STORED_MAX).unwrap_or(0),
            persists: 0,
            peers: BTreeMap::new(),
            clients: Clients::default(),
            sent: 0,
            timers: TimerTable::new(),
            last_timer: None,
            out: Outbox::with_bound(OUTBOX),
        };
        ring.out.push(Output::Observe(Event::RingUp));
        ring.out.push(Output::Ready);
        ring.timers.arm(Timer::Beat, now.mono);
        ring.arm_gathering(now.mono);
        ring
    }

    /// [MIN-2] More than half of the nodes that the configuration names.
    fn is_quorate(&self, members: usize) -> bool {
        let expected = self.nodes.len();
        if sansio::mutant::active("MIN-2/remove") {
            return true;
        }
        if sansio::mutant::active("MIN-2/weaken") {
            return members * 2 >= expected;
        }
        members * 2 > expected
    }

    /// Gathering lasts a few beats, so that all who can hear each other know it.
    fn arm_gathering(&mut self, now: Mono) {
        self.timers.arm(Timer::Formation, now + GATHER);
        self.timers.disarm(Timer::Merge);
    }

    fn send(&mut self, to: Node, body: Body) {
        if let Some(address) = self.nodes.get(&to).filter(|_| to != self.node) {
            let bytes = Datagram { sender: self.node, epoch: self.epoch, body }.encode();
            self.out.push(Output::Send { link: Link(0), to: *address, bytes });
        }
    }

    fn send_all(&mut self, to: impl IntoIterator<Item = Node>, body: &Body) {
        for node in to {
            self.send(node, body.clone());
        }
    }

    fn log(&mut self, level: Level, text: String) {
        self.out.push(Output::Log { part: "ring", level, text });
    }

    fn datagram(&mut self, now: Mono, from: SocketAddr, bytes: &[u8]) {
        let datagram = match Datagram::decode(bytes) {
            Ok(datagram) => datagram,
            Err(why) => return self.log(Level::Warning, format!("datagram from {from}: {why}")),
        };
        let sender = datagram.sender;
        if sender == self.node || self.nodes.get(&sender) != Some(&from) {
            let text = format!("datagram from {from} claims to be {sender}: ignored");
            return self.log(Level::Warning, text);
        }
        match datagram.body {
            Body::Beat(beat) => self.beat_received(now, sender, datagram.epoch, &beat),
            Body::Propose { ring, members } => self.proposed(now, sender, ring, &members),
            Body::Accept(accept) => self.accepted(now, sender, datagram.epoch, accept),
            Body::Commit { ring, members, flush } => {
                self.committed(now, sender, ring, members, &flush);
            }
            Body::Forward { ring, first, message } => self.order(sender, ring, first, message),
            Body::Data { ring, seq, message } => self.ordered(sender, ring, seq, message),
        }
    }

    fn beat_received(&mut self, now: Mono, sender: Node, epoch: u64, beat: &Beat) {
        if beat.leaving {
            self.peers.remove(&sender);
            return self.lost(now, sender, "it leaves");
        }
        let restarted = self.peers.get(&sender).is_some_and(|peer| peer.epoch != epoch);
        let hears_me = beat.heard.contains(&self.node);
        let peer = Peer { epoch, heard_at: now, hears_me, promised: beat.promised };
        self.peers.insert(sender, peer);
        if restarted {
            self.lost(now, sender, "it has restarted");
        }
        self.heard_in_view(now, sender, beat);
    }

    /// Tells everybody of this node, sends again what may have been lost, and
    /// looks who has gone silent.
    fn beat(&mut self, now: Mono) {
        self.timers.arm(Timer::Beat, now + BEAT);
        self.peers.retain(|_, peer| now - peer.heard_at < LOST);
        let beat = Body::Beat(self.own_beat(false));
        self.send_all(self.nodes.keys().copied().collect::<Vec<_>>(), &beat);
        self.send_formation_again();
        self.send_messages_again();
        self.look_for_lost(now);
        self.look_for_others(now);
    }

    fn own_beat(&self, leaving: bool) -> Beat {
        let view = self.phase.view();
        Beat {
            view: view.map(|view| view.ring),
            promised: self.promised,
            delivered: view.map_or(0, |view| view.delivered),
            stable: view.map_or(0, |view| view.stable),
            heard: self.peers.keys().copied().collect(),
            leaving,
        }
    }

    /// Writes the promised sequence; the phase that waits for it knows the number.
    fn persist(&mut self) -> PersistId {
        self.persists += 1;
        let id = PersistId(self.persists);
        let bytes = self.promised.to_le_bytes().to_vec();
        if !sansio::mutant::active("MIN-1/remove") {
            self.out.push(Output::Persist { id, name: FILE.into(), bytes });
        }
        id
    }

    /// The nodes that this node hears and that hear it, with their epochs.
    fn hearing_each_other(&self) -> BTreeMap<Node, u64> {
        let both = self.peers.iter().filter(|(_, peer)| peer.hears_me);
        let mut nodes: BTreeMap<Node, u64> = both.map(|(n, peer)| (*n, peer.epoch)).collect();
        nodes.insert(self.node, self.epoch);
        nodes
    }

    fn stop(&mut self) {
        let beat = Body::Beat(self.own_beat(true));
        self.send_all(self.nodes.keys().copied().collect::<Vec<_>>(), &beat);
        if let Some(view) = self.phase.view() {
            let event = Event::Quorum { ring: view.ring, quorate: false };
            self.out.push(Output::Observe(event));
        }
        self.out.push(Output::Observe(Event::Left));
        self.out.push(Output::Exit { code: 0 });
    }
}

impl Core for Ring {
    type Input = Input<NoJob>;
    type Output = Output<NoJob>;

    fn handle(&mut self, now: Now, input: Self::Input) {
        let mono = now.mono;
        match input {
            Input::Datagram { from, bytes, .. } => self.datagram(mono, from, &bytes),
            Input::Accepted { conn, .. } => self.clients.add(conn),
            Input::Frame { conn, frame } => self.request(mono, conn, &frame),
            Input::Closed { conn, .. } => self.clients.remove(conn),
            Input::Blocked(conn) => self.drop_client(conn),
            Input::Persisted(id) => self.persisted(mono, id),
            Input::PersistFailed { id, errno } => self.persist_failed(mono, id, errno),
            Input::Paused { ms } => {
                self.peers.clear();
                self.gather(mono, &format!("the process stood still for {ms} ms"));
            }
            Input::Stop => self.stop(),
            Input::Connected { .. }
            | Input::Writable(_)
            | Input::Child { .. }
            | Input::JobDone { .. }
            | Input::JobFailed { .. }
            | Input::ConfigRead(_)
            | Input::Reload => {}
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        let Some(timer) = self.timers.pop_due(now.mono) else { return };
        self.last_timer = Some(timer);
        match timer {
            Timer::Beat => self.beat(now.mono),
            Timer::Formation => self.formation_due(now.mono),
            Timer::Merge => self.merge_due(now.mono),
        }
    }

    fn poll_output(&mut self) -> Option<Self::Output> {
        self.out.pop()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    fn pause_limit(&self) -> Option<Duration> {
        Some(LOST)
    }
}

impl edge::Daemon for Ring {
    type Jobs = NoJob;
}

impl Inspect for Ring {
    fn states() -> &'static [&'static str] {
        &["gather", "propose", "promise", "member-quorate", "member-inquorate"]
    }

    fn timers() -> Vec<&'static str> {
        Timer::ALL.iter().map(|timer| timer.name()).collect()
    }

    fn state(&self) -> &'static str {
        match &self.phase {
            Phase::Gather { .. } => "gather",
            Phase::Propose { .. } => "propose",
            Phase::Promise { .. } => "promise",
            Phase::Member(view) if self.is_quorate(view.members.len()) => "member-quorate",
            Phase::Member(_) => "member-inquorate",
        }
    }

    fn last_timer(&self) -> Option<&'static str> {
        self.last_timer.map(TimerId::name)
    }
}

/// The members of a ring, without their epochs.
fn node_set(members: &BTreeMap<Node, u64>) -> BTreeSet<Node> {
    members.keys().copied().collect()
}

/// For log lines.
fn show(members: &BTreeMap<Node, u64>) -> String {
    let names: Vec<String> = members.keys().map(Node::to_string).collect();
    names.join(",")
}

fn newer(ring: RingId, than: u64) -> bool {
    ring.seq > than
}
