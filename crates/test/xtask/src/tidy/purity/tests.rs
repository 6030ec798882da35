use super::super::tests::{foreign, package, said, tree};
use super::*;

/// A clippy configuration that names all it must.
fn clippy() -> String {
    DISALLOWED.join("\n")
}

/// A workspace of one core crate with this source, and more files.
fn with_core(source: &str, more: &[(&str, &str)]) -> Tree {
    let clippy = clippy();
    let mut files = vec![
        (CLIPPY[0], clippy.as_str()),
        (CLIPPY[1], &clippy),
        ("crates/core/ring/src/lib.rs", source),
    ];
    files.extend(more);
    let mut tree = tree(&files);
    tree.packages = vec![package("core", "ring")];
    tree
}

#[test]
fn system_and_macro_crates_are_found() {
    let mut tree = with_core("", &[]);
    let derive = Dependency { proc_macro: true, ..foreign("derive-more") };
    let tests_only = Dependency { dev_only: true, ..foreign("libc") };
    tree.packages[0].dependencies = vec![foreign("tokio"), derive, tests_only, foreign("smallvec")];
    assert_eq!(
        said(&check(&tree)),
        [
            "crates/core/ring/Cargo.toml: depends on tokio, a crate that reaches the system",
            "crates/core/ring/Cargo.toml: depends on derive-more, a proc-macro crate",
            "crates/core/ring/Cargo.toml: depends on libc, a crate that reaches the system"
        ]
    );
    tree.packages = vec![package("io", "host")];
    tree.packages[0].dependencies = vec![foreign("tokio")];
    assert_eq!(check(&tree), []);
}

#[test]
fn an_exception_needs_a_reason_and_a_use() {
    let list = "dependency | ring -> tokio | an example\ndependency | ring -> nix | gone\ndependency | ring -> libc |";
    let mut tree = with_core("", &[(EXCEPTIONS, list)]);
    tree.packages[0].dependencies = vec![foreign("tokio"), foreign("libc")];
    assert_eq!(
        said(&check(&tree)),
        [
            "crates/test/xtask/exceptions.txt:2: nothing needs the exception for ring -> nix any more",
            "crates/test/xtask/exceptions.txt:3: the exception for ring -> libc has no reason"
        ]
    );
}

#[test]
fn the_clippy_lists_are_there_and_alike() {
    let mut tree = with_core("", &[]);
    assert_eq!(check(&tree), []);
    let shorter = clippy().replace("std::collections::HashMap\n", "");
    tree.files.insert(CLIPPY[1].to_owned(), shorter);
    assert_eq!(
        said(&check(&tree)),
        [
            "crates/core/clippy.toml: clippy's lists do not name std::collections::HashMap",
            "crates/core/clippy.toml: differs from crates/base/clippy.toml"
        ]
    );
    tree.files.remove(CLIPPY[0]);
    assert_eq!(check(&tree).len(), 3);
}

#[test]
fn a_crate_has_no_clippy_configuration_of_its_own() {
    let tree = with_core("", &[("crates/core/ring/clippy.toml", "")]);
    let expected = "crates/core/ring/clippy.toml: hides the tier's own clippy configuration";
    assert_eq!(said(&check(&tree)), [expected]);
}

#[test]
fn switching_a_list_off_needs_an_exception() {
    let source = "// fine: clippy::disallowed_types\n#[allow(clippy::disallowed_types)]\nfn f() {}";
    let found = said(&check(&with_core(source, &[])));
    assert_eq!(
        found,
        ["crates/core/ring/src/lib.rs:2: switches one of clippy's disallowed lists off"]
    );
    let list = "# comment\n\nclippy | crates/core/ring/src/lib.rs | compared with ours in a test";
    assert_eq!(check(&with_core(source, &[(EXCEPTIONS, list)])), []);
}

#[test]
fn system_modules_are_found_outside_tests() {
    let source = "
use std::{collections::BTreeMap, fs};
use std::fmt;
fn f() { std::thread::yield_now(); }
// std::process
#[cfg(test)]
mod tests { use std::env; }
";
    let found = said(&check(&with_core(source, &[])));
    assert_eq!(
        found,
        [
            "crates/core/ring/src/lib.rs:2: uses std::fs",
            "crates/core/ring/src/lib.rs:4: uses std::thread"
        ]
    );
    let test_file = [("crates/core/ring/src/view/tests.rs", "use std::fs;")];
    assert_eq!(check(&with_core("", &test_file)), []);
}
