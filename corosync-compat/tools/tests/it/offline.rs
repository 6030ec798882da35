//! No daemon runs.

use crate::node::{Node, OURS, User, Whose};
use crate::same::{Did, same, same_as};

#[test]
fn without_a_daemon_each_tool_says_so() {
    let node = Node::new();
    for line in [
        "corosync-cfgtool -s",
        "corosync-cfgtool -n",
        "corosync-cfgtool -R",
        "corosync-cfgtool -L",
        "corosync-cfgtool -k 1",
        "corosync-cfgtool -a 1",
        "corosync-cfgtool -H",
        "corosync-cfgtool -H --force",
        "corosync-cmapctl",
        "corosync-cmapctl -g a.key",
        "corosync-cmapctl -C all",
        "corosync-cmapctl -p /nonexistent",
        "corosync-quorumtool",
        "corosync-quorumtool -m",
        "corosync-quorumtool -e 3",
        "corosync-cpgtool",
        "corosync-cpgtool -n",
    ] {
        let did = same(&node, line);
        assert!(!did.stderr.is_empty(), "{line}: {did:?}");
        assert_eq!(did.status, Some(1), "{line}");
        same_as(&node, User::Stranger, line, "");
    }
}

#[test]
fn wrong_options_are_refused_alike() {
    let node = Node::new();
    for line in [
        "corosync-cfgtool -x",
        "corosync-cfgtool -k",
        "corosync-cfgtool -k 0",
        "corosync-cfgtool -k 12x",
        "corosync-cfgtool -a -1",
        "corosync-cfgtool -a 4294967296",
        "corosync-cfgtool --re",
        "corosync-cfgtool --force=1",
        "corosync-cfgtool --kil",
        "corosync-cfgtool --zap",
        "corosync-cfgtool --zap=1",
        "corosync-cfgtool --re=1",
        "corosync-cfgtool --=1",
        "corosync-cmapctl -x",
        "corosync-cmapctl --zap",
        "corosync-cmapctl -C none",
        "corosync-cmapctl -m none",
        "corosync-cmapctl -g",
        "corosync-cmapctl -t",
        "corosync-cmapctl -s",
        "corosync-cmapctl -p",
        "corosync-quorumtool -o x",
        "corosync-quorumtool -e 0",
        "corosync-quorumtool -e 2147483648",
        "corosync-quorumtool -v -1",
        "corosync-quorumtool -n 0",
        "corosync-quorumtool -V",
        "corosync-cpgtool -x",
        "corosync-cpgtool -d",
        "corosync-keygen -x",
        "corosync-keygen --ke",
        "corosync-keygen -s 127",
        "corosync-keygen -s 4097",
        "corosync-keygen -s 256x",
    ] {
        let did = same(&node, line);
        assert_eq!(did.status, Some(i32::from(line != "corosync-quorumtool -V")), "{line}");
    }
}

/// Help is in our own words; that there is some, where, and the status are alike.
#[test]
fn help_goes_where_it_goes_there() {
    let node = Node::new();
    for line in [
        "corosync-cfgtool",
        "corosync-cfgtool -h",
        "corosync-cfgtool -r",
        "corosync-cmapctl -h",
        "corosync-quorumtool -h",
        "corosync-quorumtool -x",
        "corosync-cpgtool -h",
        "corosync-keygen -h",
        "corosync-keygen --help",
    ] {
        let [theirs, ours] = [Whose::Debian, Whose::Ours]
            .map(|whose| Did::of(&node.run(whose, User::Root, line, "")));
        assert!(!ours.stdout.is_empty() && !theirs.stdout.is_empty(), "{line}: {ours:?}");
        assert_eq!((&ours.stderr, ours.status), (&theirs.stderr, theirs.status), "{line}");
    }
}

#[test]
fn keys_are_generated_alike() {
    let node = Node::new();
    let file = |name: &str| node.folder.join("etc").join(name);
    for (line, len) in [
        ("corosync-keygen", 256),
        ("corosync-keygen -l -s 128", 128),
        ("corosync-keygen --size=4096 --less-secure", 4096),
        ("corosync-keygen -r /dev/zero", 256),
    ] {
        assert_eq!(same(&node, line).status, Some(0), "{line}");
        let key = std::fs::read(file("authkey")).unwrap();
        assert_eq!(key.len(), len, "{line}");
        assert_eq!(key.iter().all(|byte| *byte == 0), line.ends_with("zero"), "{line}");
        let mode = std::fs::metadata(file("authkey")).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o7777, 0o400);
    }
    assert_eq!(same(&node, "corosync-keygen -k /etc/corosync/other").status, Some(0));
    assert_eq!(std::fs::read(file("other")).unwrap().len(), 256);
    assert_eq!(same(&node, "corosync-keygen -k /nonexistent/key").status, Some(2));
    assert_eq!(same(&node, "corosync-keygen -r /nonexistent").status, Some(1));
    assert_eq!(same(&node, "corosync-keygen -r /etc").status, Some(1));
    let stranger = same_as(&node, User::Stranger, "corosync-keygen", "");
    assert_eq!(stranger.status, Some(2));
}

/// The reference asks for keys for ever; ours ends.
#[test]
fn a_source_of_too_few_bytes_is_an_error() {
    let node = Node::new();
    std::fs::write(node.folder.join("etc/short"), [7; 100]).unwrap();
    let line = "corosync-keygen -r /etc/corosync/short -k /etc/corosync/key";
    let did = Did::of(&node.run(Whose::Ours, User::Root, line, ""));
    assert_eq!(did.status, Some(1));
    assert!(did.stderr.contains("only 100 bytes"), "{did:?}");
    assert!(!node.folder.join("etc/key").exists());
}

#[test]
fn without_a_recording_the_blackbox_says_so() {
    let node = Node::new();
    let did = Did::of(&node.run(Whose::Ours, User::Root, "corosync-blackbox", ""));
    assert_eq!(did.status, Some(1));
    assert!(did.stderr.contains("there is no recording in /var/lib/corosync"), "{did:?}");
    assert_eq!(OURS.len(), 6);
}

#[test]
fn the_blackbox_prints_what_was_recorded_and_names_damage() {
    use host::recorder::format::{End, Header, Kind, MAGIC, encode};
    let node = Node::new();
    let mut bytes = MAGIC.to_vec();
    let daemon = "corosync".to_owned();
    encode(Kind::Header(Header { daemon, ..Header::default() }), &mut bytes);
    encode(Kind::End(End { why: "it was asked to".to_owned() }), &mut bytes);
    let file = node.folder.join("etc/recorded");
    let line = "corosync-blackbox /etc/corosync/recorded";
    std::fs::write(&file, &bytes).unwrap();
    let whole = Did::of(&node.run(Whose::Ours, User::Root, line, ""));
    assert_eq!((whole.stderr.as_str(), whole.status), ("", Some(0)));
    assert!(whole.stdout.contains("it was asked to"), "{whole:?}");
    bytes.pop();
    std::fs::write(&file, &bytes).unwrap();
    let cut = Did::of(&node.run(Whose::Ours, User::Root, line, ""));
    assert_eq!(cut.status, Some(1));
    assert!(cut.stderr.contains("damaged at byte"), "{cut:?}");
}
