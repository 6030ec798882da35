//! One node, quorate on its own; and one without quorum.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Child;

use crate::node::{Node, User, VOTEQUORUM, Whose, configuration};
use crate::same::{Did, same, same_after, same_as};

fn alone() -> Node {
    let mut node = Node::new();
    node.start(&configuration("udpu", &["127.0.0.1"], VOTEQUORUM));
    node
}

#[test]
fn state_is_shown_alike() {
    let node = alone();
    for line in [
        "corosync-quorumtool",
        "corosync-quorumtool -s",
        "corosync-quorumtool -l",
        "corosync-quorumtool -i",
        "corosync-quorumtool -a",
        "corosync-quorumtool -a -i -l",
        "corosync-quorumtool -p",
        "corosync-quorumtool -H",
        "corosync-quorumtool -lHp -o n",
        "corosync-quorumtool -o i",
        "corosync-quorumtool -f",
        "corosync-cfgtool -s",
        "corosync-cfgtool -sb",
        "corosync-cfgtool -i 0 -s",
        "corosync-cfgtool --status --brief",
        "corosync-cfgtool -n",
        "corosync-cfgtool -a 1",
        "corosync-cfgtool -L",
        "corosync-cpgtool",
        "corosync-cpgtool -n",
        "corosync-cpgtool -d ,",
    ] {
        assert_eq!(same(&node, line).status, Some(0), "{line}");
    }
    assert_eq!(same(&node, "corosync-cfgtool -a 4000000000").status, Some(1));
    assert!(same(&node, "corosync-quorumtool").stdout.contains("Quorate:          Yes"));
}

#[test]
fn strangers_are_refused_alike() {
    let node = alone();
    for line in [
        "corosync-quorumtool",
        "corosync-cfgtool -s",
        "corosync-cfgtool -R",
        "corosync-cfgtool -H",
        "corosync-cmapctl",
        "corosync-cmapctl -s a.b u8 1",
        "corosync-cpgtool",
    ] {
        let did = same_as(&node, User::Stranger, line, "");
        assert_eq!(did.status, Some(1), "{line}: {did:?}");
    }
    // The daemon can be told to let them in, at once.
    same(&node, "corosync-cmapctl -s uidgid.uid.64002 u8 1");
    assert_eq!(same_as(&node, User::Stranger, "corosync-quorumtool", "").status, Some(0));
}

#[test]
fn keys_of_every_type_are_set_and_shown_alike() {
    let node = alone();
    for (kind, values) in [
        ("i8", &["-128", "127", "128", "x", "7y", "+5"][..]),
        ("u8", &["0", "255", "256", "-1"]),
        ("i16", &["-32768", "32768"]),
        ("u16", &["65535", "65536"]),
        ("i32", &["-2147483648", "2147483648"]),
        ("u32", &["4294967295", "4294967296"]),
        ("i64", &["-9223372036854775808", "99999999999999999999"]),
        ("u64", &["18446744073709551615", "99999999999999999999", "-1"]),
        ("flt", &["0.1", "-1e10", "1e400", "inf", "nan", "x", "1e", ".", ".5", "3.", "1e+"]),
        (
            "dbl",
            &[
                "0.1",
                "1e300",
                "-inf",
                "123456789.123456789",
                "1e-320",
                "infinit",
                "infinityx",
                "infx",
                "nanx",
                "x",
            ],
        ),
        ("str", &["text", "1"]),
        ("bin", &["/nonexistent", "/etc", "/etc/hostname", "/dev/null"]),
        ("nix", &["1"]),
    ] {
        for value in values {
            same(&node, &format!("corosync-cmapctl -s test.{kind} {kind} {value}"));
            for show in ["-g", "-b -g", "-q -g", "-b", "-q"] {
                same(&node, &format!("corosync-cmapctl {show} test.{kind}"));
            }
        }
    }
    same_as(&node, User::Root, "corosync-cmapctl -s test.bin bin -", "a\\\u{1}\u{7f}é\0");
    let shown = same(&node, "corosync-cmapctl -b -g test.bin").stdout;
    assert_eq!(shown, "test.bin (bin) = a\\\\\\x01\\x7F\\xFFFFFFC3\\xFFFFFFA9\\x00\n");
    let listed = same(&node, "corosync-cmapctl -b test.").stdout;
    assert_eq!(listed.lines().count(), 10, "{listed}");
}

