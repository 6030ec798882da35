//! `cargo xtask sim`: builds the simulator and hands its arguments on.

use std::process::Command;

use crate::run::{Failure, run as run_program};
use crate::workspace::Workspace;

/// `cargo xtask sim ARGUMENTS`
///
/// # Errors
/// When it cannot be built, or a seed or mutant fails.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    run_program(command(workspace, args).args(args))
}

/// Cargo, about to run the simulator; its arguments are to follow. A mutant can
/// only be switched on where it was compiled in.
pub(crate) fn command(workspace: &Workspace, args: &[String]) -> Command {
    let mut command = workspace.cargo();
    command.args(["run", "--locked", "--release", "--package", "world", "--bin", "sim"]);
    if args
        .iter()
        .any(|arg| arg == "--mutants" || arg.starts_with("--mutant=") || arg == "--mutant")
    {
        command.args(["--features", "mutants"]);
    }
    command.arg("--");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_of_mutants_has_them_compiled_in() {
        let workspace = Workspace { root: ".".into() };
        let words = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            let command = command(&workspace, &args);
            command.get_args().any(|arg| arg == "--features")
        };
        assert!(words(&["--mutants"]));
        assert!(!words(&["--seeds", "3"]));
    }
}
