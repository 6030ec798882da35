//! Rings form, break and come together again.

use ha_types::Node;
use ha_types::ring::{Configuration, ConfigurationKind};
use totem::{ExitReason, Input};

use crate::net::{Net, Seen};

fn ids(range: std::ops::RangeInclusive<u32>) -> Vec<u32> {
    range.collect()
}

fn last_regular(net: &Net, node: u32) -> Configuration {
    let seen = net.peers[&Node(node)].seen.iter().rev();
    seen.filter_map(|seen| match seen {
        Seen::Configuration(c) if c.kind == ConfigurationKind::Regular => Some(c.clone()),
        _ => None,
    })
    .next()
    .expect("a configuration")
}

#[test]
fn a_single_node_is_a_ring() {
    let mut net = Net::new(1, 1);
    net.until(1_000, "alone", |net| net.stand(&[1]));
    let alone = last_regular(&net, 1);
    assert_eq!(alone.joined.into_iter().collect::<Vec<_>>(), [Node(1)]);
    net.run(10_000);
    assert_eq!(net.peers[&Node(1)].totem.stats().operational_entered, 1, "and stays one");
}

#[test]
fn rings_of_many_sizes_form() {
    for count in [2, 3, 5, 16, 32] {
        let mut net = Net::new(u64::from(count), count);
        net.form(&ids(1..=count));
        net.run(5_000);
        assert!(net.stand(&ids(1..=count)), "{count} stay together:\n{}", net.describe());
        let text = format!("was formed. Members joined: {}", if count > 2 { "" } else { "1" });
        let logs = &net.peers[&Node(2)].logs;
        assert!(logs.iter().any(|line| line.contains(text.trim_end())), "{logs:?}");
    }
}

#[test]
fn a_killed_node_is_left_out_and_taken_in_again() {
    let mut net = Net::new(3, 3);
    net.form(&[1, 2, 3]);
    let before = net.peers[&Node(1)].totem.ring_id();
    let disk = net.kill(Node(3));
    net.form(&[1, 2]);
    let conf = last_regular(&net, 1);
    assert!(conf.ring.seq > before.seq);
    let logs = &net.peers[&Node(1)].logs;
    assert!(logs.iter().any(|l| l == "Failed to receive the leave message. failed: 3"));
    net.boot(Node(3), disk);
    net.form(&[1, 2, 3]);
}

#[test]
fn a_clean_leave_needs_no_timeout() {
    let mut net = Net::new(4, 3);
    net.form(&[1, 2, 3]);
    net.input(Node(3), Input::Leave);
    assert_eq!(net.peers[&Node(3)].exit, Some(ExitReason::Left));
    net.kill(Node(3));
    net.until(500, "the others go on at once", |net| net.stand(&[1, 2]));
    let logs = &net.peers[&Node(1)].logs;
    assert!(!logs.iter().any(|l| l.starts_with("Failed to receive the leave")), "{logs:?}");
}

#[test]
fn partitions_form_rings_and_merge() {
    for seed in 0..20 {
        let mut net = Net::new(seed, 5);
        net.form(&[1, 2, 3, 4, 5]);
        net.partition(&[1, 2]);
        net.until(30_000, "two rings", |net| net.stand(&[1, 2]) && net.stand(&[3, 4, 5]));
        net.heal();
        net.form(&[1, 2, 3, 4, 5]);
        let seen = &net.peers[&Node(1)].seen;
        let transitional = seen.iter().rev().find_map(|seen| match seen {
            Seen::Configuration(c) if c.kind == ConfigurationKind::Transitional => Some(c),
            _ => None,
        });
        assert!(transitional.unwrap().members.contains(&Node(1)));
    }
}

#[test]
fn a_one_way_cut_ends_in_rings_and_heals() {
    for seed in 0..10 {
        let mut net = Net::new(seed, 3);
        net.form(&[1, 2, 3]);
        net.cuts.extend([(Node(1), Node(3)), (Node(2), Node(3))]);
        net.until(60_000, "a ring without the deaf node", |net| net.stand(&[1, 2]));
        net.heal();
        net.form(&[1, 2, 3]);
    }
}

#[test]
fn a_frozen_node_comes_back_without_believing_the_old_ring() {
    for seed in 0..10 {
        let mut net = Net::new(seed, 3);
        net.form(&[1, 2, 3]);
        net.freeze(Node(2));
        net.form(&[1, 3]);
        net.run(3_000);
        net.thaw(Node(2));
        assert_eq!(net.peers[&Node(2)].totem.members(), None, "gathers before anything else");
        net.form(&[1, 2, 3]);
    }
}

#[test]
fn a_short_pause_costs_no_membership() {
    let mut net = Net::new(5, 3);
    net.form(&[1, 2, 3]);
    let ring = net.peers[&Node(1)].totem.ring_id();
    net.freeze(Node(2));
    net.run(600);
    net.thaw(Node(2));
    net.run(3_000);
    assert_eq!(net.peers[&Node(1)].totem.ring_id(), ring);
}

