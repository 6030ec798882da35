//! Power: how a node comes to life and how it loses it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid as NixPid;
use observe::PowerCause;
use scenario::PowerMode;

use super::Hub;
use crate::node::{SAYS_NETNS, SAYS_REBOOT, SAYS_UP};
use crate::procs::{self, Pid};

/// How long a node may take to boot.
const BOOT: Duration = Duration::from_secs(60);
/// How long the kernel may take to end a node's processes.
const DEATH: Duration = Duration::from_secs(20);

/// A place for a node: with power or without.
pub(super) struct Slot {
    /// The running node.
    pub(super) life: Option<Life>,
    /// How the power switch answers for it.
    pub(super) power: PowerMode,
    /// The power switch said that the node is off, and it was not true.
    pub(super) told_off: bool,
}

impl Default for Slot {
    fn default() -> Self {
        Slot { life: None, power: PowerMode::Ok, told_off: false }
    }
}

/// A node that has power.
pub(super) struct Life {
    /// The process that made its namespaces and waits for its end.
    monitor: Pid,
    /// Its pid 1, by our numbers.
    pub(super) leader: Pid,
    pub(super) booted: Instant,
    /// The daemons as they were when the stack had started, by name; none:
    /// the stack has not been seen whole yet.
    pub(super) baseline: Option<BTreeMap<String, Pid>>,
    /// Daemons that may be another process once, and since when.
    pub(super) excused: BTreeMap<String, Instant>,
    /// The cluster software was started on purpose, or comes up by itself.
    pub(super) started: bool,
    pub(super) frozen: bool,
}

impl Hub {
    /// Gives a node power; nothing happens if it has it.
    pub(super) fn boot(self: &Arc<Self>, node: u32, cause: PowerCause) -> Result<(), String> {
        let mut slot = self.slot(node)?;
        if slot.life.is_some() {
            return Ok(());
        }
        let mut child = self.monitor(node)?;
        let (monitor, leader) = match self.bring_up(node, &mut child, cause) {
            Ok(pids) => pids,
            Err(why) => {
                let _ = child.kill();
                let _ = child.wait();
                self.net().unplug(node);
                self.note_power(node, false, PowerCause::Fault);
                return Err(format!("n{node} does not boot: {why}{}", self.last_words(node)));
            }
        };
        slot.told_off = false;
        slot.life = Some(Life {
            monitor,
            leader,
            booted: Instant::now(),
            baseline: None,
            excused: BTreeMap::new(),
            started: self.autostart(node).exists(),
            frozen: false,
        });
        let hub = Arc::clone(self);
        thread::spawn(move || hub.watch(node, monitor, child));
        Ok(())
    }

    /// A file whose presence makes a node start the cluster software at boot.
    pub(super) fn autostart(&self, node: u32) -> PathBuf {
        self.dir.share().join("autostart").join(format!("n{node}"))
    }

    fn console(&self, node: u32) -> PathBuf {
        self.dir.node(node).join("console.log")
    }

    /// The end of what a node said before it failed.
    fn last_words(&self, node: u32) -> String {
        let text = std::fs::read_to_string(self.console(node)).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().rev().take(10).collect();
        lines.reverse();
        lines.iter().fold(String::new(), |all, line| all + "\n  " + line)
    }

    fn monitor(&self, node: u32) -> Result<Child, String> {
        let failed = |e: std::io::Error| format!("n{node}: {e}");
        let console = File::options().create(true).append(true).open(self.console(node));
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.arg("__node").arg(self.dir.path()).arg(node.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(console.map_err(failed)?);
        command.spawn().map_err(failed)
    }

    /// Talks with the monitor until the node is up; returns both pids.
    fn bring_up(
        &self,
        node: u32,
        child: &mut Child,
        cause: PowerCause,
    ) -> Result<(Pid, Pid), String> {
        let monitor = Pid::try_from(child.id()).map_err(|e| e.to_string())?;
        let mut said = BufReader::new(child.stdout.take().ok_or("no pipe")?).lines();
        let mut expect = |wanted: &str| match said.next() {
            Some(Ok(line)) if line == wanted => Ok(()),
            Some(Ok(line)) => Err(line),
            _ => Err("it ended".to_string()),
        };
        expect(SAYS_NETNS)?;
        self.net().plug(node, monitor)?;
        // Before anything in the node can be observed.
        self.note_power(node, true, cause);
        let mut stdin = child.stdin.take().ok_or("no pipe")?;
        stdin.write_all(b"\n").map_err(|e| e.to_string())?;
        drop(stdin);
        expect(SAYS_UP)?;
        let mut leader = None;
        procs::wait_until(BOOT, || {
            leader = leader_below(monitor);
            leader.is_some() || procs::state(monitor).is_none_or(|s| s == 'Z')
        });
        let leader = leader.ok_or("it ended before it had a first process")?;
        self.wait_ready(leader)?;
        Ok((monitor, leader))
    }

    /// Waits for the node's end; one that nobody ordered is journalled as a
    /// fault, and a node that wanted to reboot gets power again.
    fn watch(self: &Arc<Self>, node: u32, monitor: Pid, mut child: Child) {
        let status = child.wait();
        let Ok(mut slot) = self.slot(node) else { return };
        if slot.life.as_ref().is_none_or(|life| life.monitor != monitor) {
            return;
        }
        slot.life = None;
        self.net().unplug(node);
        self.note_power(node, false, PowerCause::Fault);
        drop(slot);
        if status.is_ok_and(|s| s.code() == Some(SAYS_REBOOT)) {
            let _ = self.boot(node, PowerCause::Fault);
        }
    }

    /// Takes the power of a node: all its processes end at once. False: it had none.
    pub(super) fn kill(&self, node: u32, cause: PowerCause) -> Result<bool, String> {
        let mut slot = self.slot(node)?;
        let Some(life) = slot.life.take() else { return Ok(false) };
        let _ = kill(NixPid::from_raw(life.leader), Signal::SIGKILL);
        let gone = |pid| procs::state(pid).is_none_or(|s| s == 'Z');
        if !procs::wait_until(DEATH, || procs::state(life.leader).is_none() || gone(life.monitor)) {
            return Err(format!("n{node}: the kernel does not end its processes"));
        }
        self.net().unplug(node);
        self.note_power(node, false, cause);
        if !procs::wait_until(DEATH, || gone(life.monitor)) {
            let _ = kill(NixPid::from_raw(life.monitor), Signal::SIGKILL);
        }
        Ok(true)
    }

    /// The node's pid 1.
    pub(super) fn leader(&self, node: u32) -> Result<Pid, String> {
        let slot = self.slot(node)?;
        slot.life.as_ref().map(|life| life.leader).ok_or_else(|| format!("n{node} has no power"))
    }
}

/// The first process of the pid namespace below the monitor.
fn leader_below(monitor: Pid) -> Option<Pid> {
    let leads = |pid: &Pid| procs::is_namespace_init(*pid) && procs::descends_from(*pid, monitor);
    // Our own pid namespace is below the host's; its first process is no node.
    procs::all().into_iter().filter(|pid| *pid != 1).find(leads)
}