#[test]
fn keys_that_cannot_be_are_refused_alike() {
    let node = alone();
    let long = "k".repeat(256);
    let longest = "k".repeat(255);
    for line in [
        "corosync-cmapctl -g no.such.key",
        "corosync-cmapctl -g totem.transport no.such.key totem.version",
        "corosync-cmapctl -d no.such.key",
        "corosync-cmapctl -d no.such.key test.x",
        "corosync-cmapctl no.such.prefix",
        "corosync-cmapctl no.such.prefix totem.",
        "corosync-cmapctl -D no.such.prefix",
        "corosync-cmapctl -s a.b u8",
        "corosync-cmapctl -s ab u8 1",
        "corosync-cmapctl -s bad!key u8 1",
        "corosync-cmapctl -s runtime.config.totem.token u32 5",
        "corosync-cmapctl -d runtime.config.totem.token",
        "corosync-cmapctl -D runtime.votequorum.",
        "corosync-cmapctl -t bad!key",
        "corosync-cmapctl -m stats -g no.such.key",
        "corosync-cmapctl -m stats -s stats.srp.token u32 1",
        "corosync-cmapctl -m stats -d stats.srp.firewall_enabled_or_nic_failure",
    ] {
        same(&node, line);
    }
    for key in [&long, &longest] {
        for line in ["-g", "-d", "-D", "-t", ""] {
            same(&node, &format!("corosync-cmapctl {line} {key}"));
        }
        same(&node, &format!("corosync-cmapctl -s {key} u8 1"));
    }
}

#[test]
fn keys_are_deleted_alike() {
    let node = alone();
    let fill = || {
        for key in ["test.a.one", "test.a.two", "test.b"] {
            same(&node, &format!("corosync-cmapctl -s {key} u8 1"));
        }
    };
    fill();
    assert_eq!(same_after(&node, "corosync-cmapctl -d test.b test.a.one", fill).status, Some(0));
    fill();
    same_after(&node, "corosync-cmapctl -D test.a. no.such", fill);
    assert_eq!(same(&node, "corosync-cmapctl test.").stdout, "test.b (u8) = 1\n");
}

#[test]
fn a_file_is_loaded_alike() {
    let node = alone();
    let files = [
        (
            "good",
            "# comment\n\n \t\ntest.one u8 1\n  test.two  str  word more\n^test.one\n^^test.t\n",
        ),
        ("halves", "test.a u8 1\n^no.such.key\ntest.b\ntest.c u8 3\n"),
        ("wrong", "test.d u8 300\n"),
        ("unknown", "test.d u128 3\n"),
        ("tab", "test.e\tu8 1\n"),
        ("blank", "   "),
        ("open", "test.f u8 7"),
        ("long", &format!("test.g str {}\n", "x".repeat(1500))),
        ("empty", ""),
    ];
    for (name, text) in files {
        std::fs::write(node.folder.join("etc").join(name), text).unwrap();
        let load = format!("corosync-cmapctl -p /etc/corosync/{name}");
        let clear = || {
            node.run(Whose::Debian, User::Root, "corosync-cmapctl -D test.", "");
        };
        clear();
        let theirs = Did::of(&node.run(Whose::Debian, User::Root, &load, ""));
        let left = same(&node, "corosync-cmapctl test.");
        clear();
        let ours = Did::of(&node.run(Whose::Ours, User::Root, &load, ""));
        assert_eq!(ours, theirs, "{name}");
        assert_eq!(same(&node, "corosync-cmapctl test."), left, "{name}");
    }
    same(&node, "corosync-cmapctl -p /nonexistent");
    same_as(&node, User::Stranger, "corosync-cmapctl -p /etc/corosync/good", "");
}

