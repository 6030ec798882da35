use super::super::tests::{package, said, tree};
use super::*;

/// The crate `lab` with one test, and a list.
fn with_list(list: &str) -> Tree {
    let test = "mod full { #[test] fn boots() {} #[test] fn swap_boots() {} }";
    let mut tree = tree(&[("crates/test/lab/tests/it/main.rs", test), (ALLOWED_SKIPS, list)]);
    tree.packages = vec![package("test", "lab")];
    tree
}

#[test]
fn an_entry_names_a_test_and_a_reason() {
    assert_eq!(check(&with_list("# heading\n\nlab full::boots: needs a cgroup2 tree\n")), []);
    assert_eq!(
        said(&check(&with_list("lab full::boots:\nboots: why\nlab gone: why\nhost boots: why\n"))),
        [
            "tests/allowed-skips:1: the entry has no reason",
            "tests/allowed-skips:2: the entry names no test",
            "tests/allowed-skips:3: lab has no test gone",
            "tests/allowed-skips:4: host has no test boots"
        ]
    );
}

#[test]
fn some_tests_are_never_skipped() {
    let expected = ["tests/allowed-skips:1: a swap test may never be skipped"];
    assert_eq!(said(&check(&with_list("lab full::swap_boots: slow\n"))), expected);
}

#[test]
fn the_list_is_there() {
    assert_eq!(check(&tree(&[])).len(), 1);
}
