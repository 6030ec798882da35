//! The project's own commands: `cargo xtask COMMAND`.
//!
//! One file or folder per command. This crate builds in seconds and depends on
//! no other crate of the workspace, so that it can judge a tree that does not
//! compile.

mod bench;
mod check;
mod demo;
mod dist;
mod lab;
mod run;
mod setup;
mod sim;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use run::Failure;
use workspace::Workspace;

/// A command: its name, one line of help, and what runs it.
struct Command {
    name: &'static str,
    help: &'static str,
    run: fn(&Workspace, &[String]) -> Result<(), Failure>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "test",
        help: "set up what is missing and run every tier of tests [--only TIER] [--list] [--no-setup]",
        run: test::run,
    },
    Command {
        name: "check",
        help: "formatting, lints, tidy, licences, shell scripts, documentation; nothing is run",
        run: check::run,
    },
    Command {
        name: "tidy",
        help: "the project's structural rules alone [--update]",
        run: tidy::run,
    },
    Command {
        name: "setup",
        help: "install the Debian packages and tools that tests need",
        run: setup::run,
    },
    Command {
        name: "sim",
        help: "the simulator; arguments are its own (`sim --help`)",
        run: sim::run,
    },
    Command {
        name: "lab",
        help: "clusters of real nodes; arguments are its own (`lab --help`)",
        run: lab::run,
    },
    Command {
        name: "demo",
        help: "three nodes, a failure, a failover, and what happened",
        run: demo::run,
    },
    Command {
        name: "bench",
        help: "measurements side by side [ipc|sim|all] [--markdown]",
        run: bench::run,
    },
    Command {
        name: "dist",
        help: "build and lay out the files of the packages: dist DIR | dist --check DIR",
        run: dist::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else {
        eprint!("{}", usage());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprint!("xtask: there is no command {name:?}\n\n{}", usage());
        return ExitCode::from(2);
    };
    match Workspace::find().and_then(|workspace| (command.run)(&workspace, rest)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.0.is_empty() {
                eprintln!("xtask {name}: {failure}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The help text, made from the table of commands.
fn usage() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND [ARGUMENTS]\n\n");
    for Command { name, help, .. } in COMMANDS {
        text.push_str(&format!("  {name:<6} {help}\n"));
    }
    text
}
