//! With a client of Debian's libraries at the daemon: process groups, an
//! objection to shutdown, a quorum device.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::node::{Node, User, VOTEQUORUM, Whose, configuration, until};
use crate::same::{Did, same};

/// Runs until it is dropped.
struct Client(Child);

impl Client {
    fn start(node: &Node, device: &str) -> Self {
        let program = node.folder.join("client");
        if !program.exists() {
            build(&program);
        }
        let program = program.to_str().expect("a path of letters");
        let mut words = vec![program];
        words.extend(Some(device).filter(|device| !device.is_empty()));
        let mut command = node.command(&words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the client of Debian's libraries");
        Self(child)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn build(program: &std::path::Path) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/c/client.c");
    let output = Command::new("gcc")
        .args(["-Wall", "-o"])
        .arg(program)
        .args([source, "-lcpg", "-lcfg", "-lvotequorum"])
        .output()
        .expect("no gcc: apt install gcc");
    let said = String::from_utf8_lossy(&output.stderr);
    let remedy = "apt install libcpg-dev libcfg-dev libvotequorum-dev";
    assert!(output.status.success(), "{said}: {remedy}");
}

fn alone(more: &str) -> Node {
    let mut node = Node::new();
    node.start(&configuration("udpu", &["127.0.0.1"], more));
    node
}

#[test]
fn groups_are_listed_alike() {
    let node = alone(VOTEQUORUM);
    let _client = Client::start(&node, "");
    for line in ["", "-n", "-e", "-n -e", "-d,", "-d, -n", "-d, -e", "-d: -d"] {
        same(&node, &format!("corosync-cpgtool {line}"));
    }
    let listed = same(&node, "corosync-cpgtool -n").stdout;
    assert!(listed.contains("odd\\\\\\x01\\xFFFFFFFF \\x7Fx\n"), "{listed}");
    assert!(listed.contains("plain\\x00\n"), "{listed}");
}

#[test]
fn an_objection_holds_a_shutdown_back_unless_forced() {
    let mut node = alone(VOTEQUORUM);
    let client = Client::start(&node, "");
    let vetoed = same(&node, "corosync-cfgtool -H");
    assert_eq!(vetoed.stderr, "Could not shutdown (error = 10)\n");
    assert_eq!(vetoed.status, Some(0));
    let forced = Did::of(&node.run(Whose::Ours, User::Root, "corosync-cfgtool -H --force", ""));
    assert_eq!((forced.stderr.as_str(), forced.status), ("", Some(0)));
    node.await_end();
    drop(client);
}

#[test]
fn a_quorum_device_is_shown_and_removed_alike() {
    let quorum = "quorum {\n provider: corosync_votequorum\n \
                  device {\n  model: net\n  votes: 1\n }\n}\n";
    let node = alone(quorum);
    let showing = ["", "-H", "-l", "-p -l", "-i"];
    for whose in [Whose::Debian, Whose::Ours] {
        let client = Client::start(&node, "Qdev");
        for line in showing {
            same(&node, &format!("corosync-quorumtool {line}"));
        }
        let shown = same(&node, "corosync-quorumtool").stdout;
        assert!(shown.contains("NR") || shown.contains("NMW"), "{shown}");
        assert!(shown.contains("Qdev (votes 1)"), "{shown}");
        let removed = Did::of(&node.run(whose, User::Root, "corosync-quorumtool -f", ""));
        assert_eq!((removed.stdout.as_str(), removed.stderr.as_str()), ("", ""));
        assert_eq!(removed.status, Some(0), "{whose:?}");
        until("the device is gone", || !same(&node, "corosync-quorumtool").stdout.contains("Qdev"));
        drop(client);
    }
}
