//! Dependencies point down: bin, io, core, base; tests see everything.
//!
//! Within base and within test the order is free. An edge between two crates of
//! core, or of io, stands in the table "Allowed edges" of docs/ARCHITECTURE.md
//! with its reason. What only tests of a crate use may also be of the test tier,
//! as nothing of it ships.

use super::lists::{self, ARCHITECTURE};
use super::tree::{Dependency, Package};
use super::{Finding, Tree};

const RULE: &str = "tiers";

/// The heading of the table of edges within a tier.
const HEADING: &str = "Allowed edges";

/// The tiers that ship, lowest first; `test` stands beside them.
const ORDER: &[&str] = &["base", "core", "io", "bin"];

/// The folder whose crates are of whatever tier they declare.
const MIXED: &str = "corosync-compat";

/// An edge that ARCHITECTURE.md allows.
struct Edge {
    line: usize,
    from: String,
    to: String,
    reason: String,
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = tree.packages.iter().filter_map(misplaced).collect();
    let edges = match allowed_edges(tree) {
        Ok(edges) => edges,
        Err(finding) => {
            findings.push(finding);
            Vec::new()
        }
    };
    for package in &tree.packages {
        let ours = package.dependencies.iter().filter(|dependency| dependency.ours);
        findings.extend(ours.filter_map(|dependency| against(tree, package, dependency, &edges)));
    }
    findings.extend(edges.iter().filter_map(|edge| stale(tree, edge)));
    findings
}

/// A package whose declared tier is not the folder that it lies in.
fn misplaced(package: &Package) -> Option<Finding> {
    let folder = package.manifest.rsplit('/').nth(2).unwrap_or_default();
    let tier = package.tier.as_deref().unwrap_or("none");
    let is_known = tier == "test" || ORDER.contains(&tier);
    if is_known && (folder == tier || folder == MIXED) {
        return None;
    }
    Some(Finding::new(
        &package.manifest,
        RULE,
        format!("declares the tier {tier:?} and lies in the folder {folder:?}"),
        "[package.metadata.systole] tier = the folder: base, core, io, bin or test",
    ))
}

/// An edge that points the wrong way.
fn against(tree: &Tree, from: &Package, to: &Dependency, edges: &[Edge]) -> Option<Finding> {
    let above = from.tier.as_deref()?;
    let below = tier_of(tree, &to.name)?;
    let is_listed = || edges.iter().any(|edge| edge.from == from.name && edge.to == to.name);
    let is_allowed = match (above, below) {
        ("test", _) | ("base", "base") => true,
        (_, "test") => to.dev_only,
        _ if above == below => above != "bin" && is_listed(),
        _ => height(above) > height(below),
    };
    (!is_allowed).then(|| {
        Finding::new(
            &from.manifest,
            RULE,
            format!("{} ({above}) depends on {} ({below})", from.name, to.name),
            format!(
                "dependencies point down (bin, io, core, base); an edge within core or io needs \
                 a row with its reason under \"{HEADING}\" in {ARCHITECTURE}"
            ),
        )
    })
}

/// A row of the table that is incomplete or that nothing needs.
fn stale(tree: &Tree, edge: &Edge) -> Option<Finding> {
    let place = format!("{ARCHITECTURE}:{}", edge.line);
    let Edge { from, to, reason, .. } = edge;
    if reason.is_empty() {
        let what = format!("the edge {from} to {to} has no reason");
        return Some(Finding::new(place, RULE, what, "write it into the third column"));
    }
    let package = tree.packages.iter().find(|package| package.name == *from);
    let is_used = package.is_some_and(|p| p.dependencies.iter().any(|d| d.name == *to));
    if is_used && package.and_then(|p| p.tier.as_deref()) == tier_of(tree, to) {
        return None;
    }
    let what = format!("there is no edge within a tier from {from} to {to}");
    Some(Finding::new(place, RULE, what, "delete the row"))
}

fn allowed_edges(tree: &Tree) -> Result<Vec<Edge>, Finding> {
    let text = tree.files.get(ARCHITECTURE).map_or("", String::as_str);
    let rows = lists::table(text, HEADING).ok_or_else(|| {
        Finding::new(
            ARCHITECTURE,
            RULE,
            format!("there is no section \"{HEADING}\""),
            "add the heading and a table | from | to | reason |",
        )
    })?;
    let edge = |(line, cells): (usize, Vec<String>)| {
        let mut cells = cells.into_iter();
        let mut next = || cells.next().unwrap_or_default();
        Edge { line, from: next(), to: next(), reason: next() }
    };
    Ok(rows.into_iter().map(edge).collect())
}

fn tier_of<'a>(tree: &'a Tree, name: &str) -> Option<&'a str> {
    tree.packages.iter().find(|package| package.name == name)?.tier.as_deref()
}

fn height(tier: &str) -> Option<usize> {
    ORDER.iter().position(|known| *known == tier)
}

#[cfg(test)]
mod tests;
