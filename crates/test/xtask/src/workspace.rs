//! Where the workspace lies, and what cargo knows of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::run::{Failure, capture};

/// The root folder and the tools that work on it.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built from.
    ///
    /// # Errors
    /// When the folder is gone, as after a move without a rebuild.
    pub(crate) fn find() -> Result<Self, Failure> {
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = here.ancestors().nth(3).unwrap_or(&here);
        let root = root.canonicalize().map_err(|error| {
            Failure::new(format!("{}: {error}; run it as `cargo xtask`", root.display()))
        })?;
        Ok(Self { root })
    }

    /// Cargo, started in the root folder.
    pub(crate) fn cargo(&self) -> Command {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        self.program(Path::new(&program))
    }

    /// Any program, started in the root folder.
    pub(crate) fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// Cargo's folder of build results.
    pub(crate) fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.root.join("target"), |folder| self.root.join(folder))
    }

    /// What cargo knows of all packages, resolved for the target that is built.
    ///
    /// # Errors
    /// When cargo or rustc fails, as with a manifest that does not parse.
    pub(crate) fn metadata(&self) -> Result<Value, Failure> {
        let target = self.build_target()?;
        let text = capture(self.cargo().args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--filter-platform",
            &target,
        ]))?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("cargo metadata printed no JSON: {error}")))
    }

    /// The target that cargo builds for: the one asked for, else the host's.
    fn build_target(&self) -> Result<String, Failure> {
        if let Ok(target) = std::env::var("CARGO_BUILD_TARGET") {
            return Ok(target);
        }
        let text = capture(self.program(Path::new("rustc")).arg("-vV"))?;
        text.lines()
            .find_map(|line| line.strip_prefix("host: "))
            .map(str::to_owned)
            .ok_or_else(|| Failure::new("`rustc -vV` names no host"))
    }
}
