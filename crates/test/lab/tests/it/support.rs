//! What the tests share.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::layout::MachineLock;
use lab::{Kind, Lab, Outcome, RunOptions, Spec};

/// The binary under test.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lab"))
}

/// A file of `tests/scenarios`.
pub(crate) fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/scenarios").join(name)
}

/// Says what is missing before anything else can fail for that reason.
pub(crate) fn require(kind: Kind) {
    if let Err(why) = lab::requirements::check(kind) {
        panic!("{why}");
    }
}

pub(crate) fn options() -> RunOptions {
    require(Kind::Light);
    RunOptions::new(program())
}

/// Runs a scenario's text on the reference.
pub(crate) fn run(text: &str) -> Outcome {
    lab::run_text(text, &options()).unwrap()
}

#[track_caller]
pub(crate) fn assert_passed(outcome: &Outcome) {
    assert!(
        outcome.passed(),
        "{:?}\n{}\n{}\n{}",
        outcome.failure,
        outcome.violations.join("\n"),
        outcome.table,
        trace(outcome)
    );
}

/// The observations without the flood of deliveries.
pub(crate) fn trace(outcome: &Outcome) -> String {
    let lines = outcome.trace.iter().map(ToString::to_string);
    lines.filter(|line| !line.contains(" deliver ")).collect::<Vec<_>>().join("\n")
}

/// A lab of booted light nodes, alone on this machine.
pub(crate) fn light(spec: Spec) -> (Lab, MachineLock) {
    require(Kind::Light);
    let machine = MachineLock::acquire().unwrap();
    (Lab::start(program(), None, spec).unwrap(), machine)
}

/// Waits for a condition; fails with what was waited for.
#[track_caller]
pub(crate) fn wait_for(what: &str, at_most: Duration, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + at_most;
    while !done() {
        assert!(Instant::now() < end, "not within {at_most:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
