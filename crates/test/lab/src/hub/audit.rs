//! The audit: which program every daemon on every node really runs, by its
//! executable's content, and whether it is still the process that was started.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Hub;
use super::stack::daemons_of;
use crate::mix::{self, DAEMONS, Daemon, Stack};
use crate::procs::{self, Pid};
use crate::{elf, spec::Kind};

/// A daemon whose end was planned, or that the service manager restarts, may be
/// missing so long.
const RESPAWN: Duration = Duration::from_secs(15);
/// So long after a planned kill, what depends on the killed daemon may follow it.
const EXCUSE: Duration = Duration::from_secs(30);
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

/// One running daemon, all of it seen while it lived.
struct Sight {
    daemon: &'static Daemon,
    pid: Pid,
    path: PathBuf,
    program: Program,
    /// Device and inode of the executable.
    place: String,
}

impl Sight {
    /// The daemons of a node; one that dies while we look is none.
    fn of_all(leader: Pid) -> Vec<Self> {
        let daemons = daemons_of(leader);
        DAEMONS.iter().filter_map(|d| Sight::of(d, *daemons.get(d.name)?)).collect()
    }

    fn of(daemon: &'static Daemon, pid: Pid) -> Option<Self> {
        let exe = PathBuf::from(format!("/proc/{pid}/exe"));
        let (path, program) = (procs::exe(pid)?, Program::read(&exe)?);
        let meta = fs::metadata(&exe).ok()?;
        let place = format!("{:x}:{}", meta.dev(), meta.ino());
        Some(Sight { daemon, pid, path, program, place })
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
        let table = format!(
            "{:5} {:21} {:7} {:10} {:12} {:17} executable\n",
            "node", "daemon", "pid", "stack", "build id", "device:inode"
        );
        let mut audit = Audit { table, complaints: Vec::new() };
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
        if daemons_of(leader).len() < DAEMONS.len()
            && baseline.is_none()
            && booted.elapsed() < START
        {
            audit.table += &note("starting");
            return Ok(());
        }
        let mut seen = Vec::new();
        procs::wait_until(RESPAWN, || {
            seen = Sight::of_all(leader);
            seen.len() == DAEMONS.len() || self.leader(node).ok() != Some(leader)
        });
        // Whoever fenced the node meanwhile had its reasons; the next audit sees it.
        if self.leader(node).ok() != Some(leader) {
            audit.table += &note("lost its power");
            return Ok(());
        }
        for daemon in DAEMONS {
            match seen.iter().find(|sight| sight.daemon == daemon) {
                Some(sight) => self.audit_daemon(node, sight, audit),
                None => audit.complaints.push(format!("n{node}: {} does not run", daemon.name)),
            }
        }
        self.compare_pids(node, &seen, audit)
    }

    fn audit_daemon(&self, node: u32, sight: &Sight, audit: &mut Audit) {
        let Sight { daemon, pid, path, program, place } = sight;
        let wanted = self.spec.mix.stack_of(node, daemon.name);
        let is = |stack: Stack| {
            let dist = self.spec.dist.as_deref();
            let file = mix::source(daemon, stack, self.spec.base(), dist);
            file.and_then(|file| Program::read(&file)).as_ref() == Some(program)
        };
        let known = [wanted, Stack::Reference, Stack::Ours].into_iter().find(|stack| is(*stack));
        let stack = known.map_or("unknown".to_string(), |stack| stack.to_string());
        let build_id = &program.build_id;
        audit.table += &format!(
            "n{node:<4} {:21} {pid:<7} {stack:10} {:12} {place:17} {}\n",
            daemon.name,
            build_id.get(..12).unwrap_or(build_id),
            path.display()
        );
        if known != Some(wanted) {
            audit.complaints.push(format!(
                "n{node}: {} is {stack} (build id {build_id}), the mix asks for {wanted}",
                daemon.name
            ));
        }
        if path != Path::new(daemon.path) && !self.same_place(path, daemon) {
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

    fn compare_pids(&self, node: u32, seen: &[Sight], audit: &mut Audit) -> Result<(), String> {
        let mut slot = self.slot(node)?;
        let Some(life) = &mut slot.life else { return Ok(()) };
        if let Some(baseline) = &life.baseline {
            for Sight { daemon, pid, .. } in seen {
                let name = daemon.name;
                let before = baseline.get(name);
                let excuse = |since: Instant| since.elapsed() < EXCUSE;
                if before != Some(pid) && !life.excused.remove(name).is_some_and(excuse) {
                    audit.complaints.push(format!(
                        "n{node}: {name} is process {pid} and was {}: it was respawned, and no fault was planned",
                        before.map_or("none".into(), ToString::to_string)
                    ));
                }
            }
        }
        let pids = seen.iter().map(|sight| (sight.daemon.name.to_string(), sight.pid));
        life.baseline = Some(pids.collect::<BTreeMap<_, _>>());
        Ok(())
    }
}
