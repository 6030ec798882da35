//! Runs a scenario on anything that is a [`Cluster`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use observe::{Event, Node, Observation};

use crate::{Action, Condition, Nodes, Picture, Scenario, Step, StepKind};

/// A set of nodes.
pub type NodeSet = BTreeSet<Node>;

/// Something that can run a scenario: the simulator, or real nodes.
pub trait Cluster {
    /// Nanoseconds on the clock of the observations.
    fn now(&self) -> u64;

    /// Does something to the cluster; an error ends the scenario as failed.
    fn apply(&mut self, action: &Action<NodeSet>) -> Result<(), String>;

    /// Lets time pass until there are new observations, at most until
    /// `deadline`, and returns them in order of time.
    fn advance(&mut self, deadline: u64) -> Result<Vec<Observation>, String>;

    /// Looks whether the cluster is made of what was asked for (the lab's table
    /// of executables); called at start, after each fault and at the end.
    fn verify(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// Why a scenario failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step's line in the file.
    pub line: usize,
    /// The step as written.
    pub step: String,
    /// What was expected and what was seen.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} ({}): {}", self.line, self.step, self.why)
    }
}

/// What a run gave: the whole trace, for the checkers and for the timeline.
#[derive(Clone, Debug)]
pub struct Report {
    /// Every observation, marks of the steps among them, in order of time.
    pub trace: Vec<Observation>,
    /// The step that failed, if one did.
    pub failure: Option<Failure>,
    /// Checkers that must report a violation, from `caught` steps.
    pub must_catch: Vec<String>,
}

/// Runs all steps, stopping at the first that fails.
pub fn run(scenario: &Scenario, cluster: &mut dyn Cluster) -> Report {
    let mut run = Run {
        scenario,
        picture: Picture::default(),
        names: BTreeMap::new(),
        report: Report { trace: Vec::new(), failure: None, must_catch: Vec::new() },
    };
    for step in &scenario.steps {
        if let Err(why) = run.step(cluster, step) {
            let failure = Failure { line: step.line, step: step.text.clone(), why };
            run.report.failure = Some(failure);
            break;
        }
    }
    run.report.trace.sort_by_key(|seen| seen.at);
    run.report
}

struct Run<'a> {
    scenario: &'a Scenario,
    picture: Picture,
    names: BTreeMap<String, NodeSet>,
    report: Report,
}

