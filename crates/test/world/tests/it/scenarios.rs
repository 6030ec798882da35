//! Every scenario file that the miniature can run, and every plant.

use std::path::{Path, PathBuf};

use scenario::{PLANTS, Scenario};
use world::{Keep, Outcome, run_scenario};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/scenarios").join(name)
}

fn files(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(name)).expect("tests/scenarios is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ext| ext == "scn")).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Scenario {
    let text = std::fs::read_to_string(file).expect("it can be read");
    scenario::parse(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()))
}

fn is_for_the_miniature(scenario: &Scenario) -> bool {
    scenario.stacks.is_empty() || scenario.stacks.iter().any(|stack| stack == "miniature")
}

fn run(file: &Path, seed: u64) -> Outcome {
    let outcome = run_scenario(&read(file), seed, Keep::Tail(30));
    outcome.unwrap_or_else(|why| panic!("{}: {why}", file.display()))
}

fn assert_passed(file: &Path, seed: u64) {
    let outcome = run(file, seed);
    let found: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    assert!(
        outcome.passed(),
        "{} with seed {seed}: {:?}, missed {:?}, found {}\n{}",
        file.display(),
        outcome.failure,
        outcome.missed,
        found.join("\n"),
        outcome.lines.join("\n")
    );
}

#[test]
fn every_scenario_passes_on_the_miniature() {
    let mut ran = 0;
    for file in files("").into_iter().chain(files("miniature")) {
        if is_for_the_miniature(&read(&file)) {
            ran += 1;
            (1..=3).for_each(|seed| assert_passed(&file, seed));
        }
    }
    assert!(ran >= 5, "only {ran} scenario files for the miniature");
}

#[test]
fn every_plant_is_caught_by_its_checker_and_by_no_other() {
    for (_, name, checker) in PLANTS {
        let file = folder("plants").join(format!("{name}.scn"));
        for seed in 1..=3 {
            assert_passed(&file, seed);
            let caught: Vec<&str> = run(&file, seed).violations.iter().map(|v| v.checker).collect();
            assert!(
                !caught.is_empty() && caught.iter().all(|c| c == checker),
                "{name}: {caught:?}"
            );
        }
    }
}

#[test]
fn what_the_miniature_cannot_run_is_refused_with_the_reason() {
    let refuse = |text: &str| {
        let scenario = scenario::parse(text).expect("it is well-formed");
        run_scenario(&scenario, 1, Keep::Hash).unwrap_err()
    };
    let two = "title t\nnodes 1\nresource a x:y:z\nresource b x:y:z\nstart all\n";
    assert!(refuse(two).contains("one resource"));
    let other = "title t\nnodes 1\nstacks reference\nstart all\n";
    assert_eq!(refuse(other), "it is for the stacks reference");
}

#[test]
fn a_step_that_names_an_unknown_daemon_fails_with_those_there_are() {
    let text = "title t\nnodes 1\nstart all\nkill-daemon n1 corosync\n";
    let outcome = run_scenario(&scenario::parse(text).unwrap(), 1, Keep::Hash).unwrap();
    let why = outcome.failure.expect("it fails").why;
    assert!(why.contains("ring, keeper"), "{why}");
}
