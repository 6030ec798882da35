//! Our daemons in the reference's places, from the tree that packages are made of.

use std::path::PathBuf;

use lab::Mix;

use crate::support::{assert_passed, options, scenario};

fn tree() -> PathBuf {
    let tree = std::env::var_os("SYSTOLE_DIST");
    let remedy = "SYSTOLE_DIST names no tree: cargo xtask dist DIR, then SYSTOLE_DIST=DIR";
    PathBuf::from(tree.expect(remedy))
}

/// Runs a scenario with `ours` nodes on our corosync, as the table must say.
fn passes(file: &str, mix: &str, ours: usize) {
    let mut options = options();
    options.mix = Mix::parse(mix).unwrap();
    options.dist = Some(tree());
    let outcome = lab::run_file(&scenario(file), &options).unwrap();
    assert_passed(&outcome);
    assert_eq!(outcome.table.matches(" ours ").count(), ours, "{}", outcome.table);
}

#[test]
fn pacemaker_fails_over_on_our_corosync() {
    passes("03-node-killed.scn", "all:corosync=ours", 3);
}

#[test]
fn one_ring_of_ours_and_the_references_is_cut_and_heals() {
    passes("04-minority-cut.scn", "n1:corosync=ours", 1);
}

#[test]
fn two_of_ours_and_one_of_the_references_fail_over() {
    passes("03-node-killed.scn", "n2:corosync=ours,n3:corosync=ours", 2);
}
