//! Daemons of different types behind one interface, and the proof that their
//! recordings replay.

use std::collections::BTreeMap;
use std::time::Duration;

use sansio::edge::{Daemon, Input, Output};
use sansio::{Cancel, Inspect, Job, JobId, Mono, NoJob, Now, Secrets};

/// A daemon whose types the world need not know. Its jobs stay inside: the
/// world sees their kind and says when they end.
pub trait Machine {
    /// Takes one input.
    fn handle(&mut self, now: Now, input: Input<NoJob>);
    /// Ends the job `id`: with its outcome, or lost for the reason given.
    fn end_job(&mut self, now: Now, id: JobId, lost: Option<&str>);
    /// Handles one due deadline.
    fn handle_timeout(&mut self, now: Now);
    /// The next output; a job is given by its kind.
    fn poll_output(&mut self) -> Option<Output<&'static str>>;
    /// The next deadline.
    fn poll_timeout(&self) -> Option<Mono>;
    /// The longest gap that the daemon can overlook.
    fn pause_limit(&self) -> Option<Duration>;
    /// The state it is in.
    fn state(&self) -> &'static str;
    /// The timer that fired last.
    fn last_timer(&self) -> Option<&'static str>;
}

/// A [`Daemon`] as a [`Machine`], alone or with a shadow.
///
/// The shadow is a second core that is fed from the recording: each input is
/// redacted, restored, and handled by it too, and from time to time it is thrown
/// away and resumed from the daemon's snapshot. Its outputs must be the same;
/// that is what the flight recorder promises.
pub struct Driven<D: Daemon> {
    core: D,
    shadow: Option<D>,
    jobs: BTreeMap<JobId, D::Jobs>,
    inputs: u64,
    secrets: Secrets,
}

/// After so many inputs the shadow starts again from a snapshot.
const SNAPSHOT_EVERY: u64 = 97;

impl<D: Daemon + Inspect> Driven<D> {
    /// Drives `core`; with `shadow`, a core made the same way, checks its recording.
    pub fn new(core: D, shadow: Option<D>) -> Self {
        Self { core, shadow, jobs: BTreeMap::new(), inputs: 0, secrets: Secrets::default() }
    }

    fn feed(&mut self, now: Now, input: Input<<D::Jobs as Job>::Outcome>) {
        self.inputs += 1;
        if let Some(shadow) = &mut self.shadow {
            if self.inputs.is_multiple_of(SNAPSHOT_EVERY)
                && let Some(snapshot) = self.core.snapshot()
            {
                *shadow = D::resume(&snapshot).expect("a core resumes from its own snapshot");
            }
            let record = D::redact(&input, &mut self.secrets);
            let restored = D::restore(record.kind, &record.body, record.elided);
            shadow.handle(now, restored.expect("a core restores its own record"));
        }
        self.core.handle(now, input);
    }
}

impl<D> Machine for Driven<D>
where
    D: Daemon + Inspect,
{
    fn handle(&mut self, now: Now, input: Input<NoJob>) {
        self.feed(now, typed(input));
    }

    fn end_job(&mut self, now: Now, id: JobId, lost: Option<&str>) {
        let Some(job) = self.jobs.remove(&id) else { return };
        let input = match lost {
            Some(why) => Input::JobFailed { id, why: why.to_string() },
            None => Input::JobDone { id, outcome: job.run(&Cancel::new(&|| false)) },
        };
        self.feed(now, input);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.core.handle_timeout(now);
        if let Some(shadow) = &mut self.shadow {
            shadow.handle_timeout(now);
        }
    }

    fn poll_output(&mut self) -> Option<Output<&'static str>> {
        let output = self.core.poll_output();
        if let Some(shadow) = &mut self.shadow {
            let replayed = shadow.poll_output();
            assert!(
                output == replayed,
                "replay differs: the daemon said {output:?}, its recording {replayed:?}"
            );
        }
        Some(match output? {
            Output::Job { id, job } => {
                let kind = job.kind();
                self.jobs.insert(id, job);
                Output::Job { id, job: kind }
            }
            other => plain(other),
        })
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.core.poll_timeout()
    }

    fn pause_limit(&self) -> Option<Duration> {
        self.core.pause_limit()
    }

    fn state(&self) -> &'static str {
        self.core.state()
    }

    fn last_timer(&self) -> Option<&'static str> {
        self.core.last_timer()
    }
}

/// The same input for a daemon with jobs.
fn typed<R>(input: Input<NoJob>) -> Input<R> {
    match input {
        Input::Datagram { link, from, bytes } => Input::Datagram { link, from, bytes },
        Input::Accepted { conn, service, peer } => Input::Accepted { conn, service, peer },
        Input::Connected { conn, peer } => Input::Connected { conn, peer },
        Input::Frame { conn, frame } => Input::Frame { conn, frame },
        Input::Closed { conn, why } => Input::Closed { conn, why },
        Input::Blocked(conn) => Input::Blocked(conn),
        Input::Writable(conn) => Input::Writable(conn),
        Input::Child { child, event } => Input::Child { child, event },
        Input::Persisted(id) => Input::Persisted(id),
        Input::PersistFailed { id, errno } => Input::PersistFailed { id, errno },
        Input::JobDone { outcome, .. } => match outcome {},
        Input::JobFailed { id, why } => Input::JobFailed { id, why },
        Input::Paused { ms } => Input::Paused { ms },
        Input::ConfigRead(read) => Input::ConfigRead(read),
        Input::Reload => Input::Reload,
        Input::Stop => Input::Stop,
    }
}

/// The same output without the type of jobs; jobs are taken out before.
fn plain<J>(output: Output<J>) -> Output<&'static str> {
    match output {
        Output::Send { link, to, bytes } => Output::Send { link, to, bytes },
        Output::Connect { conn, service } => Output::Connect { conn, service },
        Output::Frame { conn, frame } => Output::Frame { conn, frame },
        Output::FlowControl { conn, level } => Output::FlowControl { conn, level },
        Output::Close { conn, why } => Output::Close { conn, why },
        Output::Spawn(spawn) => Output::Spawn(spawn),
        Output::Kill(child) => Output::Kill(child),
        Output::Persist { id, name, bytes } => Output::Persist { id, name, bytes },
        Output::Job { .. } => unreachable!("jobs are taken out before"),
        Output::CancelJob(id) => Output::CancelJob(id),
        Output::Allow { who, allowed } => Output::Allow { who, allowed },
        Output::ReadConfig => Output::ReadConfig,
        Output::ReopenLogs => Output::ReopenLogs,
        Output::Log { part, level, text } => Output::Log { part, level, text },
        Output::Observe(event) => Output::Observe(event),
        Output::Ready => Output::Ready,
        Output::Exit { code } => Output::Exit { code },
    }
}