/// Lines of a list whose value did not change between two calls must be the
/// same in ours; of the others (counters, times) the key and type must.
#[test]
fn all_keys_are_listed_alike() {
    let node = alone();
    for line in ["corosync-cmapctl", "corosync-cmapctl -m stats", "corosync-cmapctl -b -m default"]
    {
        let list = |whose| connections(&Did::of(&node.run(whose, User::Root, line, "")).stdout);
        let (before, ours, after) = (list(Whose::Debian), list(Whose::Ours), list(Whose::Debian));
        let key = |line: &String| line.split(" = ").next().unwrap_or_default().to_owned();
        let keys = |lines: &[String]| lines.iter().map(key).collect::<Vec<_>>();
        assert_eq!(keys(&ours), keys(&before), "{line}");
        assert!(ours.len() > 40, "{line}: {ours:?}");
        let stable: BTreeSet<_> = before.iter().filter(|line| after.contains(line)).collect();
        let missing: Vec<_> = stable.iter().filter(|line| !ours.contains(line)).collect();
        assert!(missing.is_empty(), "{line}: {missing:?}");
        assert!(stable.len() > before.len() / 2, "{line}");
    }
    same(&node, "corosync-cmapctl -C all");
    same(&node, "corosync-cmapctl -C knet");
}

/// A connection's keys hold the process and the address of the connection,
/// which differ in each call, and so does the value of the process. How many
/// requests the asking connection made differs between the tools: Debian's asks
/// for a text's length first, ours knows it from the list.
fn connections(list: &str) -> Vec<String> {
    let mask = |line: &str| match line.strip_prefix("stats.ipcs.service") {
        Some(rest) if rest.contains(".0x") => {
            let service = rest.split('.').next().unwrap_or_default();
            let (key, value) = rest.split_once(" = ").unwrap_or((rest, ""));
            let name = key.rsplit('.').next().unwrap_or_default();
            let own = ["client_pid", "requests (u64)", "responses (u64)"];
            let value = if own.iter().any(|own| name.starts_with(own)) { "N" } else { value };
            format!("stats.ipcs.service{service}.PID.CONNECTION.{name} = {value}")
        }
        _ => line.to_owned(),
    };
    list.lines().map(mask).collect()
}

/// A tool that is told to end by a line of input.
struct Watcher(Child);

impl Watcher {
    fn end(mut self, input: &str) -> Did {
        let mut stdin = self.0.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        let output = self.0.wait_with_output().unwrap();
        Did::of(&output)
    }
}

#[test]
fn changes_are_told_alike() {
    let node = alone();
    std::fs::write(node.folder.join("etc/bytes"), [1, 2, 255]).unwrap();
    for line in [
        "corosync-cmapctl -T test.",
        "corosync-cmapctl -b -T test.",
        "corosync-cmapctl -q -T test.",
        "corosync-cmapctl -t test.number",
        "corosync-cmapctl -t test.number test.text",
    ] {
        let watch = |whose| Watcher(node.spawn(whose, User::Root, line));
        let (theirs, ours) = (watch(Whose::Debian), watch(Whose::Ours));
        // A tracker tells its key only to those who track: both are known to be
        // ready when a key of theirs that changes has been seen in the daemon.
        until_tracking(&node, 2, line.matches("test.").count());
        for change in [
            "-s test.number u8 1",
            "-s test.number u8 2",
            "-s test.number u16 2",
            "-s test.text str one",
            "-s test.text str two",
            "-s test.bytes bin /etc/corosync/bytes",
            "-d test.number",
            "-D test.",
        ] {
            node.run(Whose::Debian, User::Root, &format!("corosync-cmapctl {change}"), "");
        }
        let (theirs, ours) = (theirs.end("q\n"), ours.end("q\n"));
        assert_eq!(ours, theirs, "{line}");
        assert!(theirs.stdout.lines().count() >= 4, "{line}: {theirs:?}");
    }
}

/// Waits until as many connections of `corosync-cmapctl` beside the asking one
/// have sent the requests that choose the map and add their trackers.
fn until_tracking(node: &Node, count: usize, trackers: usize) {
    crate::node::until("the trackers are added", || {
        let list = Did::of(&node.run(
            Whose::Debian,
            User::Root,
            "corosync-cmapctl -m stats stats.ipcs.",
            "",
        ));
        let requests = list.stdout.lines().filter(|line| line.contains(".requests (u64) = "));
        let ready = requests.filter(|line| line.ends_with(&format!(" = {}", trackers + 1)));
        ready.count() >= count
    });
}

