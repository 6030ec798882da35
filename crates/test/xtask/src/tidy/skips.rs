//! `tests/allowed-skips`: the tests that CI may skip, with the reason.
//!
//! A line is `PACKAGE TEST: reason`, the test as the test binary lists it.
//! Golden, swap, mixed and checker tests never stand in it.

use super::lists::is_entry;
use super::{Finding, Tree};
use crate::test::ALLOWED_SKIPS;

const RULE: &str = "skips";

/// Words in a test's name that keep it off the list.
const NEVER: &[&str] = &["golden", "swap", "mixed", "checker"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.files.get(ALLOWED_SKIPS) else {
        let remedy = "restore it, if only with its heading";
        return vec![Finding::new(ALLOWED_SKIPS, RULE, "the list is not there", remedy)];
    };
    let entries = text.lines().enumerate().filter(|(_, line)| is_entry(line));
    entries.filter_map(|(at, line)| wrong(tree, at + 1, line)).collect()
}

fn wrong(tree: &Tree, line: usize, text: &str) -> Option<Finding> {
    let place = format!("{ALLOWED_SKIPS}:{line}");
    let say = |what: String, remedy: &str| Some(Finding::new(&place, RULE, what, remedy));
    let Some((name, _)) = text.split_once(": ").filter(|(_, reason)| !reason.trim().is_empty())
    else {
        return say("the entry has no reason".to_owned(), "PACKAGE TEST: reason");
    };
    let Some((package, test)) = name.split_once(' ') else {
        return say("the entry names no test".to_owned(), "PACKAGE TEST: reason");
    };
    if let Some(word) = NEVER.iter().find(|word| name.contains(**word)) {
        return say(format!("a {word} test may never be skipped"), "make it run");
    }
    if !has_test(tree, package, test) {
        return say(format!("{package} has no test {test}"), "delete the line");
    }
    None
}

/// Whether a package has a function of the test's last name below its folder.
fn has_test(tree: &Tree, package: &str, test: &str) -> bool {
    let Some(package) = tree.packages.iter().find(|p| p.name == package) else { return false };
    let last = test.rsplit("::").next().unwrap_or(test);
    let own = tree.sources.iter().filter(|(path, _)| path.starts_with(package.folder()));
    own.flat_map(|(_, source)| &source.functions).any(|f| f.path.last().is_some_and(|n| n == last))
}

#[cfg(test)]
mod tests;
