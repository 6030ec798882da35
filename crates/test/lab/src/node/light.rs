//! A light node: the host's own system below, its own /etc, /var, /root, /run,
//! /tmp, /dev/shm above, and /usr with what the lab replaces.

use std::fs;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::{SAYS_REBOOT, SAYS_UP, say};
use crate::hub::state_roots;
use crate::layout::RunDir;
use crate::{NODE_PROGRAM, NODE_SHARE};

/// Signals by which the kernel ends a pid namespace whose process called reboot(2).
const REBOOT_SIGNAL: i32 = libc::SIGHUP;

/// The monitor: starts the node's pid 1 and waits for its end.
pub(super) fn run(dir: &RunDir, node: u32) -> Result<(), String> {
    let spaces = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
    unshare(spaces).map_err(|e| format!("namespaces: {e}"))?;
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command.arg("__init").arg(dir.path()).arg(node.to_string()).stdin(Stdio::null());
    let mut child = command.spawn().map_err(|e| format!("pid 1: {e}"))?;
    // The hub reads "up" from pid 1; our own end of the pipe must not hold it open.
    let status = child.wait().map_err(|e| e.to_string())?;
    if status.signal() == Some(REBOOT_SIGNAL) {
        std::process::exit(SAYS_REBOOT);
    }
    Ok(())
}

/// Pid 1 of the node: `lab __init DIR NODE`.
pub(crate) fn init(dir: &RunDir, node: u32) -> Result<(), String> {
    file_systems(dir, node)?;
    nix::unistd::sethostname(format!("n{node}")).map_err(|e| format!("hostname: {e}"))?;
    let mut probe = background("/var/log/lab-probe.log")?;
    probe.arg0("lab-probe").arg("__probe");
    probe.spawn().map_err(|e| format!("probe: {e}"))?;
    if Path::new(NODE_SHARE).join("autostart").join(format!("n{node}")).exists() {
        let mut stack = background("/var/log/lab-stack.log")?;
        stack.args(["__stack", "start"]);
        stack.spawn().map_err(|e| format!("stack: {e}"))?;
    }
    say(SAYS_UP)?;
    release_stdout();
    loop {
        // Orphans of all the node's programs end here; an error means that
        // there is none now, and the next one raises no sign of itself.
        if waitpid(Pid::from_raw(-1), None).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

/// The lab's own program inside the node, apart from any terminal.
fn background(log: &str) -> Result<Command, String> {
    let log = fs::File::options().create(true).append(true).open(log);
    let log = log.map_err(|e| e.to_string())?;
    let mut command = Command::new(NODE_PROGRAM);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.env_clear().envs(super::stack::ENVIRONMENT.iter().copied()).process_group(0);
    Ok(command)
}

fn release_stdout() {
    let _ = std::io::stdout().flush();
    if let Ok(null) = fs::File::options().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdout(null);
    }
}

fn file_systems(dir: &RunDir, node: u32) -> Result<(), String> {
    let home = dir.node(node);
    for part in ["etc", "var", "root"] {
        let (upper, work) = (home.join("upper").join(part), home.join("work").join(part));
        fs::create_dir_all(&work).map_err(|e| e.to_string())?;
        overlay(&PathBuf::from("/").join(part), &[], Some((&upper, &work)))?;
    }
    let (own, common) = (home.join("layer/usr"), dir.layer().join("usr"));
    overlay(Path::new("/usr"), &[&own, &common], None)?;
    for path in state_roots() {
        bind(&home.join("disk").join(path), &PathBuf::from("/").join(path))?;
    }
    // Taken before /run hides nothing of it: the lab's root is below neither.
    let share = dir.share();
    for (path, mode) in [("/run", "mode=755"), ("/tmp", "mode=1777"), ("/dev/shm", "mode=1777")] {
        new_mount("tmpfs", Path::new(path), Some(mode))?;
    }
    for path in ["/run/lock", "/run/resource-agents", "/run/crm", NODE_SHARE] {
        fs::create_dir_all(path).map_err(|e| format!("{path}: {e}"))?;
    }
    own_run_crm()?;
    bind(&share, Path::new(NODE_SHARE))?;
    protect_host()?;
    new_mount("proc", Path::new("/proc"), None)?;
    new_mount("sysfs", Path::new("/sys"), None)?;
    protect_kernel()
}

/// Pacemaker's daemons keep files here as their own user.
fn own_run_crm() -> Result<(), String> {
    let failed = |e: nix::Error| format!("/run/crm: {e}");
    let user = nix::unistd::User::from_name("hacluster").map_err(failed)?;
    let user = user.ok_or("no user hacluster: is the package pacemaker installed?")?;
    nix::unistd::chown("/run/crm", Some(user.uid), Some(user.gid)).map_err(failed)
}

/// The host's disks can be read, not written.
fn protect_host() -> Result<(), String> {
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|e| e.to_string())?;
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(source), Some(target)) = (fields.next(), fields.next()) else { continue };
        let of_the_lab = target == NODE_SHARE || state_roots().any(|dir| target[1..] == *dir);
        if source.starts_with("/dev/") && !of_the_lab {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            remount(Path::new(target), flags)?;
        }
    }
    Ok(())
}

/// A node that panics must not restart the host, nor change its settings; its
/// own network's settings stay its own.
fn protect_kernel() -> Result<(), String> {
    if Path::new("/proc/sysrq-trigger").exists() {
        bind(Path::new("/dev/null"), Path::new("/proc/sysrq-trigger"))?;
    }
    let settings = Path::new("/proc/sys");
    bind(settings, settings)?;
    let net = Path::new("/proc/sys/net");
    bind(net, net)?;
    remount(settings, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY)
}

fn overlay(target: &Path, above: &[&Path], upper: Option<(&Path, &Path)>) -> Result<(), String> {
    let lower: Vec<String> =
        above.iter().chain([&target]).map(|dir| dir.display().to_string()).collect();
    let mut options = format!("lowerdir={}", lower.join(":"));
    if let Some((upper, work)) = upper {
        options += &format!(",upperdir={},workdir={}", upper.display(), work.display());
    }
    new_mount("overlay", target, Some(&options))
}

fn new_mount(kind: &str, target: &Path, options: Option<&str>) -> Result<(), String> {
    mount(Some(kind), target, Some(kind), MsFlags::empty(), options)
        .map_err(|e| format!("cannot mount {kind} on {} ({options:?}): {e}", target.display()))
}

fn bind(from: &Path, to: &Path) -> Result<(), String> {
    let none = None::<&Path>;
    mount(Some(from), to, none, MsFlags::MS_BIND, none)
        .map_err(|e| format!("cannot bind {} to {}: {e}", from.display(), to.display()))
}

fn remount(target: &Path, flags: MsFlags) -> Result<(), String> {
    let none = None::<&Path>;
    mount(none, target, none, flags, none)
        .map_err(|e| format!("cannot remount {}: {e}", target.display()))
}
