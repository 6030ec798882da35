//! Everything that a client of cpg, quorum, votequorum and cfg is told.

use solo::Solo;

use crate::kit::{assert_same, on_ours, on_reference, one_vote, talk};

#[test]
fn a_client_in_c_is_told_what_the_reference_tells_it() {
    let talk = talk().to_str().expect("a path in UTF-8");
    let solo = Solo::start(one_vote()).expect("a node of ours");
    let ours = on_ours(&solo, &[talk]);
    let theirs = on_reference(&[talk]);
    assert!(theirs.lines().count() > 80, "the reference says little: {theirs}");
    assert_same(&ours, &theirs);
    solo.stop();
}

#[test]
fn a_confirmed_shutdown_ends_the_node() {
    let solo = Solo::start(one_vote()).expect("a node of ours");
    let said = on_ours(&solo, &["corosync-cfgtool", "-H"]);
    assert_same(&said, &on_reference(&["corosync-cfgtool", "-H"]));
    while !solo.has_ended() {
        std::thread::yield_now();
    }
    let log = solo.stop();
    assert!(log.iter().any(|line| line == "Node 1 was shut down by sysadmin"), "{log:?}");
}
