//! Datagrams that nobody should have sent: dropped and counted, no panic, and
//! the ring goes on or forms again.

use bytes::Bytes;
use ha_types::Node;
use sansio::Rng;
use totem::Input;

use crate::net::Net;
use crate::order;

/// Genuine datagrams of a life with everything in it.
fn tape(seed: u64) -> Vec<Bytes> {
    let mut net = Net::new(seed, 3);
    net.tape = Some(Vec::new());
    net.weather.loss_per_mille = 50;
    net.form(&[1, 2, 3]);
    for number in 0..30_u8 {
        net.submit(Node(1 + u32::from(number) % 3), false, vec![number; 800].into()).unwrap();
    }
    net.run(500);
    net.partition(&[1]);
    net.run(8_000);
    net.heal();
    net.form(&[1, 2, 3]);
    net.tape.take().unwrap()
}

fn mutate(rng: &mut Rng, genuine: &Bytes) -> Bytes {
    let mut bytes = genuine.to_vec();
    match rng.below(6) {
        0 => bytes.truncate(usize::try_from(rng.below(bytes.len() as u64)).unwrap()),
        1 => bytes.extend((0..rng.range(1, 64)).map(|_| 0xaa)),
        2 => bytes[..2].reverse(),
        3 => {
            // Any field: a word that wraps.
            let at = usize::try_from(rng.below(bytes.len() as u64 / 4 + 1)).unwrap() * 4;
            let word = *rng.pick(&[0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX]).unwrap();
            let end = bytes.len().min(at + 4);
            if at < end {
                bytes[at..end].copy_from_slice(&word.to_le_bytes()[..end - at]);
            }
        }
        4 => {
            for _ in 0..rng.range(1, 8) {
                let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                bytes[at] = u8::try_from(rng.below(256)).unwrap();
            }
        }
        _ => {}
    }
    bytes.into()
}

#[test]
fn mutated_and_repeated_datagrams_break_nothing() {
    for seed in 0..12 {
        let tape = tape(seed);
        let mut rng = Rng::new(seed);
        let mut net = Net::new(seed, 3);
        net.form(&[1, 2, 3]);
        for round in 0..2_000_u32 {
            let genuine = rng.pick(&tape).unwrap();
            let bytes = mutate(&mut rng, genuine);
            let node = Node(u32::try_from(rng.range(1, 3)).unwrap());
            net.input(node, Input::Datagram(bytes));
            if round % 20 == 0 {
                let _ = net.submit(node, false, vec![7; 100].into());
                net.run(rng.below(50));
            }
        }
        assert!(net.peers.values().all(|peer| peer.exit.is_none()), "{}", net.describe());
        net.form(&[1, 2, 3]);
        let before = net.messages(1).len();
        net.submit(Node(2), false, vec![9; 5_000].into()).unwrap();
        net.until(60_000, "messages flow", |net| net.messages(1).len() > before);
    }
}

/// Fields of the current ring are forged, not of an old one: the hardest case.
#[test]
fn mutations_of_the_standing_ring_s_own_traffic() {
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let mut net = Net::new(seed, 3);
        net.tape = Some(Vec::new());
        net.form(&[1, 2, 3]);
        for round in 0..3_000_u32 {
            let node = Node(u32::try_from(rng.range(1, 3)).unwrap());
            let tape = net.tape.as_ref().unwrap();
            let recent = &tape[tape.len().saturating_sub(20)..];
            let genuine = rng.pick(recent).unwrap();
            let bytes = mutate(&mut rng, genuine);
            net.input(node, Input::Datagram(bytes));
            if round % 10 == 0 {
                let _ = net.submit(node, false, vec![7; 100].into());
                net.run(rng.below(20));
            }
        }
        net.form(&[1, 2, 3]);
        let before = net.messages(1).len();
        net.submit(Node(2), false, vec![9; 5_000].into()).unwrap();
        net.until(60_000, "messages flow", |net| net.messages(1).len() > before);
    }
}

/// [TOTEM-2] Pure repetition changes nothing at all: no new membership, the
/// same order.
#[test]
fn repeated_datagrams_of_the_standing_ring_change_nothing() {
    let mut net = Net::new(5, 3);
    net.form(&[1, 2, 3]);
    net.run(1_000);
    net.tape = Some(Vec::new());
    let ring = net.peers[&Node(1)].totem.ring_id();
    let mut rng = Rng::new(5);
    for number in 0..2_000_u32 {
        let node = Node(1 + number % 3);
        net.submit(node, false, number.to_le_bytes().to_vec().into()).unwrap();
        let old = rng.pick(net.tape.as_ref().unwrap()).unwrap().clone();
        net.input(Node(1 + (number + 1) % 3), Input::Datagram(old));
        net.run(2);
    }
    net.until(5_000, "all is delivered", |net| (1..=3).all(|n| net.messages(n).len() == 2_000));
    assert_eq!(net.peers[&Node(1)].totem.ring_id(), ring);
    order::check(&net).unwrap();
}

/// [TOTEM-2] Fields that no member would ever take back out of the token: a
/// forged count of messages in flight, a forged holder of the aru, requests
/// that nobody can fulfil.
#[test]
fn forged_tokens_do_not_stall_the_ring() {
    type Forge = fn(&mut Vec<u8>);
    let forgeries: [Forge; 4] = [
        |token| token[45..49].copy_from_slice(&0x7fff_0000_u32.to_le_bytes()),
        |token| token[41..45].copy_from_slice(&0x7fff_0000_u32.to_le_bytes()),
        |token| {
            token[21..25].fill(0);
            token[25..29].copy_from_slice(&77_u32.to_le_bytes());
        },
        |token| {
            let ring = token[29..41].to_vec();
            token[53..57].copy_from_slice(&30_u32.to_le_bytes());
            token.truncate(57);
            for seq in 0..30_u32 {
                token.extend(&ring);
                token.extend((100_000 + seq).to_le_bytes());
            }
        },
    ];
    for (seed, forge) in (0..).zip(forgeries) {
        let mut net = Net::new(seed, 3);
        net.form(&[1, 2, 3]);
        net.forge = Some(forge);
        for _ in 0..3_000 {
            net.submit(Node(1), false, vec![1; 1_300].into()).unwrap();
            net.submit(Node(3), false, vec![3; 1_300].into()).unwrap();
            net.run(2);
        }
        net.until(30_000, &format!("forgery {seed}"), |net| {
            (1..=3).all(|node| net.messages(node).len() == 6_000)
        });
    }
}

#[test]
fn what_is_dropped_is_counted() {
    let mut net = Net::new(6, 1);
    net.form(&[1]);
    let before = net.peers[&Node(1)].totem.stats().rx_msg_dropped;
    for bytes in [&b""[..], b"\x70", &[0xff; 40], b"\x70\xc0\x03\x09\x00\0\0\0\0\0\0\0\0"] {
        net.input(Node(1), Input::Datagram(Bytes::copy_from_slice(bytes)));
    }
    assert_eq!(net.peers[&Node(1)].totem.stats().rx_msg_dropped, before + 4);
}
