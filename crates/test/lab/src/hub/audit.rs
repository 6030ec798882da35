//! The audit: which program every daemon on every node really runs, by its
//! executable's content, and whether it is still the process that was started.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::Hub;
use super::stack::daemons_of;
use crate::mix::{self, DAEMONS, Daemon, Stack};
use crate::procs::{self, Pid};
use crate::{elf, spec::Kind};

/// A daemon whose end was planned, or that the service manager restarts, may be
/// missing so long.
const RESPAWN: Duration = Duration::from_secs(15);
/// A node that boots may take so long until all its daemons run.
const START: Duration = Duration::from_secs(60);

/// One executable, by its content.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Program {
    build_id: String,
    content: u64,
    size: u64,
}

impl Program {
    fn read(path: &Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        let build_id = elf::build_id(&bytes).unwrap_or_else(|| "none".into());
        Some(Program { build_id, content: hasher.finish(), size: bytes.len() as u64 })
    }
}

/// The outcome: the table, and what is wrong.
#[derive(Debug, Default)]
pub(super) struct Audit {
    pub(super) table: String,
    pub(super) complaints: Vec<String>,
}

impl Hub {
    /// Looks at every node that has power.
    pub(super) fn audit(&self) -> Result<Audit, String> {
        let mut audit = Audit::default();
        audit.table = format!(
            "{:5} {:21} {:7} {:10} {:12} {:17} executable\n",
            "node", "daemon", "pid", "stack", "build id", "device:inode"
        );
        for node in self.nodes() {
            self.audit_node(node, &mut audit)?;
        }
        Ok(audit)
    }

    fn audit_node(&self, node: u32, audit: &mut Audit) -> Result<(), String> {
        let note = |text: &str| format!("n{node:<4} {text}\n");
        let (leader, booted, baseline) = match &self.slot(node)?.life {
            None => {
                audit.table += &note("no power");
                return Ok(());
            }
            Some(life) if life.frozen => {
                audit.table += &note("frozen");
                return Ok(());
            }
            Some(life) if !life.started => {
                audit.table += &note("not started");
                return Ok(());
            }
            Some(life) => (life.leader, life.booted, life.baseline.clone()),
        };
        let mut found = daemons_of(leader);
        if found.len() < DAEMONS.len() && baseline.is_none() && booted.elapsed() < START {
            audit.table += &note("starting");
            return Ok(());
        }
        procs::wait_until(RESPAWN, || {
            found = daemons_of(leader);
            found.len() == DAEMONS.len() || self.leader(node).ok() != Some(leader)
        });
        // Whoever fenced the node meanwhile had its reasons; the next audit sees it.
        if self.leader(node).ok() != Some(leader) {
            audit.table += &note("lost its power");
            return Ok(());
        }
        for daemon in DAEMONS {
            match found.get(daemon.name) {
                Some(pid) => self.audit_daemon(node, daemon, *pid, audit),
                None => audit.complaints.push(format!("n{node}: {} does not run", daemon.name)),
            }
        }
        self.compare_pids(node, &found, audit)
    }

    fn audit_daemon(&self, node: u32, daemon: &Daemon, pid: Pid, audit: &mut Audit) {
        let wanted_stack = self.spec.mix.stack_of(node, daemon.name);
        let exe = format!("/proc/{pid}/exe");
        let path = procs::exe(pid).unwrap_or_default();
        let (running, meta) = (Program::read(Path::new(&exe)), fs::metadata(&exe));
        let program_of = |stack: Stack| {
            let dist = self.spec.dist.as_deref();
            Program::read(&mix::source(daemon, stack, self.spec.base(), dist)?)
        };
        let stack = match &running {
            None => "unreadable".to_string(),
            Some(_) if running == program_of(wanted_stack) => wanted_stack.to_string(),
            Some(_) if running == program_of(Stack::Reference) => Stack::Reference.to_string(),
            Some(_) if running == program_of(Stack::Ours) => Stack::Ours.to_string(),
            Some(_) => "unknown".to_string(),
        };
        let build_id = running.map(|p| p.build_id).unwrap_or_default();
        let place = meta.map_or(String::new(), |m| format!("{:x}:{}", m.dev(), m.ino()));
        audit.table += &format!(
            "n{node:<4} {:21} {pid:<7} {stack:10} {:12} {place:17} {}\n",
            daemon.name,
            build_id.get(..12).unwrap_or(&build_id),
            path.display()
        );
        if stack != wanted_stack.to_string() {
            audit.complaints.push(format!(
                "n{node}: {} is {stack} (build id {build_id}), the mix asks for {wanted_stack}",
                daemon.name
            ));
        }
        if path != Path::new(daemon.path) && !self.same_place(&path, daemon) {
            audit.complaints.push(format!(
                "n{node}: {} runs {}, expected at {}",
                daemon.name,
                path.display(),
                daemon.path
            ));
        }
    }

    /// On a full node the link may name the path below the node's root.
    fn same_place(&self, path: &Path, daemon: &Daemon) -> bool {
        self.spec.kind == Kind::Full && path.ends_with(daemon.path.trim_start_matches('/'))
    }

    fn compare_pids(
        &self,
        node: u32,
        found: &BTreeMap<String, Pid>,
        audit: &mut Audit,
    ) -> Result<(), String> {
        let mut slot = self.slot(node)?;
        let Some(life) = &mut slot.life else { return Ok(()) };
        if let Some(baseline) = &life.baseline {
            for (name, pid) in found {
                let before = baseline.get(name);
                if before != Some(pid) && !life.excused.contains(name) {
                    audit.complaints.push(format!(
                        "n{node}: {name} is process {pid} and was {}: it was respawned, and no fault was planned",
                        before.map_or("none".into(), ToString::to_string)
                    ));
                }
            }
        }
        life.baseline = Some(found.clone());
        Ok(())
    }
}
