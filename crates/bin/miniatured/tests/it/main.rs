//! The cluster in miniature as processes on loopback: it forms, places its
//! resource, loses a node, and its recordings replay to the same outputs.

mod cluster;
mod replayed;

use cluster::{Cluster, until};
use replayed::{assert_replays, assert_replays_from_snapshots};

#[test]
fn three_nodes_lose_one_and_their_recordings_replay() {
    let mut cluster = Cluster::new();
    for node in 1..=3 {
        cluster.start_ring(node);
    }
    for node in 1..=3 {
        cluster.await_view(node, "1,2,3");
    }
    for node in 1..=3 {
        cluster.start_keeper(node);
    }
    let home = until("the resource is active", || cluster.active().first().copied());
    assert_eq!(cluster.active(), vec![home]);

    let lost = if home == 3 { 3 } else { home };
    cluster.kill_ring(lost);
    let rest: Vec<u32> = (1..=3).filter(|node| *node != lost).collect();
    let members = rest.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    for node in &rest {
        cluster.await_view(*node, &members);
    }
    until("the lost node is fenced", || cluster.fenced().contains(&lost).then_some(()));
    until("the resource is active elsewhere", || {
        cluster.active().iter().any(|node| *node != lost).then_some(())
    });

    cluster.stop_keepers();
    cluster.stop_rings(&rest);
    for node in &rest {
        let folder = cluster.recording("ring", *node);
        assert_replays("ring", &folder);
        assert_replays_from_snapshots(&folder);
    }
    // Killed in the middle of something: what reached the disk is good.
    assert_replays("ring", &cluster.recording("ring", lost));
    for node in 1..=3 {
        assert_replays("keeper", &cluster.recording("keeper", node));
    }
}

#[test]
fn a_mistake_on_the_command_line_is_named() {
    let (code, stderr) = cluster::run(&["ring", "--node", "4", "--peers", "1=127.0.0.1:1"]);
    assert_eq!(code, Some(64));
    assert!(stderr.contains("--service is missing"), "{stderr}");
    let all =
        ["ring", "--node", "4", "--peers", "1=127.0.0.1:1", "--service", "s", "--state-dir", "/"];
    let (code, stderr) = cluster::run(&all);
    assert_eq!(code, Some(64));
    assert!(stderr.contains("node 4 is not one of the peers"), "{stderr}");
}
