//! Building the test binaries of the workspace, once for all tiers.
//!
//! One build of the whole workspace, and the binaries are run from here: asking
//! cargo package by package would choose features anew each time and rebuild
//! third-party crates for each choice.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::run::{Failure, capture};
use crate::workspace::Workspace;

/// A test binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binary {
    /// The package that it belongs to.
    pub(super) package: String,
    /// The folder of the package, in which its tests run.
    pub(super) folder: PathBuf,
    /// What it was built from.
    pub(super) kind: Kind,
    /// The executable.
    pub(super) path: PathBuf,
}

/// What a test binary was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The library.
    Library,
    /// A program.
    Program,
    /// `tests/it`.
    Integration,
}

impl Kind {
    /// How a report names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Program => "program",
            Self::Integration => "integration",
        }
    }
}

/// Builds all of them.
pub(super) fn build(workspace: &Workspace) -> Result<Vec<Binary>, Failure> {
    println!("--- building the tests");
    let messages = capture(
        workspace
            .cargo()
            .args(["test", "--locked", "--workspace", "--lib", "--bins", "--tests"])
            .args(["--no-run", "--message-format=json-render-diagnostics"])
            .stderr(Stdio::inherit()),
    )?;
    Ok(parse(&messages))
}

/// Picks the test binaries out of cargo's messages.
fn parse(messages: &str) -> Vec<Binary> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut found: Vec<Binary> = messages.filter_map(|message| binary(&message)).collect();
    found.sort_by(|a, b| (&a.package, a.kind.name()).cmp(&(&b.package, b.kind.name())));
    found
}

fn binary(message: &Value) -> Option<Binary> {
    let path = PathBuf::from(message["executable"].as_str()?);
    if message["profile"]["test"] != true {
        return None;
    }
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    let folder = manifest.parent()?.to_owned();
    let id = message["package_id"].as_str()?;
    let kind = match message["target"]["kind"][0].as_str()? {
        "test" => Kind::Integration,
        "bin" => Kind::Program,
        _ => Kind::Library,
    };
    Some(Binary { package: package_name(id), folder, kind, path })
}

/// The name in `path+file:///folder/name#0.1.0` or `...#name@0.1.0`.
fn package_name(id: &str) -> String {
    let (url, fragment) = id.split_once('#').unwrap_or((id, ""));
    let last = url.rsplit('/').next().unwrap_or(url);
    fragment.split_once('@').map_or(last, |(name, _)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_binaries_are_picked_out_of_cargos_messages() {
        let messages = r#"
            {"reason":"compiler-artifact","package_id":"path+file:///src/crates/io/qb-ipc#0.1.0","manifest_path":"/src/crates/io/qb-ipc/Cargo.toml","target":{"kind":["test"],"name":"it"},"profile":{"test":true},"executable":"/t/it-1"}
            {"reason":"compiler-artifact","package_id":"path+file:///src/crates/bin/a#b@0.1.0","manifest_path":"/src/crates/bin/a/Cargo.toml","target":{"kind":["bin"],"name":"b"},"profile":{"test":false},"executable":"/t/b"}
            {"reason":"compiler-artifact","package_id":"path+file:///src/crates/bin/a#b@0.1.0","manifest_path":"/src/crates/bin/a/Cargo.toml","target":{"kind":["bin"],"name":"b"},"profile":{"test":true},"executable":"/t/b-1"}
            {"reason":"build-finished","success":true}"#;
        let found: Vec<(String, Kind, PathBuf)> =
            parse(messages).into_iter().map(|b| (b.package, b.kind, b.folder)).collect();
        assert_eq!(
            found,
            [
                ("b".to_owned(), Kind::Program, "/src/crates/bin/a".into()),
                ("qb-ipc".to_owned(), Kind::Integration, "/src/crates/io/qb-ipc".into()),
            ]
        );
    }
}
