//! What all must agree on: the order of messages, and which of them nodes that
//! go together have delivered when they go on.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ha_types::ring::ConfigurationKind;
use ha_types::{Node, RingId};
use sansio::Rng;

use crate::net::{Net, Seen};

type Message = (Node, Bytes);

/// One node's life in one ring: its messages, and how it went on.
struct Stay {
    node: Node,
    /// The rings it was in before.
    before: Vec<RingId>,
    messages: Vec<Message>,
    next: Option<(RingId, BTreeSet<Node>)>,
}

/// Cuts what the nodes saw into stays, by ring.
fn stays(net: &Net) -> BTreeMap<RingId, Vec<Stay>> {
    let mut rings: BTreeMap<RingId, Vec<Stay>> = BTreeMap::new();
    for (node, peer) in &net.peers {
        let mut current: Option<RingId> = None;
        let mut before = Vec::new();
        let mut messages = Vec::new();
        let mut together = BTreeSet::new();
        for seen in &peer.seen {
            match seen {
                Seen::Message(from, bytes) => messages.push((*from, bytes.clone())),
                Seen::Configuration(c) if c.kind == ConfigurationKind::Transitional => {
                    together = c.members.clone();
                }
                Seen::Configuration(c) => {
                    let messages = std::mem::take(&mut messages);
                    if let Some(ring) = current {
                        let next = Some((c.ring, together.clone()));
                        let before = before.clone();
                        let stay = Stay { node: *node, before, messages, next };
                        rings.entry(ring).or_default().push(stay);
                    }
                    before.extend(current.replace(c.ring));
                }
            }
        }
        if let Some(ring) = current {
            rings.entry(ring).or_default().push(Stay { node: *node, before, messages, next: None });
        }
    }
    rings
}

/// The oracle: total order in each ring, no repetition, and virtual synchrony.
pub(crate) fn check(net: &Net) -> Result<(), String> {
    for (ring, stays) in stays(net) {
        for stay in &stays {
            let distinct: BTreeSet<&Message> = stay.messages.iter().collect();
            if distinct.len() != stay.messages.len() {
                return Err(format!("{} delivers twice in {ring}", stay.node));
            }
        }
        for a in &stays {
            for b in &stays {
                same_order(ring, a, b)?;
                same_messages(ring, a, b)?;
            }
        }
    }
    Ok(())
}

fn same_order(ring: RingId, a: &Stay, b: &Stay) -> Result<(), String> {
    let place: BTreeMap<&Message, usize> =
        b.messages.iter().enumerate().map(|(i, m)| (m, i)).collect();
    let places: Vec<usize> = a.messages.iter().filter_map(|m| place.get(m).copied()).collect();
    if places.is_sorted() {
        return Ok(());
    }
    Err(format!("{} and {} differ in the order of {ring}", a.node, b.node))
}

fn same_messages(ring: RingId, a: &Stay, b: &Stay) -> Result<(), String> {
    let (Some((next_a, with_a)), Some((next_b, with_b))) = (&a.next, &b.next) else {
        return Ok(());
    };
    let go_together = next_a == next_b && with_a.contains(&b.node);
    if go_together && with_a != with_b {
        return Err(format!("{} and {} differ in who leaves {ring}", a.node, b.node));
    }
    if go_together && begun_here(a, b) != begun_here(b, a) {
        let lens = (a.messages.len(), b.messages.len());
        return Err(format!("{} and {} leave {ring} with {lens:?} messages", a.node, b.node));
    }
    Ok(())
}

/// The messages of `a` that also `b` could have seen from their beginning: when
/// they have been in different rings, the first message of a sender may be the end
/// of one that began before, if it is longer than a frame.
fn begun_here<'a>(a: &'a Stay, b: &Stay) -> Vec<&'a Message> {
    let mut senders = BTreeSet::new();
    let counts = |message: &&Message| {
        let first = senders.insert(message.0);
        let older = first && a.before != b.before && message.1.len() > 64;
        !older || b.messages.contains(message)
    };
    a.messages.iter().filter(counts).collect()
}

fn payload(node: u32, number: u64, len: usize) -> Bytes {
    let mut bytes = [&node.to_le_bytes()[..], &number.to_le_bytes()].concat();
    bytes.resize(12 + len, 0x5a);
    bytes.into()
}

