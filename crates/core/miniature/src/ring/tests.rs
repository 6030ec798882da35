use std::collections::{BTreeMap, VecDeque};

use sansio::edge::{Channel, Conn, Credentials, Frame};
use sansio::{Recorded, Rng, Wall};

use super::*;
use crate::ipc::{FROM_START, MCAST, TRACK, VIEW, ViewEvent, encode_mcast};

/// Rings joined by a network that loses nothing, with disks that answer at once.
struct Net {
    now: Mono,
    rings: BTreeMap<Node, Ring>,
    wires: VecDeque<(Node, SocketAddr, Vec<u8>)>,
    cut: BTreeSet<(Node, Node)>,
    events: Vec<(Node, Event)>,
    frames: Vec<(Node, Frame)>,
    disks: BTreeMap<Node, Vec<u8>>,
    disk_answers: bool,
}

fn address(node: Node) -> SocketAddr {
    format!("10.0.0.{}:5405", node.0).parse().unwrap()
}

fn config(node: Node, count: u32, epoch: u64, stored: Option<Vec<u8>>) -> Config {
    let nodes = (1..=count).map(|n| (Node(n), address(Node(n)))).collect();
    Config { node, epoch, nodes, stored }
}

fn at(mono: Mono) -> Now {
    Now { mono, wall: Wall(0), utc_offset_s: 0 }
}

impl Net {
    fn new(count: u32) -> Self {
        let now = Mono(1_000_000_000);
        let ring = |n| (Node(n), Ring::new(at(now), config(Node(n), count, u64::from(n), None)));
        Self {
            now,
            rings: (1..=count).map(ring).collect(),
            wires: VecDeque::new(),
            cut: BTreeSet::new(),
            events: Vec::new(),
            frames: Vec::new(),
            disks: BTreeMap::new(),
            disk_answers: true,
        }
    }

    fn cut(&mut self, a: u32, b: u32) {
        self.cut.insert((Node(a), Node(b)));
        self.cut.insert((Node(b), Node(a)));
    }

    fn input(&mut self, node: Node, input: Input<NoJob>) {
        let Some(ring) = self.rings.get_mut(&node) else { return };
        let outputs = sansio::step(ring, at(self.now), input);
        self.take(node, outputs);
    }

    fn take(&mut self, node: Node, outputs: Vec<Output<NoJob>>) {
        for output in outputs {
            match output {
                Output::Send { to, bytes, .. } => self.wires.push_back((node, to, bytes)),
                Output::Persist { id, bytes, .. } if self.disk_answers => {
                    self.disks.insert(node, bytes);
                    self.input(node, Input::Persisted(id));
                }
                Output::Observe(event) => self.events.push((node, event)),
                Output::Frame { frame, .. } => self.frames.push((node, frame)),
                _ => {}
            }
        }
    }

    /// Lets `ms` milliseconds pass in steps of one.
    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now = self.now + Duration::from_millis(1);
            for node in self.rings.keys().copied().collect::<Vec<_>>() {
                let outputs = sansio::run_due(self.rings.get_mut(&node).unwrap(), at(self.now));
                self.take(node, outputs);
            }
            for _ in 0..self.wires.len() {
                let (from, to, bytes) = self.wires.pop_front().unwrap();
                let target = self.rings.keys().copied().find(|n| address(*n) == to);
                if let Some(target) = target.filter(|t| !self.cut.contains(&(from, *t))) {
                    let from = address(from);
                    self.input(target, Input::Datagram { link: Link(0), from, bytes });
                }
            }
        }
    }

    fn members(&self, node: u32) -> Vec<u32> {
        let view = self.rings[&Node(node)].phase.view();
        view.map_or(Vec::new(), |view| view.members.keys().map(|n| n.0).collect())
    }

    fn client(&mut self, node: u32) {
        let (node, conn) = (Node(node), Conn(1 << 32));
        let (service, peer) = (SERVICE.to_string(), Credentials::default());
        self.input(node, Input::Accepted { conn, service, peer });
        self.ask(node, TRACK, Vec::new());
    }

    fn ask(&mut self, node: Node, id: i32, body: Vec<u8>) {
        let frame = Frame { channel: Channel::Request, id, error: 0, body };
        self.input(node, Input::Frame { conn: Conn(1 << 32), frame });
    }

    fn say(&mut self, node: u32, text: &str) {
        let ring = self.rings[&Node(node)].phase.view().unwrap().ring;
        self.ask(Node(node), MCAST, encode_mcast(ring, text.as_bytes()));
    }

    fn delivered(&self, node: u32) -> Vec<(u32, u64)> {
        let deliver = |(n, event): &(Node, Event)| match event {
            Event::Deliver { sender, number, .. } if *n == Node(node) => Some((sender.0, *number)),
            _ => None,
        };
        self.events.iter().filter_map(deliver).collect()
    }
}

