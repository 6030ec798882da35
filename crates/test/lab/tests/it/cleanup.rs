//! Nothing of a lab is left, whichever of its processes is killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use lab::layout::{self, MachineLock, RunDir};
use lab::{Kind, Lab, Spec, procs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{program, require, wait_for};

const KINDS: [&str; 5] = ["pid", "net", "mnt", "ipc", "uts"];
const SOON: Duration = Duration::from_secs(20);

/// What a running lab has, seen from the host.
struct Traces {
    dir: RunDir,
    namespaces: BTreeSet<PathBuf>,
}

impl Traces {
    /// All namespaces of the hub's descendants that are not the host's own.
    fn of(dir: RunDir) -> Self {
        let hub: i32 = fs::read_to_string(dir.path().join("hub.pid")).unwrap().parse().unwrap();
        let own: BTreeSet<PathBuf> = namespaces_of(std::process::id().cast_signed());
        let below = |pid: &i32| *pid == hub || procs::descends_from(*pid, hub);
        let processes = procs::all().into_iter().filter(below);
        let namespaces: BTreeSet<PathBuf> =
            processes.flat_map(namespaces_of).filter(|ns| !own.contains(ns)).collect();
        // Two nodes and the hub, each with all five kinds.
        assert!(namespaces.len() >= 15, "{namespaces:?}");
        Traces { dir, namespaces }
    }

    /// What there still is of it.
    fn left(&self) -> Vec<String> {
        let path = self.dir.path().display().to_string();
        let mut left = Vec::new();
        for pid in procs::all() {
            if procs::cmdline(pid).contains(&path) {
                left.push(format!("process {pid} {:?}", procs::cmdline(pid)));
            }
            left.extend(
                namespaces_of(pid)
                    .intersection(&self.namespaces)
                    .map(|ns| format!("{} of {pid} {:?}", ns.display(), procs::cmdline(pid))),
            );
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(mounts.lines().filter(|l| l.contains(&path)).map(String::from));
        for group in ["", "unified", "systemd"] {
            let groups = fs::read_dir(PathBuf::from("/sys/fs/cgroup").join(group));
            let groups = groups.into_iter().flatten().filter_map(Result::ok);
            let names = groups.map(|g| g.file_name().to_string_lossy().into_owned());
            left.extend(
                names.filter(|n| n.starts_with(&format!("systole-lab-{}-", self.dir.name()))),
            );
        }
        if self.dir.path().exists() {
            left.push(path);
        }
        left
    }

    fn assert_gone(&self) {
        wait_for("the end of everything", SOON, || self.left().is_empty());
        for link in fs::read_dir("/sys/class/net").unwrap().filter_map(Result::ok) {
            let name = link.file_name().to_string_lossy().into_owned();
            assert!(!name.starts_with("n1e") && !name.starts_with("n2e"), "{name} is on the host");
        }
    }
}

fn namespaces_of(pid: i32) -> BTreeSet<PathBuf> {
    KINDS.iter().filter_map(|kind| procs::namespace(pid, kind)).collect()
}

fn kill_9(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// A lab that runs on its own, with a started cluster.
fn detached(name: &str, kind: Kind) -> (Traces, Lab) {
    let mut up = Command::new(program());
    up.args(["up", "2", "--name", name, "--kind", &kind.to_string()]).stdout(Stdio::null());
    assert!(up.status().unwrap().success());
    let lab = Lab::open(name).unwrap();
    (Traces::of(lab.dir().clone()), lab)
}

fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

fn parent_of_hub(lab: &Lab) -> i32 {
    procs::parent(lab.hub_pid().unwrap()).unwrap()
}

#[test]
fn the_owner_is_killed() {
    require(Kind::Light);
    let _machine = MachineLock::acquire().unwrap();
    let name = unique("owner");
    let mut owner = Command::new(program());
    // Its nodes boot, and it waits for its order that never ends.
    owner.args(["up", "2", "--name", &name]).stdout(Stdio::null());
    let mut owner = owner.spawn().unwrap();
    let dir = RunDir::named(&name).unwrap();
    let node_processes = || {
        let pid = fs::read_to_string(dir.path().join("hub.pid")).ok().and_then(|p| p.parse().ok());
        pid.is_some_and(|hub| {
            let corosyncs = procs::all().into_iter().filter(|pid| {
                procs::exe(*pid).is_some_and(|exe| exe.ends_with("corosync"))
                    && procs::descends_from(*pid, hub)
            });
            corosyncs.count() == 2
        })
    };
    wait_for("corosync on both nodes", SOON, node_processes);
    let traces = Traces::of(dir);
    owner.kill().unwrap();
    owner.wait().unwrap();
    traces.assert_gone();
}

#[test]
fn the_hub_is_killed() {
    require(Kind::Light);
    let _machine = MachineLock::acquire().unwrap();
    let (traces, lab) = detached(&unique("hub"), Kind::Light);
    kill_9(lab.hub_pid().unwrap());
    traces.assert_gone();
}

#[test]
fn the_keeper_is_killed_and_the_next_start_cleans() {
    require(Kind::Light);
    let _machine = MachineLock::acquire().unwrap();
    let (traces, lab) = detached(&unique("keeper"), Kind::Light);
    kill_9(parent_of_hub(&lab));
    // Its processes go at once; nobody is left to remove its directory.
    wait_for("the end of its processes", SOON, || !traces.dir.is_alive());
    let next = Lab::start(program(), None, Spec::new(1)).unwrap();
    assert!(!traces.dir.path().exists());
    drop(next);
    traces.assert_gone();
}

#[test]
fn all_of_a_lab_is_killed_at_once_and_clean_removes_it() {
    require(Kind::Light);
    let _machine = MachineLock::acquire().unwrap();
    let (traces, lab) = detached(&unique("all"), Kind::Light);
    let keeper = parent_of_hub(&lab);
    kill_9(keeper);
    let _ = kill(Pid::from_raw(lab.hub_pid().unwrap()), Signal::SIGKILL);
    wait_for("the keeper's end", SOON, || !traces.dir.is_alive());
    let clean = Command::new(program()).arg("clean").status().unwrap();
    assert!(clean.success());
    traces.assert_gone();
}

#[test]
fn a_lab_that_is_taken_down_leaves_nothing() {
    require(Kind::Light);
    let _machine = MachineLock::acquire().unwrap();
    let (traces, lab) = detached(&unique("down"), Kind::Light);
    lab.down().unwrap();
    traces.assert_gone();
    assert!(layout::labs().unwrap().iter().all(|l| l.name() != traces.dir.name()));
}

#[test]
fn full_nodes_leave_nothing_either() {
    require(Kind::Full);
    let _machine = MachineLock::acquire().unwrap();
    let (traces, lab) = detached(&unique("full"), Kind::Full);
    kill_9(lab.hub_pid().unwrap());
    traces.assert_gone();
}
