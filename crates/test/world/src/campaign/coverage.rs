//! What a campaign must have reached at least once.

use crate::miniature::Miniature;
use crate::{Counters, Stack};

/// Every fault that plans can draw, as the world counts it when it takes effect.
const FAULTS: &[&str] = &[
    "fault: agent hangs",
    "fault: calendar jumps",
    "fault: connection refused",
    "fault: cut",
    "fault: daemon killed",
    "fault: daemon paused",
    "fault: datagram doubled",
    "fault: datagram garbled",
    "fault: datagram lost",
    "fault: datagram out of order",
    "fault: disk full",
    "fault: disk write failed",
    "fault: job lost",
    "fault: monitor failed",
    "fault: node frozen",
    "fault: node killed",
    "fault: node leaves in good order",
    "fault: one-way cut",
    "fault: power switch fails",
    "fault: power switch hangs",
    "fault: reload",
    "fault: slow local messages",
    "fault: socket buffer full",
    "fault: start failed",
    "fault: stop failed",
    "fault: unsynced write lost",
    "agent: timed out",
    "agent: waits for an earlier call",
    "disk: unanswered write kept",
    "input: paused",
    "ipc: blocked",
    "ipc: dropped, its queue was full",
    "ipc: held back",
    "ipc: writable again",
];

/// What should have occurred and did not: faults, states and timers by name.
pub fn never_reached(counters: &Counters) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    let unseen = |name: &&&str| !counters.things.contains_key(**name);
    missing.extend(FAULTS.iter().filter(unseen).map(ToString::to_string));
    let stack = Miniature { chatter_ms: Some(1) };
    for (slot, daemon) in stack.daemons().iter().enumerate() {
        let coverage = stack.coverage(slot);
        for state in coverage.states {
            if !counters.states.contains_key(&(daemon.name, state)) {
                missing.push(format!("state {state} of {}", daemon.name));
            }
        }
        for timer in coverage.timers {
            if !counters.timers.contains_key(&(daemon.name, timer)) {
                missing.push(format!("timer {timer} of {}", daemon.name));
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_occurred_is_named() {
        let mut counters = Counters::default();
        counters.count("fault: cut");
        let missing = never_reached(&counters);
        assert!(!missing.iter().any(|name| name == "fault: cut"));
        assert!(missing.iter().any(|name| name == "fault: disk full"));
        assert!(missing.iter().any(|name| name == "state gather of ring"));
        assert!(missing.iter().any(|name| name == "timer ring-beat of ring"));
    }
}
