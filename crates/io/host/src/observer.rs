//! The observation file: facts for the checkers, one line each.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use observe::Observation;
use sansio::edge::Level;

use crate::log::{self, Sink};

/// The file behind its queue and thread, as a log's.
pub(crate) struct Observer {
    sink: Sink,
}

/// Observations that may wait for the disk; more would be missed by every oracle.
const QUEUE: usize = 65_536;

impl Observer {
    pub(crate) fn start(path: &Path) -> io::Result<Self> {
        let sink = Sink::start("observations", log::plain_file(path), QUEUE, u8::MAX)?;
        Ok(Self { sink })
    }

    pub(crate) fn note(&self, observation: &Observation) {
        self.sink.offer(Arc::new(log::plain_line(Level::Trace, observation.to_string())));
    }

    pub(crate) fn reopen(&self) {
        self.sink.reopen();
    }

    pub(crate) fn flush(&self, patience: Duration) {
        self.sink.flush(patience);
    }
}
