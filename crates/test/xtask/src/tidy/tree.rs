//! What the rules look at: the text files of the project and its packages.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::scan::Source;
use crate::run::Failure;

/// The project as the rules see it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Text files by their path from the root.
    pub(super) files: BTreeMap<String, String>,
    /// The Rust files among them, scanned.
    pub(super) sources: BTreeMap<String, Source>,
    /// Paths that are there but are no text.
    others: Vec<String>,
    /// The packages of the workspace.
    pub(super) packages: Vec<Package>,
    /// What the packages were made from.
    pub(super) metadata: Value,
}

/// A package of the workspace.
#[derive(Clone, Debug, Default)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: String,
    /// Its manifest, from the root.
    pub(super) manifest: String,
    /// The tier that it declares.
    pub(super) tier: Option<String>,
    /// Its licence expression.
    pub(super) license: Option<String>,
    /// Its description.
    pub(super) description: Option<String>,
    /// Its direct dependencies, resolved for the target that is built.
    pub(super) dependencies: Vec<Dependency>,
}

/// An edge from a package of the workspace to another package.
#[derive(Clone, Debug, Default)]
pub(super) struct Dependency {
    /// The name of the package depended on.
    pub(super) name: String,
    /// Whether it is a package of the workspace.
    pub(super) ours: bool,
    /// Whether it is a proc-macro crate.
    pub(super) proc_macro: bool,
    /// Whether only tests, examples and benches use it.
    pub(super) dev_only: bool,
    /// Features of it that the manifest switches on, whatever is built.
    pub(super) features: Vec<String>,
}

impl Package {
    /// The folder of the package, from the root, with a slash at its end.
    pub(super) fn folder(&self) -> &str {
        self.manifest.strip_suffix("Cargo.toml").unwrap_or(&self.manifest)
    }
}

impl Tree {
    /// Reads the files below `root`, but for build results and git's own.
    pub(super) fn read(root: &Path, metadata: Value) -> Result<Self, Failure> {
        let mut tree = Self { packages: packages(root, &metadata)?, metadata, ..Self::default() };
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    /// Whether a file or folder of this path is there.
    pub(super) fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let below = format!("{path}/");
        path.is_empty()
            || self.files.keys().chain(&self.others).any(|p| p == path || p.starts_with(&below))
    }

    /// The package that a file belongs to.
    pub(super) fn owner(&self, path: &str) -> Option<&Package> {
        self.packages.iter().find(|package| path.starts_with(package.folder()))
    }

    /// The tier of the package that a file belongs to.
    pub(super) fn tier_of(&self, path: &str) -> Option<&str> {
        self.owner(path)?.tier.as_deref()
    }

    fn read_folder(&mut self, root: &Path, folder: &str) -> Result<(), Failure> {
        for entry in std::fs::read_dir(root.join(folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if is_skipped(&path) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                self.read_folder(root, &path)?;
                continue;
            }
            match std::fs::read_to_string(entry.path()) {
                Ok(text) => self.add(&path, text),
                Err(_) => self.others.push(path),
            }
        }
        Ok(())
    }

    pub(super) fn add(&mut self, path: &str, text: String) {
        if path.ends_with(".rs") {
            self.sources.insert(path.to_owned(), Source::new(&text));
        }
        self.files.insert(path.to_owned(), text);
    }
}

/// Paths that are nothing of ours; in a worktree `.git` is a file.
fn is_skipped(path: &str) -> bool {
    matches!(path, ".git" | "target" | "tests/fuzz/target" | "tests/fuzz/artifacts")
}

/// Reads the packages of the workspace out of cargo's metadata.
fn packages(root: &Path, metadata: &Value) -> Result<Vec<Package>, Failure> {
    let members = list(&metadata["workspace_members"]);
    let all = list(&metadata["packages"]);
    let nodes = list(&metadata["resolve"]["nodes"]);
    let mut found = Vec::new();
    for package in all.iter().filter(|package| members.contains(&package["id"])) {
        let node = nodes.iter().find(|node| node["id"] == package["id"]);
        let node = node.ok_or_else(|| Failure::new("cargo metadata resolves no dependencies"))?;
        let edges = list(&node["deps"]).iter();
        let dependencies = edges.map(|edge| dependency(package, edge, all, members)).collect();
        let manifest = Path::new(text(&package["manifest_path"]));
        found.push(Package {
            name: text(&package["name"]).to_owned(),
            manifest: manifest.strip_prefix(root).unwrap_or(manifest).display().to_string(),
            tier: package["metadata"]["systole"]["tier"].as_str().map(str::to_owned),
            license: package["license"].as_str().map(str::to_owned),
            description: package["description"].as_str().map(str::to_owned),
            dependencies,
        });
    }
    Ok(found)
}

/// One resolved edge of a package.
fn dependency(package: &Value, edge: &Value, all: &[Value], members: &[Value]) -> Dependency {
    let target = all.iter().find(|other| other["id"] == edge["pkg"]).unwrap_or(&Value::Null);
    let name = text(&target["name"]).to_owned();
    let kinds = list(&edge["dep_kinds"]);
    let declared = list(&package["dependencies"]).iter().filter(|dep| dep["name"] == name.as_str());
    let features = declared.flat_map(|dep| list(&dep["features"]));
    let targets = list(&target["targets"]).iter();
    Dependency {
        ours: members.contains(&edge["pkg"]),
        proc_macro: targets.flat_map(|t| list(&t["kind"])).any(|kind| kind == "proc-macro"),
        dev_only: !kinds.is_empty() && kinds.iter().all(|kind| kind["kind"] == "dev"),
        features: features.map(|feature| text(feature).to_owned()).collect(),
        name,
    }
}

/// A JSON list; anything else is an empty one.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A JSON string; anything else is an empty one.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
