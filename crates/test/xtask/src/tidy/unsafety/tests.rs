use super::super::tests::{package, said, tree};
use super::*;

const MODULE: &str = "#![allow(unsafe_code, reason = \"maps the ring\")]\n";

/// A file of a crate, and the list of exceptions.
fn with_file(path: &str, text: &str, list: &str) -> Tree {
    let mut tree = tree(&[(path, text), (EXCEPTIONS, list)]);
    tree.packages = vec![package("io", "ipc"), package("core", "ring"), package("test", "lab")];
    tree
}

#[test]
fn unsafe_belongs_to_io() {
    let text = format!("{MODULE}// SAFETY: the length was checked\nlet a = unsafe {{ f() }};");
    assert_eq!(check(&with_file("crates/io/ipc/src/map.rs", &text, "")), []);
    let elsewhere = check(&with_file("crates/core/ring/src/map.rs", &text, ""));
    assert_eq!(
        said(&elsewhere),
        ["crates/core/ring/src/map.rs:1: unsafe code outside the io tier"]
    );
}

#[test]
fn the_word_in_comments_and_names_is_no_use() {
    let text = "// unsafe { }\nlet unsafe_count = \"unsafe\";";
    assert_eq!(check(&with_file("crates/core/ring/src/lib.rs", text, "")), []);
}

#[test]
fn only_the_lab_has_exceptions() {
    let text = format!("{MODULE}// SAFETY: single-threaded here\nunsafe {{ fork() }};");
    let lab = "crates/test/lab/src/clone.rs";
    assert_eq!(check(&with_file(lab, &text, "")).len(), 1);
    assert_eq!(
        check(&with_file(lab, &text, &format!("unsafe | {lab} | clone into namespaces"))),
        []
    );
    let core = "crates/core/ring/src/clone.rs";
    let findings = check(&with_file(core, &text, &format!("unsafe | {core} | faster")));
    assert_eq!(findings.len(), 2, "{findings:?}");
}

#[test]
fn a_block_and_a_module_say_why() {
    let path = "crates/io/ipc/src/map.rs";
    let silent =
        "#![allow(unsafe_code)]\n\nfn f() {\n    unsafe { g() }\n}\nunsafe impl Send for A {}";
    assert_eq!(
        said(&check(&with_file(path, silent, ""))),
        [
            "crates/io/ipc/src/map.rs:1: the module does not say why it is unsafe",
            "crates/io/ipc/src/map.rs:4: an unsafe block without a SAFETY comment",
            "crates/io/ipc/src/map.rs:6: an unsafe block without a SAFETY comment"
        ]
    );
    let beside = "//! Maps the ring, which only raw pointers can share.\n#![allow(unsafe_code)]\n\
                  // SAFETY: g has no conditions\nfn f() { unsafe { g() } }";
    assert_eq!(check(&with_file(path, beside, "")), []);
}
