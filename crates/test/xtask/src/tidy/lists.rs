//! The lists of exceptions, each with its reason.

use super::{Finding, Tree};

/// Where exceptions stand that are no edges between crates.
pub(super) const EXCEPTIONS: &str = "crates/test/xtask/exceptions.txt";

/// Where edges between crates of one tier stand.
pub(super) const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";

/// An exception: `kind | subject | reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exception {
    /// The line that it stands on.
    pub(super) line: usize,
    /// Which rule it is from.
    pub(super) kind: String,
    /// What is excepted; each rule says what it means by it.
    pub(super) subject: String,
    reason: String,
}

/// The exceptions of one kind.
pub(super) fn exceptions(tree: &Tree, kind: &str) -> Vec<Exception> {
    all(tree).into_iter().filter(|exception| exception.kind == kind).collect()
}

/// Findings for entries without a reason and for those that nothing needs.
pub(super) fn judge(
    rule: &'static str,
    entries: &[Exception],
    is_needed: impl Fn(&Exception) -> bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in entries {
        let place = format!("{EXCEPTIONS}:{}", entry.line);
        let subject = &entry.subject;
        if entry.reason.is_empty() {
            findings.push(Finding::new(
                place,
                rule,
                format!("the exception for {subject} has no reason"),
                "write why it is needed behind a second `|`",
            ));
        } else if !is_needed(entry) {
            findings.push(Finding::new(
                place,
                rule,
                format!("nothing needs the exception for {subject} any more"),
                "delete the line",
            ));
        }
    }
    findings
}

fn all(tree: &Tree) -> Vec<Exception> {
    let text = tree.files.get(EXCEPTIONS).map_or("", String::as_str);
    let lines = text.lines().enumerate().filter(|(_, line)| is_entry(line));
    lines.map(|(at, line)| exception(at + 1, line)).collect()
}

fn exception(line: usize, text: &str) -> Exception {
    let mut cells = text.splitn(3, '|').map(|cell| cell.trim().to_owned());
    let mut next = || cells.next().unwrap_or_default();
    Exception { line, kind: next(), subject: next(), reason: next() }
}

/// Whether a line of a list is an entry, and neither empty nor a comment.
pub(super) fn is_entry(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// The rows of the first table under a heading, as cells; the lines counted
/// from 1. The two rows that make the table's head are left out.
pub(super) fn table(markdown: &str, heading: &str) -> Option<Vec<(usize, Vec<String>)>> {
    let mut lines = markdown.lines().enumerate();
    lines.find(|(_, line)| {
        line.starts_with('#') && line.trim_start_matches('#').trim() == heading
    })?;
    let section = lines.take_while(|(_, line)| !line.starts_with('#'));
    let rows = section.filter(|(_, line)| line.starts_with('|')).skip(2);
    Some(rows.map(|(at, line)| (at + 1, cells(line))).collect())
}

/// The cells of a row of a Markdown table, without backticks.
pub(super) fn cells(row: &str) -> Vec<String> {
    let inside = row.trim().trim_matches('|');
    inside.split('|').map(|cell| cell.replace('`', "").trim().to_owned()).collect()
}
