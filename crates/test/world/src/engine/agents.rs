//! Child processes: resource agents, the fence agent, and the power switch
//! behind it.

use std::collections::BTreeMap;

use observe::{Event, Node, PowerCause, Step};
use sansio::edge::{Child, ChildEvent, Input, Spawn};

use super::{What, World};
use crate::local::Pid;
use crate::stack::{AgentCall, Verb};

use scenario::PowerMode;

const ENOENT: i32 = 2;
const SIGKILL: i32 = 9;
const NOT_RUNNING: i32 = 7;

/// How agents and the power switch behave. Shares are per mille.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentWeather {
    /// Least and most time of a call.
    pub call_ns: (u64, u64),
    /// Share of starts that fail, some of them after the resource became active.
    pub start_fails: u32,
    /// Share of stops that fail.
    pub stop_fails: u32,
    /// Share of looks that fail.
    pub monitor_fails: u32,
    /// Share of calls that never return.
    pub hangs: u32,
    /// Least and most time until a request reaches the power switch.
    pub switch_ns: (u64, u64),
    /// Least and most time from losing power to having it back.
    pub reboot_ns: (u64, u64),
    /// Without fencing: there is no switch, and the fence agent answers success
    /// after so long, in which a node that lost quorum has stopped by itself.
    pub pretends_ns: Option<u64>,
    /// How the switch answers for nodes where it is not `Ok`.
    pub switch: BTreeMap<Node, PowerMode>,
}

impl Default for AgentWeather {
    fn default() -> Self {
        Self {
            call_ns: (5_000_000, 200_000_000),
            start_fails: 0,
            stop_fails: 0,
            monitor_fails: 0,
            hangs: 0,
            switch_ns: (20_000_000, 500_000_000),
            reboot_ns: (1_000_000_000, 4_000_000_000),
            pretends_ns: None,
            switch: BTreeMap::new(),
        }
    }
}

/// A running child process. It outlives the daemon that started it.
#[derive(Debug)]
pub(super) struct Agent {
    parent: Pid,
    child: Child,
    call: AgentCall,
    /// How it will end, once it runs: exit status.
    outcome: Option<i32>,
}

impl World {
    pub(super) fn spawn(&mut self, pid: Pid, spawn: &Spawn) {
        let child = spawn.child;
        let place = self.place(pid);
        let Some(call) = self.stack.agent(spawn) else {
            self.line(place, format_args!("finds no program {}", spawn.program));
            let event = ChildEvent::SpawnFailed { errno: ENOENT };
            return self.after(0, What::Tell { pid, input: Input::Child { child, event } });
        };
        self.line(place, format_args!("starts child {}: {call:?}", child.0));
        let state = self.node(pid.node);
        state.lives += 1;
        let key = state.lives;
        let agent = Agent { parent: pid, child, call: call.clone(), outcome: None };
        state.agents.insert(key, agent);
        let timeout = spawn.timeout_ms.saturating_mul(1_000_000);
        self.after(timeout, What::AgentTimeout { node: pid.node, key });
        match call {
            AgentCall::Resource { rsc, .. } => {
                let calls = self.node(pid.node).calls.entry(rsc).or_default();
                calls.push_back(key);
                if calls.len() == 1 {
                    self.begin_call(pid.node, key);
                } else {
                    self.counters.count("agent: waits for an earlier call");
                }
            }
            AgentCall::Fence { target, reboot } => {
                self.begin_fencing(pid.node, key, target, reboot);
            }
        }
    }

    /// A resource agent has its resource to itself and begins.
    fn begin_call(&mut self, node: Node, key: u64) {
        let Some(agent) = self.node(node).agents.get(&key) else { return };
        let AgentCall::Resource { verb, .. } = agent.call else { return };
        let weather = &self.agents;
        let (share, failed) = match verb {
            Verb::Start => (weather.start_fails, "fault: start failed"),
            Verb::Stop => (weather.stop_fails, "fault: stop failed"),
            Verb::Monitor => (weather.monitor_fails, "fault: monitor failed"),
        };
        let (least, most) = weather.call_ns;
        let hangs = self.rng.agents.chance(weather.hangs);
        let fails = self.rng.agents.chance(share);
        let time = self.rng.agents.range(least, most);
        if !(verb == Verb::Stop && self.node(node).plants.deaf_to_stops) {
            self.observe_call(node, verb, Step::Begin);
        }
        if hangs {
            return self.counters.count("fault: agent hangs");
        }
        if fails {
            self.counters.count(failed);
        }
        if let Some(agent) = self.node(node).agents.get_mut(&key) {
            agent.outcome = Some(i32::from(fails));
        }
        self.after(time, What::AgentDone { node, key });
    }

    /// The members of a group start in order and stop in the opposite one.
    pub(super) fn observe_call(&mut self, node: Node, verb: Verb, step: Step) {
        let mut members = self.layout.members.clone();
        if verb == Verb::Stop {
            members.reverse();
        }
        for rsc in members {
            match verb {
                Verb::Start => self.observe(node, Event::Start { rsc, step }),
                Verb::Stop => self.observe(node, Event::Stop { rsc, step }),
                Verb::Monitor => {}
            }
        }
    }

    pub(super) fn agent_done(&mut self, node: Node, key: u64) {
        if self.node(node).frozen {
            return self.node(node).stalled.push(What::AgentDone { node, key });
        }
        let Some(agent) = self.node(node).agents.remove(&key) else { return };
        let wanted = agent.outcome.unwrap_or(1);
        let code = match &agent.call {
            AgentCall::Resource { rsc, verb } => self.end_call(node, key, rsc, *verb, wanted),
            AgentCall::Fence { target, .. } => {
                self.observe_fenced(node, *target, wanted == 0);
                wanted
            }
        };
        let event = ChildEvent::Exited { code, stdout: Vec::new() };
        self.tell(agent.parent, Input::Child { child: agent.child, event });
    }

