//! A node from the inside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use observe::{Observation, RingId};
use sansio::edge::Input;
use sansio::{JobId, Mono, NoJob, Rng};

use super::What;
use super::agents::Agent;
use crate::Machine;
use crate::clock::Clock;
use crate::disk::Disk;

/// A node.
pub(super) struct NodeState {
    pub(super) power: bool,
    /// Counts boots, so that what was meant for an earlier one is known.
    pub(super) boot: u64,
    /// Whether the cluster software is to run.
    pub(super) enabled: bool,
    /// Whether it is being stopped in good order.
    pub(super) stopping: bool,
    pub(super) frozen: bool,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    /// How much longer local messages take, at most.
    pub(super) local_slow_ns: u64,
    /// Counts lives of daemons.
    pub(super) lives: u64,
    pub(super) slots: Vec<Slot>,
    pub(super) agents: BTreeMap<u64, Agent>,
    /// Calls for each resource, in order; the first one runs. An agent locks its
    /// resource, so that a look at it waits for a start that an earlier life of
    /// the daemon left behind.
    pub(super) calls: BTreeMap<String, VecDeque<u64>>,
    /// What really runs here.
    pub(super) active: BTreeSet<String>,
    /// What waits for the node to be thawed.
    pub(super) stalled: Vec<What>,
    pub(super) plants: Plants,
    pub(super) last: Last,
    /// How many reasons there are why the node cannot act, and since when.
    pub(super) unable: (u32, u64),
}

/// Violations planted on a node.
#[derive(Default)]
pub(super) struct Plants {
    /// Stops are answered with success and not done.
    pub(super) deaf_to_stops: bool,
    /// The next membership without a majority is called quorate.
    pub(super) quorate: bool,
    /// The next two deliveries are reported the other way round.
    pub(super) reorder: bool,
    /// The first of them.
    pub(super) held: Option<Observation>,
}

/// What a node said last.
#[derive(Default)]
pub(super) struct Last {
    pub(super) view: Option<(RingId, BTreeSet<observe::Node>)>,
    pub(super) state: Option<((u64, u64, u64), String)>,
}

/// A place for a daemon, and the one that lives in it.
#[derive(Default)]
pub(super) struct Slot {
    /// The life of the daemon that runs here now.
    pub(super) life: Option<u64>,
    /// Out while it is being run.
    pub(super) machine: Option<Box<dyn Machine>>,
    pub(super) ready: bool,
    pub(super) paused_at: Option<u64>,
    /// What came while it was paused.
    pub(super) inbox: VecDeque<Item>,
    /// The deadline for which a wake-up is scheduled, and when that comes.
    pub(super) wake: Option<(Mono, u64)>,
    pub(super) accepted: u64,
    pub(super) jobs: BTreeMap<&'static str, VecDeque<JobId>>,
    pub(super) cancelled: BTreeSet<JobId>,
}

/// What a daemon can be given.
#[derive(Debug)]
pub(super) enum Item {
    Input(Input<NoJob>),
    /// A job's end, lost for a reason or with its outcome.
    Job(JobId, Option<&'static str>),
}

impl NodeState {
    pub(super) fn new(rng: &mut Rng, slots: usize) -> Self {
        let drift = i32::try_from(rng.below(401)).unwrap_or(0) - 200;
        let skew = i64::try_from(rng.below(20_000_000_000)).unwrap_or(0) - 10_000_000_000;
        let zones = [0, 3600, -18_000, 20_700];
        Self {
            power: true,
            boot: 0,
            enabled: false,
            stopping: false,
            frozen: false,
            clock: Clock {
                booted_at: 0,
                uptime_ns: rng.below(1_000_000_000_000),
                drift_ppm: drift,
                wall_offset_ns: skew,
                utc_offset_s: rng.pick(&zones).copied().unwrap_or(0),
            },
            disk: Disk::default(),
            local_slow_ns: 0,
            lives: 0,
            slots: std::iter::repeat_with(Slot::default).take(slots).collect(),
            agents: BTreeMap::new(),
            calls: BTreeMap::new(),
            active: BTreeSet::new(),
            stalled: Vec::new(),
            plants: Plants::default(),
            last: Last::default(),
            unable: (0, 0),
        }
    }
}
