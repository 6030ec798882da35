//! Manifests: licence, description, the workspace's lints, no mutants switched
//! on, and a line in docs/dependencies.md for each crate of others.

use std::collections::{BTreeMap, BTreeSet};

use super::lists::cells;
use super::{Finding, Tree};

const RULE: &str = "manifests";

/// Where each third-party crate has its row: why, cost, what else there is.
const DEPENDENCIES: &str = "docs/dependencies.md";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let mut say = |what: String, remedy: &str| {
            findings.push(Finding::new(&package.manifest, RULE, what, remedy));
        };
        if package.license.as_deref() != Some("GPL-2.0-or-later") {
            let license = package.license.as_deref().unwrap_or("none");
            say(format!("the licence is {license:?}"), "license.workspace = true");
        }
        if package.description.as_deref().is_none_or(|text| text.trim().is_empty()) {
            say("there is no description".to_owned(), "description = \"what the crate is for\"");
        }
        let manifest = tree.files.get(&package.manifest).map_or("", String::as_str);
        if !inherits_lints(manifest) {
            say("the workspace's lints do not hold".to_owned(), "[lints]\nworkspace = true");
        }
        for dep in package.dependencies.iter().filter(|dep| dep.ours && !dep.dev_only) {
            if dep.features.iter().any(|feature| feature == "mutants") {
                let what = format!("switches the mutants of {} on in every build", dep.name);
                say(what, "pass it on by a feature of the crate's own: mutants = [\"...\"]");
            }
        }
    }
    findings.extend(documented_dependencies(tree));
    findings
}

fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.any(|line| line == "[lints]") && lines.next() == Some("workspace = true")
}

/// Third-party crates without a row, and rows without a crate.
fn documented_dependencies(tree: &Tree) -> Vec<Finding> {
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &tree.packages {
        for dep in package.dependencies.iter().filter(|dep| !dep.ours) {
            users.entry(&dep.name).or_default().push(&package.name);
        }
    }
    let text = tree.files.get(DEPENDENCIES).map_or("", String::as_str);
    let rows = crate_rows(text);
    let mut findings = Vec::new();
    for (name, users) in users.iter().filter(|(name, _)| !rows.contains(**name)) {
        findings.push(Finding::new(
            DEPENDENCIES,
            RULE,
            format!("{name}, which {} uses, has no row", users.join(", ")),
            "add one: why it is needed, what it costs to build, what else was considered",
        ));
    }
    for row in rows.iter().filter(|row| !users.contains_key(row.as_str())) {
        let what = format!("nothing uses {row} any more");
        findings.push(Finding::new(DEPENDENCIES, RULE, what, "delete its row"));
    }
    findings
}

/// The first cells of the tables whose first column is headed `crate`.
fn crate_rows(markdown: &str) -> BTreeSet<String> {
    let mut rows = BTreeSet::new();
    let mut is_ours = None;
    for line in markdown.lines() {
        if !line.starts_with('|') {
            is_ours = None;
            continue;
        }
        let first = cells(line).into_iter().next().unwrap_or_default();
        match is_ours {
            None => is_ours = Some(first == "crate"),
            Some(true) if !first.starts_with(['-', ':']) => {
                rows.insert(first);
            }
            Some(_) => {}
        }
    }
    rows
}

#[cfg(test)]
mod tests;
