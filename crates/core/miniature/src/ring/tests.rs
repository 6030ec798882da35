use std::collections::{BTreeMap, VecDeque};

use sansio::edge::{Channel, Conn, Credentials, Frame};
use sansio::{Recorded, Rng, Wall};

use super::message::Message;
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
fn a_commit_for_others_than_were_invited_is_none() {
    let mut net = Net::new(5);
    let ring = RingId { seq: 9, rep: Node(1) };
    let invited = BTreeMap::from([(Node(1), 1), (Node(2), 2)]);
    let invented: BTreeMap<Node, u64> = (1..=5).map(|n| (Node(n), u64::from(n))).collect();
    let mut say = |body: Body| {
        let bytes = Datagram { sender: Node(1), epoch: 1, body }.encode();
        let from = address(Node(1));
        net.input(Node(2), Input::Datagram { link: Link(0), from, bytes });
        net.rings[&Node(2)].state()
    };
    assert_eq!(say(Body::Propose { ring, members: invited.clone() }), "promise");
    assert_eq!(say(Body::Commit { ring, members: invented, flush: vec![] }), "promise");
    assert_eq!(say(Body::Commit { ring, members: invited, flush: vec![] }), "member-inquorate");
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

/// A datagram that only a liar sends, from node 2 to node 1.
fn lie(net: &mut Net, body: Body) {
    let bytes = Datagram { sender: Node(2), epoch: 2, body }.encode();
    let from = address(Node(2));
    net.input(Node(1), Input::Datagram { link: Link(0), from, bytes });
}

#[test]
fn promises_that_nobody_can_have_made_are_not_followed() {
    for promised in [u64::MAX, u64::MAX - 1, 1 << 63] {
        let mut net = Net::new(2);
        net.rings.remove(&Node(2));
        for _ in 0..40 {
            net.run(50);
            let heard = BTreeSet::from([Node(1)]);
            let beat =
                Beat { view: None, promised, delivered: 0, stable: 0, heard, leaving: false };
            lie(&mut net, Body::Beat(beat));
            let ring = RingId { seq: promised, rep: Node(2) };
            lie(
                &mut net,
                Body::Propose { ring, members: BTreeMap::from([(Node(1), 1), (Node(2), 2)]) },
            );
        }
        let promised = net.rings[&Node(1)].promised;
        assert!(
            (1..100).contains(&promised),
            "node 1 goes on proposing, by its own count: {promised}"
        );
    }
}

#[test]
fn a_stored_promise_that_nobody_can_have_made_counts_as_none() {
    let stored = Some(u64::MAX.to_le_bytes().to_vec());
    let mut net = Net::new(1);
    net.rings.insert(Node(1), Ring::new(at(net.now), config(Node(1), 1, 1, stored)));
    net.run(1000);
    assert_eq!(net.members(1), [1]);
}

#[test]
fn a_message_with_the_last_number_is_not_ordered() {
    let mut net = Net::new(3);
    net.run(1500);
    let ring = net.rings[&Node(1)].phase.view().unwrap().ring;
    for number in [u64::MAX, u64::MAX - 1] {
        let message = Message { sender: Node(2), epoch: 2, number, bytes: vec![1] };
        lie(&mut net, Body::Forward { ring, first: number, message });
    }
    net.run(1000);
    assert_eq!(net.members(1), [1, 2, 3]);
}

/// As many clients as a service takes, and a whole window that one datagram
/// completes.
#[test]
fn a_window_for_all_clients_is_not_too_much_at_once() {
    const CLIENTS: u64 = 4096 + 64;
    let mut net = Net::new(2);
    net.run(1500);
    let ring = net.rings[&Node(2)].phase.view().unwrap().ring;
    for n in 0..CLIENTS {
        let conn = Conn(n);
        let (service, peer) = (SERVICE.to_string(), Credentials::default());
        net.input(Node(2), Input::Accepted { conn, service, peer });
        let frame = Frame { channel: Channel::Request, id: TRACK, error: 0, body: Vec::new() };
        net.input(Node(2), Input::Frame { conn, frame });
    }
    net.frames.clear();
    for seq in (1..=16).rev() {
        let message = Message { sender: Node(1), epoch: 1, number: seq, bytes: vec![1] };
        let body = Body::Data { ring, seq, message };
        let bytes = Datagram { sender: Node(1), epoch: 1, body }.encode();
        let from = address(Node(1));
        net.input(Node(2), Input::Datagram { link: Link(0), from, bytes });
    }
    assert_eq!(net.frames.len() as u64, 16 * CLIENTS);
}

const CORPUS: &[(&str, &[u8])] = &[
    ("accept", include_bytes!("../../../../../tests/fuzz/corpus/miniature/accept")),
    ("beat", include_bytes!("../../../../../tests/fuzz/corpus/miniature/beat")),
    ("beat-largest", include_bytes!("../../../../../tests/fuzz/corpus/miniature/beat-largest")),
    ("beat-leaving", include_bytes!("../../../../../tests/fuzz/corpus/miniature/beat-leaving")),
    ("commit", include_bytes!("../../../../../tests/fuzz/corpus/miniature/commit")),
    ("data", include_bytes!("../../../../../tests/fuzz/corpus/miniature/data")),
    ("data-largest", include_bytes!("../../../../../tests/fuzz/corpus/miniature/data-largest")),
    ("forward", include_bytes!("../../../../../tests/fuzz/corpus/miniature/forward")),
    (
        "forward-largest",
        include_bytes!("../../../../../tests/fuzz/corpus/miniature/forward-largest"),
    ),
    ("propose", include_bytes!("../../../../../tests/fuzz/corpus/miniature/propose")),
    (
        "propose-largest",
        include_bytes!("../../../../../tests/fuzz/corpus/miniature/propose-largest"),
    ),
];

/// The fuzz corpus, a datagram in each file, with every byte cut and changed, each alone, to node 1 in and
/// out of a ring.
#[test]
fn no_datagram_of_the_corpus_or_near_it_breaks_a_ring() {
    let mut net = Net::new(3);
    net.run(1500);
    let (member, now) = (net.rings[&Node(1)].clone(), net.now);
    assert_eq!(net.members(1), [1, 2, 3]);
    let alone = Net::new(3).rings.remove(&Node(1)).unwrap();
    let hear = |ring: &Ring, bytes: &[u8]| {
        let mut ring = ring.clone();
        let (from, bytes) = (address(Node(2)), bytes.to_vec());
        sansio::step(&mut ring, at(now), Input::Datagram { link: Link(0), from, bytes });
        for ms in [100, 300, 700, 1500] {
            sansio::run_due(&mut ring, at(now + Duration::from_millis(ms)));
        }
    };
    for (name, framed) in CORPUS {
        // A byte for the sender and two for the length.
        let bytes = &framed[3..];
        assert!(Datagram::decode(bytes).is_ok(), "{name}");
        for ring in [&member, &alone] {
            hear(ring, bytes);
            for place in 0..bytes.len() {
                hear(ring, &bytes[..place]);
                for change in [0x01, 0x80, 0xff] {
                    let mut changed = bytes.to_vec();
                    changed[place] ^= change;
                    hear(ring, &changed);
                }
            }
        }
    }
}
