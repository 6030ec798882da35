//! `cargo xtask check`: what is seen without running anything of ours.

use std::path::PathBuf;
use std::process::Command;

use crate::run::{Failure, find_program, is_ci, run as run_program, timed};
use crate::setup;
use crate::test::report::Totals;
use crate::tidy;
use crate::workspace::Workspace;

/// How one step ended.
enum Outcome {
    Passed,
    Failed(Failure),
    /// Something it needs is missing; the words say how to get it.
    Skipped(String),
}

/// A step: its name and what runs it.
type Step = (&'static str, fn(&Workspace) -> Outcome);

const STEPS: &[Step] = &[
    ("rustfmt", rustfmt),
    ("clippy", clippy),
    ("tidy", |workspace| outcome(tidy::run(workspace, &[]))),
    ("cargo-deny", deny),
    ("shellcheck", shellcheck),
    ("rustdoc", rustdoc),
];

/// `cargo xtask check`
///
/// # Errors
/// When a step fails; in CI also when one cannot run.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    if !args.is_empty() {
        return Err(Failure::new("usage: cargo xtask check"));
    }
    let totals = steps(workspace);
    println!("{totals}");
    if totals.failed == 0 { Ok(()) } else { Err(Failure::told()) }
}

/// Runs all steps, also behind one that fails, so that one run says all.
pub(crate) fn steps(workspace: &Workspace) -> Totals {
    let mut totals = Totals::default();
    for (name, step) in STEPS {
        let (outcome, took) = timed(name, || step(workspace));
        let seconds = took.as_secs_f32();
        match outcome {
            Outcome::Passed => {
                totals.passed += 1;
                println!("    passed in {seconds:.1} s");
            }
            Outcome::Skipped(why) if !is_ci() => {
                totals.skipped += 1;
                println!("    skipped: {why}");
            }
            Outcome::Failed(Failure(why)) | Outcome::Skipped(why) => {
                totals.failed += 1;
                println!("    FAILED in {seconds:.1} s: {why}");
            }
        }
    }
    totals
}

fn outcome(result: Result<(), Failure>) -> Outcome {
    result.map_or_else(Outcome::Failed, |()| Outcome::Passed)
}

fn rustfmt(workspace: &Workspace) -> Outcome {
    outcome(run_program(workspace.cargo().args(["fmt", "--all", "--check"])))
}

fn clippy(workspace: &Workspace) -> Outcome {
    outcome(run_program(workspace.cargo().args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])))
}

/// Licences, sources and bans. Advisories need the network at every run and
/// change without a change of ours: they are looked at by hand.
fn deny(workspace: &Workspace) -> Outcome {
    if !setup::has_cargo_deny(workspace) {
        let how = setup::how_to_get_cargo_deny();
        return Outcome::Skipped(format!("cargo-deny is missing; get it by `{how}`"));
    }
    outcome(run_program(workspace.cargo().args([
        "deny",
        "--locked",
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ])))
}

fn shellcheck(workspace: &Workspace) -> Outcome {
    let scripts = match shell_scripts(workspace) {
        Ok(scripts) => scripts,
        Err(failure) => return Outcome::Failed(failure),
    };
    match find_program("shellcheck") {
        None => Outcome::Skipped("get it by `apt-get install shellcheck`".to_owned()),
        Some(program) => {
            println!("    {} scripts", scripts.len());
            outcome(run_program(
                workspace.program(&program).arg("--external-sources").args(scripts),
            ))
        }
    }
}

/// Files in git, or about to be, that a shell runs, by ending or first line.
fn shell_scripts(workspace: &Workspace) -> Result<Vec<PathBuf>, Failure> {
    let mut git = Command::new("git");
    git.current_dir(&workspace.root).args(["ls-files", "-co", "--exclude-standard"]);
    let listed = crate::run::capture(&mut git)?;
    let files = listed.lines().map(|path| workspace.root.join(path));
    let is_script = |path: &PathBuf| {
        std::fs::read_to_string(path)
            .is_ok_and(|text| is_shell(text.lines().next().unwrap_or_default()))
    };
    let mut scripts: Vec<PathBuf> = files.filter(is_script).collect();
    scripts.sort();
    Ok(scripts)
}

/// Whether a first line names a shell that shellcheck knows.
fn is_shell(first: &str) -> bool {
    let program = first.strip_prefix("#!").unwrap_or_default();
    program.split(['/', ' ']).any(|word| matches!(word, "sh" | "bash" | "dash" | "ksh"))
}

fn rustdoc(workspace: &Workspace) -> Outcome {
    let mut command = workspace.cargo();
    command.args([
        "doc",
        "--quiet",
        "--locked",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    outcome(run_program(command.env("RUSTDOCFLAGS", "-D warnings")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_scripts_are_known_by_their_first_line() {
        for first in ["#!/bin/sh", "#! /bin/sh -e", "#!/usr/bin/env bash", "#!/bin/dash"] {
            assert!(is_shell(first), "{first}");
        }
        for first in ["#!/usr/bin/python3", "# /bin/sh", "#![allow(dead_code)]", ""] {
            assert!(!is_shell(first), "{first}");
        }
    }
}
