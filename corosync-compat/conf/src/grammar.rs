//! Lines, sections and items.
//!
//! A line opens a section (`name {`), closes one (`}`), gives a key a value
//! (`key: value`), is empty or a comment. The first `{` of a line makes it a
//! section and the first `:` an item, in this order of precedence [CONF-1].

use cmap::name;

/// Longest line, in bytes, without its end.
const MAX_LINE: usize = 510;

/// What a line means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) line: u32,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A section begins; its whole path.
    Open { path: String },
    /// The section ends.
    Close { path: String },
    /// A key is given a value.
    Item { path: String, key: String, value: Vec<u8> },
}

/// A line that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) line: u32,
    pub(crate) reason: &'static str,
}

/// Splits a text into its steps. What follows a step that is refused is not
/// looked at, so the steps before a bad line come with it.
pub(crate) fn steps(text: &[u8]) -> (Vec<Step>, Option<BadLine>) {
    let mut splitter = Splitter::default();
    let mut rest = text;
    while !rest.is_empty() {
        splitter.line += 1;
        let end = rest.iter().position(|b| *b == b'\n');
        let (line, is_ended) = (&rest[..end.unwrap_or(rest.len())], end.is_some());
        rest = end.map_or(&[], |end| &rest[end + 1..]);
        if let Err(reason) = splitter.take(line, is_ended) {
            return (splitter.steps, Some(BadLine { line: splitter.line, reason }));
        }
    }
    let bad = (!splitter.open.is_empty())
        .then_some(BadLine { line: splitter.line, reason: "Missing closing brace" });
    (splitter.steps, bad)
}

#[derive(Default)]
struct Splitter {
    line: u32,
    /// The paths of the sections that are open.
    open: Vec<String>,
    steps: Vec<Step>,
}

impl Splitter {
    fn take(&mut self, line: &[u8], is_ended: bool) -> Result<(), &'static str> {
        let line = before_nul(line, is_ended)?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = trim_end(line);
        if matches!(trim_start(line).first(), None | Some(b'#')) {
            return Ok(());
        }
        if let Some((before, after)) = split_at(line, b'{') {
            self.open(before, after)
        } else if let Some((key, value)) = split_at(line, b':') {
            self.item(key, value)
        } else if line.contains(&b'}') {
            self.close(line)
        } else {
            Err("Line is not opening or closing section or key value")
        }
    }

    fn open(&mut self, before: &[u8], after: &[u8]) -> Result<(), &'static str> {
        let section = trim_name(before);
        if section.is_empty() {
            return Err("Missing section name before opening bracket '{'");
        }
        if !trim(after).is_empty() {
            return Err("Extra characters after opening bracket '{'");
        }
        let path = self.below(section).ok_or("Start of section makes total cmap path too long")?;
        self.open.push(path.clone());
        self.push(What::Open { path });
        Ok(())
    }

    fn item(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let key = trim_name(key);
        let path = self.below(key).ok_or("New key makes total cmap path too long")?;
        let key = String::from_utf8_lossy(key).into_owned();
        self.push(What::Item { path, key, value: trim(value).to_vec() });
        Ok(())
    }

    fn close(&mut self, line: &[u8]) -> Result<(), &'static str> {
        if trim(line) != b"}" {
            return Err("Extra characters before or after closing bracket '}'");
        }
        let path = self.open.pop().ok_or("Unexpected closing brace")?;
        self.push(What::Close { path });
        Ok(())
    }

    /// The path of `name` in the section that is open; None when it is too long.
    fn below(&self, name: &[u8]) -> Option<String> {
        let parent = self.open.last().map_or("", String::as_str);
        if parent.len() + name.len() + 1 >= name::MAX_LEN {
            return None;
        }
        let name = String::from_utf8_lossy(name);
        Some(if parent.is_empty() { name.into_owned() } else { format!("{parent}.{name}") })
    }

    fn push(&mut self, what: What) {
        self.steps.push(Step { line: self.line, what });
    }
}

/// The reference reads lines as C strings into 512 bytes.
fn before_nul(line: &[u8], is_ended: bool) -> Result<&[u8], &'static str> {
    let too_long = Err("Line too long");
    match line.iter().position(|b| *b == 0) {
        Some(0) => Ok(&[]),
        Some(_) if is_ended => too_long,
        Some(nul) => Ok(&line[..nul]),
        None if line.len() > MAX_LINE => too_long,
        None => Ok(line),
    }
}

fn split_at(line: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|b| *b == mark)?;
    Some((&line[..at], &line[at + 1..]))
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn trim_start(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|b| is_blank(**b)).count()..]
}

fn trim_end(text: &[u8]) -> &[u8] {
    &text[..text.len() - text.iter().rev().take_while(|b| is_blank(**b)).count()]
}

fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// A name may be followed by blanks, colons and braces, which do not belong to
/// it; its first character always does.
fn trim_name(text: &[u8]) -> &[u8] {
    let text = trim_start(text);
    let is_trailing = |b: &u8| is_blank(*b) || *b == b':' || *b == b'{';
    let trailing = text.iter().rev().take_while(|b| is_trailing(b)).count();
    &text[..(text.len() - trailing).max(usize::from(!text.is_empty()))]
}

#[cfg(test)]
mod tests;
