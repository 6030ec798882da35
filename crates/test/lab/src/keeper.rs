//! The keeper: the one process of a lab that lives on the host. It starts the
//! hub in a pid namespace of its own, kills it when the lab's owner dies, and
//! removes what a dead hub leaves.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};

use crate::layout::RunDir;

/// The byte by which the owner says that the lab is to live on without it.
pub(crate) const DETACH: u8 = b'd';

/// Runs until the hub has ended; stdin is the owner's lifeline, stdout takes
/// the hub's first line.
pub(crate) fn main(dir: &RunDir) -> Result<(), String> {
    // A terminal's Ctrl-C is for the owner; its death is what ends the lab.
    let _ = setsid();
    let _lock = hold(dir).map_err(|e| format!("{}: {e}", dir.lock().display()))?;
    let hub = mpsc::channel();
    // Before unshare: afterwards a process can start no thread.
    thread::spawn(move || watch_owner(&hub.1));
    unshare(CloneFlags::CLONE_NEWPID).map_err(|e| format!("pid namespace: {e}"))?;
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(program);
    command.arg("__hub").arg(dir.path()).stdin(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("cannot start the hub: {e}"))?;
    let pid = i32::try_from(child.id()).map_err(|e| e.to_string())?;
    fs::write(dir.hub_pid(), pid.to_string()).map_err(|e| e.to_string())?;
    let _ = hub.0.send(pid);
    // The other end of the hub's stdin stays open in this process.
    let lifeline = child.stdin.take();
    let _ = child.wait();
    drop(lifeline);
    dir.remove()
}

/// Takes the lab's lock. It gets its name when it is held: whoever finds it free
/// may remove the lab.
fn hold(dir: &RunDir) -> std::io::Result<File> {
    let unnamed = dir.path().join("lock.new");
    let lock = File::create(&unnamed)?;
    lock.lock()?;
    fs::rename(&unnamed, dir.lock())?;
    Ok(lock)
}

/// Ends the hub when the owner is gone, unless it said that it would go.
fn watch_owner(hub: &mpsc::Receiver<i32>) {
    let mut byte = [0];
    let said = std::io::stdin().read(&mut byte);
    if matches!(said, Ok(1)) && byte[0] == DETACH {
        return;
    }
    if let Ok(pid) = hub.recv() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
