//! `cargo xtask lab`: builds the lab and hands the arguments on. Where our own
//! programs are asked for, it lays them out first and says where they are.

use std::path::Path;
use std::process::Command;

use crate::dist;
use crate::run::{Failure, run as run_program};
use crate::workspace::Workspace;

/// Where tests find the tree that `dist` laid out.
pub(crate) const DIST_VARIABLE: &str = "SYSTOLE_DIST";

/// `cargo xtask lab ARGUMENTS`
///
/// # Errors
/// When something does not build, or the lab says so.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    let tree = if wants_ours(args) { Some(dist::lay_out_for_tests(workspace)?) } else { None };
    run_program(&mut command(workspace, args, tree.as_deref()))
}

/// Cargo, about to run the lab.
fn command(workspace: &Workspace, args: &[String], tree: Option<&Path>) -> Command {
    let mut command = workspace.cargo();
    command.args(["run", "--locked", "--package", "lab", "--bin", "lab", "--"]).args(args);
    if let Some(tree) = tree {
        command.arg("--dist").arg(tree);
    }
    command
}

/// Whether the arguments ask for our programs without saying where they are.
fn wants_ours(args: &[String]) -> bool {
    // A command that runs inside a node has arguments of its own.
    let is_made = args.first().is_some_and(|word| word == "up" || word == "run");
    let mix = args.iter().position(|word| word == "--mix").and_then(|at| args.get(at + 1));
    is_made
        && mix.is_some_and(|mix| mix.contains("ours"))
        && !args.iter().any(|word| word == "--dist")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_programs_are_laid_out_where_the_mix_names_them() {
        let wants =
            |line: &str| wants_ours(&line.split(' ').map(str::to_owned).collect::<Vec<String>>());
        assert!(wants("up 3 --mix n2=ours"));
        assert!(wants("run a.scn --mix n2:pacemaker-attrd=ours,n3=reference"));
        assert!(!wants("up 3"));
        assert!(!wants("up 3 --mix reference"));
        assert!(!wants("up 3 --mix ours --dist /tmp/tree"));
        assert!(!wants("exec n1 tool --mix ours"));
    }
}
