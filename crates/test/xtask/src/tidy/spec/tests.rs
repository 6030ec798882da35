use super::super::tests::{package, said, tree};
use super::*;

const SPEC: &str = "docs/spec/ring.md";
const CODE: &str = "crates/core/ring/src/view.rs";

/// The function that enforces RING-1, with both mutants.
const GUARDED: &str = r#"
impl View {
    // [RING-1]
    fn is_quorate(&self) -> bool {
        self.votes > self.half || mutant::active("RING-1/remove")
            || self.votes == self.half && sansio::mutant::active(
                "RING-1/weaken",
            )
    }
}
"#;

/// A document and a source file of the crate `ring`.
fn with(spec: &str, code: &str) -> Tree {
    let mut tree = tree(&[(SPEC, spec), (CODE, code)]);
    tree.packages = vec![package("core", "ring")];
    tree
}

fn found(spec: &str, code: &str) -> Vec<String> {
    said(&check(&with(spec, code)))
}

#[test]
fn a_guarded_requirement_is_fine_by_any_end_of_the_path() {
    for name in [
        "is_quorate",
        "View::is_quorate()",
        "view::View::is_quorate",
        "ring::view::View::is_quorate",
    ] {
        let spec = format!(
            "# Ring\n\n**RING-1** (safety; enforced by `{name}`): A minority\nis not quorate (ever).\n"
        );
        assert_eq!(found(&spec, GUARDED), [""; 0], "{name}");
    }
    assert_eq!(
        found("- **RING-1** (safety, `View::is_quorate`): text\n- **RING-2**: text", GUARDED),
        [""; 0]
    );
}

#[test]
fn a_function_that_is_not_there_is_found() {
    assert_eq!(
        found("**RING-1** (safety; enforced by `ring::is_quorate`): text", GUARDED),
        [
            "docs/spec/ring.md:1: RING-1 names ring::is_quorate, which no crate has",
            "docs/spec/ring.md:1: RING-1 has no mutant \"RING-1/remove\" beside ring::is_quorate",
            "docs/spec/ring.md:1: RING-1 has no mutant \"RING-1/weaken\" beside ring::is_quorate"
        ]
    );
    let silent = found("**RING-1** (safety): text", GUARDED);
    assert_eq!(
        silent,
        [
            "docs/spec/ring.md:1: RING-1 is a safety requirement and names no function that enforces it"
        ]
    );
}

#[test]
fn a_missing_mutant_is_found_also_when_it_stands_elsewhere_or_in_a_comment() {
    let spec = "**RING-1** (safety; enforced by `View::is_quorate`): text";
    let expected =
        ["docs/spec/ring.md:1: RING-1 has no mutant \"RING-1/weaken\" beside View::is_quorate"];
    let half = "impl View { fn is_quorate() { mutant::active(\"RING-1/remove\"); } }";
    let mut tree = with(spec, half);
    tree.add(
        "crates/core/ring/src/vote.rs",
        "fn f() { mutant::active(\"RING-1/weaken\"); }".into(),
    );
    assert_eq!(said(&check(&tree)), expected);
    assert_eq!(found(spec, &format!("{half}\n// mutant::active(\"RING-1/weaken\")")), expected);
    assert_eq!(
        found(spec, &format!("{half}\nfn f() {{ mutant::active(\"RING-1/weaken\") }}")),
        [""; 0]
    );
}

#[test]
fn mutants_without_a_safety_requirement_are_found() {
    let spec = "**RING-1** (safety; enforced by `View::is_quorate`): text\n\n**RING-2**: no safety";
    for name in ["RING-2/remove", "RING-3/weaken", "RING-1/twist", "RING-1"] {
        let code = format!("{GUARDED}\nfn f() {{ mutant::active(\"{name}\"); }}");
        let expected = format!("{CODE}:12: the mutant {name:?} belongs to no safety requirement");
        assert_eq!(found(spec, &code), [expected]);
    }
}

#[test]
fn ids_are_unique() {
    let spec = "**RING-2**: one\n\n**RING-2**: two\n\nSee **RING-2** above.\n\n**Note** no id\n";
    assert_eq!(
        found(spec, ""),
        ["docs/spec/ring.md:3: RING-2 stands at docs/spec/ring.md:1 already"]
    );
}

#[test]
fn citations_of_our_families_are_known() {
    let code = "// [RING-1] and [RING-9], [UTF-8]\nfn f() { let a = \"[RING-8]\"; }";
    let expected = ["crates/core/ring/src/view.rs:1: cites RING-9, which no document has"];
    assert_eq!(found("**RING-1**: text", code), expected);
}
