//! Planted trees for the tests of the rules.

use super::tree::{Dependency, Package, Tree};
use super::*;

/// A tree of these files.
pub(super) fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (path, text) in files {
        tree.add(path, (*text).to_owned());
    }
    tree
}

/// A package that breaks no rule, without dependencies.
pub(super) fn package(tier: &str, name: &str) -> Package {
    Package {
        name: name.to_owned(),
        manifest: format!("crates/{tier}/{name}/Cargo.toml"),
        tier: Some(tier.to_owned()),
        license: Some("GPL-2.0-or-later".to_owned()),
        description: Some("What it is for".to_owned()),
        dependencies: Vec::new(),
    }
}

/// A dependency on a crate of others.
pub(super) fn foreign(name: &str) -> Dependency {
    Dependency { name: name.to_owned(), ..Dependency::default() }
}

/// A dependency on a crate of the workspace.
pub(super) fn ours(name: &str) -> Dependency {
    Dependency { ours: true, ..foreign(name) }
}

/// What findings say, as `place: what`.
pub(super) fn said(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}: {}", finding.place, finding.what)).collect()
}

#[test]
fn a_finding_names_place_rule_and_remedy() {
    let finding = Finding::new("crates/base/wire/src/lib.rs:7", "length", "too long", "split it");
    assert_eq!(
        finding.to_string(),
        "crates/base/wire/src/lib.rs:7: length: too long\n    remedy: split it"
    );
}

#[test]
fn every_rule_is_asked() {
    let mut tree =
        tree(&[("docs/a.md", "[gone](gone.md)"), ("crates/bin/x/src/main.rs", "unsafe {}")]);
    tree.packages =
        vec![Package { license: None, tier: Some("core".into()), ..package("bin", "x") }];
    let rules: Vec<&str> = check(&tree).iter().map(|finding| finding.rule).collect();
    for rule in ["tiers", "purity", "unsafe", "manifests", "skips", "texts"] {
        assert!(rules.contains(&rule), "{rule} is not among {rules:?}");
    }
}
