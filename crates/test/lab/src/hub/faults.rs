//! What goes wrong on purpose, other than power and network.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid as NixPid;

use super::Hub;
use super::stack::daemons_of;
use crate::mix;
use crate::procs::{self, Pid};

const FREEZE: Duration = Duration::from_secs(5);
const DEATH: Duration = Duration::from_secs(5);

impl Hub {
    /// Stops every process of a node, its first one included.
    pub(super) fn freeze(&self, node: u32) -> Result<(), String> {
        let leader = self.leader(node)?;
        let stopped =
            |pid: &Pid| procs::state(*pid).is_none_or(|s| matches!(s, 'T' | 't' | 'Z' | 'X'));
        // A process that was being made while we looked is stopped at the next look.
        let all = procs::wait_until(FREEZE, || {
            let running: Vec<Pid> =
                procs::in_namespace_of(leader).into_iter().filter(|pid| !stopped(pid)).collect();
            for pid in &running {
                let _ = kill(NixPid::from_raw(*pid), Signal::SIGSTOP);
            }
            running.is_empty()
        });
        if !all {
            return Err(format!("n{node}: its processes do not stop"));
        }
        if let Some(life) = &mut self.slot(node)?.life {
            life.frozen = true;
        }
        Ok(())
    }

    /// Lets a frozen node go on.
    pub(super) fn thaw(&self, node: u32) -> Result<(), String> {
        let leader = self.leader(node)?;
        for pid in procs::in_namespace_of(leader) {
            let _ = kill(NixPid::from_raw(pid), Signal::SIGCONT);
        }
        if let Some(life) = &mut self.slot(node)?.life {
            life.frozen = false;
        }
        Ok(())
    }

    /// Kills one daemon. It and those that cannot live without it may be
    /// another process at the next audit.
    pub(super) fn kill_daemon(&self, node: u32, name: &str) -> Result<(), String> {
        let daemon = mix::daemon(name).ok_or_else(|| format!("there is no daemon {name}"))?;
        let leader = self.leader(node)?;
        let pid = daemons_of(leader).get(name).copied();
        let pid = pid.ok_or_else(|| format!("n{node}: {name} does not run"))?;
        if let Some(life) = &mut self.slot(node)?.life {
            let names = daemon.followers.iter().chain([&daemon.name]);
            life.excused.extend(names.map(|name| (name.to_string(), Instant::now())));
        }
        kill(NixPid::from_raw(pid), Signal::SIGKILL)
            .map_err(|e| format!("n{node}: {name}: {e}"))?;
        // Whoever looks now finds it dead, or its successor.
        if !procs::wait_until(DEATH, || procs::exe(pid).is_none()) {
            return Err(format!("n{node}: {name} does not die"));
        }
        Ok(())
    }
}
