//! Rings and keepers as children of the test.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until there is something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs to its end: exit code and standard error.
pub(crate) fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_miniatured")).args(arguments).output();
    let output = output.expect("miniatured starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Three nodes on one machine, told apart by loopback addresses and names that
/// no other test has.
pub(crate) struct Cluster {
    folder: PathBuf,
    rings: BTreeMap<u32, Child>,
    keepers: BTreeMap<u32, Child>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("miniatured-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a scratch folder");
        let cluster = Self { folder, rings: BTreeMap::new(), keepers: BTreeMap::new() };
        let folder = cluster.folder.display();
        for node in 1..=3 {
            // The file is the resource.
            let state = format!("{folder}/active-{node}");
            let agent = format!(
                "#!/bin/sh\ncase $1 in start) : > {state};; stop) rm -f {state};; \
                 monitor) [ -e {state} ] || exit 7;; esac\n"
            );
            cluster.script(&format!("agent-{node}"), &agent);
        }
        let journal = format!("#!/bin/sh\ncat >> {folder}/fenced\n");
        cluster.script("fence", &journal);
        cluster
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    }

    fn at(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("UTF-8").to_string()
    }

    fn service(node: u32) -> String {
        format!("mini-ring-{}-{node}", std::process::id())
    }

    /// An address in 127/8 that belongs to this test's process.
    fn address(node: u32) -> String {
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        format!("127.{}.{middle}.{low}:{}", high | 0x40, 7000 + node)
    }

    fn start(&self, kind: &str, node: u32, arguments: &[&str]) -> Child {
        let name = format!("{kind}-{node}");
        let log = fs::File::create(self.folder.join(format!("{name}.log"))).expect("a log");
        Command::new(env!("CARGO_BIN_EXE_miniatured"))
            .args([kind, "--node", &node.to_string(), "--service", &Self::service(node)])
            .args(["--record", &self.at(&format!("{name}.rec")), "--log", "stderr=debug"])
            .args(["--observe", &self.at(&format!("{name}.obs"))])
            .args(["--pid-file", &self.at(&format!("{name}.pid"))])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("miniatured starts")
    }

    pub(crate) fn start_ring(&mut self, node: u32) {
        let state = self.at(&format!("state-{node}"));
        fs::create_dir_all(&state).expect("a folder");
        let peers: Vec<String> = (1..=3).map(|n| format!("{n}={}", Self::address(n))).collect();
        let peers = peers.join(",");
        let segments = ["--segment-bytes", "3000", "--segments", "1000"];
        let arguments = [&["--peers", &peers, "--state-dir", &state], &segments[..]].concat();
        let ring = self.start("ring", node, &arguments);
        self.rings.insert(node, ring);
    }

    pub(crate) fn start_keeper(&mut self, node: u32) {
        let (agent, fence) = (self.at(&format!("agent-{node}")), self.at("fence"));
        let agents = ["--agent", &agent, "--fence-agent", &fence];
        let arguments = [&["--nodes", "1,2,3", "--rsc", "vip"], &agents[..]].concat();
        let keeper = self.start("keeper", node, &arguments);
        self.keepers.insert(node, keeper);
    }

    /// Waits until the last view of the node has these members and is quorate.
    pub(crate) fn await_view(&self, node: u32, members: &str) {
        let path = self.folder.join(format!("ring-{node}.obs"));
        until(&format!("node {node} sees {members}"), || {
            let text = fs::read_to_string(&path).ok()?;
            let view = text.lines().rfind(|line| line.contains(" view "))?;
            let ring = view.split(' ').nth(3)?;
            let quorate = text.lines().any(|line| line.ends_with(&format!("quorum {ring} yes")));
            (view.ends_with(&format!(" {members}")) && quorate).then_some(())
        });
    }

    /// The nodes on which the resource is active.
    pub(crate) fn active(&self) -> Vec<u32> {
        (1..=3).filter(|node| self.folder.join(format!("active-{node}")).exists()).collect()
    }

    pub(crate) fn fenced(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.folder.join("fenced")).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("port=n")?.parse().ok()).collect()
    }

    pub(crate) fn kill_ring(&mut self, node: u32) {
        let mut ring = self.rings.remove(&node).expect("it runs");
        ring.kill().expect("killed");
        ring.wait().expect("a child of ours");
    }

    pub(crate) fn stop_keepers(&mut self) {
        for (node, keeper) in std::mem::take(&mut self.keepers) {
            stop(keeper, &format!("keeper {node}"));
        }
    }

    pub(crate) fn stop_rings(&mut self, nodes: &[u32]) {
        for node in nodes {
            let ring = self.rings.remove(node).expect("it runs");
            stop(ring, &format!("ring {node}"));
        }
    }

    pub(crate) fn recording(&self, kind: &str, node: u32) -> PathBuf {
        self.folder.join(format!("{kind}-{node}.rec"))
    }

    fn show_logs(folder: &Path) {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "log") {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(30).collect();
                eprintln!("--- {}", path.display());
                tail.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

fn stop(mut process: Child, name: &str) {
    let pid = Pid::from_raw(i32::try_from(process.id()).expect("a pid"));
    kill(pid, Signal::SIGTERM).expect("it runs");
    let status = until(&format!("{name} ends"), || process.try_wait().expect("a child of ours"));
    assert!(status.success(), "{name}: {status}");
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.rings.values_mut().chain(self.keepers.values_mut()) {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            Self::show_logs(&self.folder);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
