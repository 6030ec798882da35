//! Running other programs, and saying what went wrong in one line.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Why a command of ours failed, in words for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    /// A failure in the given words.
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// A failure of which everything has been said already.
    pub(crate) fn told() -> Self {
        Self(String::new())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Runs a program with our own stdin, stdout and stderr.
///
/// # Errors
/// When it cannot be started or does not exit with 0.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let words = describe(command);
    let status = command.status().map_err(|error| cannot_start(&words, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure(format!("`{words}` failed ({status})")))
}

/// Runs a program and takes its stdout as text; stderr is ours.
///
/// # Errors
/// When it cannot be started, does not exit with 0, or prints no UTF-8.
pub(crate) fn capture(command: &mut Command) -> Result<String, Failure> {
    let words = describe(command);
    let output = command
        .stderr(Stdio::inherit())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| cannot_start(&words, &error))?;
    if !output.status.success() {
        return Err(Failure(format!("`{words}` failed ({})", output.status)));
    }
    String::from_utf8(output.stdout).map_err(|_| Failure(format!("`{words}` printed no UTF-8")))
}

/// How a program ended whose output was watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// Its status.
    pub(crate) status: ExitStatus,
    /// Whether it was silent for too long and was killed.
    pub(crate) hung: bool,
}

/// Runs a program and hands on each line of its stdout as it comes. One that is
/// silent for longer than `silence` is killed.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn stream(
    command: &mut Command,
    silence: Duration,
    mut each: impl FnMut(&str),
) -> Result<End, Failure> {
    let words = describe(command);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| cannot_start(&words, &error))?;
    let lines = lines_of(&mut child)?;
    let mut hung = false;
    loop {
        match lines.recv_timeout(silence) {
            Ok(line) => {
                each(&line);
                std::io::stdout().flush()?;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                hung = true;
                child.kill()?;
                break;
            }
        }
    }
    Ok(End { status: child.wait()?, hung })
}

/// The lines of a child's stdout, as they come.
fn lines_of(child: &mut Child) -> Result<mpsc::Receiver<String>, Failure> {
    let stdout = child.stdout.take().ok_or_else(|| Failure::new("the child has no stdout"))?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || forward(stdout, &sender));
    Ok(receiver)
}

fn forward(stdout: impl Read, sender: &mpsc::Sender<String>) {
    for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
        if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
    }
}

/// The path of a program that a shell would find under this name.
pub(crate) fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Whether this run is CI's, where nothing may be skipped silently.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// Runs a step under a heading and says how long it took.
pub(crate) fn timed<T>(heading: &str, step: impl FnOnce() -> T) -> (T, Duration) {
    println!("--- {heading}");
    let start = Instant::now();
    let result = step();
    (result, start.elapsed())
}

/// The command line, for messages.
fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    if let Some(name) = words[0].rsplit('/').next().map(str::to_owned) {
        words[0] = name;
    }
    words.join(" ")
}

fn cannot_start(words: &str, error: &std::io::Error) -> Failure {
    Failure(format!("cannot start `{words}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_come_in_order_and_with_the_status() {
        let mut lines = Vec::new();
        let end = stream(&mut shell("echo a; printf b; exit 3"), Duration::from_secs(60), |line| {
            lines.push(line.to_owned());
        });
        assert_eq!(end.unwrap().status.code(), Some(3));
        assert_eq!(lines, ["a", "b"]);
    }

    #[test]
    fn a_silent_program_is_killed() {
        let end = stream(&mut shell("exec sleep 60"), Duration::from_millis(50), |_| {}).unwrap();
        assert!(end.hung);
        assert!(!end.status.success());
    }

    #[test]
    fn failures_name_the_command() {
        let failure = run(&mut shell("exit 2")).unwrap_err();
        assert_eq!(failure.0, "`sh -c exit 2` failed (exit status: 2)");
        let failure = run(&mut Command::new("/nowhere/tool")).unwrap_err();
        assert!(failure.0.starts_with("cannot start `tool`"), "{failure}");
    }
}
