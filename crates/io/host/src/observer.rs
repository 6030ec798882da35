//! The observation file: facts for the checkers, one line each.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use observe::{Node, Observation};
use sansio::Now;
use sansio::edge::Level;

use crate::log::{Line, Observations, Sink};

/// The file behind its queue and thread, as a log's.
pub(crate) struct Observer {
    node: Node,
    sink: Sink,
}

/// Observations that may wait for the disk; more would be missed by every oracle.
const QUEUE: usize = 65_536;

impl Observer {
    pub(crate) fn start(path: &Path, node: Node) -> io::Result<Self> {
        let medium = Observations { path: path.into(), node, file: None };
        let sink = Sink::start("observations", Box::new(medium), QUEUE, u8::MAX)?;
        Ok(Self { node, sink })
    }

    pub(crate) fn note(&self, now: Now, event: observe::Event) {
        let at = u64::try_from(now.wall.0).unwrap_or(0);
        let line = Observation { at, node: self.node, event }.to_string();
        let offset = now.utc_offset_s;
        self.sink.offer(Arc::new(Line::at(now.wall, offset, Level::Trace, "observe", &line)));
    }

    pub(crate) fn reopen(&self) {
        self.sink.reopen();
    }

    pub(crate) fn flush(&self, patience: Duration) {
        self.sink.flush(std::time::Instant::now() + patience);
    }
}
