//! No resource is active on two nodes at once.
//!
//! Active means: from the call of its start until a stop returned success or the
//! node lost its power. A failed start or stop leaves it active.

use observe::{Event, Observation, Step};

use crate::activity::Activity;
use crate::{Checker, Finding, Report};

pub(crate) const NAME: &str = "single-active";

#[derive(Default)]
pub(crate) struct SingleActive {
    activity: Activity,
}

impl Checker for SingleActive {
    fn name(&self) -> &'static str {
        NAME
    }

    fn see(&mut self, index: usize, seen: &Observation, report: &mut Report<'_>) {
        if let Event::Start { rsc, step: Step::Begin } = &seen.event
            && let Some((place, since)) = self.activity.elsewhere(rsc, seen.node)
        {
            report.add(Finding {
                at: seen.at,
                what: format!("{rsc} starts on {} while it is active on {place}", seen.node),
                nodes: vec![place, seen.node],
                rsc: Some(rsc.clone()),
                evidence: vec![since, index],
            });
        }
        self.activity.apply(index, seen);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{caught, settings};

    fn verdict(text: &str) -> Vec<&'static str> {
        caught(&settings(2), text)
    }

    #[test]
    fn a_resource_moves_after_its_stop_or_its_nodes_end() {
        let moved = "1 n1 start begin a\n2 n1 start ok a\n3 n1 stop begin a\n4 n1 stop ok a\n\
                     5 n2 start begin a\n";
        assert_eq!(verdict(moved), [""; 0]);
        let fenced = "1 n1 start begin a\n2 n0 power n1 off fence\n3 n2 fenced n1 yes\n\
                      4 n2 start begin a\n";
        assert_eq!(verdict(fenced), [""; 0]);
    }

    #[test]
    fn two_resources_don_t_matter_to_each_other() {
        assert_eq!(verdict("1 n1 start begin a\n2 n2 start begin b\n"), [""; 0]);
    }

    #[test]
    fn a_start_that_began_or_failed_is_active() {
        assert_eq!(verdict("1 n1 start begin a\n2 n2 start begin a\n"), ["single-active"]);
        let failed = "1 n1 start begin a\n2 n1 start failed a\n3 n2 start begin a\n";
        assert_eq!(verdict(failed), ["single-active"]);
    }

    #[test]
    fn a_failed_or_unfinished_stop_is_none() {
        let failed = "1 n1 start begin a\n2 n1 stop begin a\n3 n1 stop failed a\n";
        assert_eq!(verdict(&format!("{failed}4 n2 start begin a\n")), ["single-active"]);
        let running = "1 n1 start begin a\n2 n1 stop begin a\n3 n2 start begin a\n";
        assert_eq!(verdict(running), ["single-active"]);
    }

    #[test]
    fn the_power_of_another_node_ends_nothing() {
        let other = "1 n1 start begin a\n2 n0 power n2 off fault\n3 n0 power n2 on operator\n\
                     4 n2 start begin a\n";
        assert_eq!(verdict(other), ["single-active"]);
    }
}
