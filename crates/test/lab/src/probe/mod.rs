//! The probe of a node: reports what the node's cluster services say, as
//! observations in the node's journal.

mod membership;
mod services;
mod state;

use std::path::{Path, PathBuf};
use std::thread;

use observe::Event;

use crate::{NODE_SHARE, journal, plants};

/// Where and as whom a probe reports.
#[derive(Clone, Debug)]
struct Reporter {
    node: u32,
    journal: PathBuf,
    misreport: PathBuf,
}

impl Reporter {
    fn report(&self, event: Event) {
        journal::append(&self.journal, self.node, event);
    }

    /// What the scenario wants this probe to say falsely.
    fn planted(&self) -> Option<String> {
        std::fs::read_to_string(&self.misreport).ok()
    }

    /// A planted lie is told once.
    fn planted_is_done(&self) {
        let _ = std::fs::remove_file(&self.misreport);
    }
}

/// Runs as long as the node: `lab __probe`.
pub(crate) fn main() -> Result<(), String> {
    let name = std::fs::read_to_string("/etc/hostname").map_err(|e| e.to_string())?;
    let number = name.trim().strip_prefix('n').and_then(|n| n.parse().ok());
    let node = number.ok_or_else(|| format!("{} is no node of a lab", name.trim()))?;
    let share = Path::new(NODE_SHARE);
    let reporter = Reporter {
        node,
        journal: share.join("obs").join(format!("n{node}.probe")),
        misreport: share.join(plants::MISREPORT).join(format!("n{node}")),
    };
    let state = reporter.clone();
    thread::spawn(move || state::watch(&state));
    membership::watch(&reporter)
}
