use super::super::tests::{foreign, ours, package, said, tree};
use super::*;

const MANIFEST: &str = "crates/io/host/Cargo.toml";

/// A workspace of one package with this manifest and documentation.
fn with_host(manifest: &str, documentation: &str) -> Tree {
    let mut tree = tree(&[(MANIFEST, manifest), (DEPENDENCIES, documentation)]);
    tree.packages = vec![package("io", "host")];
    tree
}

const LINTS: &str = "[lints]\nworkspace = true\n";

#[test]
fn a_complete_manifest_is_fine() {
    assert_eq!(check(&with_host(LINTS, "")), []);
}

#[test]
fn licence_description_and_lints_are_missed() {
    let mut tree = with_host("[lints.rust]\nworkspace = true\n", "");
    tree.packages[0].license = Some("MIT".to_owned());
    tree.packages[0].description = Some(" ".to_owned());
    assert_eq!(
        said(&check(&tree)),
        [
            "crates/io/host/Cargo.toml: the licence is \"MIT\"",
            "crates/io/host/Cargo.toml: there is no description",
            "crates/io/host/Cargo.toml: the workspace's lints do not hold"
        ]
    );
}

#[test]
fn mutants_are_never_on_in_every_build() {
    let mut tree = with_host(LINTS, "");
    let mut dep = ours("sansio");
    dep.features = vec!["mutants".to_owned()];
    tree.packages[0].dependencies = vec![dep];
    let expected = "crates/io/host/Cargo.toml: switches the mutants of sansio on in every build";
    assert_eq!(said(&check(&tree)), [expected]);
}

#[test]
fn each_foreign_crate_has_a_row_and_each_row_a_crate() {
    let text = "| crate | why |\n|---|---|\n| `tokio` | the loop |\n| mio | gone |\n\n| tool | why |\n|---|---|\n| cargo-deny | licences |\n";
    let mut tree = with_host(LINTS, text);
    tree.packages[0].dependencies = vec![foreign("tokio"), foreign("libc"), ours("wire")];
    assert_eq!(
        said(&check(&tree)),
        [
            "docs/dependencies.md: libc, which host uses, has no row",
            "docs/dependencies.md: nothing uses mio any more"
        ]
    );
}
