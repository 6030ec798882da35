//! Slow work beside the loop: a pure function over a snapshot.

use std::fmt;

/// Number of a job, unique in its daemon's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A handle by which a job asks whether its result is still wanted.
///
/// A job polls it at phase boundaries; the driver says yes when the core sent
/// `CancelJob`, when a newer job of the kind waits, or at shutdown.
pub struct Cancel<'a>(&'a (dyn Fn() -> bool + Sync));

impl<'a> Cancel<'a> {
    /// Wraps the driver's flag.
    pub fn new(flag: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self(flag)
    }

    /// Whether the result is no longer wanted; the job may then return anything.
    pub fn is_cancelled(&self) -> bool {
        (self.0)()
    }
}

/// One kind of slow work of a daemon (or an enum of several) with its snapshot.
///
/// `run` depends on nothing but `self`: the driver may run it on another thread,
/// late, or twice. A panic in it becomes the input `JobFailed`.
pub trait Job: Clone + fmt::Debug + PartialEq + Send + 'static {
    /// What it finds out.
    type Outcome: Clone + fmt::Debug + PartialEq + Send + 'static;

    /// Name of the kind; at most one job of a kind runs at a time.
    fn kind(&self) -> &'static str;

    /// Does the work.
    fn run(&self, cancel: &Cancel<'_>) -> Self::Outcome;
}

/// For daemons without slow work: no job can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoJob {}

impl Job for NoJob {
    type Outcome = NoJob;

    fn kind(&self) -> &'static str {
        match *self {}
    }

    fn run(&self, _: &Cancel<'_>) -> NoJob {
        match *self {}
    }
}

/// A core's side of one kind of job: at most one under way, and a result is
/// taken only from that one and only when its base version still stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobSlot {
    running: Option<(JobId, u64)>,
    next: u64,
}

impl JobSlot {
    /// Whether a job of this slot is under way.
    pub fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// Takes the slot for a job over version `base`; None while one is under way.
    pub fn start(&mut self, base: u64) -> Option<JobId> {
        if self.is_busy() {
            return None;
        }
        self.next += 1;
        let id = JobId(self.next);
        self.running = Some((id, base));
        Some(id)
    }

    /// Frees the slot if `id` holds it, and says whether its result is fresh:
    /// made from `version`, the one that stands now.
    pub fn finish(&mut self, id: JobId, version: u64) -> bool {
        let Some((running, base)) = self.running else { return false };
        if running != id {
            return false;
        }
        self.running = None;
        base == version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_only_fresh_results_count() {
        let mut slot = JobSlot::default();
        let first = slot.start(1).unwrap();
        assert_eq!(slot.start(1), None);
        assert!(!slot.finish(JobId(99), 1), "a stranger's result");
        assert!(slot.is_busy());
        assert!(!slot.finish(first, 2), "the base moved on");
        let second = slot.start(2).unwrap();
        assert_ne!(first, second);
        assert!(!slot.finish(first, 2), "an old result again");
        assert!(slot.finish(second, 2));
    }
}
