//! Calls of other programs, with errors that say what was called.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs to the end; the error holds the command and what it said.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(args);
    finish(command)
}

/// As [`run`], with a command that was prepared otherwise.
pub(crate) fn finish(mut command: Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{}: {e}", describe(&command)))?;
    judge(&command, &output)
}

/// Runs a program that reads `input`.
pub(crate) fn feed(program: &str, args: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |e: std::io::Error| format!("{program}: {e}");
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    judge(&command, &output)
}

fn judge(command: &Command, output: &Output) -> Result<String, String> {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut talk = said(&output.stderr);
    if talk.is_empty() {
        talk = said(&output.stdout);
    }
    Err(format!("{}: {}: {talk}", describe(command), output.status))
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
