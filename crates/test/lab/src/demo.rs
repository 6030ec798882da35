//! The demonstration.

use std::path::Path;

/// Runs it.
pub fn run(_program: &Path) -> Result<bool, String> {
    Err("not yet".into())
}
