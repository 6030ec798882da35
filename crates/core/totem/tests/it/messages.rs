//! Sizes, back-pressure, and the idle ring.

use bytes::Bytes;
use ha_types::Node;
use totem::{QueueLevel, SubmitError};

use crate::net::Net;

fn pattern(len: usize) -> Bytes {
    (0..len).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect::<Vec<_>>().into()
}

#[test]
fn messages_of_all_sizes_arrive_whole() {
    let mut net = Net::new(1, 3);
    net.message_max = 4 << 20;
    for id in 1..=3 {
        net.kill(Node(id));
        net.boot(Node(id), None);
    }
    net.form(&[1, 2, 3]);
    let lens = [0, 1, 2, 255, 1_000, 1_365, 1_366, 1_374, 1_400, 65_535, 65_536, 300_000];
    let lens = [&lens[..], &[1 << 20, 3 << 20]].concat();
    for len in &lens {
        net.submit(Node(2), false, pattern(*len)).unwrap();
        net.until(60_000, &format!("{len} bytes"), |net| {
            let whole = |n| net.messages(n).last().is_some_and(|(_, b)| b.len() == *len);
            (1..=3).all(whole)
        });
        for node in 1..=3 {
            assert_eq!(net.messages(node).last().unwrap().1, pattern(*len));
        }
    }
    assert_eq!(net.messages(1).len(), lens.len());
}

#[test]
fn a_full_queue_says_so_and_recovers() {
    let mut net = Net::new(2, 2);
    net.form(&[1, 2]);
    let mut taken = 0;
    let refusal = loop {
        match net.submit(Node(1), false, pattern(50_000)) {
            Ok(()) => taken += 1,
            Err(why) => break why,
        }
        assert!(taken < 1_000, "no bound");
    };
    assert_eq!(refusal, SubmitError::Full);
    assert_eq!(net.peers[&Node(1)].max_level, Some(QueueLevel::Critical));
    net.until(60_000, "all is delivered", |net| net.messages(2).len() == taken);
    net.submit(Node(1), false, pattern(10)).unwrap();
    assert_eq!(net.submit(Node(1), false, pattern(2 << 20)), Err(SubmitError::TooLong));
}

/// An idle ring's token rests, and a message wakes it at once.
#[test]
fn the_token_of_an_idle_ring_is_held() {
    let mut net = Net::new(3, 3);
    net.form(&[1, 2, 3]);
    net.run(5_000);
    let before = net.datagrams;
    net.run(10_000);
    let per_second = (net.datagrams - before) / 10;
    assert!(per_second < 60, "{per_second} datagrams per second when idle");
    let start = net.now;
    net.submit(Node(2), false, pattern(10)).unwrap();
    net.until(1_000, "delivered", |net| (1..=3).all(|n| !net.messages(n).is_empty()));
    assert!((net.now - start).as_millis() < 5, "took {:?}", net.now - start);
}

/// A message that is under way when the membership changes arrives at those
/// who were there from its beginning, and disturbs nobody else.
#[test]
fn a_message_survives_a_membership_change() {
    for seed in 0..30 {
        let mut net = Net::new(seed, 2);
        net.form(&[1, 2]);
        net.submit(Node(1), false, pattern(700_000)).unwrap();
        net.submit(Node(1), false, pattern(20)).unwrap();
        net.run(seed % 10);
        net.boot(Node(3), None);
        net.form(&[1, 2, 3]);
        net.until(30_000, "both are delivered", |net| (1..=2).all(|n| net.messages(n).len() == 2));
        assert_eq!(net.messages(1), net.messages(2));
        let late = net.messages(3);
        assert!(late.iter().all(|m| net.messages(1).contains(m)));
    }
}

/// A node that cannot receive goes away by itself, and the others go on.
#[test]
fn a_node_that_fails_to_receive_goes_alone() {
    let mut net = Net::new(4, 3);
    net.timing.fail_recv_const = 50;
    for id in 1..=3 {
        net.kill(Node(id));
        net.boot(Node(id), None);
    }
    net.form(&[1, 2, 3]);
    net.deaf = Some((Node(3), 1));
    net.submit(Node(1), false, pattern(10)).unwrap();
    net.until(60_000, "it notices", |net| {
        net.peers[&Node(3)].logs.iter().any(|line| line == "FAILED TO RECEIVE")
    });
    net.until(5_000, "apart", |net| {
        net.stand(&[1, 2]) && net.peers[&Node(3)].totem.members() == Some(&[Node(3)].into())
    });
}
