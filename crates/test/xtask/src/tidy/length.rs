//! Functions fit a screen or two, files tell one story.
//!
//! What is longer stands in `overlong.txt` with its length. The list only
//! shrinks: a new entry, or one that grew, is a finding, and one that shrank is
//! written anew by `cargo xtask tidy --update`.

use std::collections::BTreeMap;
use std::path::Path;

use super::lists::is_entry;
use super::scan::line_of;
use super::{Finding, Tree};
use crate::run::Failure;

const RULE: &str = "length";

/// The list: `path function lines`, the function of a whole file being `-`.
const LIST: &str = "crates/test/xtask/overlong.txt";

/// The longest function, from `fn` to its brace.
const FUNCTION_LINES: usize = 70;

/// The longest file.
const FILE_LINES: usize = 600;

/// What is too long: path and function, to its length and where it starts.
type Overlong = BTreeMap<(String, String), (usize, usize)>;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let found = overlong(tree);
    let listed = listed(tree);
    let mut findings = Vec::new();
    for (key, (lines, at)) in &found {
        let place = format!("{}:{at}", key.0);
        match listed.get(key) {
            Some(known) if lines == known => {}
            Some(known) if lines < known => findings.push(Finding::new(
                place,
                RULE,
                format!("{} shrank from {known} to {lines} lines", words_for(&key.1)),
                "cargo xtask tidy --update",
            )),
            Some(known) => findings.push(Finding::new(
                place,
                RULE,
                format!("{} grew from {known} to {lines} lines", words_for(&key.1)),
                "split it; it is too long already",
            )),
            None => findings.push(Finding::new(
                place,
                RULE,
                format!("{} has {lines} lines", words_for(&key.1)),
                format!(
                    "split it: functions up to {FUNCTION_LINES} lines, files up to {FILE_LINES}"
                ),
            )),
        }
    }
    for (path, function) in listed.keys().filter(|key| !found.contains_key(*key)) {
        findings.push(Finding::new(
            LIST,
            RULE,
            format!("{path}: {} is too long no more", words_for(function)),
            "cargo xtask tidy --update",
        ));
    }
    findings
}

/// Rewrites the list with what shrank or is gone; nothing is ever added.
///
/// # Errors
/// When the list cannot be written.
pub(super) fn shrink(root: &Path, tree: &Tree) -> Result<(), Failure> {
    std::fs::write(root.join(LIST), shrunk(tree)).map_err(Failure::from)
}

fn shrunk(tree: &Tree) -> String {
    let found = overlong(tree);
    let text = tree.files.get(LIST).map_or("", String::as_str);
    let head: Vec<&str> = text.lines().take_while(|line| !is_entry(line)).collect();
    let mut lines: Vec<String> = head.into_iter().map(str::to_owned).collect();
    for (key, known) in listed(tree) {
        if let Some((now, _)) = found.get(&key) {
            lines.push(format!("{} {} {}", key.0, key.1, known.min(*now)));
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn overlong(tree: &Tree) -> Overlong {
    let mut found = Overlong::new();
    for (path, source) in &tree.sources {
        let lines = source.code.lines().count();
        if lines > FILE_LINES {
            found.insert((path.clone(), "-".to_owned()), (lines, 1));
        }
        for function in source.functions.iter().filter(|f| f.lines > FUNCTION_LINES) {
            let key = (path.clone(), function.path.join("::"));
            let at = line_of(&source.code, function.start);
            let longest = found.get(&key).map_or(0, |(lines, _)| *lines);
            if function.lines > longest {
                found.insert(key, (function.lines, at));
            }
        }
    }
    found
}

fn listed(tree: &Tree) -> BTreeMap<(String, String), usize> {
    let text = tree.files.get(LIST).map_or("", String::as_str);
    let entry = |line: &str| {
        let mut cells = line.split_whitespace().map(str::to_owned);
        Some(((cells.next()?, cells.next()?), cells.next()?.parse().ok()?))
    };
    text.lines().filter(|line| is_entry(line)).filter_map(entry).collect()
}

fn words_for(function: &str) -> String {
    if function == "-" { "the file".to_owned() } else { format!("fn {function}") }
}

#[cfg(test)]
mod tests;
