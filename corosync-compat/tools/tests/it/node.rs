//! Nodes for the tests: each a set of private namespaces with a daemon inside.
//!
//! A node's first process waits in namespaces of its own for the end of a pipe
//! that the test holds. All else of the node runs inside: its end is the end of
//! every process of its pid namespace, and with them go mounts, interfaces and
//! shared memory, also where the test is killed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The commands that are compared, with the programs that we built.
pub(crate) const OURS: [(&str, &str); 6] = [
    ("corosync-cfgtool", env!("CARGO_BIN_EXE_corosync-cfgtool")),
    ("corosync-cmapctl", env!("CARGO_BIN_EXE_corosync-cmapctl")),
    ("corosync-quorumtool", env!("CARGO_BIN_EXE_corosync-quorumtool")),
    ("corosync-cpgtool", env!("CARGO_BIN_EXE_corosync-cpgtool")),
    ("corosync-keygen", env!("CARGO_BIN_EXE_corosync-keygen")),
    ("corosync-blackbox", env!("CARGO_BIN_EXE_corosync-blackbox")),
];

/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Debian,
    Ours,
}

impl Whose {
    fn path(self) -> &'static str {
        match self {
            Self::Debian => "/usr/sbin:/usr/bin:/sbin:/bin",
            Self::Ours => "/run/ours",
        }
    }
}

/// As whom it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    /// Nobody that corosync knows.
    Stranger,
}

/// Private namespaces, with a daemon's files and perhaps a daemon.
pub(crate) struct Node {
    holder: Child,
    /// The process inside, by its number outside.
    inside: u32,
    /// Its files on the host.
    pub(crate) folder: PathBuf,
    daemon: Option<Child>,
}

impl Node {
    /// Makes the namespaces; no daemon runs yet.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "these tests make namespaces: run them as root");
        let program = Path::new("/usr/sbin/corosync");
        assert!(program.exists(), "no Debian corosync to compare with: apt install corosync");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("corosync-tools-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        for part in ["etc", "var", "log"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        let (holder, inside) = hold(&folder);
        Self { holder, inside, folder, daemon: None }
    }