impl Run<'_> {
    fn step(&mut self, cluster: &mut dyn Cluster, step: &Step) -> Result<(), String> {
        self.drain(cluster)?;
        let text = step.text.clone();
        let mark = Observation { at: cluster.now(), node: Node(0), event: Event::Mark { text } };
        self.report.trace.push(mark);
        match &step.kind {
            StepKind::Do(action) => {
                cluster.apply(&self.resolve_action(action)?)?;
                self.drain(cluster)?;
                cluster.verify()
            }
            StepKind::Name(name, nodes) => {
                let nodes = self.resolve(nodes)?;
                if nodes.is_empty() {
                    return Err("names no node now".into());
                }
                self.names.insert(name.clone(), nodes);
                Ok(())
            }
            StepKind::Within(ms, condition) => self.wait(cluster, *ms, condition),
            StepKind::Hold(ms, condition) => self.hold(cluster, *ms, condition),
            StepKind::Pass(ms) => self.pass(cluster, *ms),
            StepKind::Caught(checker) => {
                self.report.must_catch.push(checker.clone());
                Ok(())
            }
        }
    }

    /// Takes what has been observed up to now.
    fn drain(&mut self, cluster: &mut dyn Cluster) -> Result<(), String> {
        let now = cluster.now();
        self.advance(cluster, now)
    }

    fn advance(&mut self, cluster: &mut dyn Cluster, deadline: u64) -> Result<(), String> {
        for seen in cluster.advance(deadline)? {
            self.picture.apply(&seen);
            self.report.trace.push(seen);
        }
        Ok(())
    }

    fn wait(
        &mut self,
        cluster: &mut dyn Cluster,
        ms: u64,
        condition: &Condition,
    ) -> Result<(), String> {
        let deadline = cluster.now() + ms * 1_000_000;
        loop {
            let Some(why) = self.why_not(condition)? else { return Ok(()) };
            if cluster.now() >= deadline {
                return Err(format!("not true within {ms} ms: {why}"));
            }
            self.advance(cluster, deadline)?;
        }
    }

    fn hold(
        &mut self,
        cluster: &mut dyn Cluster,
        ms: u64,
        condition: &Condition,
    ) -> Result<(), String> {
        let deadline = cluster.now() + ms * 1_000_000;
        loop {
            if let Some(why) = self.why_not(condition)? {
                return Err(format!("not true: {why}"));
            }
            if cluster.now() >= deadline {
                return Ok(());
            }
            self.advance(cluster, deadline)?;
        }
    }

    fn pass(&mut self, cluster: &mut dyn Cluster, ms: u64) -> Result<(), String> {
        let deadline = cluster.now() + ms * 1_000_000;
        while cluster.now() < deadline {
            self.advance(cluster, deadline)?;
        }
        Ok(())
    }

    fn all(&self) -> NodeSet {
        (1..=self.scenario.nodes).map(Node).collect()
    }

    fn resolve(&self, nodes: &Nodes) -> Result<NodeSet, String> {
        Ok(match nodes {
            Nodes::All => self.all(),
            Nodes::List(list) => list.iter().copied().map(Node).collect(),
            Nodes::Named(name) => {
                let named = self.names.get(name);
                named.cloned().ok_or_else(|| format!("${name} has not been named"))?
            }
            Nodes::Holder(id) => {
                let members = self.scenario.members(id);
                members.iter().flat_map(|rsc| self.picture.holders(rsc)).collect()
            }
            Nodes::Rest(but) => self.all().difference(&self.resolve(but)?).copied().collect(),
        })
    }

    fn resolve_action(&self, action: &Action<Nodes>) -> Result<Action<NodeSet>, String> {
        Ok(match action {
            Action::Start(n) => Action::Start(self.resolve(n)?),
            Action::Stop(n) => Action::Stop(self.resolve(n)?),
            Action::Kill(n) => Action::Kill(self.resolve(n)?),
            Action::Boot(n) => Action::Boot(self.resolve(n)?),
            Action::Freeze(n) => Action::Freeze(self.resolve(n)?),
            Action::Thaw(n) => Action::Thaw(self.resolve(n)?),
            Action::KillDaemon(n, daemon) => Action::KillDaemon(self.resolve(n)?, daemon.clone()),
            Action::Cut(sides) => {
                let sides = sides.iter().map(|side| self.resolve(side));
                Action::Cut(sides.collect::<Result<_, _>>()?)
            }
            Action::OneWay(from, to) => Action::OneWay(self.resolve(from)?, self.resolve(to)?),
            Action::Heal => Action::Heal,
            Action::Loss(share) => Action::Loss(*share),
            Action::Slow(ms) => Action::Slow(*ms),
            Action::Power(mode, n) => Action::Power(*mode, self.resolve(n)?),
            Action::Plant(plant, n) => Action::Plant(*plant, self.resolve(n)?),
        })
    }

    /// None when the condition is true, else what stands against it.
    fn why_not(&self, condition: &Condition) -> Result<Option<String>, String> {
        let p = &self.picture;
        let first = |nodes: &Nodes, bad: &dyn Fn(Node) -> Option<String>| {
            Ok::<_, String>(self.resolve(nodes)?.into_iter().find_map(bad))
        };
        match condition {
            Condition::Quorate(nodes) => {
                first(nodes, &|n| (!p.is_quorate(n)).then(|| format!("{n} is not quorate")))
            }
            Condition::Inquorate(nodes) => {
                first(nodes, &|n| p.is_quorate(n).then(|| format!("{n} is quorate")))
            }
            Condition::View(nodes) => {
                let wanted = self.resolve(nodes)?;
                let differs = |n| match p.members(n) {
                    Some(members) if members == wanted => None,
                    Some(members) => Some(format!("{n} has members {}", show(&members))),
                    None => Some(format!("{n} is in no membership")),
                };
                first(nodes, &differs)
            }
            Condition::Active(id, place) => self.why_not_active(id, place.as_ref()),
            Condition::Inactive(id, nodes) => {
                let place = self.resolve(nodes)?;
                let members = self.scenario.members(id);
                Ok(members.into_iter().find_map(|rsc| {
                    let holder = p.holders(&rsc).intersection(&place).next().copied()?;
                    Some(format!("{rsc} is active on {holder}"))
                }))
            }
            Condition::Fenced(nodes) => {
                first(nodes, &|n| (!p.is_fenced(n)).then(|| format!("{n} has not been fenced")))
            }
            Condition::Up(nodes) => {
                first(nodes, &|n| (!p.has_power(n)).then(|| format!("{n} has no power")))
            }
            Condition::Down(nodes) => {
                first(nodes, &|n| p.has_power(n).then(|| format!("{n} has power")))
            }
            Condition::Agree(nodes) => {
                let nodes = self.resolve(nodes)?;
                let states: Vec<_> = nodes.iter().map(|n| p.state(*n)).collect();
                let same = states.windows(2).all(|pair| pair[0] == pair[1]);
                let known = states.iter().all(Option::is_some);
                Ok((!same || !known).then(|| format!("states differ or are unknown: {states:?}")))
            }
        }
    }

    fn why_not_active(&self, id: &str, place: Option<&Nodes>) -> Result<Option<String>, String> {
        let place = place.map(|nodes| self.resolve(nodes)).transpose()?;
        for rsc in self.scenario.members(id) {
            let holders = self.picture.holders(&rsc);
            if holders.len() != 1 {
                return Ok(Some(format!("{rsc} is active on {}", show(&holders))));
            }
            if place.as_ref().is_some_and(|place| !holders.is_subset(place)) {
                return Ok(Some(format!("{rsc} is active on {}", show(&holders))));
            }
        }
        Ok(None)
    }
}

fn show(nodes: &NodeSet) -> String {
    let names: Vec<String> = nodes.iter().map(Node::to_string).collect();
    if names.is_empty() { "no node".into() } else { names.join(",") }
}
