//! The commands of Corosync, for its daemon or ours.
//!
//! Each command is a file of [`commands`], in the same four steps: its arguments
//! are parsed into options, the options resolved into one thing to do, that is
//! done through [`corosync_client`], and the result printed. Standard output is
//! data and standard error is talk, both in the words that scripts know from
//! Corosync 3.1.7; help texts are our own.
//!
//! The programs in `src/bin` only name their command, so that each is a file of
//! its own at the path where it is expected.

pub mod commands;
mod getopt;
mod numbers;
mod output;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

pub use output::Exit;

/// Runs a command with the arguments of this process.
pub fn run(command: fn(Vec<Vec<u8>>) -> Exit) -> ExitCode {
    let arguments = std::env::args_os().map(OsString::into_vec).collect();
    let exit = command(arguments);
    match output::flush() {
        Ok(()) => ExitCode::from(exit.code()),
        // Nobody reads on: end as a process does that a SIGPIPE ends.
        Err(_) => ExitCode::from(128 + 13),
    }
}
