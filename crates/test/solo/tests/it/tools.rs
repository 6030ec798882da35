//! Debian's tools print on our services what they print on their own.

use solo::Solo;

use crate::kit::{assert_same, on_ours, on_reference, one_vote};

const COMMANDS: &[&[&str]] = &[
    &["corosync-quorumtool", "-s"],
    &["corosync-quorumtool", "-l"],
    &["corosync-quorumtool", "-p"],
    &["corosync-quorumtool", "-i"],
    &["corosync-quorumtool", "-s", "-o", "i"],
    &["corosync-quorumtool", "-s", "-o", "n"],
    &["corosync-quorumtool", "-s", "-H"],
    &["corosync-quorumtool", "-e", "1"],
    &["corosync-quorumtool", "-e", "0"],
    &["corosync-quorumtool", "-e", "9"],
    &["corosync-quorumtool", "-n", "1", "-v", "1"],
    &["corosync-quorumtool", "-n", "7", "-v", "1"],
    &["corosync-quorumtool", "-f"],
    &["corosync-cpgtool"],
    &["corosync-cpgtool", "-e"],
    &["corosync-cpgtool", "-n"],
    &["corosync-cfgtool", "-s"],
    &["corosync-cfgtool", "-b"],
    &["corosync-cfgtool", "-n"],
    &["corosync-cfgtool", "-i", "0"],
    &["corosync-cfgtool", "-a", "1"],
    &["corosync-cfgtool", "-R"],
    &["corosync-cfgtool", "-L"],
    &["corosync-cfgtool", "-k", "9"],
];

#[test]
fn tools_print_the_same() {
    let solo = Solo::start(one_vote()).expect("a node of ours");
    let lines: Vec<String> = COMMANDS.iter().map(|command| command.join(" ")).collect();
    let script = lines.iter().map(|line| format!("echo '== {line}'; {line} 2>&1; echo rc=$?\n"));
    let script: String = script.collect();
    let command = ["bash", "-c", &script];
    let (ours, theirs) = (on_ours(&solo, &command), on_reference(&command));
    assert!(theirs.contains("Quorate:          Yes"), "{theirs}");
    assert_same(&ours, &theirs);
    solo.stop();
}
