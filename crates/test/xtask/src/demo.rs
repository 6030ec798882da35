//! `cargo xtask demo`: sets up what is missing and lets the lab show a failover.

use crate::run::Failure;
use crate::workspace::Workspace;
use crate::{lab, setup};

/// `cargo xtask demo ARGUMENTS`
///
/// # Errors
/// When this machine lacks something that cannot be installed, or the lab fails.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    if !setup::is_root() {
        return Err(Failure::new(
            "the demo makes namespaces and bridges and needs root: \
             `sudo -E env PATH=\"$PATH\" cargo xtask demo`",
        ));
    }
    setup::packages()?;
    let mut words = vec!["demo".to_owned()];
    words.extend_from_slice(args);
    lab::run(workspace, &words)
}
