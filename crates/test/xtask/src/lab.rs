//! `cargo xtask lab`: builds the lab, lays out what it boots, hands arguments on.

use std::process::Command;

use crate::dist;
use crate::run::{Failure, run as run_program};
use crate::workspace::Workspace;

/// Where the lab and the tests find the tree that `dist` laid out.
pub(crate) const DIST_VARIABLE: &str = "SYSTOLE_DIST";

/// `cargo xtask lab ARGUMENTS`
///
/// # Errors
/// When something does not build, or the lab says so.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    run_program(&mut command(workspace, args)?)
}

/// Cargo, about to run the lab on a tree laid out anew.
pub(crate) fn command(workspace: &Workspace, args: &[String]) -> Result<Command, Failure> {
    let tree = dist::lay_out_for_tests(workspace)?;
    let mut command = workspace.cargo();
    command.args(["run", "--locked", "--package", "lab", "--bin", "lab", "--"]);
    command.args(args).env(DIST_VARIABLE, tree);
    Ok(command)
}
