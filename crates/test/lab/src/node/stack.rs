//! Start and stop of the cluster software inside a node: `lab __stack ...`.
//!
//! A light node has no service manager, so this stands in for the units; on a
//! full node it asks systemd.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::mix::DAEMONS;
use crate::{procs, tool};

/// What every program in a node finds in its environment.
pub(crate) const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("LANG", "C.UTF-8"),
];

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(120);

/// One of `start`, `start-corosync`, `start-pacemaker`, `stop`.
pub(crate) fn command(verb: &str) -> Result<(), String> {
    match verb {
        "start" => {
            start_corosync()?;
            start_pacemaker()
        }
        "start-corosync" => start_corosync(),
        "start-pacemaker" => start_pacemaker(),
        "stop" => stop(),
        _ => Err(format!("__stack: \"{verb}\"")),
    }
}

fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

fn start_corosync() -> Result<(), String> {
    if has_systemd() {
        return tool::run("systemctl", &["start", "corosync"]).map(drop);
    }
    if running("corosync").is_empty() {
        daemon("/usr/sbin/corosync", &["-f"], "/var/log/corosync.out", &[])?;
    }
    let answers =
        || tool::run("corosync-cmapctl", &["-g", "runtime.votequorum.this_node_id"]).is_ok();
    if procs::wait_until(START, || answers() || running("corosync").is_empty()) && answers() {
        return Ok(());
    }
    Err("corosync does not start; see /var/log/corosync in the node".into())
}

fn start_pacemaker() -> Result<(), String> {
    if has_systemd() {
        tool::run("systemctl", &["start", "pacemaker"])?;
    } else if running("pacemakerd").is_empty() {
        let settings = defaults();
        daemon("/usr/sbin/pacemakerd", &[], "/var/log/pacemakerd.out", &settings)?;
    }
    let whole = || DAEMONS.iter().all(|d| !running(d.name).is_empty());
    if procs::wait_until(START, whole) {
        return Ok(());
    }
    let missing = DAEMONS.iter().filter(|d| running(d.name).is_empty()).map(|d| d.name);
    Err(format!("not all daemons run: {} missing", missing.collect::<Vec<_>>().join(", ")))
}

fn stop() -> Result<(), String> {
    if has_systemd() {
        return tool::run("systemctl", &["stop", "pacemaker", "corosync"]).map(drop);
    }
    for name in ["pacemakerd", "corosync"] {
        for pid in running(name) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if !procs::wait_until(STOP, || running(name).is_empty()) {
            return Err(format!("{name} does not stop"));
        }
    }
    Ok(())
}

/// Pids of the processes that run the program of this name.
fn running(name: &str) -> Vec<procs::Pid> {
    let runs = |pid: &procs::Pid| {
        procs::exe(*pid).is_some_and(|exe| exe.file_name().is_some_and(|f| f == name))
    };
    procs::all().into_iter().filter(runs).collect()
}

/// The settings that the unit would read.
fn defaults() -> Vec<(String, String)> {
    let text = std::fs::read_to_string("/etc/default/pacemaker").unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_string(), value.trim_matches('"').to_string())).collect()
}

/// Starts a daemon apart from us; the node's pid 1 becomes its parent.
fn daemon(path: &str, args: &[&str], log: &str, more: &[(String, String)]) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("{path}: {e}");
    let out = File::options().create(true).append(true).open(log).map_err(failed)?;
    let err = out.try_clone().map_err(failed)?;
    let mut command = Command::new(path);
    command.args(args).stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
    command.env_clear().envs(ENVIRONMENT.iter().copied());
    command.envs(more.iter().map(|(name, value)| (name, value)));
    command.spawn().map(drop).map_err(failed)
}
