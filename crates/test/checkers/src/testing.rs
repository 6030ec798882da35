//! Helpers of the checkers' tests: hand-written traces as text.

use observe::Observation;

use crate::{Settings, check};

/// `count` nodes, bounds of 100 ns, so that traces can be written with small numbers.
pub(crate) fn settings(count: u32) -> Settings {
    let mut settings = Settings::majority(count);
    settings.minority_stop_ns = 100;
    settings.fence_window_ns = 100;
    settings
}

/// Parses one observation per line.
pub(crate) fn trace(text: &str) -> Vec<Observation> {
    text.lines().map(|line| line.trim().parse().expect(line)).collect()
}

/// The names of the checkers that find something in `text`, in order of time.
pub(crate) fn caught(settings: &Settings, text: &str) -> Vec<&'static str> {
    check(settings, &trace(text)).into_iter().map(|violation| violation.checker).collect()
}

/// What the checkers say about `text`, as people read it.
pub(crate) fn check_lines(settings: &Settings, text: &str) -> Vec<String> {
    let found = check(settings, &trace(text));
    found.iter().flat_map(|v| v.to_string().lines().map(String::from).collect::<Vec<_>>()).collect()
}
