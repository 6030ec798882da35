//! The project's structural rules, checked from text and from `cargo metadata`.
//!
//! Each rule is a function from a [`Tree`] to findings, and has tests that plant
//! what it must find. Exceptions stand in lists with a reason each
//! (`exceptions.txt`, `overlong.txt`, a table in docs/ARCHITECTURE.md); an entry
//! that nothing needs any more is a finding too, so the lists shrink.

mod length;
mod lists;
mod manifests;
mod purity;
mod scan;
mod skips;
mod spec;
mod texts;
mod tiers;
mod tree;
mod unsafety;

use std::fmt;

use crate::run::Failure;
use crate::workspace::Workspace;
use tree::Tree;

/// A place that breaks a rule, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, from the root, with a line where there is one.
    place: String,
    /// The rule's name.
    rule: &'static str,
    /// What is wrong.
    what: String,
    /// What mends it.
    remedy: String,
}

impl Finding {
    fn new(
        place: impl Into<String>,
        rule: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { place: place.into(), rule, what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, rule, what, remedy } = self;
        write!(f, "{place}: {rule}: {what}\n    remedy: {remedy}")
    }
}

/// The rules, each by the name under which its findings appear.
const RULES: &[fn(&Tree) -> Vec<Finding>] = &[
    tiers::check,
    purity::check,
    unsafety::check,
    length::check,
    manifests::check,
    spec::check,
    skips::check,
    texts::check,
];

/// `cargo xtask tidy [--update]`
///
/// # Errors
/// When a rule is broken; the findings have been printed by then.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    let update = match args {
        [] => false,
        [flag] if flag == "--update" => true,
        _ => return Err(Failure::new("usage: cargo xtask tidy [--update]")),
    };
    let metadata = workspace.metadata()?;
    let mut tree = Tree::read(&workspace.root, metadata)?;
    if update {
        length::shrink(&workspace.root, &tree)?;
        tree = Tree::read(&workspace.root, tree.metadata)?;
    }
    let findings = check(&tree);
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} files, nothing to say", tree.files.len());
        return Ok(());
    }
    Err(Failure(format!("{} findings", findings.len())))
}

/// All findings of all rules, in the order of their places.
fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort();
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests;
