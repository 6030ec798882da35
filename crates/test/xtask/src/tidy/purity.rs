//! Base and core crates stay pure: no system, no clock, no environment, nothing
//! unordered, and no proc-macros, which dominate the build on two cores.
//!
//! Three nets: direct dependencies by name and kind, clippy's disallowed lists
//! (whose configuration must be there, be alike, and not be switched off
//! unseen), and the modules of std that reach the system, by text.

use super::lists::{self, EXCEPTIONS};
use super::scan::{line_of, words};
use super::tree::{Dependency, Package};
use super::{Finding, Tree};

const RULE: &str = "purity";

/// Crates that reach the operating system.
const SYSTEM_CRATES: &[&str] = &[
    "async-io",
    "async-std",
    "getrandom",
    "libc",
    "mio",
    "nix",
    "polling",
    "rand",
    "rustix",
    "signal-hook",
    "smol",
    "socket2",
    "tokio",
    "tokio-util",
    "zbus",
];

/// Modules of std that reach the operating system.
const SYSTEM_MODULES: &[&str] = &["env", "fs", "os", "process", "thread"];

/// The clippy configurations, which are one text.
const CLIPPY: [&str; 2] = ["crates/base/clippy.toml", "crates/core/clippy.toml"];

/// What the clippy configurations must name at least.
const DISALLOWED: &[&str] = &[
    "disallowed-methods",
    "disallowed-types",
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::env::var",
    "std::collections::HashMap",
    "std::collections::HashSet",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = dependencies(tree);
    findings.extend(clippy_configuration(tree));
    findings.extend(switched_off(tree));
    findings.extend(std_modules(tree));
    findings
}

fn is_pure(tier: Option<&str>) -> bool {
    matches!(tier, Some("base" | "core"))
}

/// Direct dependencies that a pure crate must not have.
fn dependencies(tree: &Tree) -> Vec<Finding> {
    let entries = lists::exceptions(tree, "dependency");
    let pure = || tree.packages.iter().filter(|package| is_pure(package.tier.as_deref()));
    let subject = |package: &Package, dep: &Dependency| format!("{} -> {}", package.name, dep.name);
    let mut findings = Vec::new();
    let mut needed = Vec::new();
    for package in pure() {
        for dep in package.dependencies.iter().filter(|dep| !dep.ours) {
            let kind = match dep {
                dep if dep.proc_macro => "a proc-macro crate",
                dep if SYSTEM_CRATES.contains(&dep.name.as_str()) => {
                    "a crate that reaches the system"
                }
                _ => continue,
            };
            needed.push(subject(package, dep));
            if entries.iter().all(|entry| entry.subject != subject(package, dep)) {
                findings.push(Finding::new(
                    &package.manifest,
                    RULE,
                    format!("depends on {}, {kind}", dep.name),
                    format!(
                        "move what needs it to the io tier, or add `dependency | {} | reason` to {EXCEPTIONS}",
                        subject(package, dep)
                    ),
                ));
            }
        }
    }
    findings.extend(lists::judge(RULE, &entries, |entry| needed.contains(&entry.subject)));
    findings
}

/// The disallowed lists of both tiers: there, alike, and the only ones.
fn clippy_configuration(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let texts = CLIPPY.map(|path| tree.files.get(path));
    for (path, text) in CLIPPY.iter().zip(texts) {
        let has = |name: &&&str| text.is_none_or(|text| !text.contains(**name));
        let missing: Vec<&str> = DISALLOWED.iter().filter(has).copied().collect();
        if !missing.is_empty() {
            findings.push(Finding::new(
                *path,
                RULE,
                format!("clippy's lists do not name {}", missing.join(", ")),
                "restore them: they keep clock, environment and unordered iteration out",
            ));
        }
    }
    if texts[0] != texts[1] {
        let what = format!("differs from {}", CLIPPY[0]);
        findings.push(Finding::new(CLIPPY[1], RULE, what, "copy one over the other"));
    }
    for path in tree.files.keys().filter(|path| is_pure(tree.tier_of(path))) {
        if path.ends_with("/clippy.toml") || path.ends_with("/.clippy.toml") {
            let what = "hides the tier's own clippy configuration";
            findings.push(Finding::new(path, RULE, what, "delete it"));
        }
    }
    findings
}

/// Places in pure crates where a disallowed list is switched off.
fn switched_off(tree: &Tree) -> Vec<Finding> {
    let entries = lists::exceptions(tree, "clippy");
    let mut findings = Vec::new();
    let mut needed = Vec::new();
    for (path, source) in tree.sources.iter().filter(|(path, _)| is_pure(tree.tier_of(path))) {
        for (at, _) in source.code.match_indices("clippy::disallowed_") {
            needed.push(path.clone());
            if entries.iter().all(|entry| entry.subject != *path) {
                findings.push(Finding::new(
                    format!("{path}:{}", line_of(&source.code, at)),
                    RULE,
                    "switches one of clippy's disallowed lists off",
                    format!("take the value as an input, or add `clippy | {path} | reason` to {EXCEPTIONS}"),
                ));
            }
        }
    }
    findings.extend(lists::judge(RULE, &entries, |entry| needed.contains(&entry.subject)));
    findings
}

/// Uses of std's system modules outside tests.
fn std_modules(tree: &Tree) -> Vec<Finding> {
    let entries = lists::exceptions(tree, "std");
    let mut findings = Vec::new();
    let mut needed = Vec::new();
    for (path, source) in tree.sources.iter().filter(|(path, _)| is_pure(tree.tier_of(path))) {
        if path.contains("/tests/") || path.ends_with("/tests.rs") {
            continue;
        }
        let end = source.code.find("#[cfg(test)]\nmod tests {").unwrap_or(source.code.len());
        for (at, module) in system_modules(&source.code[..end]) {
            needed.push(path.clone());
            if entries.iter().all(|entry| entry.subject != *path) {
                findings.push(Finding::new(
                    format!("{path}:{}", line_of(&source.code, at)),
                    RULE,
                    format!("uses std::{module}"),
                    format!("let the shell do it, or add `std | {path} | reason` to {EXCEPTIONS}"),
                ));
            }
        }
    }
    findings.extend(lists::judge(RULE, &entries, |entry| needed.contains(&entry.subject)));
    findings
}

/// Where code names `std::MODULE` or `std::{.. MODULE ..}` of a system module.
fn system_modules(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("std::") {
        let rest = &code[at + 5..];
        let inside = match rest.strip_prefix('{') {
            Some(group) => &group[..group.find(';').unwrap_or(group.len())],
            None => &rest[..rest.find(|c| !super::scan::is_word(c)).unwrap_or(rest.len())],
        };
        let modules = words(inside).filter(|(_, word)| SYSTEM_MODULES.contains(word));
        found.extend(modules.map(|(_, module)| (at, module)));
    }
    found
}

#[cfg(test)]
mod tests;
