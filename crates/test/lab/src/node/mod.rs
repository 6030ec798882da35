//! A node, seen from inside: the monitor that makes its namespaces, the first
//! process of a light node, and the start and stop of the cluster software.

mod full;
mod light;
mod stack;

use std::io::{self, BufRead, Write};
use std::path::Path;

use nix::sched::{CloneFlags, unshare};

use crate::config;
use crate::layout::RunDir;
use crate::spec::{Kind, Spec};
use crate::tool;

pub(crate) use full::layer as full_layer;
pub(crate) use light::init;
pub(crate) use stack::{ENVIRONMENT, command as stack_command};

/// The monitor's first line: its network namespace is there to be plugged.
pub(crate) const SAYS_NETNS: &str = "netns";
/// Its second line: the node's first process runs.
pub(crate) const SAYS_UP: &str = "up";
/// The monitor's exit code when the node asked for a reboot.
pub(crate) const SAYS_REBOOT: i32 = 87;

/// Runs a node until it ends: `lab __node DIR NODE`.
pub(crate) fn monitor(dir: &RunDir, node: u32) -> Result<(), String> {
    let spec = Spec::load(dir)?;
    let spaces = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    unshare(spaces).map_err(|e| format!("namespaces: {e}"))?;
    private_mounts()?;
    say(SAYS_NETNS)?;
    let mut go = String::new();
    io::stdin().lock().read_line(&mut go).map_err(|e| e.to_string())?;
    configure_network(node)?;
    match spec.kind {
        Kind::Light => light::run(dir, node),
        Kind::Full => full::run(dir, &spec, node),
    }
}

fn private_mounts() -> Result<(), String> {
    use nix::mount::{MsFlags, mount};
    let none = None::<&Path>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, private, none).map_err(|e| format!("private mounts: {e}"))
}

fn configure_network(node: u32) -> Result<(), String> {
    let address = format!("{}/24", config::address(node));
    let ip = |words: &str| tool::run("ip", &words.split(' ').collect::<Vec<_>>()).map(drop);
    ip("link set lo up")?;
    ip(&format!("addr add {address} dev eth0"))?;
    ip("link set eth0 up")?;
    // Some tools of the cluster refuse to work without one.
    ip(&format!("route add default via {}", config::switch_address()))
}

fn say(line: &str) -> Result<(), String> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(|e| e.to_string())
}
