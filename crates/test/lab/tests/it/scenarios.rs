//! The scenario files on the reference stack, and each planted violation.

use observe::{Event, Observation, Step};

use crate::support::{assert_passed, options, scenario};

fn passes(name: &str) -> lab::Outcome {
    let outcome = lab::run_file(&scenario(name), &options()).unwrap();
    assert_passed(&outcome);
    outcome
}

fn caught(name: &str, checker: &str) {
    let outcome = passes(&format!("plants/{name}.scn"));
    assert!(outcome.caught.iter().any(|c| c.starts_with(checker)), "{:?}", outcome.caught);
}

fn starts(outcome: &lab::Outcome) -> usize {
    let started = |s: &&Observation| matches!(s.event, Event::Start { step: Step::Ok, .. });
    outcome.trace.iter().filter(started).count()
}

#[test]
fn three_nodes_form_a_quorate_cluster() {
    let outcome = passes("01-quorum.scn");
    assert_eq!(outcome.table.matches(" reference ").count(), 24, "{}", outcome.table);
    let delivered = |s: &&Observation| matches!(s.event, Event::Deliver { .. });
    assert!(outcome.trace.iter().filter(delivered).count() > 9, "the probes talk");
}

#[test]
fn a_service_starts() {
    assert_eq!(starts(&passes("02-service.scn")), 2);
}

#[test]
fn a_killed_node_is_fenced_and_its_service_moves() {
    assert_eq!(starts(&passes("03-node-killed.scn")), 4);
}

#[test]
fn a_minority_loses_its_resources() {
    passes("04-minority-cut.scn");
}

#[test]
fn without_fencing_the_checkers_that_are_off_are_named() {
    let outcome = passes("05-minority-no-fencing.scn");
    for checker in ["fence-before-start", "single-active"] {
        assert!(outcome.off.iter().any(|off| off.starts_with(checker)), "{:?}", outcome.off);
    }
}

#[test]
fn plant_double_start() {
    caught("double-start", "single-active");
}

#[test]
fn plant_unfenced_start() {
    caught("unfenced-start", "fence-before-start");
}

#[test]
fn plant_false_quorum() {
    caught("false-quorum", "quorum");
}

#[test]
fn plant_false_view() {
    caught("false-view", "views");
}

#[test]
fn plant_reorder() {
    caught("reorder", "order");
}

#[test]
fn plant_false_state() {
    caught("false-state", "state");
}

#[test]
fn plant_keep_running() {
    caught("keep-running", "minority-stops");
}

#[test]
fn plant_false_fence() {
    caught("false-fence", "fencing-truth");
}

#[test]
fn a_scenario_for_other_stacks_is_refused_by_name() {
    let text = "title t\nnodes 1\nstacks miniature\nstart all\n";
    let why = lab::run_text(text, &options()).unwrap_err();
    assert!(why.contains("this scenario is for miniature"), "{why}");
}
