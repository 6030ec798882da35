//! Logging: one line goes to every sink whose level admits it.
//!
//! ```text
//!  tracing event -> Lines (formats once) -> bounded queue -> thread -> stderr
//!                                       \-> bounded queue -> thread -> file
//!                                       \-> bounded queue -> thread -> syslog or journal
//! ```
//! The loop never waits for a sink: a line that finds its queue full is counted,
//! and the count is the first that the sink says when it can speak again.
//! Levels are the six of [`sansio::edge::Level`]; `tracing` has no notice, so
//! an event carries it in the field `severity`.

mod format;
mod sinks;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use sansio::edge::Level;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

pub use format::{Form, Timestamp};
pub(crate) use format::{Line, Origin};
pub(crate) use sinks::{Observations, Sink};

/// Where a daemon's lines go.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// The name by which its level is changed later: `stderr`, `file`.
    pub name: String,
    /// What it is.
    pub target: Target,
    /// The most talkative level that it takes; None: nothing at all.
    pub level: Option<Level>,
}

/// The kinds of sink.
#[derive(Clone, Debug)]
pub enum Target {
    /// Standard error, in the detail format.
    Stderr,
    /// A file in the detail format, appended to, created with this mode.
    File {
        /// Its path.
        path: PathBuf,
        /// Mode of a new file.
        mode: u32,
    },
    /// The system logger by its socket, RFC 3164.
    Syslog {
        /// `/dev/log`.
        socket: PathBuf,
        /// The facility's number, 3 for daemons.
        facility: u8,
    },
    /// The journal by its native protocol.
    Journal {
        /// `/run/systemd/journal/socket`.
        socket: PathBuf,
    },
}

/// Lines that may wait for a sink.
const QUEUE_LINES: usize = 2048;

/// The running sinks: changes their levels and says how they do.
#[derive(Clone)]
pub struct Logs {
    sinks: Arc<Vec<Sink>>,
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sinks.iter().map(Sink::name)).finish()
    }
}

impl Logs {
    /// Starts a thread for each sink.
    pub(crate) fn start(sinks: &[SinkConfig], origin: &Arc<Origin>) -> std::io::Result<Self> {
        let start = |config: &SinkConfig| {
            Sink::start(
                &config.name,
                sinks::open(&config.target, origin),
                QUEUE_LINES,
                rank(config.level),
            )
        };
        let sinks = sinks.iter().map(start).collect::<std::io::Result<_>>()?;
        Ok(Self { sinks: Arc::new(sinks) })
    }

    /// Makes these sinks the process's log; the first call of a process counts.
    pub(crate) fn install(&self) -> bool {
        let lines = Lines { logs: self.clone() };
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::set_global_default(subscriber).is_ok()
    }

    /// Changes the level of the sink `name`; false when there is none.
    pub fn set_level(&self, name: &str, level: Option<Level>) -> bool {
        let Some(sink) = self.sinks.iter().find(|sink| sink.name() == name) else { return false };
        sink.level.store(rank(level), Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
        true
    }

    /// Says something in the name of a part of the daemon, from outside its core.
    pub fn say(&self, part: &str, level: Level, text: &str) {
        say(part, level, text);
    }

    /// Lets every sink open its file or socket again before its next line.
    pub fn reopen(&self) {
        self.sinks.iter().for_each(Sink::reopen);
    }

    /// Lines that each sink has not taken, since the start.
    pub fn lost(&self) -> Vec<(String, u64)> {
        let lost = |sink: &Sink| (sink.name().to_string(), sink.lost.load(Ordering::Relaxed));
        self.sinks.iter().map(lost).collect()
    }

    /// Waits until the sinks have taken what is queued, but not longer than `patience`.
    pub(crate) fn flush(&self, patience: Duration) {
        let end = std::time::Instant::now() + patience;
        self.sinks.iter().for_each(|sink| sink.flush(end));
    }

    fn most(&self) -> u8 {
        self.sinks.iter().map(|sink| sink.level.load(Ordering::Relaxed)).max().unwrap_or(0)
    }
}

/// Levels in numbers that compare: 0 is nothing, 1 errors only.
fn rank(level: Option<Level>) -> u8 {
    level.map_or(0, |level| level as u8 + 1)
}

/// Says something at one of the six levels, in the name of a part of the core.
pub(crate) fn say(part: &str, level: Level, text: &str) {
    match level {
        Level::Error => tracing::error!(part, "{text}"),
        Level::Warning => tracing::warn!(part, "{text}"),
        Level::Notice => tracing::info!(part, severity = NOTICE, "{text}"),
        Level::Info => tracing::info!(part, "{text}"),
        Level::Debug => tracing::debug!(part, "{text}"),
        Level::Trace => tracing::trace!(part, "{text}"),
    }
}

/// Value of the field `severity` of a notice: syslog's number.
const NOTICE: u64 = 5;

/// The `tracing` layer in front of the sinks.
struct Lines {
    logs: Logs,
}

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn register_callsite(&self, _: &tracing::Metadata<'_>) -> tracing::subscriber::Interest {
        tracing::subscriber::Interest::sometimes()
    }

    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        least(*metadata.level()) <= self.logs.most()
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let level = text.level(*event.metadata().level());
        let wanted = |sink: &&Sink| rank(Some(level)) <= sink.level.load(Ordering::Relaxed);
        let mut line = None;
        for sink in self.logs.sinks.iter().filter(wanted) {
            let line = line.get_or_insert_with(|| {
                let part = text.part.as_deref().unwrap_or(event.metadata().target());
                Arc::new(Line::now(level, part, &text.message))
            });
            sink.offer(line.clone());
        }
    }
}

/// The lowest rank under which an event of this level may be wanted.
fn least(level: tracing::Level) -> u8 {
    match level {
        tracing::Level::ERROR => rank(Some(Level::Error)),
        tracing::Level::WARN => rank(Some(Level::Warning)),
        tracing::Level::INFO => rank(Some(Level::Notice)),
        tracing::Level::DEBUG => rank(Some(Level::Debug)),
        tracing::Level::TRACE => rank(Some(Level::Trace)),
    }
}

/// An event's message, its other fields behind it.
#[derive(Default)]
struct Text {
    message: String,
    part: Option<String>,
    notice: bool,
}

impl Text {
    fn level(&self, level: tracing::Level) -> Level {
        match level {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warning,
            tracing::Level::INFO if self.notice => Level::Notice,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::TRACE => Level::Trace,
        }
    }
}

impl Visit for Text {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "severity" {
            self.notice = value == NOTICE;
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "part" {
            self.part = Some(value.to_string());
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.message, " {}={value:?}", field.name())
        };
    }
}

/// Counts what a bounded queue could not take.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// Not yet reported.
    fresh: AtomicU64,
}

impl Losses {
    pub(crate) fn add(&self) {
        self.fresh.fetch_add(1, Ordering::Relaxed);
    }

    /// The report did not get through either.
    pub(crate) fn restore(&self, lost: u64) {
        self.fresh.fetch_add(lost, Ordering::Relaxed);
    }

    pub(crate) fn take(&self) -> u64 {
        self.fresh.swap(0, Ordering::Relaxed)
    }
}

/// A level that changes while the sink runs.
pub(crate) type SharedLevel = AtomicU8;

#[cfg(test)]
mod tests;