/// Some nodes, some weather, some faults, and traffic all the while.
pub(crate) fn campaign(seed: u64) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let count = u32::try_from(rng.range(2, 6)).unwrap();
    let mut net = Net::new(seed, count);
    let all: Vec<u32> = (1..=count).collect();
    net.form(&all);
    net.weather.loss_per_mille =
        u32::try_from(rng.pick(&[0, 10, 50, 150]).copied().unwrap()).unwrap();
    net.weather.duplication_per_mille = 30;
    net.weather.jitter_us = *rng.pick(&[100, 1_000, 5_000]).unwrap();
    let mut sent = BTreeMap::new();
    for _ in 0..rng.range(5, 25) {
        fault(&mut net, &mut rng, count);
        for _ in 0..rng.range(1, 12) {
            let node = u32::try_from(rng.range(1, count.into())).unwrap();
            for _ in 0..rng.range(1, 6) {
                let number = sent.entry(node).or_insert(0_u64);
                *number += 1;
                let len = usize::try_from(*rng.pick(&[0, 10, 500, 1_300, 6_000, 40_000]).unwrap());
                let bytes = payload(node, *number, len.unwrap());
                let _ = net.submit(Node(node), rng.chance(300), bytes);
            }
            net.run(rng.range(0, 60));
        }
    }
    net.heal();
    net.weather = crate::net::Weather { jitter_us: 100, ..Default::default() };
    for node in &all {
        net.thaw(Node(*node));
    }
    net.form(&all);
    net.run(5_000);
    check(&net)?;
    own_messages_in_order(&net)
}

fn fault(net: &mut Net, rng: &mut Rng, count: u32) {
    let node = Node(u32::try_from(rng.range(1, count.into())).unwrap());
    match rng.below(8) {
        0 => {
            let one: Vec<u32> = (1..=count).filter(|_| rng.chance(500)).collect();
            net.partition(&one);
        }
        1 | 2 => net.heal(),
        3 => {
            let other = Node(u32::try_from(rng.range(1, count.into())).unwrap());
            net.cuts.insert((node, other));
        }
        4 => net.freeze(node),
        5 => net.thaw(node),
        6 => net.run(rng.range(0, 4_000)),
        _ => {}
    }
}

/// A node that was never restarted delivers all of its own messages, in the
/// order in which it sent them.
fn own_messages_in_order(net: &Net) -> Result<(), String> {
    for node in net.peers.keys() {
        let own = net.messages(node.0).into_iter().filter(|(from, _)| from == node);
        let numbers: Vec<u64> =
            own.map(|(_, b)| u64::from_le_bytes(b[4..12].try_into().unwrap())).collect();
        if !numbers.is_sorted() {
            return Err(format!("{node} delivers its own messages out of order"));
        }
    }
    Ok(())
}

#[test]
fn order_and_virtual_synchrony_hold_under_faults() {
    for seed in 0..150 {
        if let Err(why) = campaign(seed) {
            panic!("seed {seed}: {why}");
        }
    }
}

#[test]
fn a_seed_is_a_run() {
    let trace = |seed| {
        let mut net = Net::new(seed, 4);
        net.weather.loss_per_mille = 100;
        net.form(&[1, 2, 3, 4]);
        for number in 0..50 {
            net.submit(Node(1 + number % 4), false, payload(1, number.into(), 900)).unwrap();
            net.run(3);
        }
        net.run(2_000);
        (net.datagrams, net.messages(1), net.now)
    };
    assert_eq!(trace(11), trace(11));
    assert_ne!(trace(11).0, trace(12).0);
}

#[test]
fn all_deliver_all_in_one_order() {
    let mut net = Net::new(1, 5);
    net.form(&[1, 2, 3, 4, 5]);
    net.weather.loss_per_mille = 50;
    for number in 0..400_u32 {
        let node = 1 + number % 5;
        net.submit(Node(node), number % 7 == 0, payload(node, number.into(), 300)).unwrap();
    }
    net.until(60_000, "all is delivered", |net| (1..=5).all(|n| net.messages(n).len() == 400));
    let first = net.messages(1);
    assert!((2..=5).all(|node| net.messages(node) == first));
    check(&net).unwrap();
}

/// [TOTEM-5] A safe message is delivered nowhere before it is everywhere.
pub(crate) fn safe_waits_for_the_slowest() -> Result<(), String> {
    let mut net = Net::new(2, 3);
    net.form(&[1, 2, 3]);
    net.run(500);
    // No message is late, so that nothing but the rule holds it back.
    net.weather.jitter_us = 0;
    // Node 3 gets tokens from 2, but no messages of 1.
    net.cuts.insert((Node(1), Node(3)));
    net.submit(Node(1), true, payload(1, 1, 10)).unwrap();
    net.submit(Node(1), false, payload(1, 2, 10)).unwrap();
    net.run(3);
    if !net.messages(2).is_empty() {
        return Err("delivered, and not everywhere yet".into());
    }
    net.heal();
    net.until(5_000, "then everywhere", |net| (1..=3).all(|n| net.messages(n).len() == 2));
    Ok(())
}

#[test]
fn safe_messages_wait_for_the_slowest() {
    safe_waits_for_the_slowest().unwrap();
}