    /// A command inside the node.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.inside.to_string(), "-n", "-m", "-i", "-u", "-p", "--"]);
        command.args(words);
        command
    }

    /// Runs a shell line inside the node, which must succeed.
    pub(crate) fn sh(&self, line: &str) {
        let output = self.command(&["sh", "-ec", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The process inside, by its number outside.
    pub(crate) fn pid(&self) -> u32 {
        self.inside
    }

    /// Starts Debian's daemon with this configuration, and waits until it answers.
    pub(crate) fn start(&mut self, configuration: &str) {
        self.configure(configuration);
        let log = fs::File::create(self.folder.join("log/output")).unwrap();
        let mut command = self.command(&["/usr/sbin/corosync", "-f"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut daemon = command.spawn().unwrap();
        until("the daemon answers", || {
            if let Some(status) = daemon.try_wait().unwrap() {
                let log = fs::read_to_string(self.folder.join("log/corosync.log"));
                panic!("the daemon ended: {status}\n{}", log.unwrap_or_default());
            }
            self.run(Whose::Debian, User::Root, "corosync-quorumtool -l", "").status.success()
        });
        self.daemon = Some(daemon);
    }

    /// Writes corosync.conf.
    pub(crate) fn configure(&self, configuration: &str) {
        fs::write(self.folder.join("etc/corosync.conf"), configuration).unwrap();
    }

    /// Waits until the daemon has ended.
    pub(crate) fn await_end(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon that was started");
        until("the daemon ends", || daemon.try_wait().unwrap().is_some());
    }

    /// Runs a tool to its end. Words are parted by blanks.
    pub(crate) fn run(&self, whose: Whose, user: User, line: &str, input: &str) -> Output {
        let mut command = self.tool(whose, user, line);
        if input.is_empty() {
            // Debian's tools never find the end of a pipe that nobody wrote to.
            command.stdin(Stdio::null());
        }
        let mut child = command.spawn().unwrap();
        if let Some(mut stdin) = child.stdin.take() {
            // A tool that does not read may have ended already.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output().unwrap()
    }

    /// Starts a tool with pipes at all three ends.
    pub(crate) fn spawn(&self, whose: Whose, user: User, line: &str) -> Child {
        self.tool(whose, user, line).spawn().unwrap()
    }

    fn tool(&self, whose: Whose, user: User, line: &str) -> Command {
        // `env` looks the tool up, so that it is called by the same name.
        let path = format!("PATH={}", whose.path());
        let mut words = vec!["/usr/bin/env", "-i"];
        if user == User::Stranger {
            let ids = ["--reuid", "64002", "--regid", "64002", "--clear-groups"];
            words = [&["/usr/bin/setpriv"], &ids[..], &words].concat();
        }
        words.push(&path);
        words.extend(line.split_whitespace());
        let mut command = self.command(&words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
        }
        // The shell inside is its namespace's first process and dies with unshare.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Makes the namespaces and what lies in them.
fn hold(folder: &Path) -> (Child, u32) {
    let mut script = format!(
        "mount --bind {0}/etc /etc/corosync; mount --bind {0}/var /var/lib/corosync; \
         mount --bind {0}/log /var/log/corosync; mount -t tmpfs none /dev/shm; \
         mount -t tmpfs -o mode=755 none /run; mkdir /run/ours; ip link set lo up; \
         hostname testhost; ",
        folder.display()
    );
    for (name, program) in OURS {
        script += &format!("touch /run/ours/{name}; mount --bind '{program}' /run/ours/{name}; ");
    }
    script += "echo ready; exec cat";
    let mut holder = Command::new("unshare")
        .args(["-n", "-m", "-i", "-u", "-p", "-f", "--kill-child", "--mount-proc"])
        .args(["--propagation", "private", "sh", "-ec", &script])
        // It ends with this pipe, also if this process is killed.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    let stdout = holder.stdout.as_mut().expect("a piped output");
    std::io::Read::read_exact(stdout, &mut ready).expect("the node's namespaces, mounts and lo");
    let children = format!("/proc/{0}/task/{0}/children", holder.id());
    let inside = fs::read_to_string(children).unwrap();
    let inside = inside.split_whitespace().next().expect("the shell inside").parse().unwrap();
    (holder, inside)
}

/// Waits for a condition; a test that waits for ever has failed.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Three nodes on one network: the first holds the bridge.
pub(crate) fn three() -> [Node; 3] {
    let nodes = [Node::new(), Node::new(), Node::new()];
    nodes[0]
        .sh("ip link add br0 type bridge; ip addr add 10.88.0.1/24 dev br0; ip link set br0 up");
    for (node, number) in nodes.iter().zip(1..).skip(1) {
        nodes[0].sh(&format!(
            "ip link add v{number} type veth peer name eth0; ip link set v{number} master br0; \
             ip link set v{number} up"
        ));
        // Moved from outside, where both processes have a number.
        let status = Command::new("nsenter")
            .args(["-t", &nodes[0].pid().to_string(), "-n", "ip", "link", "set", "eth0"])
            .args(["netns", &node.pid().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
        node.sh(&format!("ip addr add 10.88.0.{number}/24 dev eth0; ip link set eth0 up"));
    }
    nodes
}

/// A corosync.conf of nodes 1 to `nodes`; `more` are further sections.
pub(crate) fn configuration(transport: &str, nodes: &[&str], more: &str) -> String {
    let mut text = format!(
        "totem {{\n version: 2\n cluster_name: tools\n transport: {transport}\n token: 1000\n}}\n\
         logging {{\n to_stderr: no\n to_syslog: no\n to_logfile: yes\n \
         logfile: /var/log/corosync/corosync.log\n}}\n\
         system {{\n sched_rr: no\n}}\nnodelist {{\n"
    );
    for (address, number) in nodes.iter().zip(1..) {
        text += &format!(
            " node {{\n  nodeid: {number}\n  name: node{number}\n  ring0_addr: {address}\n }}\n"
        );
    }
    text + "}\n" + more
}

/// The section that makes votequorum the provider.
pub(crate) const VOTEQUORUM: &str = "quorum {\n provider: corosync_votequorum\n}\n";
