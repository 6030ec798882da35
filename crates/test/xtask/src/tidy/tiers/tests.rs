use super::super::tests::{ours, package, said, tree};
use super::*;

const NO_EDGES: &str = "## Allowed edges\n\n| from | to | reason |\n|---|---|---|\n";

/// A workspace of one crate per tier and one more in core and io, with an edge.
fn with_edge(from: &str, to: Dependency, table: &str) -> Tree {
    let mut tree = tree(&[(ARCHITECTURE, table)]);
    tree.packages = [
        ("base", "wire"),
        ("core", "ring"),
        ("core", "votes"),
        ("io", "host"),
        ("io", "ipc"),
        ("bin", "daemon"),
        ("bin", "tool"),
        ("test", "lab"),
    ]
    .map(|(tier, name)| package(tier, name))
    .to_vec();
    let package = tree.packages.iter_mut().find(|package| package.name == from);
    package.expect("a crate of the planted workspace").dependencies.push(to);
    tree
}

#[test]
fn dependencies_that_point_down_are_fine() {
    let down = ["daemon host", "daemon ring", "daemon wire", "host ring", "host wire", "ring wire"];
    for edge in down.into_iter().chain(["lab daemon", "lab host", "lab wire"]) {
        let (from, to) = edge.split_once(' ').unwrap();
        assert_eq!(said(&check(&with_edge(from, ours(to), NO_EDGES))), [""; 0], "{edge}");
    }
}

#[test]
fn dependencies_that_point_up_or_sideways_are_found() {
    let up = ["wire ring", "wire host", "ring host", "ring daemon", "host daemon", "daemon lab"];
    for edge in up.into_iter().chain(["ring votes", "host ipc", "daemon tool", "wire lab"]) {
        let (from, to) = edge.split_once(' ').unwrap();
        let findings = check(&with_edge(from, ours(to), NO_EDGES));
        assert_eq!(findings.len(), 1, "{edge}");
        assert!(findings[0].what.contains(" depends on "), "{}", findings[0]);
        assert!(findings[0].place.ends_with(&format!("{from}/Cargo.toml")), "{}", findings[0]);
    }
}

#[test]
fn tests_of_a_crate_may_use_the_test_tier_and_nothing_else_upwards() {
    let dev = |name| Dependency { dev_only: true, ..ours(name) };
    assert_eq!(check(&with_edge("wire", dev("lab"), NO_EDGES)), []);
    assert_eq!(check(&with_edge("wire", dev("host"), NO_EDGES)).len(), 1);
}

#[test]
fn an_edge_within_a_tier_needs_a_row_with_a_reason() {
    let listed = format!("{NO_EDGES}| `host` | `ipc` | the loop polls its descriptors |\n");
    assert_eq!(said(&check(&with_edge("host", ours("ipc"), &listed))), [""; 0]);
    let silent = format!("{NO_EDGES}| host | ipc | |\n");
    assert_eq!(
        said(&check(&with_edge("host", ours("ipc"), &silent))),
        ["docs/ARCHITECTURE.md:5: the edge host to ipc has no reason"]
    );
    let other = format!("{NO_EDGES}| ipc | host | the other way |\n");
    assert_eq!(check(&with_edge("host", ours("ipc"), &other)).len(), 2);
}

#[test]
fn a_row_that_nothing_needs_is_found() {
    let listed =
        format!("{NO_EDGES}| ring | votes | once it did |\n| host | ring | points down |\n");
    assert_eq!(
        said(&check(&with_edge("host", ours("ring"), &listed))),
        [
            "docs/ARCHITECTURE.md:5: there is no edge within a tier from ring to votes",
            "docs/ARCHITECTURE.md:6: there is no edge within a tier from host to ring"
        ]
    );
}

#[test]
fn a_missing_table_is_found() {
    let findings = said(&check(&with_edge("ring", ours("wire"), "# Architecture\n")));
    assert_eq!(findings, ["docs/ARCHITECTURE.md: there is no section \"Allowed edges\""]);
}

#[test]
fn the_folder_is_the_tier() {
    let mut tree = with_edge("ring", ours("wire"), NO_EDGES);
    tree.packages[0].tier = None;
    tree.packages[1].tier = Some("io".to_owned());
    assert_eq!(
        said(&check(&tree)),
        [
            "crates/base/wire/Cargo.toml: declares the tier \"none\" and lies in the folder \"base\"",
            "crates/core/ring/Cargo.toml: declares the tier \"io\" and lies in the folder \"core\""
        ]
    );
}

#[test]
fn in_the_mixed_folder_a_crate_declares_any_known_tier() {
    let mut conf = package("core", "conf");
    conf.manifest = format!("{MIXED}/conf/Cargo.toml");
    assert_eq!(misplaced(&conf), None);
    conf.tier = Some("upper".into());
    assert!(misplaced(&conf).is_some());
    conf.tier = None;
    assert!(misplaced(&conf).is_some());
}