#[test]
fn ring_ids_grow_over_restarts() {
    let mut net = Net::new(6, 2);
    net.form(&[1, 2]);
    let mut last = net.peers[&Node(1)].totem.ring_id().seq;
    for _ in 0..5 {
        let disks = [net.kill(Node(1)), net.kill(Node(2))];
        net.run(10);
        for (id, disk) in (1..).zip(disks) {
            net.boot(Node(id), disk);
        }
        net.form(&[1, 2]);
        let seq = net.peers[&Node(1)].totem.ring_id().seq;
        assert!(seq > last);
        last = seq;
    }
}

/// [TOTEM-3] No membership waits for a disk, and one that hangs for good costs
/// its own node only.
#[test]
fn a_node_whose_disk_hangs_leaves_when_its_reservation_ends() {
    let mut net = Net::new(7, 3);
    net.form(&[1, 2, 3]);
    net.peer(Node(2)).disk_hangs = true;
    let mut changes = 0;
    while net.peers[&Node(2)].exit.is_none() {
        assert!(changes < 2_000, "the reservation never ends");
        net.partition(&[3]);
        net.until(60_000, "two go on", |net| {
            net.peers[&Node(2)].exit.is_some() || net.stand(&[1, 2])
        });
        net.heal();
        net.until(60_000, "three again", |net| {
            net.peers[&Node(2)].exit.is_some() || net.stand(&[1, 2, 3])
        });
        changes += 1;
    }
    assert!(changes > 20, "it held out for {changes} changes");
    assert_eq!(net.peers[&Node(2)].exit, Some(ExitReason::RingIdNotStored));
    let logs = &net.peers[&Node(2)].logs;
    assert!(logs.iter().any(|l| l.contains("Check the disk")), "{logs:?}");
    net.kill(Node(2));
    net.form(&[1, 3]);
}

#[test]
fn a_fresh_node_whose_disk_hangs_joins_nobody_and_disturbs_nobody() {
    let mut net = Net::new(8, 2);
    net.form(&[1, 2]);
    let ring = net.peers[&Node(1)].totem.ring_id();
    net.new_disks_hang = true;
    net.boot(Node(3), None);
    net.until(30_000, "it gives up", |net| net.peers[&Node(3)].exit.is_some());
    assert!(net.stand(&[1, 2]));
    assert_eq!(net.peers[&Node(1)].totem.ring_id(), ring);
}

#[test]
fn an_interface_that_goes_down_leaves_a_node_alone() {
    let mut net = Net::new(9, 3);
    net.form(&[1, 2, 3]);
    net.input(Node(3), Input::Interface { up: false });
    for other in [1, 2] {
        net.cuts.insert((Node(other), Node(3)));
    }
    net.until(30_000, "apart", |net| net.stand(&[1, 2]) && net.stand(&[3]));
    net.heal();
    net.input(Node(3), Input::Interface { up: true });
    net.form(&[1, 2, 3]);
}

#[test]
fn a_node_taken_off_the_list_is_left_out() {
    let mut net = Net::new(10, 3);
    net.form(&[1, 2, 3]);
    let nodes = Some([Node(1), Node(2)].into());
    for id in [1, 2] {
        let timing = Box::new(net.timing.clone());
        net.input(Node(id), Input::Reconfigure { timing, nodes: nodes.clone() });
    }
    net.until(60_000, "two are left", |net| net.stand(&[1, 2]));
    net.run(20_000);
    assert!(net.stand(&[1, 2]), "{}", net.describe());
}

#[test]
fn sixteen_nodes_form_in_foul_weather() {
    for seed in 0..5 {
        let mut net = Net::new(seed, 16);
        net.weather.loss_per_mille = 20;
        net.weather.duplication_per_mille = 20;
        net.weather.jitter_us = 2_000;
        net.form(&ids(1..=16));
    }
}

/// [TOTEM-3] While nothing is durable no ring id is used, and none comes twice.
pub(crate) fn ring_ids_are_durable_first() -> Result<(), String> {
    let mut net = Net::new(11, 1);
    net.form(&[1]);
    let first = net.peers[&Node(1)].totem.ring_id();
    let disk = net.kill(Node(1));
    net.new_disks_hang = true;
    net.boot(Node(1), disk);
    net.run(1_000);
    if net.peers[&Node(1)].totem.members().is_some() {
        return Err("a ring whose id nothing keeps".into());
    }
    let disk = net.kill(Node(1));
    net.new_disks_hang = false;
    net.boot(Node(1), disk);
    net.form(&[1]);
    let again = net.peers[&Node(1)].totem.ring_id();
    if again.seq > first.seq { Ok(()) } else { Err(format!("{again} after {first}")) }
}

#[test]
fn ring_ids_are_used_when_they_are_durable() {
    ring_ids_are_durable_first().unwrap();
}
