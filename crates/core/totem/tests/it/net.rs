//! A network in memory: cores, virtual time, and what can happen to datagrams,
//! all from one seed. Knows nothing of the protocol.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use ha_types::Node;
use ha_types::ring::{Configuration, ConfigurationKind};
use sansio::edge::PersistId;
use sansio::{Core, Inspect, Mono, Now, Rng};
use totem::{Class, Config, ExitReason, Group, Input, Output, SubmitError, Timing, To, Totem};

/// What a node's services saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Configuration(Configuration),
    Message(Node, Bytes),
}

/// What the network does to datagrams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) loss_per_mille: u32,
    pub(crate) duplication_per_mille: u32,
    /// Delays up to this, so that datagrams overtake each other.
    pub(crate) jitter_us: u64,
}

pub(crate) struct Peer {
    pub(crate) totem: Totem,
    pub(crate) seen: Vec<Seen>,
    pub(crate) logs: Vec<String>,
    pub(crate) exit: Option<ExitReason>,
    pub(crate) disk: Option<Vec<u8>>,
    /// Whether writes never end.
    pub(crate) disk_hangs: bool,
    writes: BTreeMap<PersistId, Vec<u8>>,
    frozen: Option<Mono>,
    parked: VecDeque<Bytes>,
    /// Who has passed the barrier of the last configuration.
    barrier: Option<(u64, BTreeSet<Node>, BTreeSet<Node>)>,
    pub(crate) max_level: Option<totem::QueueLevel>,
}

enum Event {
    Datagram(Node, Bytes),
    Written(Node, PersistId),
}

pub(crate) struct Net {
    pub(crate) now: Mono,
    pub(crate) peers: BTreeMap<Node, Peer>,
    pub(crate) weather: Weather,
    /// What is done to the next token on its way.
    pub(crate) forge: Option<fn(&mut Vec<u8>)>,
    /// A node that gets no messages of a type (the fourth byte).
    pub(crate) deaf: Option<(Node, u8)>,
    /// Whether the disks of nodes that start never answer.
    pub(crate) new_disks_hang: bool,
    /// Directions in which nothing passes.
    pub(crate) cuts: BTreeSet<(Node, Node)>,
    pub(crate) rng: Rng,
    pub(crate) timing: Timing,
    pub(crate) message_max: usize,
    events: BTreeMap<(Mono, u64), Event>,
    number: u64,
    /// Every datagram sent, when a test wants to use it again.
    pub(crate) tape: Option<Vec<Bytes>>,
    pub(crate) datagrams: u64,
}

const BARRIER: &[u8] = b"barrier";

impl Net {
    /// `count` nodes that have just started.
    pub(crate) fn new(seed: u64, count: u32) -> Self {
        let mut net = Self {
            now: Mono(1_000_000_000),
            peers: BTreeMap::new(),
            weather: Weather { jitter_us: 100, ..Weather::default() },
            forge: None,
            deaf: None,
            new_disks_hang: false,
            cuts: BTreeSet::new(),
            rng: Rng::new(seed),
            timing: Timing::of_token(1000),
            message_max: (1 << 20) + (16 << 10),
            events: BTreeMap::new(),
            number: 0,
            tape: None,
            datagrams: 0,
        };
        for id in 1..=count {
            net.boot(Node(id), None);
        }
        net
    }

    /// Starts a node with what is on its disk.
    pub(crate) fn boot(&mut self, node: Node, disk: Option<Vec<u8>>) {
        let config = Config {
            timing: self.timing.clone(),
            stored_ring_id: disk.clone(),
            message_max: self.message_max,
            seed: self.rng.next_u64(),
            ..Config::new(node)
        };
        let totem = Totem::new(self.now(), config);
        let peer = Peer {
            totem,
            seen: Vec::new(),
            logs: Vec::new(),
            exit: None,
            disk,
            disk_hangs: self.new_disks_hang,
            writes: BTreeMap::new(),
            frozen: None,
            parked: VecDeque::new(),
            barrier: None,
            max_level: None,
        };
        self.peers.insert(node, peer);
        self.input(node, Input::Interface { up: true });
    }

    /// Kills a node; its disk remains.
    pub(crate) fn kill(&mut self, node: Node) -> Option<Vec<u8>> {
        self.peers.remove(&node).and_then(|peer| peer.disk)
    }

    pub(crate) fn freeze(&mut self, node: Node) {
        let now = self.now;
        self.peer(node).frozen = Some(now);
    }

