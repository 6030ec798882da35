//! `unsafe` lives in the io tier alone, in modules that say why, with the reason
//! of each block beside it. The lab may have modules by exception.

use super::lists::{self, EXCEPTIONS};
use super::scan::{Source, line_of, words};
use super::{Finding, Tree};

const RULE: &str = "unsafe";

/// How many lines above a block its reason may begin.
const REASON_LINES: usize = 8;

/// The only crate outside io that may have exceptions.
const LAB: &str = "crates/test/lab/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let entries = lists::exceptions(tree, "unsafe");
    let mut findings = Vec::new();
    let mut needed = Vec::new();
    for (path, source) in &tree.sources {
        let Some(at) = first_use(&source.code) else { continue };
        let is_listed = path.starts_with(LAB) && entries.iter().any(|e| e.subject == *path);
        if tree.tier_of(path) == Some("io") || is_listed {
            needed.push(path.clone());
            findings.extend(without_reason(path, source));
            continue;
        }
        findings.push(Finding::new(
            format!("{path}:{}", line_of(&source.code, at)),
            RULE,
            "unsafe code outside the io tier",
            format!("use a safe call, or move it to a small module of an io crate (the lab: add `unsafe | {path} | reason` to {EXCEPTIONS})"),
        ));
    }
    findings.extend(lists::judge(RULE, &entries, |entry| needed.contains(&entry.subject)));
    findings
}

/// The first place where code is unsafe or switches the lint off.
fn first_use(code: &str) -> Option<usize> {
    let keyword = words(code).find(|(_, word)| *word == "unsafe").map(|(at, _)| at);
    let switch = ["allow(unsafe_code", "expect(unsafe_code"].iter().filter_map(|s| code.find(s));
    keyword.into_iter().chain(switch).min()
}

/// Switched-off lints and unsafe blocks that do not say why.
fn without_reason(path: &str, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let comments: Vec<&str> = source.comments.lines().collect();
    for (at, _) in source.code.match_indices("(unsafe_code") {
        let line = line_of(&source.code, at);
        let statement = source.code[at..].split(']').next().unwrap_or_default();
        let near = comments[line.saturating_sub(2)..(line + 1).min(comments.len())].iter();
        if !statement.contains("reason") && near.clone().all(|comment| comment.trim().is_empty()) {
            findings.push(Finding::new(
                format!("{path}:{line}"),
                RULE,
                "the module does not say why it is unsafe",
                "add `reason = \"...\"` to the attribute, or a comment beside it",
            ));
        }
    }
    for (at, _) in words(&source.code).filter(|(_, word)| *word == "unsafe") {
        let rest = source.code[at + 6..].trim_start();
        if !rest.starts_with('{') && !rest.starts_with("impl") {
            continue;
        }
        let line = line_of(&source.code, at);
        let near = &comments[line.saturating_sub(REASON_LINES + 1)..line.min(comments.len())];
        if !near.iter().any(|comment| comment.contains("SAFETY:")) {
            findings.push(Finding::new(
                format!("{path}:{line}"),
                RULE,
                "an unsafe block without a SAFETY comment",
                "say above it why what it does is sound here: `// SAFETY: ...`",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests;
