//! The C programs: compiled once per change, run with their output at hand.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::need_root;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running program whose lines can be waited for.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
}

/// Runs the C client.
pub(crate) fn c_client(args: &[&str]) -> Program {
    Program::start(&compiled("client"), args)
}

/// Runs the C server and waits until it serves.
pub(crate) fn c_server(args: &[&str]) -> Program {
    let mut server = Program::start(&compiled("server"), args);
    server.expect("ready");
    server
}

impl Program {
    pub(crate) fn start(path: &Path, args: &[&str]) -> Self {
        Self::spawn(Command::new(path).args(args))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        need_root();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let (send, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines, seen: Vec::new() }
    }

    /// The next line.
    pub(crate) fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.push(line.clone());
                line
            }
            Err(e) => panic!("no further line ({e}) after {:#?}", self.seen),
        }
    }

    /// The next line, which must be this one.
    #[track_caller]
    pub(crate) fn expect(&mut self, line: &str) {
        let got = self.line();
        assert_eq!(got, line, "after {:?}", self.seen);
    }

    /// All lines until the program ends by itself, successfully.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Vec<String> {
        drop(self.stdin.take());
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {:?}", self.seen);
        std::mem::take(&mut self.seen)
    }

    /// Writes a line to the program.
    pub(crate) fn say(&mut self, text: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{text}").unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9, and waits for the process to be gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.stdin.take());
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A lock that ends when this goes, also where a process that was forked in
/// between has inherited the descriptor: closing alone would not end it then.
struct Locked(File);

impl Locked {
    fn new(path: &Path) -> Self {
        let file = File::create(path).unwrap();
        file.lock().unwrap();
        Self(file)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// The path of a compiled program; compiles it if it is older than its source.
pub(crate) fn compiled(name: &str) -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join(format!("qb-ipc-c-{name}"));
    let _lock = Locked::new(&folder.join(format!("qb-ipc-c-{name}.lock")));
    let source = sources.join(format!("{name}.c"));
    let newest =
        [&source, &sources.join("common.h")].map(|p| fs::metadata(p).unwrap().modified().unwrap());
    let made = fs::metadata(&program).and_then(|m| m.modified()).ok();
    if made.is_none_or(|made| newest.iter().any(|source| *source >= made)) {
        compile(&source, &program);
    }
    program
}

fn compile(source: &Path, program: &Path) {
    let fresh = program.with_extension("new");
    let output = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-O2", "-o"])
        .arg(&fresh)
        .arg(source)
        .arg("-lqb")
        .output()
        .expect("no C compiler: apt install gcc libqb-dev");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        !text.contains("qb/") || output.status.success(),
        "the C library is missing: apt install libqb-dev\n{text}"
    );
    assert!(output.status.success(), "{}: {text}", source.display());
    // Run by other users, too.
    fs::rename(&fresh, program).unwrap();
}
