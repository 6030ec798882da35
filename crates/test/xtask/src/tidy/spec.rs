//! Requirements: docs/spec/*.md name them, code and tests cite them, and each
//! one marked *safety* names the function that enforces it, which has two mutants
//! in it or beside it in its file: one removes the rule, one weakens it.
//!
//! A requirement is a paragraph that begins with `**ID**`, an id being capitals
//! and a number (`MIN-2`); a safety requirement goes on with
//! `` (safety; enforced by `module::function`) ``.

use std::collections::{BTreeMap, BTreeSet};

use super::scan::{Function, line_of, words};
use super::{Finding, Tree};

const RULE: &str = "requirements";

/// The mutants that a safety requirement has.
const MUTANTS: &[&str] = &["remove", "weaken"];

/// A requirement as its document states it.
#[derive(Debug)]
struct Requirement {
    id: String,
    place: String,
    /// The functions that enforce it; none where it is no safety requirement.
    enforcers: Option<Vec<String>>,
}

/// A call of `mutant::active` in the sources.
#[derive(Debug)]
struct Mutant {
    name: String,
    path: String,
    offset: usize,
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let requirements = requirements(tree);
    let mutants = mutants(tree);
    let mut findings = repeated(&requirements);
    for requirement in &requirements {
        findings.extend(unguarded(tree, requirement, &mutants));
    }
    findings.extend(mutants.iter().filter_map(|m| orphan(tree, m, &requirements)));
    findings.extend(unknown_citations(tree, &requirements));
    findings
}

/// All requirements of all documents.
fn requirements(tree: &Tree) -> Vec<Requirement> {
    let mut found = Vec::new();
    for (path, text) in tree.files.iter().filter(|(path, _)| is_spec(path)) {
        let mut is_new = true;
        for (at, line) in text.lines().enumerate() {
            // The bold marker goes with the list's: look at it where it was.
            let start = line.trim_start_matches(['-', '*', ' ']);
            let marker = &line[..line.len() - start.len()];
            if marker.ends_with("**") && (is_new || marker.contains('-')) {
                let rest = text.lines().skip(at + 1).take_while(|line| !line.trim().is_empty());
                let paragraph: Vec<&str> = std::iter::once(start).chain(rest).collect();
                found.extend(requirement(&paragraph.join(" "), format!("{path}:{}", at + 1)));
            }
            is_new = line.trim().is_empty() || line.starts_with('#');
        }
    }
    found
}

fn is_spec(path: &str) -> bool {
    path.starts_with("docs/spec/") && path.ends_with(".md")
}

/// A requirement from its paragraph, which begins behind the bold marker.
fn requirement(paragraph: &str, place: String) -> Option<Requirement> {
    let (id, rest) = paragraph.split_once("**")?;
    if !is_id(id) {
        return None;
    }
    let note = note(rest.trim_start());
    let is_safety = words(note).next().is_some_and(|(_, word)| word == "safety");
    let quoted = note.split('`').skip(1).step_by(2);
    let enforcers: Vec<String> =
        quoted.map(|name| name.trim_end_matches("()").to_owned()).collect();
    Some(Requirement { id: id.to_owned(), place, enforcers: is_safety.then_some(enforcers) })
}

/// What stands in the parentheses that a text begins with, if it does; those
/// inside backticks do not count.
fn note(text: &str) -> &str {
    let Some(inside) = text.strip_prefix('(') else { return "" };
    let mut is_quoted = false;
    let end = inside.find(|c| {
        is_quoted ^= c == '`';
        c == ')' && !is_quoted
    });
    &inside[..end.unwrap_or(0)]
}

/// Whether a text is an id: capitals, a dash, digits.
fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(word, number)| {
        word.len() > 1
            && word.chars().all(|c| c.is_ascii_uppercase())
            && !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit())
    })
}

fn repeated(requirements: &[Requirement]) -> Vec<Finding> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut findings = Vec::new();
    for Requirement { id, place, .. } in requirements {
        if let Some(first) = seen.insert(id, place) {
            let what = format!("{id} stands at {first} already");
            findings.push(Finding::new(place, RULE, what, "give it the next free number"));
        }
    }
    findings
}

