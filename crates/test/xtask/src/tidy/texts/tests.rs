use super::super::tests::{said, tree};
use super::*;

fn found(path: &str, text: &str) -> Vec<String> {
    said(&check(&tree(&[(path, text)])))
}

#[test]
fn code_to_be_written_is_found() {
    let text = "// todo!() is not code\nfn f() { todo!() }\nfn g() { let todo = \"unimplemented!\"; unimplemented!(\"x\") }";
    assert_eq!(
        found("crates/a/src/lib.rs", text),
        ["crates/a/src/lib.rs:2: todo!", "crates/a/src/lib.rs:3: unimplemented!"]
    );
}

#[test]
fn marks_are_found_in_comments_and_other_files() {
    for mark in LEFT_OVER {
        let code = format!("let a = \"{mark}\";\n// {mark}: later");
        assert_eq!(found("src/lib.rs", &code), [format!("src/lib.rs:2: the mark {mark}")]);
        assert_eq!(found("a.sh", &format!("# {mark}")), [format!("a.sh:1: the mark {mark}")]);
        assert_eq!(found("a.sh", &format!("mktemp /tmp/{mark}{mark}")), [""; 0]);
    }
}

#[test]
fn paths_of_one_machine_are_found() {
    let text = format!("cd {MACHINE_PATH}main\n$HOME{MACHINE_PATH}\nx/y{MACHINE_PATH}z\n");
    assert_eq!(found("README.md", &text), ["README.md:1: a path of one person's machine"]);
}

#[test]
fn links_lead_to_files_and_headings() {
    let files = [
        (
            "README.md",
            "[a](docs/a.md) [b](docs/) [c](https://x.y/z) [d](docs/a.md#the-one-way-in) `[e](no)`\n```\n[f](no)\n```\n",
        ),
        ("docs/a.md", "# The one, way in\n[up](../README.md) [self](#the-one-way-in)\n"),
    ];
    assert_eq!(said(&check(&tree(&files))), [""; 0]);
    let files = [
        ("README.md", "[a](docs/b.md)\n[b](docs/a.md#gone)"),
        ("docs/a.md", "[up](README.md)\n\n[self](#gone)"),
        ("crates/x/notes.md", "[not a document](gone)"),
    ];
    assert_eq!(
        said(&check(&tree(&files))),
        [
            "README.md:1: the link docs/b.md leads nowhere",
            "README.md:2: the link docs/a.md#gone leads nowhere",
            "docs/a.md:1: the link README.md leads nowhere",
            "docs/a.md:3: the link #gone leads nowhere"
        ]
    );
}