    /// What a call has done to the resource; gives the exit status.
    fn end_call(&mut self, node: Node, key: u64, rsc: &str, verb: Verb, wanted: i32) -> i32 {
        let half_done = self.rng.agents.chance(500);
        let state = self.node(node);
        let deaf = state.plants.deaf_to_stops;
        let ok = wanted == 0;
        let code = match verb {
            Verb::Start => {
                if ok || half_done {
                    state.active.insert(rsc.to_string());
                }
                wanted
            }
            Verb::Stop if deaf => 0,
            Verb::Stop => {
                if ok || half_done {
                    state.active.remove(rsc);
                }
                wanted
            }
            Verb::Monitor if !ok => wanted,
            Verb::Monitor if state.active.contains(rsc) => 0,
            Verb::Monitor => NOT_RUNNING,
        };
        if !(deaf && verb == Verb::Stop) {
            self.observe_call(node, verb, if ok { Step::Ok } else { Step::Failed });
        }
        self.next_call(node, rsc, key);
        code
    }

    fn next_call(&mut self, node: Node, rsc: &str, key: u64) {
        let Some(calls) = self.node(node).calls.get_mut(rsc) else { return };
        let ran = calls.front() == Some(&key);
        calls.retain(|waiting| *waiting != key);
        if let Some(next) = calls.front().copied().filter(|_| ran) {
            self.begin_call(node, next);
        }
    }

    pub(super) fn agent_timeout(&mut self, node: Node, key: u64) {
        if self.node(node).frozen {
            return self.node(node).stalled.push(What::AgentTimeout { node, key });
        }
        let Some(agent) = self.node(node).agents.get(&key) else { return };
        let parent = agent.parent;
        if self.slot(parent).is_none() {
            return; // whoever would have killed it is gone
        }
        self.counters.count("agent: timed out");
        self.kill_agent(node, key, ChildEvent::TimedOut);
    }

    pub(super) fn kill_child(&mut self, pid: Pid, child: Child) {
        let agents = self.node(pid.node).agents.iter();
        let mut mine = agents.filter(|(_, agent)| agent.parent == pid && agent.child == child);
        if let Some(key) = mine.next().map(|(key, _)| *key) {
            let event = ChildEvent::Signalled { signal: SIGKILL };
            self.kill_agent(pid.node, key, event);
        }
    }

    /// A killed agent may or may not have done its work.
    fn kill_agent(&mut self, node: Node, key: u64, event: ChildEvent) {
        let Some(agent) = self.node(node).agents.remove(&key) else { return };
        match &agent.call {
            AgentCall::Resource { rsc, verb } => {
                let ran = self.node(node).calls.get(rsc).is_some_and(|q| q.front() == Some(&key));
                if ran {
                    self.end_call(node, key, rsc, *verb, 1);
                } else {
                    self.next_call(node, rsc, key);
                }
            }
            AgentCall::Fence { target, .. } => {
                self.observe_fenced(node, *target, false);
            }
        }
        let input = Input::Child { child: agent.child, event };
        self.after(0, What::Tell { pid: agent.parent, input });
    }

    fn observe_fenced(&mut self, node: Node, target: Node, ok: bool) {
        if self.agents.pretends_ns.is_none() {
            self.observe(node, Event::Fenced { target, ok });
        }
    }

    fn begin_fencing(&mut self, node: Node, key: u64, target: Node, reboot: bool) {
        let (least, most) = self.agents.switch_ns;
        let (there, back) =
            (self.rng.agents.range(least, most), self.rng.agents.range(least / 2, most / 2));
        if let Some(time) = self.agents.pretends_ns {
            if let Some(agent) = self.node(node).agents.get_mut(&key) {
                agent.outcome = Some(0);
            }
            return self.after(time, What::AgentDone { node, key });
        }
        let mode = self.agents.switch.get(&target).copied().unwrap_or(PowerMode::Ok);
        let known = self.nodes.contains_key(&target);
        let outcome = match mode {
            _ if !known => Some(1),
            PowerMode::Ok => {
                self.after(there, What::Switch { target, reboot });
                Some(0)
            }
            PowerMode::Fail => {
                self.counters.count("fault: power switch fails");
                Some(1)
            }
            PowerMode::Hang => {
                self.counters.count("fault: power switch hangs");
                None
            }
            PowerMode::Lie => {
                self.counters.count("fault: power switch lies");
                Some(0)
            }
        };
        if let Some(agent) = self.node(node).agents.get_mut(&key) {
            agent.outcome = outcome;
        }
        if outcome.is_some() {
            self.after(there + back, What::AgentDone { node, key });
        }
    }

    /// The power switch does what it was asked.
    pub(super) fn switch(&mut self, target: Node, reboot: bool) {
        self.counters.count("power: fenced");
        self.power_off(target, PowerCause::Fence);
        if reboot {
            let (least, most) = self.agents.reboot_ns;
            let delay = self.rng.agents.range(least, most);
            let boot = self.node(target).boot;
            self.after(delay, What::PowerOn { node: target, boot, cause: PowerCause::Fence });
        }
    }

    pub(super) fn power_back(&mut self, node: Node, boot: u64, cause: PowerCause) {
        let state = self.node(node);
        if !state.power && state.boot == boot {
            self.power_on(node, cause);
        }
    }
}
