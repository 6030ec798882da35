//! Being on time: scheduling class, locked memory, OOM score, control group.
//!
//! Each wish fails softly, with what was refused and what would help, unless
//! the configuration requires it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::sys::mman::{MlockAllFlags, mlockall};

use crate::sys;

/// What the daemon wants of the kernel.
#[derive(Clone, Debug)]
pub struct Realtime {
    /// SCHED_RR at this priority, from 1 to 99.
    pub round_robin: Option<i32>,
    /// All memory stays resident.
    pub lock_memory: bool,
    /// Written to `oom_score_adj`: -1000 is never killed.
    pub oom_score_adj: Option<i32>,
    /// Whether to leave the control group that the daemon was started in.
    pub root_cgroup: RootCgroup,
    /// Whether a refusal ends the start.
    pub required: bool,
    /// Where control groups are mounted; `/sys/fs/cgroup` but in tests.
    pub cgroup_mount: PathBuf,
}

/// Whether a daemon moves to the root control group: where the kernel gives
/// real-time shares to groups, others than the root may have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RootCgroup {
    /// Stays where it is.
    #[default]
    No,
    /// Moves always.
    Yes,
    /// Moves when the scheduling class was refused, then asks again.
    Auto,
}

impl Default for Realtime {
    fn default() -> Self {
        Self {
            round_robin: None,
            lock_memory: false,
            oom_score_adj: None,
            root_cgroup: RootCgroup::No,
            required: false,
            cgroup_mount: "/sys/fs/cgroup".into(),
        }
    }
}

impl Realtime {
    /// Asks for everything wanted and returns the refusals, for the log.
    pub(crate) fn apply(&self) -> Vec<String> {
        let mut refusals = Vec::new();
        let mut note = |what: &str, result: io::Result<()>, remedy: &str| {
            if let Err(error) = result {
                refusals.push(format!("{what}: {error} ({remedy})"));
            }
        };
        if self.root_cgroup == RootCgroup::Yes {
            note("Move to the root control group", self.leave_cgroup(), "root is needed");
        }
        if let Some(score) = self.oom_score_adj {
            let set = fs::write("/proc/self/oom_score_adj", score.to_string());
            note("Set the OOM score", set, "CAP_SYS_RESOURCE is needed to lower it");
        }
        if let Some(priority) = self.round_robin {
            let remedy = "CAP_SYS_NICE or LimitRTPRIO= is needed";
            note("Real-time scheduling", self.schedule(priority), remedy);
        }
        if self.lock_memory {
            let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE;
            let locked = mlockall(all).map_err(io::Error::from);
            note("Lock memory", locked, "CAP_IPC_LOCK or LimitMEMLOCK=infinity is needed");
        }
        refusals
    }

    fn schedule(&self, priority: i32) -> io::Result<()> {
        let first = sys::set_round_robin(priority);
        if first.is_ok() || self.root_cgroup != RootCgroup::Auto {
            return first;
        }
        self.leave_cgroup()?;
        sys::set_round_robin(priority)
    }

    /// Version 1 has a hierarchy for each controller, of which `cpu` matters
    /// here; version 2 has one for all.
    fn leave_cgroup(&self) -> io::Result<()> {
        let pid = std::process::id().to_string();
        for name in ["cpu/tasks", "cpu,cpuacct/tasks", "cgroup.procs"] {
            match write_existing(&self.cgroup_mount.join(name), &pid) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                result => return result,
            }
        }
        Err(io::Error::new(ErrorKind::NotFound, "no control groups are mounted"))
    }
}

fn write_existing(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    fn wish(mount: &Path) -> Realtime {
        Realtime { root_cgroup: RootCgroup::Yes, cgroup_mount: mount.into(), ..Realtime::default() }
    }

    #[test]
    fn the_root_group_of_either_version_is_found() {
        let pid = std::process::id().to_string();
        for name in ["cpu/tasks", "cgroup.procs"] {
            let mount = Scratch::new("cgroup");
            let file = mount.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            assert_eq!(wish(mount.path()).apply(), Vec::<String>::new());
            assert_eq!(fs::read_to_string(&file).unwrap(), pid);
        }
    }

    #[test]
    fn a_refusal_says_what_and_why() {
        let mount = Scratch::new("cgroup-none");
        let refusals = wish(mount.path()).apply();
        assert_eq!(refusals.len(), 1);
        assert!(refusals[0].contains("no control groups are mounted"), "{}", refusals[0]);
    }
}
