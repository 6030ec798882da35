//! The hub: pid 1 of the lab's outer pid namespace, in a network namespace that
//! is the switch between the nodes. It boots and kills nodes, makes faults, is
//! the power switch, and takes orders over a socket (one line, one answer).

mod audit;
mod faults;
mod life;
mod net;
mod orders;
mod power;
mod prepare;
mod relay;
mod stack;

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use observe::{Event, Node, PowerCause};

use crate::journal;
use crate::layout::RunDir;
use crate::spec::Spec;
pub(crate) use orders::send;
pub(crate) use prepare::state_roots;

use life::Slot;
use net::Net;

/// The lab's state, shared by the threads that serve orders and fence agents.
pub(crate) struct Hub {
    dir: RunDir,
    spec: Spec,
    net: Mutex<Net>,
    slots: Vec<Mutex<Slot>>,
}

/// Runs until the lab ends. stdin is the keeper's lifeline; stdout gets one
/// line, `ready` or what went wrong.
pub(crate) fn main(dir: &RunDir) -> Result<(), String> {
    let outcome = start(dir);
    let line = match &outcome {
        Ok(_) => "ready\n".to_string(),
        Err(why) => format!("failed {why}\n"),
    };
    let _ = io::stdout().write_all(line.as_bytes());
    close_stdout();
    orders::serve(&outcome?)
}

fn start(dir: &RunDir) -> Result<Arc<Hub>, String> {
    set_pdeathsig(Signal::SIGKILL).map_err(|e| format!("PDEATHSIG: {e}"))?;
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        // The keeper is gone: with this process every process of the lab ends.
        std::process::exit(1);
    });
    isolate()?;
    let spec = Spec::load(dir)?;
    prepare::all(dir, &spec)?;
    let net = Net::new()?;
    let slots = (1..=spec.nodes).map(|_| Mutex::new(Slot::default())).collect();
    let hub = Arc::new(Hub { dir: dir.clone(), spec, net: Mutex::new(net), slots });
    power::listen(&hub)?;
    orders::listen(&hub)?;
    let boots: Vec<_> = hub
        .nodes()
        .map(|node| {
            let hub = Arc::clone(&hub);
            thread::spawn(move || hub.boot(node, PowerCause::Operator))
        })
        .collect();
    for boot in boots {
        boot.join().map_err(|_| "a boot panicked")??;
    }
    Ok(hub)
}

/// From here on nothing that is mounted or plugged reaches the host.
fn isolate() -> Result<(), String> {
    let spaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    unshare(spaces).map_err(|e| format!("namespaces: {e}"))?;
    let none = None::<&Path>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, private, none).map_err(|e| format!("private mounts: {e}"))?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none)
        .map_err(|e| format!("/proc: {e}"))
}

/// Whoever waits for the hub's line sees its end, as no node inherits it either.
fn close_stdout() {
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdout(null);
    }
}

impl Hub {
    fn nodes(&self) -> std::ops::RangeInclusive<u32> {
        1..=self.spec.nodes
    }

    fn slot(&self, node: u32) -> Result<MutexGuard<'_, Slot>, String> {
        let index = node.checked_sub(1).and_then(|i| self.slots.get(i as usize));
        let slot = index.ok_or_else(|| format!("there is no node n{node}"))?;
        Ok(slot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn net(&self) -> MutexGuard<'_, Net> {
        self.net.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes into the power switch's journal, for the switch or for a node.
    fn note(&self, node: u32, event: Event) {
        journal::append(&self.dir.power_journal(), node, event);
    }

    fn note_power(&self, node: u32, on: bool, cause: PowerCause) {
        self.note(0, Event::Power { target: Node(node), on, cause });
    }
}
