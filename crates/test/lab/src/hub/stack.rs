//! Start and stop of the cluster software from outside, and commands in nodes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use observe::Event;

use super::Hub;
use crate::NODE_PROGRAM;
use crate::mix::DAEMONS;
use crate::node::ENVIRONMENT;
use crate::procs::{self, Pid};
use crate::spec::Kind;
use crate::tool;

/// How long the nodes that are started together wait for each other before
/// Pacemaker starts: a DC that does not see a node yet would fence it.
const MEET: Duration = Duration::from_secs(20);
const BOOT_FULL: Duration = Duration::from_secs(120);
const WHOLE: Duration = Duration::from_secs(30);

impl Hub {
    /// A command to be run inside a node.
    pub(super) fn inside(&self, leader: Pid, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &leader.to_string(), "-m", "-u", "-i", "-n", "-p"]);
        if self.spec.kind == Kind::Full {
            command.args(["-C", "-r", "-w"]);
        }
        command.arg("--").args(words);
        command.env_clear().envs(ENVIRONMENT.iter().copied());
        command
    }

    /// Runs a command inside a node to its end.
    pub(super) fn run_in(&self, node: u32, words: &[&str]) -> Result<String, String> {
        let leader = self.leader(node)?;
        tool::finish(self.inside(leader, words)).map_err(|e| format!("n{node}: {e}"))
    }

    /// Waits until a node that has just got power can be used.
    pub(super) fn wait_ready(&self, leader: Pid) -> Result<(), String> {
        if self.spec.kind == Kind::Light {
            return Ok(());
        }
        let mut said = String::new();
        let ready = procs::wait_until(BOOT_FULL, || {
            thread::sleep(Duration::from_millis(80));
            said = match tool::finish(self.inside(leader, &["systemctl", "is-system-running"])) {
                Ok(text) | Err(text) => text,
            };
            said.contains("running") && !said.contains("is-system-running: ")
                || said.contains("degraded")
        });
        if ready { Ok(()) } else { Err(format!("systemd does not come up: {said}")) }
    }

    /// Starts the cluster software on these nodes, together.
    pub(super) fn start_stack(self: &Arc<Self>, nodes: &[u32]) -> Result<(), String> {
        for node in nodes {
            let mut slot = self.slot(*node)?;
            let life = slot.life.as_mut().ok_or_else(|| format!("n{node} has no power"))?;
            life.started = true;
            life.baseline = None;
        }
        for node in nodes {
            File::create(self.autostart(*node)).map_err(|e| e.to_string())?;
        }
        self.on_each(nodes, |hub, node| {
            if hub.spec.kind == Kind::Full {
                hub.run_in(node, &["systemctl", "enable", "corosync", "pacemaker"])?;
            }
            hub.run_in(node, &[NODE_PROGRAM, "__stack", "start-corosync"]).map(drop)
        })?;
        if self.net().is_whole() {
            procs::wait_until(MEET, || nodes.iter().all(|node| self.sees(*node, nodes)));
        }
        self.on_each(nodes, |hub, node| {
            hub.run_in(node, &[NODE_PROGRAM, "__stack", "start-pacemaker"])?;
            hub.take_baseline(node)
        })
    }

    /// Whether the node's membership holds all these.
    fn sees(&self, node: u32, others: &[u32]) -> bool {
        let said = match self.run_in(node, &["corosync-quorumtool", "-s"]) {
            // It exits with an error as long as there is no quorum.
            Ok(text) | Err(text) => text,
        };
        let listed = |n: &u32| {
            let is = |line: &str| {
                let mut words = line.split_whitespace();
                words.next() == Some(&n.to_string()) && words.any(|w| w == format!("n{n}"))
            };
            said.lines().any(is)
        };
        others.iter().all(listed)
    }

    /// Stops the cluster software in good order.
    pub(super) fn stop_stack(self: &Arc<Self>, nodes: &[u32]) -> Result<(), String> {
        self.on_each(nodes, |hub, node| {
            if let Some(life) = &mut hub.slot(node)?.life {
                life.started = false;
                life.baseline = None;
            }
            let _ = fs::remove_file(hub.autostart(node));
            if hub.spec.kind == Kind::Full {
                hub.run_in(node, &["systemctl", "disable", "corosync", "pacemaker"])?;
            }
            hub.run_in(node, &[NODE_PROGRAM, "__stack", "stop"])?;
            hub.note(node, Event::Left);
            Ok(())
        })
    }

    /// Does the same on several nodes at once.
    pub(super) fn on_each(
        self: &Arc<Self>,
        nodes: &[u32],
        work: fn(&Arc<Hub>, u32) -> Result<(), String>,
    ) -> Result<(), String> {
        let start = |node: &u32| {
            let (hub, node) = (Arc::clone(self), *node);
            thread::spawn(move || work(&hub, node))
        };
        let threads: Vec<_> = nodes.iter().map(start).collect();
        let results =
            threads.into_iter().map(|t| t.join().unwrap_or(Err("a thread panicked".into())));
        results.collect::<Vec<_>>().into_iter().collect()
    }

    /// Remembers which processes the daemons are, once all of them run.
    pub(super) fn take_baseline(&self, node: u32) -> Result<(), String> {
        let mut daemons = BTreeMap::new();
        let whole = procs::wait_until(WHOLE, || {
            let Ok(leader) = self.leader(node) else { return false };
            daemons = daemons_of(leader);
            daemons.len() == DAEMONS.len()
        });
        if !whole {
            return Err(format!("n{node}: only {:?} run", daemons.keys().collect::<Vec<_>>()));
        }
        if let Some(life) = &mut self.slot(node)?.life {
            life.baseline = Some(daemons);
        }
        Ok(())
    }
}

/// The daemons of the node with this pid 1, by name.
pub(super) fn daemons_of(leader: Pid) -> BTreeMap<String, Pid> {
    let named = |pid: Pid| {
        let name = procs::exe(pid)?.file_name()?.to_string_lossy().into_owned();
        // While a daemon forks a child, the lower pid is the daemon itself.
        DAEMONS.iter().any(|d| d.name == name).then_some((name, pid))
    };
    let mut found = BTreeMap::new();
    for (name, pid) in procs::in_namespace_of(leader).into_iter().filter_map(named) {
        found.entry(name).or_insert(pid);
    }
    found
}
