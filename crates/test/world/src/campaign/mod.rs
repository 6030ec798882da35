//! Many seeds with random faults.
//!
//! A seed stands for a [`Plan`]; [`run()`] lives it: a phase with faults in which
//! only safety counts, then everything heals and the cluster must be whole in
//! bounded time. [`campaign`] runs many seeds, each twice, and counts what they
//! reached; [`shrink()`] drops faults from a plan that fails while it still fails.

mod coverage;
#[cfg(feature = "mutants")]
mod mutants;
mod plan;
mod run;
mod shrink;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub use coverage::never_reached;
#[cfg(feature = "mutants")]
pub use mutants::{Hunt, hunt};
pub use plan::{Fault, Plan, Timed};
pub use run::{Fault as Failure, Run, run, run_twice};
pub use shrink::shrink;

use crate::Counters;
use crate::Stack;
use crate::miniature::Miniature;

/// The plan of a seed on the miniature.
pub fn plan_of(seed: u64, nodes: Option<u32>) -> Plan {
    let stack = Miniature { chatter_ms: Some(1) };
    let daemons: Vec<&'static str> = stack.daemons().iter().map(|spec| spec.name).collect();
    plan::plan(seed, nodes, &daemons)
}

/// Switches a planted mistake on for this thread; false when there is none of
/// that name, or none are compiled in.
pub fn plant_mutant(name: &str) -> bool {
    #[cfg(feature = "mutants")]
    if let Some(known) = crate::miniature::MUTANTS.iter().find(|known| **known == name) {
        sansio::mutant::set(Some(known));
        return true;
    }
    let _ = name;
    false
}

/// How many seeds a campaign runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// So many.
    Seeds(u64),
    /// As many as begin within this time.
    For(Duration),
}

/// What a campaign gave.
#[derive(Debug, Default)]
pub struct Summary {
    /// Seeds run.
    pub seeds: u64,
    /// Seeds that failed, in order, with what is wrong.
    pub failed: Vec<(u64, Failure)>,
    /// What happened how often, over all seeds.
    pub counters: Counters,
    /// Simulated seconds times nodes.
    pub node_seconds: f64,
    /// How long it took.
    pub took: Duration,
}

/// After so many failures a campaign ends.
const ENOUGH: usize = 10;

/// Runs the seeds from `first` on, each twice, on all processors; `progress` is
/// told now and then.
pub fn campaign(
    first: u64,
    extent: Extent,
    nodes: Option<u32>,
    mut progress: impl FnMut(&Summary),
) -> Summary {
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let enough = AtomicBool::new(false);
    let (results, arriving) = mpsc::channel();
    let mut summary = Summary::default();
    let goes_on = |seed: u64| match extent {
        Extent::Seeds(count) => seed < first.saturating_add(count),
        Extent::For(time) => begun.elapsed() < time,
    };
    let work = || {
        let results = results.clone();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if enough.load(Ordering::Relaxed) || !goes_on(seed) {
                return;
            }
            let run = run_twice(&plan_of(seed, nodes));
            if results.send((seed, run)).is_err() {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let mut told = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            while let Ok((seed, run)) = arriving.recv_timeout(Duration::from_millis(50)) {
                take(&mut summary, seed, run);
                enough.store(summary.failed.len() >= ENOUGH, Ordering::Relaxed);
                if told.elapsed() > Duration::from_secs(10) {
                    told = Instant::now();
                    summary.took = begun.elapsed();
                    progress(&summary);
                }
            }
        }
    });
    while let Ok((seed, run)) = arriving.try_recv() {
        take(&mut summary, seed, run);
    }
    summary.failed.sort_by_key(|(seed, _)| *seed);
    summary.took = begun.elapsed();
    summary
}

fn take(summary: &mut Summary, seed: u64, run: Run) {
    summary.seeds += 1;
    summary.counters.merge(&run.counters);
    summary.node_seconds += run.node_seconds;
    if let Some(fault) = run.fault {
        summary.failed.push((seed, fault));
    }
}
