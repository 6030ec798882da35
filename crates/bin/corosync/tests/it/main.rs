//! The daemon as a process, beside Debian's.
//!
//! Needs root (namespaces) and Debian's package `corosync`. Rings of several
//! nodes run in the lab: `cargo xtask lab run FILE --mix n2:corosync=ours`.

use std::process::{Command, Output};

const OURS: &str = env!("CARGO_BIN_EXE_corosync");
const REFERENCE: &str = "/usr/sbin/corosync";

/// One node of two, in namespaces of its own: nothing of it outlives the shell.
const NODE: &str = r#"
set -e
ip link set lo up
ip addr add 10.9.9.1/24 dev lo
mount --make-rprivate /
for place in /etc/corosync /var/lib/corosync /run /dev/shm; do mount -t tmpfs none $place; done
cat >/etc/corosync/corosync.conf <<END
totem {
    version: 2
    cluster_name: one
    transport: udpu
}
nodelist {
    node {
        ring0_addr: 10.9.9.1
        name: n1
        nodeid: 1
    }
    node {
        ring0_addr: 10.9.9.2
        name: n2
        nodeid: 2
    }
}
quorum {
    provider: corosync_votequorum
}
logging {
    to_syslog: no
    to_logfile: yes
    logfile: /run/log
}
END
$DAEMON
for try in $(seq 200); do
    corosync-cmapctl -g runtime.votequorum.this_node_id >/dev/null 2>&1 && break
    sleep 0.05
done
set +e
"#;

/// What an administrator types; everything printed is compared.
const SESSION: &str = r#"
exec 2>&1
corosync-cmapctl
corosync-cmapctl -m stats | sed 's/ = .*//'
corosync-quorumtool -s; echo "quorumtool: $?"
corosync-cfgtool -s; echo "cfgtool: $?"
corosync-cfgtool -n; echo "nodes: $?"
corosync-cfgtool -a 1; echo "addresses: $?"
corosync-cpgtool; echo "cpgtool: $?"
corosync-cmapctl -s uidgid.uid.65534 u8 1
setpriv --reuid 65534 --regid 65534 --clear-groups corosync-cmapctl -g totem.transport; echo "allowed: $?"
corosync-cmapctl -d uidgid.uid.65534
setpriv --reuid 65534 --regid 65534 --clear-groups corosync-cmapctl -g totem.transport; echo "refused: $?"
sed -i 's/token: .*//; s/version: 2/version: 2\n    config_version: 7\n    token: 5000/' /etc/corosync/corosync.conf
corosync-cfgtool -R; echo "reload: $?"
corosync-cmapctl -g runtime.config.totem.token
corosync-cmapctl -g totem.config_version
corosync-cfgtool -H; echo "shutdown: $?"
for try in $(seq 200); do test -e /run/corosync.pid || break; sleep 0.05; done
test -e /run/corosync.pid; echo "pid file: $?"
"#;

/// Where the two differ, and why that is no loss.
const DIFFERENT: &[&str] = &[
    // Of the moment.
    "Date:",
    "stats.ipcs.service",
    "runtime.services.votequorum.0.",
    // Services that are not built: load tests, monitoring, watchdog.
    "internal_configuration.service.4.",
    "internal_configuration.service.6.",
    "internal_configuration.service.7.",
    "resources.",
    "runtime.services.pload.",
    "runtime.services.mon.",
    "runtime.services.wd.",
    // Shown here also where nothing breaks ties.
    "runtime.votequorum.atb_type",
];

fn in_namespaces(daemon: &str, session: &str) -> Output {
    let script = format!("{NODE}{session}");
    let mut shell = Command::new("unshare");
    shell.args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]);
    shell.arg(script).env("DAEMON", daemon);
    shell.output().expect("unshare (Debian: util-linux) as root")
}

fn compared(daemon: &str) -> Vec<String> {
    let output = in_namespaces(daemon, SESSION);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("quorumtool: "),
        "{daemon} did not start (Debian: corosync): {text}{why}"
    );
    let is_same = |line: &&str| !DIFFERENT.iter().any(|start| line.starts_with(start));
    text.lines().filter(is_same).map(str::to_owned).collect()
}

#[test]
fn debians_tools_print_the_same_on_both() {
    let (ours, reference) = (compared(OURS), compared(REFERENCE));
    assert!(reference.len() > 150, "{reference:#?}");
    let missing: Vec<_> = reference.iter().filter(|line| !ours.contains(line)).collect();
    let more: Vec<_> = ours.iter().filter(|line| !reference.contains(line)).collect();
    assert_eq!((&missing, &more), (&vec![], &vec![]), "missing here, more here");
    assert_eq!(ours, reference, "the same lines in another order");
}

#[test]
fn a_configuration_that_asks_for_protection_is_refused() {
    let session = "sed -i 's/version: 2/version: 2\\n secauth: on/' /etc/corosync/corosync.conf
        $DAEMON -t; echo \"status: $?\"";
    let output = in_namespaces(OURS, session);
    let (text, why) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("status: 8"), "{text}{why}");
    assert!(why.contains("secauth"), "{why}");
}

#[test]
fn the_log_has_the_sentences_that_tools_read() {
    let output = in_namespaces(OURS, "cat /run/log");
    let log = String::from_utf8_lossy(&output.stdout);
    for sentence in [
        "notice  [MAIN  ] Corosync Cluster Engine",
        "notice  [TOTEM ] A new membership (1.5) was formed. Members joined: 1",
        "Completed service synchronization, ready to provide service.",
    ] {
        assert!(log.contains(sentence), "{sentence}: {log}");
    }
}
