//! The switch: a bridge in the hub's network namespace, with rules that drop
//! frames between ports.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::config;
use crate::procs::{self, Pid};
use crate::tool;

use super::relay::Relays;

const BRIDGE: &str = "br0";

/// State of the switch.
pub(crate) struct Net {
    /// Frames from the first to the second node are dropped.
    blocked: BTreeSet<(u32, u32)>,
    /// So many of 1000 frames are lost.
    loss: u32,
    /// The ports that are plugged.
    plugged: BTreeSet<u32>,
    relays: Relays,
}

/// The switch's end of a node's cable.
pub(crate) fn port(node: u32) -> String {
    format!("n{node}e0")
}

/// The port of a node's delay line at the bridge.
pub(crate) fn slow_port(node: u32) -> String {
    format!("n{node}s1")
}

fn ip(words: &str) -> Result<(), String> {
    tool::run("ip", &words.split_whitespace().collect::<Vec<_>>()).map(drop)
}

impl Net {
    pub(crate) fn new() -> Result<Self, String> {
        ip("link set lo up")?;
        // Frames flow at once, and multicast reaches every port.
        ip(&format!("link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"))?;
        ip(&format!("addr add {}/24 dev {BRIDGE}", config::switch_address()))?;
        ip(&format!("link set {BRIDGE} up"))?;
        let (blocked, plugged) = (BTreeSet::new(), BTreeSet::new());
        Ok(Net { blocked, loss: 0, plugged, relays: Relays::default() })
    }

    /// Plugs the cable of a node into the network namespace of `pid` as eth0.
    pub(crate) fn plug(&mut self, node: u32, pid: Pid) -> Result<(), String> {
        let port = port(node);
        // What a killed node had goes away with its namespace, a moment later.
        self.unplug(node);
        let mac = format!("02:00:0a:00:{:02x}:{:02x}", node >> 8 & 0xff, node & 0xff);
        let add = format!("link add {port} type veth peer name eth0 address {mac} netns {pid}");
        let mut last = Ok(());
        procs::wait_until(std::time::Duration::from_secs(5), || {
            last = ip(&add);
            last.is_ok()
        });
        last?;
        self.plugged.insert(node);
        ip(&format!("link set {port} up"))?;
        match self.relays.delay() {
            Some(_) => self.relays.insert(node),
            None => ip(&format!("link set {port} master {BRIDGE}")),
        }
    }

    /// Pulls the cable.
    pub(crate) fn unplug(&mut self, node: u32) {
        self.plugged.remove(&node);
        self.relays.remove(node);
        let _ = ip(&format!("link del {}", port(node)));
    }

    /// Only nodes of the same side can talk, whatever was cut before.
    pub(crate) fn cut(&mut self, sides: &[Vec<u32>]) -> Result<(), String> {
        self.blocked.clear();
        for (index, side) in sides.iter().enumerate() {
            for other in sides.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, s)| s) {
                let pairs = side.iter().flat_map(|a| other.iter().map(move |b| (*a, *b)));
                self.blocked.extend(pairs);
            }
        }
        self.render()
    }

    /// Nothing goes from the first to the second.
    pub(crate) fn one_way(&mut self, from: &[u32], to: &[u32]) -> Result<(), String> {
        self.blocked.extend(from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b))));
        self.render()
    }

    /// Loses frames on every link.
    pub(crate) fn lose(&mut self, per_mille: u32) -> Result<(), String> {
        self.loss = per_mille;
        self.render()
    }

    /// Delays every frame that leaves a node; none: no longer.
    pub(crate) fn slow(&mut self, delay_ms: Option<u64>) -> Result<(), String> {
        for node in self.plugged.clone() {
            self.relays.remove(node);
            if delay_ms.is_none() {
                ip(&format!("link set {} master {BRIDGE}", port(node)))?;
            }
        }
        self.relays.set_delay(delay_ms);
        if delay_ms.is_some() {
            for node in self.plugged.clone() {
                self.relays.insert(node)?;
            }
        }
        Ok(())
    }

    /// Ends cuts, losses and delays.
    pub(crate) fn heal(&mut self) -> Result<(), String> {
        self.blocked.clear();
        self.loss = 0;
        self.render()?;
        if self.relays.delay().is_some() { self.slow(None) } else { Ok(()) }
    }

    /// Whether every node can talk to every other.
    pub(crate) fn is_whole(&self) -> bool {
        self.blocked.is_empty() && self.loss == 0
    }

    fn render(&self) -> Result<(), String> {
        tool::feed("nft", &["-f", "-"], &rules(&self.blocked, self.loss)).map(drop)
    }
}

/// The whole table, as nft reads it; it replaces the one before in one step.
fn rules(blocked: &BTreeSet<(u32, u32)>, loss: u32) -> String {
    let mut text = "table bridge lab\ndelete table bridge lab\ntable bridge lab {\n chain forward {\n  type filter hook forward priority 0; policy accept;\n".to_string();
    let both = |node: u32| format!("{{ \"{}\", \"{}\" }}", port(node), slow_port(node));
    for (from, to) in blocked {
        let _ = writeln!(text, "  iifname {} oifname {} drop", both(*from), both(*to));
    }
    match loss {
        0 => {}
        // The comparison takes no value that is always greater.
        1000.. => text += "  drop\n",
        _ => {
            let _ = writeln!(text, "  numgen random mod 1000 < {loss} drop");
        }
    }
    text + " }\n}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_name_both_ports_of_a_direction() {
        let text = rules(&BTreeSet::from([(1, 2)]), 25);
        assert!(
            text.contains("iifname { \"n1e0\", \"n1s1\" } oifname { \"n2e0\", \"n2s1\" } drop")
        );
        assert!(text.contains("numgen random mod 1000 < 25 drop"));
        assert!(!rules(&BTreeSet::new(), 0).contains("drop"));
        assert!(rules(&BTreeSet::new(), 1000).contains("\n  drop\n"));
    }
}
