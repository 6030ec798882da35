//! Where a lab's files are, who owns them, and how those of dead labs go away.
//!
//! A lab has one directory, `<root>/<name>`; its keeper holds a lock on the file
//! `lock` in it as long as it lives, so a directory whose lock is free belongs
//! to a dead lab.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::procs;

/// Directories that a node hides behind its own, so that no lab can live there.
const HIDDEN: &[&str] = &["/tmp", "/run", "/var", "/root", "/dev", "/proc", "/sys", "/etc", "/usr"];

/// A new lab's directory may stand without a lock for as long as it takes to
/// start its keeper.
const STARTING: Duration = Duration::from_secs(60);

/// The directory that holds the labs: `SYSTOLE_LAB_ROOT`, else `/srv/systole-lab`.
pub fn root() -> Result<PathBuf, String> {
    let root = std::env::var_os("SYSTOLE_LAB_ROOT").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from("/srv/systole-lab"));
    let hidden = HIDDEN.iter().find(|dir| root.starts_with(dir));
    match hidden {
        _ if !root.is_absolute() => {
            Err(format!("SYSTOLE_LAB_ROOT={} is not absolute", root.display()))
        }
        Some(dir) => {
            Err(format!("SYSTOLE_LAB_ROOT={} lies below {dir}, which nodes hide", root.display()))
        }
        None => Ok(root),
    }
}

/// One lab's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// The directory at this path, which need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        RunDir { path: path.into() }
    }

    /// The directory of the lab of this name.
    pub fn named(name: &str) -> Result<Self, String> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 40 || !name.chars().all(good) {
            return Err(format!("\"{name}\" is no name for a lab (letters, digits, - and _)"));
        }
        Ok(RunDir { path: root()?.join(name) })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lab's name.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What the lab was asked to be.
    pub(crate) fn spec(&self) -> PathBuf {
        self.path.join("spec")
    }

    /// The cluster state that new nodes begin with.
    pub(crate) fn cib(&self) -> PathBuf {
        self.path.join("cib.xml")
    }

    /// Held locked by the keeper.
    pub(crate) fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The hub's process id on the host.
    pub(crate) fn hub_pid(&self) -> PathBuf {
        self.path.join("hub.pid")
    }

    /// What keeper and hub say.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("hub.log")
    }

    /// The hub's socket for orders.
    pub(crate) fn hub_socket(&self) -> PathBuf {
        self.path.join("hub.sock")
    }

    /// The journal of the power switch.
    pub(crate) fn power_journal(&self) -> PathBuf {
        self.path.join("power.journal")
    }

    /// The directory that nodes see as [`crate::NODE_SHARE`].
    pub(crate) fn share(&self) -> PathBuf {
        self.path.join("share")
    }

    /// Journals written inside nodes.
    pub(crate) fn journals(&self) -> PathBuf {
        self.share().join("obs")
    }

    /// What lies over every node's root directory (its usr is over /usr).
    pub(crate) fn layer(&self) -> PathBuf {
        self.path.join("layer")
    }

    /// A node's own directory: `layer` (over the common layer), `upper` (what
    /// its overlays take), `disk` (state that nothing of the host shines through).
    pub(crate) fn node(&self, node: u32) -> PathBuf {
        self.path.join(format!("n{node}"))
    }

    /// Whether the lab's keeper lives.
    pub fn is_alive(&self) -> bool {
        let Ok(lock) = File::open(self.lock()) else { return self.is_new() };
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    fn is_new(&self) -> bool {
        let made = fs::metadata(&self.path).and_then(|m| m.modified());
        made.is_ok_and(|at| at.elapsed().unwrap_or_default() < STARTING)
    }

    /// The names of the lab's cgroups begin with this.
    pub(crate) fn cgroup_prefix(&self) -> String {
        format!("systole-lab-{}-", self.name())
    }

    /// Kills what is left of the lab's processes and removes its files.
    pub(crate) fn remove(&self) -> Result<(), String> {
        self.kill_hub();
        remove_cgroups(&self.cgroup_prefix());
        // Two starts may clean up after the same dead lab.
        let mut last = Ok(());
        let gone = procs::wait_until(Duration::from_secs(5), || {
            last = fs::remove_dir_all(&self.path);
            !self.path.exists()
        });
        if let (false, Err(e)) = (gone, last) {
            return Err(format!("cannot remove {}: {e}", self.path.display()));
        }
        if let Some(root) = self.path.parent() {
            remove_unused(root);
        }
        Ok(())
    }

    /// A hub outlives its keeper for the moment that its signal takes; and its
    /// namespaces must be gone before its files are.
    fn kill_hub(&self) {
        let pid = fs::read_to_string(self.hub_pid()).ok().and_then(|t| t.trim().parse().ok());
        let Some(pid) = pid else { return };
        let ours = self.path.to_string_lossy().into_owned();
        let is_hub = || procs::cmdline(pid).contains(&ours);
        if is_hub() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        procs::wait_until(Duration::from_secs(10), || !is_hub());
    }
}

