//! The world as a cluster that scenario files run on.

use std::collections::BTreeSet;

use checkers::{Settings, Violation};
use observe::{Node, Observation, PowerCause};
use scenario::{Action, Cluster, Failure, Fencing, NodeSet, Scenario};

use crate::miniature::Miniature;
use crate::{Config, Keep, World};

/// How long a node of the miniature without quorum may take to stop its resource:
/// its grace, an agent's time limit twice, and room.
pub(crate) const MINORITY_STOP_NS: u64 = 15_000_000_000;
/// How long before its answer a fence agent may have switched the power: its
/// time limit, and room.
pub(crate) const FENCE_WINDOW_NS: u64 = 10_000_000_000;

/// How long the miniature waits for a lost node where nothing can be fenced:
/// longer than a node that lost quorum takes to stop when its agents are well,
/// shorter than the agent's time limit.
const PRETENDED_FENCING_NS: u64 = 4_500_000_000;

/// A world that is driven by a scenario.
pub struct Sim {
    world: World,
    /// Observations that the scenario has seen.
    seen: usize,
}

impl Sim {
    /// The cluster that `scenario` asks for, on the miniature.
    pub fn new(scenario: &Scenario, seed: u64, keep: Keep) -> Result<Self, String> {
        // The client's messages are what a plant can put out of order.
        let stack = Miniature { chatter_ms: Some(500) };
        let wanted = &scenario.stacks;
        if !wanted.is_empty() && !wanted.iter().any(|name| name == "miniature") {
            return Err(format!("it is for the stacks {}", wanted.join(", ")));
        }
        let (rsc, members) = unit(scenario)?;
        let config = Config { keep, members, ..Config::new(seed, scenario.nodes, &rsc) };
        let mut world = World::new(config, Box::new(stack));
        if let Fencing::Off { .. } = scenario.fencing {
            world.agents.pretends_ns = Some(PRETENDED_FENCING_NS);
        }
        Ok(Self { world, seen: 0 })
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What the checkers are told of this run.
    pub fn settings(&self, scenario: &Scenario) -> Settings {
        let mut settings = Settings::majority(scenario.nodes);
        settings.minority_stop_ns = MINORITY_STOP_NS;
        settings.fence_window_ns = FENCE_WINDOW_NS;
        settings.unable = self.world.unable();
        match &scenario.fencing {
            Fencing::On => settings,
            Fencing::Off { because } => settings.without_fencing(because),
        }
    }

    fn each(&mut self, nodes: &NodeSet, mut action: impl FnMut(&mut World, Node)) {
        for node in nodes {
            action(&mut self.world, *node);
        }
    }
}

impl Cluster for Sim {
    fn now(&self) -> u64 {
        self.world.now()
    }

    fn apply(&mut self, action: &Action<NodeSet>) -> Result<(), String> {
        let mut result = Ok(());
        match action {
            Action::Start(n) => self.each(n, World::start),
            Action::Stop(n) => self.each(n, World::stop),
            Action::Kill(n) => self.each(n, |world, node| world.power_off(node, PowerCause::Fault)),
            Action::Boot(n) => {
                self.each(n, |world, node| world.power_on(node, PowerCause::Operator));
            }
            Action::Freeze(n) => self.each(n, World::freeze),
            Action::Thaw(n) => self.each(n, World::thaw),
            Action::KillDaemon(n, daemon) => {
                self.each(n, |world, node| {
                    let killed = world.kill_daemon(node, daemon);
                    result = std::mem::replace(&mut result, Ok(())).and(killed);
                });
            }
            Action::Cut(sides) => self.world.network.partition(sides.clone()),
            Action::OneWay(from, to) => {
                for (from, to) in pairs(from, to) {
                    self.world.network.cut(from, to, None);
                }
            }
            Action::Heal => self.world.network.heal(),
            Action::Loss(share) => self.world.network.weather.loss = *share,
            Action::Slow(ms) => {
                let delay = ms * 1_000_000;
                self.world.network.weather.delay_ns = (delay, delay + delay / 4);
            }
            Action::Power(mode, n) => {
                let mode = *mode;
                self.each(n, |world, node| {
                    world.agents.switch.insert(node, mode);
                });
            }
            Action::Plant(plant, n) => {
                self.each(n, |world, node| {
                    let planted = world.plant(*plant, node);
                    result = std::mem::replace(&mut result, Ok(())).and(planted);
                });
            }
        }
        result
    }

    fn advance(&mut self, deadline: u64) -> Result<Vec<Observation>, String> {
        if self.seen == self.world.observations().len() {
            self.world.run_until_observed(deadline);
        }
        let new = self.world.observations()[self.seen..].to_vec();
        self.seen += new.len();
        Ok(new)
    }
}

/// The one thing that the miniature keeps running: a resource, or a group of all
/// resources, with its members; without resources, something that nobody sees.
fn unit(scenario: &Scenario) -> Result<(String, Vec<String>), String> {
    let all: Vec<String> = scenario.resources.iter().map(|rsc| rsc.id.clone()).collect();
    match (all.as_slice(), scenario.groups.as_slice()) {
        ([], []) => Ok(("idle".into(), all)),
        ([one], []) => Ok((one.clone(), all)),
        (_, [(group, members)]) if members.len() == all.len() => {
            Ok((group.clone(), members.clone()))
        }
        _ => Err("the miniature keeps one resource, or one group of all of them".into()),
    }
}

fn pairs(from: &NodeSet, to: &NodeSet) -> Vec<(Node, Node)> {
    let others = |a: Node| to.iter().map(move |b| (a, *b));
    from.iter().flat_map(|a| others(*a)).filter(|(a, b)| a != b).collect()
}

/// What a scenario gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The step that failed, if one did.
    pub failure: Option<Failure>,
    /// What the checkers found.
    pub violations: Vec<Violation>,
    /// Checkers that should have found something and did not.
    pub missed: Vec<String>,
    /// Checkers that found something and should not have.
    pub unexpected: Vec<&'static str>,
    /// Every observation, with the marks of the steps.
    pub trace: Vec<Observation>,
    /// The world's own trace, as far as it was kept.
    pub lines: Vec<String>,
    /// The hash of the world's own trace.
    pub hash: u64,
}

impl Outcome {
    /// Whether every step came true and exactly the planted violations were found.
    pub fn passed(&self) -> bool {
        self.failure.is_none() && self.missed.is_empty() && self.unexpected.is_empty()
    }
}

/// Runs a scenario on the miniature with all checkers after it.
pub fn run_scenario(scenario: &Scenario, seed: u64, keep: Keep) -> Result<Outcome, String> {
    let mut sim = Sim::new(scenario, seed, keep)?;
    let report = scenario::run(scenario, &mut sim);
    let violations = checkers::check(&sim.settings(scenario), &report.trace);
    let caught: BTreeSet<&'static str> = violations.iter().map(|found| found.checker).collect();
    let wanted = &report.must_catch;
    let missed = wanted.iter().filter(|name| !caught.contains(name.as_str())).cloned().collect();
    let unexpected =
        caught.iter().filter(|name| !wanted.iter().any(|w| w == *name)).copied().collect();
    Ok(Outcome {
        failure: report.failure,
        violations,
        missed,
        unexpected,
        trace: report.trace,
        lines: sim.world.trace().lines().map(String::from).collect(),
        hash: sim.world.trace().hash(),
    })
}