/// What a safety requirement lacks: its function, or a mutant in it.
fn unguarded(tree: &Tree, requirement: &Requirement, mutants: &[Mutant]) -> Vec<Finding> {
    let Requirement { id, place, enforcers: Some(enforcers) } = requirement else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut say = |what: String, remedy: &str| {
        findings.push(Finding::new(place, RULE, what, remedy));
    };
    if enforcers.is_empty() {
        say(
            format!("{id} is a safety requirement and names no function that enforces it"),
            "(safety; enforced by `module::function`)",
        );
        return findings;
    }
    let mut files = BTreeSet::new();
    for name in enforcers {
        let places = files_with(tree, name);
        if places.is_empty() {
            say(format!("{id} names {name}, which no crate has"), "name the function as it is now");
        }
        files.extend(places);
    }
    for kind in MUTANTS {
        let name = format!("{id}/{kind}");
        let mut planted = mutants.iter().filter(|mutant| mutant.name == name);
        if !planted.any(|mutant| files.contains(&mutant.path)) {
            say(
                format!("{id} has no mutant {name:?} beside {}", enforcers.join(", ")),
                "ask `mutant::active` for it where the function enforces the rule",
            );
        }
    }
    findings
}

/// The files that have a function whose path ends like this.
fn files_with(tree: &Tree, name: &str) -> BTreeSet<String> {
    let wanted: Vec<&str> = name.split("::").collect();
    let mut found = BTreeSet::new();
    for (path, source) in &tree.sources {
        let modules = module_path(tree, path);
        let is_wanted = |function: &Function| {
            let whole = modules.iter().chain(&function.path).map(String::as_str);
            whole.collect::<Vec<&str>>().ends_with(&wanted)
        };
        if source.functions.iter().any(is_wanted) {
            found.insert(path.clone());
        }
    }
    found
}

/// The crate and modules that a file is, as a path in code would name them.
fn module_path(tree: &Tree, path: &str) -> Vec<String> {
    let Some(package) = tree.owner(path) else { return Vec::new() };
    let inside = path.strip_prefix(package.folder()).unwrap_or(path);
    let inside = inside.strip_prefix("src/").unwrap_or(inside).trim_end_matches(".rs");
    let modules = inside.split('/').filter(|part| !matches!(*part, "lib" | "main" | "mod"));
    std::iter::once(package.name.replace('-', "_")).chain(modules.map(str::to_owned)).collect()
}

/// All calls of `mutant::active` with a literal name.
fn mutants(tree: &Tree) -> Vec<Mutant> {
    let mut found = Vec::new();
    for (path, source) in &tree.sources {
        for (offset, call) in source.code.match_indices("mutant::active(") {
            let Some(argument) = tree.files.get(path).map(|text| &text[offset + call.len()..])
            else {
                continue;
            };
            let literal = argument.trim_start().strip_prefix('"').and_then(|a| a.split_once('"'));
            let name = literal.map_or(String::new(), |(name, _)| name.to_owned());
            found.push(Mutant { name, path: path.clone(), offset });
        }
    }
    found
}

/// A mutant that belongs to no safety requirement.
fn orphan(tree: &Tree, mutant: &Mutant, requirements: &[Requirement]) -> Option<Finding> {
    let owner = mutant.name.split_once('/').filter(|(id, kind)| {
        let is_known = |r: &Requirement| r.id == *id && r.enforcers.is_some();
        MUTANTS.contains(kind) && requirements.iter().any(is_known)
    });
    if owner.is_some() {
        return None;
    }
    let line = line_of(&tree.sources[&mutant.path].code, mutant.offset);
    Some(Finding::new(
        format!("{}:{line}", mutant.path),
        RULE,
        format!("the mutant {:?} belongs to no safety requirement", mutant.name),
        "name it ID/remove or ID/weaken after a requirement of docs/spec, as a literal",
    ))
}

/// Ids that comments cite as `[ID]` and no document has; only ids of families
/// that docs/spec begins, as `[UTF-8]` is none of ours.
fn unknown_citations(tree: &Tree, requirements: &[Requirement]) -> Vec<Finding> {
    let family = |id: &str| id.split('-').next().unwrap_or_default().to_owned();
    let families: BTreeSet<String> = requirements.iter().map(|r| family(&r.id)).collect();
    let known: BTreeSet<&str> = requirements.iter().map(|r| r.id.as_str()).collect();
    let mut findings = Vec::new();
    for (path, source) in &tree.sources {
        for (at, _) in source.comments.match_indices('[') {
            let Some((id, _)) = source.comments[at + 1..].split_once(']') else { continue };
            if is_id(id) && families.contains(&family(id)) && !known.contains(id) {
                let place = format!("{path}:{}", line_of(&source.comments, at));
                let what = format!("cites {id}, which no document has");
                findings.push(Finding::new(place, RULE, what, "cite a requirement of docs/spec"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests;
