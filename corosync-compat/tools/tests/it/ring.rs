//! Three nodes: members, links, votes, a node that goes, vetoes.

use crate::node::{Node, User, VOTEQUORUM, Whose, configuration, three, until};
use crate::same::{Did, same};

const ADDRESSES: [&str; 3] = ["10.88.0.1", "10.88.0.2", "10.88.0.3"];

fn ring(transport: &str) -> [Node; 3] {
    let mut nodes = three();
    let text = configuration(transport, &ADDRESSES, VOTEQUORUM);
    for node in &mut nodes {
        node.start(&text);
    }
    until("three members", || members(&nodes[0]) == 3 && members(&nodes[2]) == 3);
    nodes
}

fn status(node: &Node) -> Did {
    Did::of(&node.run(Whose::Debian, User::Root, "corosync-quorumtool", ""))
}

fn members(node: &Node) -> usize {
    status(node).stdout.lines().filter(|line| line.contains(" node")).count()
}

/// What shows state and changes nothing.
const SHOWING: [&str; 12] = [
    "corosync-quorumtool",
    "corosync-quorumtool -l",
    "corosync-quorumtool -a",
    "corosync-quorumtool -i -o i",
    "corosync-quorumtool -H -o n",
    "corosync-quorumtool -p",
    "corosync-cfgtool -s",
    "corosync-cfgtool -s -b",
    "corosync-cfgtool -n",
    "corosync-cfgtool -a 2",
    "corosync-cpgtool",
    "corosync-cpgtool -e -d:",
];

#[test]
fn a_ring_over_udpu_is_shown_alike() {
    let nodes = ring("udpu");
    for node in &nodes {
        for line in SHOWING {
            assert_eq!(same(node, line).status, Some(0), "{line}");
        }
    }
    assert_eq!(same(&nodes[0], "corosync-quorumtool -e 4").status, Some(0));
    until("four votes are expected", || status(&nodes[1]).stdout.contains("Expected votes:   4"));
    assert_eq!(same(&nodes[1], "corosync-quorumtool -e 3").status, Some(0));
    until("three votes are expected", || status(&nodes[0]).stdout.contains("Expected votes:   3"));
    assert_eq!(same(&nodes[0], "corosync-quorumtool -v 2 -n 3").status, Some(0));
    until("four votes are there", || status(&nodes[0]).stdout.contains("Total votes:      4"));
    same(&nodes[0], "corosync-quorumtool");
    same(&nodes[0], "corosync-cfgtool -R");
}

/// Ours kills one node and shuts another down; the last one is left without
/// quorum, and its state is shown alike.
#[test]
fn a_ring_over_knet_loses_its_quorum() {
    let mut nodes = ring("knet");
    until("the links are up", || {
        let links = Did::of(&nodes[0].run(Whose::Debian, User::Root, "corosync-cfgtool -n", ""));
        links.stdout.matches(" connected mtu").count() == 2
    });
    for line in SHOWING {
        assert_eq!(same(&nodes[0], line).status, Some(0), "{line}");
    }
    let mut watchers = [Whose::Debian, Whose::Ours]
        .map(|whose| nodes[0].spawn(whose, User::Root, "corosync-quorumtool -m"));
    let kill = Did::of(&nodes[0].run(Whose::Ours, User::Root, "corosync-cfgtool -k 3", ""));
    assert_eq!((kill.stdout.as_str(), kill.status), ("Killing node 3\n", Some(0)));
    nodes[2].await_end();
    until("two members", || members(&nodes[0]) == 2);
    for line in SHOWING {
        same(&nodes[0], line);
    }
    let stop = Did::of(&nodes[1].run(Whose::Ours, User::Root, "corosync-cfgtool -H", ""));
    assert_eq!((stop.stderr.as_str(), stop.status), ("", Some(0)));
    nodes[1].await_end();
    until("one member", || members(&nodes[0]) == 1);
    let lonely = same(&nodes[0], "corosync-quorumtool");
    assert_eq!(lonely.status, Some(2), "{lonely:?}");
    assert!(lonely.stdout.contains("Activity blocked"), "{lonely:?}");
    for line in SHOWING {
        same(&nodes[0], line);
    }
    for watcher in &mut watchers {
        assert_eq!(watcher.try_wait().unwrap(), None, "a monitor goes on");
    }
    nodes[0].run(Whose::Ours, User::Root, "corosync-cfgtool -H --force", "");
    nodes[0].await_end();
    let [theirs, ours] = watchers.map(|watcher| {
        let did = Did::of(&watcher.wait_with_output().unwrap());
        // The times at which the two saw a change.
        let lines = did.stdout.lines().filter(|line| !line.starts_with("Date: "));
        Did { stdout: lines.map(|line| format!("{line}\n")).collect(), ..did }
    });
    assert_eq!(ours, theirs);
    assert!(ours.stdout.matches("Quorum information").count() >= 2, "{ours:?}");
}