#[test]
fn three_nodes_form_one_quorate_ring() {
    let mut net = Net::new(3);
    net.run(2000);
    for node in 1..=3 {
        assert_eq!(net.members(node), [1, 2, 3]);
        assert_eq!(net.rings[&Node(node)].state(), "member-quorate");
    }
}

#[test]
fn a_minority_is_not_quorate_and_comes_back() {
    let mut net = Net::new(3);
    net.run(2000);
    net.cut(1, 2);
    net.cut(1, 3);
    net.run(3000);
    assert_eq!((net.members(1), net.members(2)), (vec![1], vec![2, 3]));
    assert_eq!(net.rings[&Node(1)].state(), "member-inquorate");
    assert_eq!(net.rings[&Node(3)].state(), "member-quorate");
    net.cut.clear();
    net.run(3000);
    assert_eq!(net.members(1), [1, 2, 3]);
}

#[test]
fn messages_arrive_everywhere_in_one_order() {
    let mut net = Net::new(3);
    net.run(2000);
    for node in 1..=3 {
        net.client(node);
    }
    for round in 0..30 {
        for node in 1..=3 {
            net.say(node, &format!("{round}"));
        }
        net.run(5);
    }
    net.run(3000);
    assert_eq!(net.delivered(1).len(), 90);
    assert_eq!(net.delivered(1), net.delivered(2));
    assert_eq!(net.delivered(1), net.delivered(3));
    let log = &net.rings[&Node(1)].phase.view().unwrap().log;
    assert!(log.is_empty(), "what all have delivered is forgotten");
}

#[test]
fn nothing_is_sent_before_the_promise_is_durable() {
    let mut net = Net::new(3);
    net.disk_answers = false;
    net.run(3000);
    assert!((1..=3).all(|node| net.members(node).is_empty()));
    let formed = |(_, _, bytes): &(Node, SocketAddr, Vec<u8>)| {
        !matches!(Datagram::decode(bytes).unwrap().body, Body::Beat(_))
    };
    assert!(!net.wires.iter().any(formed), "only beats are on the wire");
}

#[test]
fn ring_numbers_grow_over_a_restart() {
    let mut net = Net::new(1);
    net.run(1000);
    let before = net.rings[&Node(1)].phase.view().unwrap().ring;
    let config = config(Node(1), 1, 99, net.disks.get(&Node(1)).cloned());
    net.rings.insert(Node(1), Ring::new(at(net.now), config));
    net.run(1000);
    let after = net.rings[&Node(1)].phase.view().unwrap().ring;
    assert!(after.seq > before.seq);
}

#[test]
fn a_client_with_an_old_view_is_refused() {
    let mut net = Net::new(1);
    net.client(1);
    net.run(1000);
    let mut seen = net.frames.iter().filter(|(_, f)| f.channel == Channel::Event && f.id == VIEW);
    let view = ViewEvent::decode(&seen.next_back().unwrap().1.body).unwrap();
    let stale = RingId { seq: view.ring.seq - 1, ..view.ring };
    net.ask(Node(1), MCAST, encode_mcast(stale, b"x"));
    assert_eq!(net.frames.last().unwrap().1.error, -116);
    net.ask(Node(1), MCAST, encode_mcast(view.ring, b"x"));
    let answer = net.frames.iter().rfind(|(_, f)| f.channel == Channel::Response).unwrap();
    assert_eq!(answer.1.error, 0);
}

#[test]
fn a_client_that_must_see_a_ring_from_its_start_gets_a_new_one() {
    let mut net = Net::new(1);
    net.client(1);
    net.run(1000);
    let ring = |net: &Net| net.rings[&Node(1)].phase.view().unwrap().ring;
    let first = ring(&net);
    net.ask(Node(1), TRACK, FROM_START.to_vec());
    net.run(1000);
    assert_eq!(ring(&net), first, "nothing has been missed");
    net.ask(Node(1), MCAST, encode_mcast(first, b"x"));
    net.ask(Node(1), TRACK, Vec::new());
    net.run(1000);
    assert_eq!(ring(&net), first, "who does not mind joins late");
    net.ask(Node(1), TRACK, FROM_START.to_vec());
    net.run(1000);
    assert!(ring(&net).seq > first.seq);
}

