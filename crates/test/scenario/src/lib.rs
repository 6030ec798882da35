//! The language of `tests/scenarios`: one file, run by the simulator and by the
//! lab, on the reference stack and on ours, unchanged.
//!
//! A file has a head (what the cluster is) and steps (what happens and what must
//! become true). `#` starts a comment. docs/TESTING.md explains it by example;
//! [`parse()`] refuses what it does not know with line and reason.
//!
//! ```text
//! title     the node that runs a service is killed and fenced; the service moves
//! nodes     3
//! resource  vip ocf:heartbeat:IPaddr2 ip=10.{net}.0.100 cidr_netmask=24
//!
//! start all
//! within 60s quorate all
//! within 60s active vip
//! name victim = holder(vip)
//! kill $victim
//! within 60s fenced $victim
//! within 60s active vip on rest($victim)
//! ```
//!
//! Conditions are evaluated over a [`Picture`], which is made from observations
//! alone, so the same words mean the same thing everywhere.

mod parse;
mod picture;
mod run;

use std::fmt;

pub use parse::{ScenarioError, parse};
pub use picture::Picture;
pub use run::{Cluster, Failure, NodeSet, Report, run};

/// A parsed scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// One line for the table of results.
    pub title: String,
    /// How many cluster nodes, numbered from 1.
    pub nodes: u32,
    /// Whether fencing is configured; if not, why, as the report repeats it.
    pub fencing: Fencing,
    /// Totem transport on real nodes.
    pub transport: String,
    /// Stacks on which the scenario makes sense; empty: all.
    pub stacks: Vec<String>,
    /// Cluster properties to set, in order.
    pub properties: Vec<(String, String)>,
    /// The resources, in order.
    pub resources: Vec<Resource>,
    /// Groups of resources: name and members in order.
    pub groups: Vec<(String, Vec<String>)>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// Whether a scenario's cluster can fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fencing {
    /// It can; every checker applies.
    On,
    /// It cannot, for this reason: the checker `fence-before-start` is off.
    Off {
        /// Why the variant exists.
        because: String,
    },
}

/// A primitive resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its id.
    pub id: String,
    /// `class:provider:type`.
    pub agent: String,
    /// Parameters; `{net}` in a value stands for the second octet of the lab's network.
    pub params: Vec<(String, String)>,
}

/// A step with the line on which it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Line in the file, from 1.
    pub line: usize,
    /// The step as written.
    pub text: String,
    /// What it means.
    pub kind: StepKind,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// Do something to the cluster.
    Do(Action<Nodes>),
    /// Give nodes a name, as they are now.
    Name(String, Nodes),
    /// Let time pass until the condition is true, at most so many milliseconds.
    Within(u64, Condition),
    /// The condition must be true now and stay so for so many milliseconds.
    Hold(u64, Condition),
    /// Let time pass.
    Pass(u64),
    /// The named checker must report a violation in this run; others must not.
    Caught(String),
}

/// Something that is done to the cluster; `N` is how nodes are named in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<N> {
    /// Start the cluster software.
    Start(N),
    /// Stop the cluster software in good order.
    Stop(N),
    /// Take the power away.
    Kill(N),
    /// Give the power back; the node starts its cluster software if it was started before.
    Boot(N),
    /// Stop all of the node's processes without killing them.
    Freeze(N),
    /// Let them go on.
    Thaw(N),
    /// Kill one daemon of a node: SIGKILL to the process of that name.
    KillDaemon(N, String),
    /// Only nodes of the same side can talk.
    Cut(Vec<N>),
    /// Nothing goes from the first to the second.
    OneWay(N, N),
    /// End cuts, losses and delays.
    Heal,
    /// Lose so many of 1000 packets everywhere.
    Loss(u32),
    /// Delay packets everywhere by so many milliseconds.
    Slow(u64),
    /// How the power switch answers from now on for these nodes.
    Power(PowerMode, N),
    /// Plant a violation that a checker must catch.
    Plant(Plant, N),
}

/// How the power switch answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerMode {
    /// Does as it is told.
    Ok,
    /// Does nothing and says so.
    Fail,
    /// Does not answer.
    Hang,
    /// Does nothing and says that it did.
    Lie,
}

/// Violations that a scenario can plant, one for each checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Starts a resource that is active elsewhere: `single-active`.
    DoubleStart,
    /// Starts a resource of a lost node without fencing: `fence-before-start`.
    UnfencedStart,
    /// Says quorate without a majority: `quorum`.
    FalseQuorum,
    /// Reports other members for the same ring: `views`.
    FalseView,
    /// Reports deliveries in another order: `order`.
    Reorder,
    /// Reports another digest for the same version: `state`.
    FalseState,
    /// Keeps a resource active without quorum: `minority-stops`.
    KeepRunning,
    /// Answers success for a node that still has power: `fencing-truth`.
    FalseFence,
}

/// All plants with their names in scenario files and the checker that catches each.
pub const PLANTS: &[(Plant, &str, &str)] = &[
    (Plant::DoubleStart, "double-start", "single-active"),
    (Plant::UnfencedStart, "unfenced-start", "fence-before-start"),
    (Plant::FalseQuorum, "false-quorum", "quorum"),
    (Plant::FalseView, "false-view", "views"),
    (Plant::Reorder, "reorder", "order"),
    (Plant::FalseState, "false-state", "state"),
    (Plant::KeepRunning, "keep-running", "minority-stops"),
    (Plant::FalseFence, "false-fence", "fencing-truth"),
];

/// How a scenario speaks of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// Every node of the cluster.
    All,
    /// By number: `n1,n3`.
    List(Vec<u32>),
    /// A name given before: `$victim`.
    Named(String),
    /// Where the resource is active now: `holder(vip)`.
    Holder(String),
    /// All but these: `rest($victim)`.
    Rest(Box<Nodes>),
}

/// What can be true of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Each of these nodes says that it is quorate.
    Quorate(Nodes),
    /// None of these nodes says so, or they are down.
    Inquorate(Nodes),
    /// Each of these nodes has a membership of exactly these nodes.
    View(Nodes),
    /// The resource (or each member of the group) is active on exactly one
    /// node, and on one of these, if given.
    Active(String, Option<Nodes>),
    /// The resource (or each member) is active on none of these nodes.
    Inactive(String, Nodes),
    /// Each of these nodes has been fenced successfully since it was last
    /// started (or since the run began).
    Fenced(Nodes),
    /// Each of these nodes has power.
    Up(Nodes),
    /// None of these nodes has power.
    Down(Nodes),
    /// These nodes hold the same cluster state.
    Agree(Nodes),
}

impl fmt::Display for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = PLANTS.iter().find(|(plant, ..)| plant == self);
        f.write_str(row.map_or("?", |(_, name, _)| name))
    }
}