    pub(crate) fn thaw(&mut self, node: Node) {
        let now = self.now;
        let peer = self.peer(node);
        let Some(since) = peer.frozen.take() else { return };
        let ms = u64::try_from((now - since).as_millis()).unwrap();
        self.run_timers(node);
        self.input(node, Input::Paused { ms });
        let parked = std::mem::take(&mut self.peer(node).parked);
        for bytes in parked {
            self.input(node, Input::Datagram(bytes));
        }
    }

    /// Cuts the network in two.
    pub(crate) fn partition(&mut self, one: &[u32]) {
        let (inside, outside): (Vec<Node>, Vec<Node>) =
            self.peers.keys().partition(|node| one.contains(&node.0));
        for a in &inside {
            for b in &outside {
                self.cuts.extend([(*a, *b), (*b, *a)]);
            }
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    pub(crate) fn peer(&mut self, node: Node) -> &mut Peer {
        self.peers.get_mut(&node).expect("the node runs")
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono: self.now, ..Now::default() }
    }

    /// Sends a message as a service would.
    pub(crate) fn submit(
        &mut self,
        node: Node,
        safe: bool,
        bytes: Bytes,
    ) -> Result<(), SubmitError> {
        let now = self.now();
        let place = (Group::Services, Class::Ordinary, safe);
        let result = self.peer(node).totem.submit(now, place, bytes);
        self.drain(node);
        result
    }

    pub(crate) fn input(&mut self, node: Node, input: Input) {
        let now = self.now();
        self.run_timers(node);
        if let Some(peer) = self.peers.get_mut(&node).filter(|peer| peer.exit.is_none()) {
            peer.totem.handle(now, input);
            self.drain(node);
        }
    }

    fn run_timers(&mut self, node: Node) {
        let now = self.now();
        while let Some(peer) = self.peers.get_mut(&node) {
            let due = peer.totem.poll_timeout().is_some_and(|at| at <= now.mono);
            if !due || peer.frozen.is_some() || peer.exit.is_some() {
                return;
            }
            peer.totem.handle_timeout(now);
            self.drain(node);
        }
    }

    fn drain(&mut self, node: Node) {
        while let Some(output) = self.peer(node).totem.poll_output() {
            self.output(node, output);
        }
        self.pass_barrier(node);
    }

    fn output(&mut self, node: Node, output: Output) {
        let peer = self.peers.get_mut(&node).expect("it runs");
        match output {
            Output::Send { to, bytes } => self.send(node, to, &bytes),
            Output::Persist { id, name, bytes } => {
                assert_eq!(name, format!("ringid_{}", node.0));
                peer.writes.insert(id, bytes);
                if !peer.disk_hangs {
                    self.schedule(Duration::from_millis(5), Event::Written(node, id));
                }
            }
            Output::Deliver(delivery) => {
                if delivery.group == Group::Services {
                    peer.seen.push(Seen::Message(delivery.from, delivery.bytes));
                } else if let Some((seq, _, passed)) = &mut peer.barrier
                    && delivery.bytes[BARRIER.len()..] == seq.to_le_bytes()
                {
                    passed.insert(delivery.from);
                }
            }
            Output::Configuration(configuration) => {
                if configuration.kind == ConfigurationKind::Regular {
                    let members = configuration.members.clone();
                    peer.barrier = Some((configuration.ring.seq, members, BTreeSet::new()));
                    let bytes = [BARRIER, &configuration.ring.seq.to_le_bytes()].concat().into();
                    peer.seen.push(Seen::Configuration(configuration));
                    let place = (Group::Sync, Class::Sync, false);
                    let now = Now { mono: self.now, ..Now::default() };
                    peer.totem.submit(now, place, bytes).unwrap();
                } else {
                    peer.seen.push(Seen::Configuration(configuration));
                }
            }
            Output::Level(level) => peer.max_level = peer.max_level.max(Some(level)),
            Output::Log { text, .. } => peer.logs.push(text),
            Output::Exit(reason) => peer.exit = Some(reason),
        }
    }

    fn pass_barrier(&mut self, node: Node) {
        let now = self.now();
        let peer = self.peer(node);
        let all = |b: &(u64, BTreeSet<Node>, BTreeSet<Node>)| b.1 == b.2;
        if peer.barrier.as_ref().is_some_and(all) {
            peer.barrier = None;
            // At once, as a composed service does: not after other timers.
            peer.totem.handle(now, Input::SyncDone);
            self.drain(node);
        }
    }

    fn send(&mut self, from: Node, to: To, bytes: &Bytes) {
        let mut bytes = bytes.clone();
        if bytes[3] == 0
            && let Some(forge) = self.forge.take()
        {
            let mut forged = bytes.to_vec();
            forge(&mut forged);
            bytes = forged.into();
        }
        if let Some(tape) = &mut self.tape {
            tape.push(bytes.clone());
        }
        let targets: Vec<Node> = match to {
            To::All | To::Ring => self.peers.keys().copied().filter(|n| *n != from).collect(),
            To::Node(node) => vec![node],
        };
        for target in targets {
            self.datagrams += 1;
            let deaf = self.deaf == Some((target, bytes[3]));
            if deaf
                || self.cuts.contains(&(from, target))
                || self.rng.chance(self.weather.loss_per_mille)
            {
                continue;
            }
            let copies = 1 + u32::from(self.rng.chance(self.weather.duplication_per_mille));
            for _ in 0..copies {
                let delay = Duration::from_micros(50 + self.rng.below(self.weather.jitter_us + 1));
                self.schedule(delay, Event::Datagram(target, bytes.clone()));
            }
        }
    }

    fn schedule(&mut self, delay: Duration, event: Event) {
        self.number += 1;
        self.events.insert((self.now + delay, self.number), event);
    }

    fn next_at(&self) -> Option<Mono> {
        let running = self.peers.values().filter(|p| p.frozen.is_none() && p.exit.is_none());
        let timers = running.filter_map(|peer| peer.totem.poll_timeout()).min();
        let event = self.events.keys().next().map(|(at, _)| *at);
        [timers, event].into_iter().flatten().min()
    }

    /// Lets the next thing happen, if it is due before `end`.
    fn step(&mut self, end: Mono) -> bool {
        let Some(at) = self.next_at().filter(|at| *at <= end) else { return false };
        self.now = self.now.max(at);
        let nodes: Vec<Node> = self.peers.keys().copied().collect();
        for node in nodes {
            self.run_timers(node);
        }
        while let Some(entry) = self.events.first_entry().filter(|e| e.key().0 <= self.now) {
            match entry.remove() {
                Event::Datagram(node, bytes) => match self.peers.get_mut(&node) {
                    Some(peer) if peer.frozen.is_some() => peer.parked.push_back(bytes),
                    Some(_) => self.input(node, Input::Datagram(bytes)),
                    None => {}
                },
                Event::Written(node, id) => {
                    let Some(peer) = self.peers.get_mut(&node) else { continue };
                    if let Some(bytes) = peer.writes.remove(&id) {
                        peer.disk = Some(bytes);
                        self.input(node, Input::Persisted(id));
                    }
                }
            }
        }
        true
    }

    /// Runs for a while.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `reached`, or fails after `ms`.
    pub(crate) fn until(&mut self, ms: u64, what: &str, mut reached: impl FnMut(&Self) -> bool) {
        let end = self.now + Duration::from_millis(ms);
        while !reached(self) {
            assert!(self.step(end), "{what}: not within {ms} ms\n{}", self.describe());
        }
    }

    /// Whether these nodes stand in one ring of just them.
    pub(crate) fn stand(&self, nodes: &[u32]) -> bool {
        let set: BTreeSet<Node> = nodes.iter().map(|id| Node(*id)).collect();
        let rings: BTreeSet<_> = set.iter().map(|n| self.peers[n].totem.ring_id()).collect();
        rings.len() == 1
            && set.iter().all(|n| {
                let peer = &self.peers[n];
                peer.totem.members() == Some(&set) && peer.barrier.is_none()
            })
    }

    pub(crate) fn form(&mut self, nodes: &[u32]) {
        self.until(60_000, &format!("a ring of {nodes:?}"), |net| net.stand(nodes));
    }

    pub(crate) fn messages(&self, node: u32) -> Vec<(Node, Bytes)> {
        let seen = self.peers[&Node(node)].seen.iter();
        seen.filter_map(|seen| match seen {
            Seen::Message(from, bytes) => Some((*from, bytes.clone())),
            Seen::Configuration(_) => None,
        })
        .collect()
    }

    pub(crate) fn describe(&self) -> String {
        let line = |(node, peer): (&Node, &Peer)| {
            let (state, ring) = (peer.totem.state(), peer.totem.ring_id());
            let last: Vec<&String> = peer.logs.iter().rev().take(6).collect();
            format!("{node} {state} {ring} {:?} {last:#?}\n", peer.totem.members())
        };
        self.peers.iter().map(line).collect()
    }
}