#[test]
fn nobody_takes_the_whole_window() {
    let mut net = Net::new(2);
    net.client(1);
    net.run(2000);
    let ring = net.rings[&Node(1)].phase.view().unwrap().ring;
    assert_eq!(ring.rep, Node(1));
    for _ in 0..20 {
        net.ask(Node(1), MCAST, encode_mcast(ring, b"x"));
    }
    assert_eq!(net.rings[&Node(1)].phase.view().unwrap().last_seq, 8, "half of 16");
    net.run(2000);
    assert_eq!(net.rings[&Node(1)].phase.view().unwrap().last_seq, 20);
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let mut net = Net::new(1);
    net.client(1);
    let conn = Conn(1 << 32);
    let ring = net.rings.get_mut(&Node(1)).unwrap();
    let outputs = sansio::step(ring, at(net.now), Input::Blocked(conn));
    assert!(matches!(outputs.last(), Some(Output::Close { conn: c, .. }) if *c == conn));
}

#[test]
fn a_snapshot_resumes_to_an_equal_ring() {
    let mut net = Net::new(3);
    let mut taken = 0;
    for step in 0..60 {
        net.run(50);
        if step == 30 {
            net.client(1);
            (0..20).for_each(|_| net.say(1, "x"));
        }
        for ring in net.rings.values() {
            if let Some(snapshot) = ring.snapshot() {
                assert_eq!(Ring::resume(&snapshot).unwrap(), *ring);
                taken += 1;
            }
        }
    }
    assert!(taken > 100, "{taken}");
}

#[test]
fn damaged_snapshots_are_refused() {
    let mut net = Net::new(3);
    net.run(2000);
    let snapshot = net.rings[&Node(1)].snapshot().unwrap();
    for cut in 0..snapshot.len() {
        assert!(Ring::resume(&snapshot[..cut]).is_err());
    }
}

#[test]
fn hostile_datagrams_change_nothing_and_break_nothing() {
    let mut net = Net::new(3);
    net.run(2000);
    let mut rng = Rng::new(7);
    let samples: Vec<(Node, Vec<u8>)> = {
        net.client(1);
        net.say(1, "seed");
        net.wires.iter().map(|(from, _, bytes)| (*from, bytes.clone())).collect()
    };
    for _ in 0..5000 {
        let (_, bytes) = rng.pick(&samples).unwrap();
        let mut bytes = bytes.clone();
        for _ in 0..rng.range(1, 4) {
            let place = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
            bytes[place] = u8::try_from(rng.below(256)).unwrap();
        }
        bytes.truncate(usize::try_from(rng.range(0, bytes.len() as u64)).unwrap());
        let from = address(Node(u32::try_from(rng.range(1, 4)).unwrap()));
        net.input(Node(2), Input::Datagram { link: Link(0), from, bytes });
    }
    net.run(5000);
    assert_eq!(net.members(2), [1, 2, 3]);
}

#[test]
fn every_datagram_survives_its_bytes() {
    let ring = RingId { seq: 3, rep: Node(1) };
    let members = BTreeMap::from([(Node(1), 7), (Node(2), 8)]);
    let message = message::Message { sender: Node(2), epoch: 8, number: 4, bytes: vec![1] };
    let log = BTreeMap::from([(5, message.clone())]);
    let old = Some(message::Old { ring, delivered: 5, log: log.clone() });
    let bodies = [
        Body::Propose { ring, members: members.clone() },
        Body::Accept(message::Accept { ring, old }),
        Body::Commit { ring, members, flush: vec![(ring, log)] },
        Body::Forward { ring, first: 4, message: message.clone() },
        Body::Data { ring, seq: 5, message },
    ];
    for body in bodies {
        let datagram = Datagram { sender: Node(2), epoch: 8, body };
        let bytes = datagram.encode();
        assert_eq!(Datagram::decode(&bytes), Ok(datagram));
        for cut in 0..bytes.len() {
            assert!(Datagram::decode(&bytes[..cut]).is_err());
        }
    }
}
