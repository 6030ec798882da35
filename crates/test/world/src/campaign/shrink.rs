//! Makes a failing plan smaller.

use super::run::run;
use super::{Plan, Timed};
use crate::Keep;

/// Drops faults while the plan still fails in the same way: first large parts,
/// then single ones. At most `tries` runs.
pub fn shrink(plan: &Plan, failure: &str, tries: u32) -> Plan {
    shrink_by(plan, tries, |smaller| {
        run(smaller, Keep::Hash).fault.is_some_and(|fault| fault.name() == failure)
    })
}

fn shrink_by(plan: &Plan, mut tries: u32, mut fails: impl FnMut(&Plan) -> bool) -> Plan {
    let mut best = plan.clone();
    let mut part = best.faults.len().div_ceil(2);
    while part > 0 {
        let mut start = 0;
        while start < best.faults.len() {
            if tries == 0 {
                return best;
            }
            tries -= 1;
            let smaller = Plan { faults: without(&best.faults, start, part), ..best.clone() };
            if fails(&smaller) {
                best = smaller;
            } else {
                start += part;
            }
        }
        part = if part == 1 { 0 } else { part.div_ceil(2) };
    }
    best
}

fn without(faults: &[Timed], start: usize, count: usize) -> Vec<Timed> {
    let end = (start + count).min(faults.len());
    [&faults[..start], &faults[end..]].concat()
}

#[cfg(test)]
mod tests {
    use observe::Node;

    use super::*;
    use crate::campaign::{Fault, plan_of};

    #[test]
    fn only_the_faults_that_matter_stay() {
        let faults = (1..=40).map(|n| Timed { at: n, fault: Fault::Kill(Node(1)) }).collect();
        let plan = Plan { faults, ..plan_of(1, None) };
        let fails = |plan: &Plan| {
            let has = |at| plan.faults.iter().any(|timed| timed.at == at);
            has(7) && has(31)
        };
        let small = shrink_by(&plan, 1000, fails);
        assert_eq!(small.faults.iter().map(|timed| timed.at).collect::<Vec<_>>(), [7, 31]);
        let tried = shrink_by(&plan, 1, fails);
        assert!(tried.faults.len() >= 20, "one try drops at most a half");
    }
}
