//! Slow work beside the loop: one thread for each job, one job of a kind at a time.
//!
//! Every job that a core asks for is answered once. A job that noticed that its
//! result is not wanted any more is answered with `JobFailed`: what it returned
//! is not an outcome.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sansio::edge::Input;
use sansio::{Cancel, Job, JobId};
use tokio::sync::mpsc;

/// Jobs of one kind that may wait behind the one that runs.
const WAITING_MAX: usize = 64;

/// The jobs of a daemon.
pub(crate) struct Jobs<J: Job> {
    kinds: BTreeMap<&'static str, Kind<J>>,
    inbox: mpsc::UnboundedSender<Input<J::Outcome>>,
}

struct Kind<J> {
    running: Option<(JobId, Arc<Flag>)>,
    waiting: VecDeque<(JobId, J)>,
}

/// Whether a result is still wanted, and whether the job has been told.
#[derive(Default)]
struct Flag {
    cancelled: AtomicBool,
    told: AtomicBool,
}

impl<J: Job> Jobs<J> {
    pub(crate) fn new(inbox: mpsc::UnboundedSender<Input<J::Outcome>>) -> Self {
        Self { kinds: BTreeMap::new(), inbox }
    }

    /// Starts a job, or lets it wait for the one of its kind that runs, which
    /// is told that a newer one waits.
    pub(crate) fn start(&mut self, id: JobId, job: J) {
        let name = job.kind();
        let kind = self
            .kinds
            .entry(name)
            .or_insert_with(|| Kind { running: None, waiting: VecDeque::new() });
        if kind.waiting.len() >= WAITING_MAX {
            self.fail(id, format!("{WAITING_MAX} jobs \"{name}\" wait already"));
            return;
        }
        if let Some((_, flag)) = &kind.running {
            flag.cancelled.store(true, Ordering::Relaxed);
        }
        kind.waiting.push_back((id, job));
        self.start_next(name);
    }

    /// Tells a job that its result is no longer wanted; one that waits is not begun.
    pub(crate) fn cancel(&mut self, id: JobId) {
        let mut dropped = false;
        for kind in self.kinds.values_mut() {
            if let Some((running, flag)) = &kind.running
                && *running == id
            {
                flag.cancelled.store(true, Ordering::Relaxed);
            }
            let before = kind.waiting.len();
            kind.waiting.retain(|(waiting, _)| *waiting != id);
            dropped |= kind.waiting.len() < before;
        }
        if dropped {
            self.fail(id, CANCELLED.to_string());
        }
    }

    /// Tells all of them: the daemon ends.
    pub(crate) fn cancel_all(&mut self) {
        for kind in self.kinds.values_mut() {
            kind.waiting.clear();
            if let Some((_, flag)) = &kind.running {
                flag.cancelled.store(true, Ordering::Relaxed);
            }
        }
    }

    /// The answer of job `id` has been taken from the inbox: the next may run.
    pub(crate) fn finished(&mut self, id: JobId) {
        let names: Vec<_> = self.kinds.keys().copied().collect();
        for name in names {
            let Some(kind) = self.kinds.get_mut(name) else { continue };
            if kind.running.as_ref().is_some_and(|(running, _)| *running == id) {
                kind.running = None;
                self.start_next(name);
            }
        }
    }

    fn start_next(&mut self, name: &'static str) {
        let Some(kind) = self.kinds.get_mut(name).filter(|kind| kind.running.is_none()) else {
            return;
        };
        let Some((id, job)) = kind.waiting.pop_front() else { return };
        let flag = Arc::new(Flag::default());
        // A newer one may wait behind this one already.
        flag.cancelled.store(!kind.waiting.is_empty(), Ordering::Relaxed);
        kind.running = Some((id, flag.clone()));
        let inbox = self.inbox.clone();
        let work = move || drop(inbox.send(run(id, &job, &flag)));
        let thread = std::thread::Builder::new().name(format!("job-{name}"));
        if let Err(error) = thread.spawn(work) {
            self.fail(id, format!("no thread for it: {error}"));
        }
    }

    fn fail(&self, id: JobId, why: String) {
        let _ = self.inbox.send(Input::JobFailed { id, why });
    }
}

const CANCELLED: &str = "cancelled";

fn run<J: Job>(id: JobId, job: &J, flag: &Flag) -> Input<J::Outcome> {
    let wanted = || {
        let cancelled = flag.cancelled.load(Ordering::Relaxed);
        flag.told.fetch_or(cancelled, Ordering::Relaxed);
        cancelled
    };
    let result = catch_unwind(AssertUnwindSafe(|| job.run(&Cancel::new(&wanted))));
    match result {
        Ok(_) if flag.told.load(Ordering::Relaxed) => {
            Input::JobFailed { id, why: CANCELLED.to_string() }
        }
        Ok(outcome) => Input::JobDone { id, outcome },
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            let text = text.unwrap_or_else(|| "without a message".to_string());
            Input::JobFailed { id, why: format!("panicked: {text}") }
        }
    }
}

#[cfg(test)]
mod tests;