/// All labs, dead or alive.
pub fn labs() -> Result<Vec<RunDir>, String> {
    let root = root()?;
    let Ok(entries) = fs::read_dir(&root) else { return Ok(Vec::new()) };
    let mut labs: Vec<RunDir> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()))
        .map(|entry| RunDir::at(entry.path()))
        .collect();
    labs.sort_by_key(RunDir::name);
    Ok(labs)
}

/// Removes what dead labs left; returns their names.
pub fn reap() -> Result<Vec<String>, String> {
    let mut reaped = Vec::new();
    for lab in labs()?.into_iter().filter(|lab| !lab.is_alive()) {
        lab.remove()?;
        reaped.push(lab.name());
    }
    Ok(reaped)
}

/// Every directory in which a control group can be made on this machine.
pub(crate) fn cgroup_roots() -> Vec<PathBuf> {
    let base = Path::new("/sys/fs/cgroup");
    if base.join("cgroup.controllers").exists() {
        return vec![base.to_path_buf()];
    }
    let kinds = ["unified", "systemd"].iter().map(|kind| base.join(kind));
    kinds.filter(|dir| dir.join("cgroup.procs").exists()).collect()
}

/// Removes the labs' root when it is empty and nobody holds the machine by it.
fn remove_unused(root: &Path) {
    if let Ok(dir) = File::open(root)
        && dir.try_lock().is_ok()
    {
        let _ = fs::remove_dir(root);
    }
}

fn remove_cgroups(prefix: &str) {
    for root in cgroup_roots() {
        let Ok(entries) = fs::read_dir(root) else { continue };
        for entry in entries.filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                // A group can be removed a moment after its last process ended.
                procs::wait_until(Duration::from_secs(5), || remove_cgroup(&entry.path()));
            }
        }
    }
}

/// Removes a control group with its children; true when it is gone.
pub(crate) fn remove_cgroup(group: &Path) -> bool {
    let children = fs::read_dir(group).into_iter().flatten().filter_map(Result::ok);
    for child in children.filter(|c| c.file_type().is_ok_and(|t| t.is_dir())) {
        remove_cgroup(&child.path());
    }
    let _ = fs::remove_dir(group);
    !group.exists()
}

/// Held while a lab runs that wants the machine for itself: timings of two
/// clusters on few processors disturb each other.
#[derive(Debug)]
pub struct MachineLock {
    root: PathBuf,
    _held: File,
}

impl Drop for MachineLock {
    fn drop(&mut self) {
        // Still locked: whoever waits for it sees that it is gone, and makes it anew.
        let _ = fs::remove_dir(&self.root);
    }
}

impl MachineLock {
    /// Waits until no other lab holds it.
    pub fn acquire() -> Result<Self, String> {
        let root = root()?;
        let failed = |e: io::Error| format!("cannot lock {}: {e}", root.display());
        loop {
            fs::create_dir_all(&root).map_err(failed)?;
            let Ok(dir) = File::open(&root) else { continue };
            dir.lock().map_err(failed)?;
            // The directory goes with the last lab: a lock on one that is gone is none.
            let same = fs::metadata(&root).is_ok_and(|now| {
                dir.metadata().is_ok_and(|held| (held.dev(), held.ino()) == (now.dev(), now.ino()))
            });
            if same {
                return Ok(MachineLock { root, _held: dir });
            }
        }
    }
}
