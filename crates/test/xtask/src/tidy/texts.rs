//! What any text file of the project must not hold, and links that lead nowhere.

use super::scan::{is_word, line_of, words};
use super::{Finding, Tree};

const RULE: &str = "texts";

/// Macros that stand for code that is still to be written.
const UNWRITTEN: &[&str] = &["todo", "unimplemented"];

/// Marks of work left over. Written in parts, as this file is checked as well.
const LEFT_OVER: [&str; 2] = [concat!("FIX", "ME"), concat!("XX", "X")];

/// Where only the author's own machine has something.
const MACHINE_PATH: &str = concat!("/wo", "rk/");

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = unwritten(tree);
    findings.extend(left_over(tree));
    findings.extend(machine_paths(tree));
    for (path, text) in tree.files.iter().filter(|(path, _)| is_document(path)) {
        findings.extend(dead_links(tree, path, text));
    }
    findings
}

fn is_document(path: &str) -> bool {
    path.ends_with(".md") && (path.starts_with("docs/") || !path.contains('/'))
}

fn unwritten(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in &tree.sources {
        for (at, word) in words(&source.code).filter(|(_, word)| UNWRITTEN.contains(word)) {
            if source.code[at + word.len()..].starts_with('!') {
                let place = format!("{path}:{}", line_of(&source.code, at));
                findings.push(Finding::new(place, RULE, format!("{word}!"), "write the code"));
            }
        }
    }
    findings
}

/// Marks in comments of Rust, and anywhere in other files.
fn left_over(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.files {
        let text = tree.sources.get(path).map_or(text, |source| &source.comments);
        for (at, word) in words(text).filter(|(_, word)| LEFT_OVER.contains(word)) {
            let place = format!("{path}:{}", line_of(text, at));
            let remedy = "do it, or open an issue and say here what is so and why";
            findings.push(Finding::new(place, RULE, format!("the mark {word}"), remedy));
        }
    }
    findings
}

fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.files {
        for (at, _) in text.match_indices(MACHINE_PATH) {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            if is_word(before) || matches!(before, '.' | '-' | '}' | '~') {
                continue;
            }
            findings.push(Finding::new(
                format!("{path}:{}", line_of(text, at)),
                RULE,
                "a path of one person's machine",
                "name it from the root of the repository, or as an argument",
            ));
        }
    }
    findings
}

/// Links of a document to files or headings that are not there.
fn dead_links(tree: &Tree, path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let prose = without_code(text);
    for (at, _) in prose.match_indices("](") {
        let Some((target, _)) = prose[at + 2..].split_once([')', ' ', '\n']) else { continue };
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let file = if file.is_empty() { path.to_owned() } else { resolve(path, file) };
        let is_dead = match tree.files.get(&file) {
            Some(linked) if !anchor.is_empty() && file.ends_with(".md") => {
                !has_anchor(linked, anchor)
            }
            Some(_) => false,
            None => !tree.exists(&file),
        };
        if is_dead {
            let place = format!("{path}:{}", line_of(&prose, at));
            let what = format!("the link {target} leads nowhere");
            findings.push(Finding::new(
                place,
                RULE,
                what,
                "name a file and heading that are there",
            ));
        }
    }
    findings
}

/// The text with code blocks and quoted code blanked.
fn without_code(text: &str) -> String {
    let mut prose = String::with_capacity(text.len());
    let mut in_block = false;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            prose.push('\n');
        } else if in_block {
            prose.push('\n');
        } else {
            let outside = line.split('`').step_by(2);
            prose.push_str(&outside.collect::<Vec<&str>>().join("`"));
        }
    }
    prose
}

/// A path that is relative to a document, from the root.
fn resolve(document: &str, link: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_some() => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether a document has a heading that renders with this anchor.
fn has_anchor(markdown: &str, anchor: &str) -> bool {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    headings.map(slug).any(|slug| slug == anchor)
}

/// A heading's anchor: lower case, spaces as dashes, no punctuation.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| is_word(*c) || matches!(c, '-' | ' '));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests;
