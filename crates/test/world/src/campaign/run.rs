//! One plan from its first event to the verdict.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use checkers::{Settings, Violation};
use observe::{Node, Observation, PowerCause};
use scenario::Picture;

use super::plan::Plan;
use crate::miniature::Miniature;
use crate::sim::{FENCE_WINDOW_NS, MINORITY_STOP_NS};
use crate::{Config, Counters, Keep, World};

const SECOND: u64 = 1_000_000_000;
/// How long a healed cluster may take to be whole again.
const CONVERGE_NS: u64 = 90 * SECOND;
/// How long it must then stay so.
const QUIET_NS: u64 = 3 * SECOND;
const RSC: &str = "rsc";

/// What is wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A checker found something.
    Violation(Vec<Violation>),
    /// The healed cluster did not become whole, for this reason.
    Stuck(String),
    /// A core or the world panicked.
    Panic(String),
    /// The same seed gave two traces.
    TwoTraces(u64, u64),
}

impl Fault {
    /// The name by which a table lists it.
    pub fn name(&self) -> &str {
        match self {
            Fault::Violation(found) => found.first().map_or("violation", |v| v.checker),
            Fault::Stuck(_) => "liveness",
            Fault::Panic(_) => "panic",
            Fault::TwoTraces(..) => "determinism",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Violation(found) => {
                let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join("\n"))
            }
            Fault::Stuck(why) => {
                write!(f, "liveness: not whole {CONVERGE_NS} ns after healing: {why}")
            }
            Fault::Panic(why) => write!(f, "panic: {why}"),
            Fault::TwoTraces(one, two) => {
                write!(f, "determinism: the same seed gave traces {one:016x} and {two:016x}")
            }
        }
    }
}

/// What a run gave.
#[derive(Debug)]
pub struct Run {
    /// What is wrong, if something is.
    pub fault: Option<Fault>,
    /// The hash of the trace.
    pub hash: u64,
    /// What happened how often.
    pub counters: Counters,
    /// How much virtual time passed, times the number of nodes.
    pub node_seconds: f64,
    /// The lines of the trace that were kept.
    pub lines: Vec<String>,
    /// Every observation.
    pub observations: Vec<Observation>,
}

/// Runs a plan once.
pub fn run(plan: &Plan, keep: Keep) -> Run {
    let mut world = make_world(plan, keep);
    let result = catch_unwind(AssertUnwindSafe(|| live(&mut world, plan)));
    let fault = match result {
        Ok(fault) => fault,
        Err(panic) => Some(Fault::Panic(panic_text(panic.as_ref()))),
    };
    Run {
        fault,
        hash: world.trace().hash(),
        counters: world.counters.clone(),
        node_seconds: world.now() as f64 / SECOND as f64 * f64::from(plan.nodes),
        lines: world.trace().lines().map(String::from).collect(),
        observations: world.observations().to_vec(),
    }
}

/// Runs a plan twice; two traces are a fault too.
pub fn run_twice(plan: &Plan) -> Run {
    let mut first = run(plan, Keep::Hash);
    let second = run(plan, Keep::Hash);
    if first.hash != second.hash {
        first.fault = Some(Fault::TwoTraces(first.hash, second.hash));
    }
    first.node_seconds += second.node_seconds;
    first
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "?".into())
}

fn make_world(plan: &Plan, keep: Keep) -> World {
    let mut config = Config::new(plan.seed, plan.nodes, RSC);
    config.keep = keep;
    config.shadow = plan.shadow;
    config.local_bound = plan.local_bound;
    World::new(config, Box::new(Miniature { chatter_ms: plan.chatter_ms }))
}

/// Safety under faults, then healing and a deadline to be whole again.
fn live(world: &mut World, plan: &Plan) -> Option<Fault> {
    for node in world.nodes() {
        world.start(node);
    }
    for timed in &plan.faults {
        if timed.at < plan.heal_at {
            world.run_until(timed.at);
            timed.fault.apply(world);
        }
    }
    world.run_until(plan.heal_at);
    heal(world);
    let stuck = converge(world);
    let quiet_from = stuck.is_none().then(|| world.now() - QUIET_NS);
    let violations = checkers::check(&settings(world, quiet_from), world.observations());
    if !violations.is_empty() {
        return Some(Fault::Violation(violations));
    }
    stuck.map(Fault::Stuck)
}

fn settings(world: &World, quiet_from: Option<u64>) -> Settings {
    let count = u32::try_from(world.nodes().len()).unwrap_or(u32::MAX);
    let mut settings = Settings::majority(count);
    settings.minority_stop_ns = MINORITY_STOP_NS;
    settings.fence_window_ns = FENCE_WINDOW_NS;
    settings.unable = world.unable();
    settings.quiet_from = quiet_from;
    settings
}

/// Everything is repaired: network, disks, agents, switch, power, processes.
fn heal(world: &mut World) {
    world.heal();
    let daemons: Vec<&'static str> = world.stack().daemons().iter().map(|spec| spec.name).collect();
    for node in world.nodes() {
        world.thaw(node);
        for daemon in &daemons {
            world.resume_daemon(node, daemon).expect("it is a daemon of the stack");
        }
        if !world.has_power(node) {
            world.power_on(node, PowerCause::Operator);
        }
        world.start(node);
    }
}

/// None once the cluster has been whole for a while, else what stands against
/// it at the deadline. A fencing that was under way may break it once more.
fn converge(world: &mut World) -> Option<String> {
    let deadline = world.now() + CONVERGE_NS;
    let mut picture = Picture::default();
    let mut seen = 0;
    let mut whole_since = None;
    loop {
        for observation in &world.observations()[seen..] {
            picture.apply(observation);
        }
        seen = world.observations().len();
        let why = obstacle(&picture, &world.nodes());
        let since = match why {
            None => *whole_since.get_or_insert(world.now()),
            Some(why) if world.now() >= deadline => return Some(why),
            Some(_) => {
                whole_since = None;
                world.now()
            }
        };
        if whole_since.is_some() && world.now() >= since + QUIET_NS {
            return None;
        }
        // A node that was leaving when the others were told to start.
        for node in world.nodes() {
            if !world.is_enabled(node) {
                world.start(node);
            }
        }
        let until = if whole_since.is_some() { since + QUIET_NS } else { deadline };
        world.run_until_observed(until);
    }
}

/// What keeps the cluster from being whole: one quorate ring of all, the
/// resource active once, one state.
fn obstacle(picture: &Picture, nodes: &[Node]) -> Option<String> {
    let all: BTreeSet<Node> = nodes.iter().copied().collect();
    for node in nodes {
        if picture.members(*node).as_ref() != Some(&all) {
            return Some(format!("{node} has members {:?}", picture.members(*node)));
        }
        if !picture.is_quorate(*node) {
            return Some(format!("{node} is not quorate"));
        }
        if picture.ring(*node) != picture.ring(nodes[0]) {
            return Some(format!("{node} is in ring {:?}", picture.ring(*node)));
        }
    }
    let holders = picture.holders(RSC);
    if holders.len() != 1 {
        return Some(format!("{RSC} is active on {holders:?}"));
    }
    let state = picture.state(nodes[0]);
    let other = nodes.iter().find(|node| picture.state(**node) != state)?;
    Some(format!("{} and {other} differ in their state", nodes[0]))
}
