//! A running test daemon, and what tests need around it.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// No condition takes longer unless something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A test daemon; killed when dropped.
pub(crate) struct Daemon {
    process: Child,
    socket: UdpSocket,
    /// What it printed before it was ready.
    pub(crate) dumpable: bool,
}

/// How to start one.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-testd"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

impl Daemon {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::from(command(arguments))
    }

    pub(crate) fn from(mut command: Command) -> Self {
        let mut process = command.spawn().expect("the test daemon starts");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let mut value = |key: &str| {
            let line = lines.next().expect("the daemon says more").expect("readable");
            line.strip_prefix(key).unwrap_or_else(|| panic!("{key} in {line}")).trim().to_string()
        };
        let port: u16 = value("port").parse().expect("a port");
        let dumpable = value("dumpable") == "true";
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a loopback address");
        socket.connect(("127.0.0.1", port)).expect("loopback");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { process, socket, dumpable }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).expect("a pid")
    }

    pub(crate) fn say(&self, text: &str) {
        self.socket.send(text.as_bytes()).expect("sent");
    }

    pub(crate) fn hear(&self) -> String {
        let mut buffer = [0; 65_536];
        let len = self.socket.recv(&mut buffer).expect("the daemon answers");
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    pub(crate) fn ask(&self, text: &str) -> String {
        self.say(text);
        self.hear()
    }

    /// Ticks, worst lateness, inputs.
    pub(crate) fn stats(&self) -> (u64, Duration, u64) {
        // A flood may have left no room for the question: it is asked again.
        let asked_again = Some(Duration::from_millis(500));
        self.socket.set_read_timeout(asked_again).expect("a timeout");
        let text = until("statistics", || {
            self.say("stats");
            let mut buffer = [0; 1000];
            let len = self.socket.recv(&mut buffer).ok()?;
            let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
            text.starts_with("stats ").then_some(text)
        });
        self.socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut numbers = text.split(' ').skip(1).map(|n| n.parse::<u64>().expect("a number"));
        let mut next = || numbers.next().expect("three numbers");
        (next(), Duration::from_micros(next()), next())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("the daemon lives");
    }

    pub(crate) fn proc(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.pid());
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A field of /proc/PID/status.
    pub(crate) fn status(&self, field: &str) -> String {
        status_field(&self.proc("status"), field)
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("the daemon ends", || self.process.try_wait().expect("a child of ours"))
    }

    pub(crate) fn take_stderr(&mut self) -> ChildStderr {
        self.process.stderr.take().expect("a pipe")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A field of the text of a /proc/PID/status, its white space made single.
pub(crate) fn status_field(status: &str, field: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Waits until there is something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A folder of a test's own that vanishes with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("host-it-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a scratch folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A path in it as an argument.
    pub(crate) fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A tmpfs of a few pages for one test, in a mount namespace of the test's
/// thread and the processes that it starts: nothing is left behind, however
/// the test ends.
pub(crate) struct SmallDisk {
    folder: Scratch,
}

impl SmallDisk {
    pub(crate) fn new(kib: u32) -> Self {
        let need = "mounting a tmpfs needs root: run the tests as root";
        let folder = Scratch::new();
        let (none, private) = (None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
        unshare(CloneFlags::CLONE_NEWNS).expect(need);
        mount(none, "/", none, private, none).expect(need);
        let size = format!("size={kib}k,mode=755");
        let flags = MsFlags::empty();
        mount(Some("host-it"), folder.path(), Some("tmpfs"), flags, Some(&*size)).expect(need);
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn at(&self, name: &str) -> String {
        self.folder.at(name)
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) {
        let _ = std::fs::write(self.path().join("ballast"), vec![0; 64 << 20]);
    }

    pub(crate) fn empty(&self) {
        let _ = std::fs::remove_file(self.path().join("ballast"));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(self.folder.path(), MntFlags::MNT_DETACH);
    }
}
