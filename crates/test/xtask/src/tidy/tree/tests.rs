use serde_json::json;

use super::*;

/// What cargo prints, for a workspace of `ring`, with a build script that uses
/// `cc`, `tokio` in its tests alone, and a derive macro.
fn metadata() -> Value {
    json!({
        "workspace_members": ["ring"],
        "packages": [
            {
                "id": "ring", "name": "ring", "license": "MIT", "description": "A ring",
                "manifest_path": "/src/crates/core/ring/Cargo.toml",
                "metadata": { "systole": { "tier": "core" } },
                "dependencies": [
                    { "name": "tokio", "features": [] },
                    { "name": "derive", "features": ["mutants"] },
                    { "name": "windows", "features": [] },
                ],
            },
            { "id": "t1", "name": "tokio", "targets": [{ "kind": ["lib"] }] },
            { "id": "d1", "name": "derive", "targets": [{ "kind": ["proc-macro"] }] },
            { "id": "c1", "name": "cc", "targets": [{ "kind": ["lib"] }] },
        ],
        "resolve": { "nodes": [{ "id": "ring", "deps": [
            { "pkg": "t1", "dep_kinds": [{ "kind": "dev" }] },
            { "pkg": "d1", "dep_kinds": [{ "kind": null }, { "kind": "dev" }] },
            { "pkg": "c1", "dep_kinds": [{ "kind": "build" }] },
        ] }] },
    })
}

#[test]
fn packages_carry_what_is_resolved_for_the_target() {
    let packages = packages(Path::new("/src"), &metadata()).unwrap();
    let [ring] = packages.as_slice() else { panic!("one package, not {packages:?}") };
    assert_eq!(ring.manifest, "crates/core/ring/Cargo.toml");
    assert_eq!(ring.tier.as_deref(), Some("core"));
    assert_eq!(ring.folder(), "crates/core/ring/");
    let edges: Vec<(&str, bool, bool, usize)> = ring
        .dependencies
        .iter()
        .map(|dep| (dep.name.as_str(), dep.dev_only, dep.proc_macro, dep.features.len()))
        .collect();
    assert_eq!(
        edges,
        [("tokio", true, false, 0), ("derive", false, true, 1), ("cc", false, false, 0)]
    );
}

#[test]
fn metadata_without_a_resolution_is_refused() {
    let mut metadata = metadata();
    metadata["resolve"] = Value::Null;
    assert!(packages(Path::new("/src"), &metadata).is_err());
}

#[test]
fn a_tree_is_read_without_build_results() {
    let root = std::env::temp_dir().join(format!("xtask-tree-{}", std::process::id()));
    for folder in ["docs", "target/debug", ".ci"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let files = ["docs/a.md", "target/debug/b.rs", ".ci/run", "lib.rs", ".git"];
    files.iter().for_each(|file| std::fs::write(root.join(file), "fn f() {}").unwrap());
    std::fs::write(root.join("docs/picture.png"), [0xff, 0xfe]).unwrap();
    let tree = Tree::read(&root, Value::Null);
    std::fs::remove_dir_all(&root).unwrap();
    let tree = tree.unwrap();
    assert_eq!(tree.files.keys().collect::<Vec<_>>(), [".ci/run", "docs/a.md", "lib.rs"]);
    assert_eq!(tree.sources["lib.rs"].functions.len(), 1);
    assert!(tree.exists("docs/picture.png") && tree.exists("docs") && !tree.exists("doc"));
}