#[test]
fn the_end_of_input_ends_the_watch_alike() {
    let node = alone();
    let did = same(&node, "corosync-cmapctl -t test.x");
    assert_eq!(did.stdout, "Type \"q\" to finish\n");
    assert_eq!(did.status, Some(0));
}

#[test]
fn the_daemons_end_ends_the_watch_alike() {
    let mut node = alone();
    let spawn = |whose, line| Watcher(node.spawn(whose, User::Root, line));
    let watchers =
        [Whose::Debian, Whose::Ours].map(|whose| spawn(whose, "corosync-cmapctl -T test."));
    until_tracking(&node, 2, 1);
    node.run(Whose::Debian, User::Root, "corosync-cfgtool -H --force", "");
    node.await_end();
    let [theirs, ours] = watchers.map(|watcher| Did::of(&watcher.0.wait_with_output().unwrap()));
    assert_eq!(ours, theirs);
    assert_eq!(ours.stderr, "Dispatch error CS_ERR_LIBRARY\n");
}

/// What is watched is to be seen at once, also where output is no terminal.
#[test]
fn changes_are_seen_when_they_happen() {
    let node = alone();
    let mut child = node.spawn(Whose::Ours, User::Root, "corosync-cmapctl -T test.");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "Type \"q\" to finish");
    node.run(Whose::Ours, User::Root, "corosync-cmapctl -s test.now u8 1", "");
    assert_eq!(lines.next().unwrap().unwrap(), "create> test.now (u8) = 1");
    child.stdin.as_mut().unwrap().write_all(b"quit\n").unwrap();
    let mut stderr = String::new();
    assert!(child.wait().unwrap().success());
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
}

#[test]
fn a_reader_that_leaves_is_no_reason_to_complain() {
    let node = alone();
    let mut child = node.spawn(Whose::Ours, User::Root, "corosync-cmapctl");
    drop(child.stdout.take());
    let did = Did::of(&child.wait_with_output().unwrap());
    assert_eq!((did.stderr.as_str(), did.status), ("", Some(141)));
}

#[test]
fn votes_are_set_alike() {
    let node = alone();
    for (line, status) in [
        ("corosync-quorumtool -e 2", Some(1)),
        ("corosync-quorumtool -v 3", Some(0)),
        ("corosync-quorumtool -v 1 -n 1", None),
        ("corosync-quorumtool -v 1 -n 77", Some(1)),
        ("corosync-quorumtool -e 100", Some(1)),
        ("corosync-quorumtool -v 0", None),
        ("corosync-quorumtool", None),
        ("corosync-quorumtool -v 1", None),
    ] {
        let did = same(&node, line);
        if status.is_some() {
            assert_eq!(did.status, status, "{line}: {did:?}");
        }
        same(&node, "corosync-quorumtool");
    }
}

#[test]
fn without_a_provider_there_is_no_quorum_to_speak_of() {
    let mut node = Node::new();
    node.start(&configuration("udpu", &["127.0.0.1"], ""));
    for line in ["corosync-quorumtool", "corosync-quorumtool -m"] {
        assert_eq!(same(&node, line).status, Some(1), "{line}");
    }
    assert_eq!(same(&node, "corosync-quorumtool -l -H").status, Some(0));
    for line in ["-e 1", "-v 1", "-f"] {
        let did = same(&node, &format!("corosync-quorumtool {line}"));
        assert_eq!(did.status, Some(1), "{line}");
    }
}

#[test]
fn a_reload_is_told_alike() {
    let node = alone();
    assert_eq!(same(&node, "corosync-cfgtool -R").stdout, "Reloading corosync.conf...\nDone\n");
    node.configure("totem {\n nonsense\n");
    let refused = same(&node, "corosync-cfgtool -R");
    assert_ne!(refused.status, Some(0), "{refused:?}");
}

#[test]
fn a_shutdown_is_asked_for_alike() {
    for line in ["corosync-cfgtool -H", "corosync-cfgtool --shutdown --force"] {
        let [theirs, ours] = [Whose::Debian, Whose::Ours].map(|whose| {
            let mut node = alone();
            let did = Did::of(&node.run(whose, User::Root, line, ""));
            node.await_end();
            did
        });
        assert_eq!(ours, theirs);
        assert_eq!(ours.stdout, "Shutting down corosync\n");
    }
}
