//! `cargo xtask demo`: sets up what is missing and lets the lab show a failover.

use crate::run::Failure;
use crate::workspace::Workspace;
use crate::{lab, setup};

/// `cargo xtask demo`
///
/// # Errors
/// When this machine lacks something that cannot be installed, or the lab fails.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    if !args.is_empty() {
        return Err(Failure::new("usage: cargo xtask demo"));
    }
    if !setup::is_root() {
        return Err(Failure::new(
            "the demo makes namespaces and bridges and needs root: \
             `sudo -E env PATH=\"$PATH\" cargo xtask demo`",
        ));
    }
    setup::packages()?;
    lab::run(workspace, &["demo".to_owned()])
}
