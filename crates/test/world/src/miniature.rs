//! The stack of the cluster in miniature: a ring, a keeper, and a client that
//! keeps the ring busy.

use std::collections::BTreeMap;

use ::miniature::keeper::{self, Keeper};
use ::miniature::ring::{self, Ring};
use observe::Node;
use sansio::edge::Spawn;

use crate::Machine;
use crate::chatter::Chatter;
use crate::machine::Driven;
use crate::stack::{AgentCall, Boot, Coverage, DaemonSpec, Stack, Verb};

/// The planted mistakes of the stack.
pub use ::miniature::MUTANTS;

const AGENT: &str = "/usr/lib/systole/agent";
const FENCE_AGENT: &str = "/usr/lib/systole/fence";

/// The stack `miniature`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miniature {
    /// Mean time between messages of the client in milliseconds; None: no client.
    pub chatter_ms: Option<u64>,
}

const DAEMONS: &[DaemonSpec] = &[
    DaemonSpec { name: "ring", services: &[ring::SERVICE], datagrams: true },
    DaemonSpec { name: "keeper", services: &[], datagrams: false },
    DaemonSpec { name: "chatter", services: &[], datagrams: false },
];

impl Stack for Miniature {
    fn name(&self) -> &'static str {
        "miniature"
    }

    fn daemons(&self) -> &[DaemonSpec] {
        if self.chatter_ms.is_some() { DAEMONS } else { &DAEMONS[..2] }
    }

    fn boot(&self, slot: usize, boot: &Boot<'_>) -> Box<dyn Machine> {
        match slot {
            0 => ring(boot),
            1 => keeper(boot),
            _ => {
                let seed = u64::from(boot.node.0) << 32 | boot.epoch;
                let make = || Chatter::new(boot.now, self.chatter_ms.unwrap_or(1000), seed);
                Box::new(Driven::new(make(), boot.shadow.then(make)))
            }
        }
    }

    fn coverage(&self, slot: usize) -> Coverage {
        match slot {
            0 => Coverage::of::<Ring>(),
            1 => Coverage::of::<Keeper>(),
            _ => Coverage::of::<Chatter>(),
        }
    }

    fn agent(&self, spawn: &Spawn) -> Option<AgentCall> {
        match spawn.program.as_str() {
            AGENT => resource_call(&spawn.args),
            FENCE_AGENT => fence_call(&spawn.stdin),
            _ => None,
        }
    }
}

fn ring(boot: &Boot<'_>) -> Box<dyn Machine> {
    let nodes: BTreeMap<_, _> =
        boot.layout.addresses.iter().map(|(node, links)| (*node, links[0])).collect();
    let stored = (boot.read)(ring::FILE);
    let config = ring::Config { node: boot.node, epoch: boot.epoch, nodes, stored };
    let make = || Ring::new(boot.now, config.clone());
    Box::new(Driven::new(make(), boot.shadow.then(make)))
}

fn keeper(boot: &Boot<'_>) -> Box<dyn Machine> {
    let config = keeper::Config {
        node: boot.node,
        all: boot.layout.addresses.keys().copied().collect(),
        service: ring::SERVICE.into(),
        rsc: boot.layout.rsc.clone(),
        agent: AGENT.into(),
        fence_agent: FENCE_AGENT.into(),
    };
    let make = || Keeper::new(boot.now, config.clone());
    Box::new(Driven::new(make(), boot.shadow.then(make)))
}

fn resource_call(args: &[String]) -> Option<AgentCall> {
    let [verb, rsc] = args else { return None };
    let verb = match verb.as_str() {
        "start" => Verb::Start,
        "stop" => Verb::Stop,
        "monitor" => Verb::Monitor,
        _ => return None,
    };
    Some(AgentCall::Resource { rsc: rsc.clone(), verb })
}

fn fence_call(stdin: &[u8]) -> Option<AgentCall> {
    let text = std::str::from_utf8(stdin).ok()?;
    let option =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let target = option("port")?.strip_prefix('n')?.parse().ok().map(Node)?;
    let reboot = match option("action")? {
        "reboot" => true,
        "off" => false,
        _ => return None,
    };
    Some(AgentCall::Fence { target, reboot })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_understood_by_their_arguments_and_input() {
        let words = |list: &[&str]| list.iter().map(|w| (*w).to_string()).collect::<Vec<_>>();
        let start = AgentCall::Resource { rsc: "vip".into(), verb: Verb::Start };
        assert_eq!(resource_call(&words(&["start", "vip"])), Some(start));
        assert_eq!(resource_call(&words(&["jump", "vip"])), None);
        assert_eq!(resource_call(&words(&["start"])), None);
        let fence = AgentCall::Fence { target: Node(2), reboot: true };
        assert_eq!(fence_call(b"action=reboot\nport=n2\n"), Some(fence));
        assert_eq!(fence_call(b"action=reboot\n"), None);
        assert_eq!(fence_call(b"action=paint\nport=n2\n"), None);
    }
}
