//! A scanner of Rust source that knows comments, strings and braces, and no more.
//!
//! It is not a parser: it must work on a tree that does not compile, and fast.
//! What it makes of a file is the same text with comments and the insides of
//! strings blanked (so that a search finds code alone, at the same offsets), the
//! comments alone, and every function with the scopes around it.

/// A scanned source file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    /// The text, with comments and the insides of literals as spaces.
    pub(crate) code: String,
    /// The text, with everything but comments as spaces.
    pub(crate) comments: String,
    /// The functions with a body, in the order in which they end.
    pub(crate) functions: Vec<Function>,
}

/// A function that has a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Modules and types around it, outermost first, and its own name.
    pub(crate) path: Vec<String>,
    /// Offset of the keyword `fn`.
    pub(crate) start: usize,
    /// Offset behind the closing brace.
    pub(crate) end: usize,
    /// Lines from `fn` to the closing brace.
    pub(crate) lines: usize,
}

impl Source {
    /// Scans a file.
    pub(crate) fn new(text: &str) -> Self {
        let (code, comments) = split(text);
        let functions = functions(&code);
        Self { code, comments, functions }
    }
}

/// The words of code, with their offsets: identifiers and keywords.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_word)?;
        let len = code[start..].find(|c| !is_word(c)).unwrap_or(code.len() - start);
        at = start + len;
        Some((start, &code[start..at]))
    })
}

/// The number of the line, from 1, that an offset lies on.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Whether a character belongs to an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What a stretch of text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Splits a text into its code and its comments, each of the text's length.
fn split(text: &str) -> (String, String) {
    let mut code = String::with_capacity(text.len());
    let mut comments = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let (kind, len) = token(text, at);
        for c in text[at..at + len].chars() {
            let blank = if c == '\n' { "\n" } else { &"    "[..c.len_utf8()] };
            let own = &text[at..at + c.len_utf8()];
            code.push_str(if kind == Kind::Code { own } else { blank });
            comments.push_str(if kind == Kind::Comment { own } else { blank });
            at += c.len_utf8();
        }
    }
    (code, comments)
}

/// The kind and length of what starts at an offset: a comment, the inside and
/// quotes of a literal, a whole word, or one character of code.
fn token(text: &str, at: usize) -> (Kind, usize) {
    let rest = &text[at..];
    if rest.starts_with("//") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Kind::Comment, block_comment(rest));
    }
    let first = rest.chars().next().unwrap_or(' ');
    if first == '"' {
        return (Kind::Literal, quoted(rest, '"'));
    }
    if first == '\'' {
        return char_or_lifetime(rest);
    }
    if !is_word(first) {
        return (Kind::Code, first.len_utf8());
    }
    let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let raw = matches!(&rest[..word], "r" | "br" | "cr");
    match raw.then(|| raw_string(&rest[word..])).flatten() {
        Some(len) => (Kind::Literal, word + len),
        None => (Kind::Code, word),
    }
}

/// The length of a block comment; they nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < rest.len() {
        match rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a literal in quotes in which a backslash escapes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + 1;
        }
        escaped = !escaped && c == '\\';
    }
    rest.len()
}

/// A character literal, or the apostrophe of a lifetime.
fn char_or_lifetime(rest: &str) -> (Kind, usize) {
    let mut chars = rest.char_indices().skip(1);
    let (Some((_, inside)), Some((end, after))) = (chars.next(), chars.next()) else {
        return (Kind::Code, 1);
    };
    if inside == '\\' {
        return (Kind::Literal, quoted(rest, '\''));
    }
    if after == '\'' { (Kind::Literal, end + 1) } else { (Kind::Code, 1) }
}

/// The length of `#"..."#` with any number of hashes, behind its prefix.
fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest.find(|c| c != '#').unwrap_or(rest.len());
    rest[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let inside = hashes + 1;
    let end = rest[inside..].find(&close).map_or(rest.len(), |at| inside + at + close.len());
    Some(end)
}

/// A pair of braces that is open.
struct Scope {
    /// The name that it adds to the path of what is inside.
    name: Option<String>,
    /// Offset of `fn`, where it is a function's body.
    function: Option<usize>,
    /// Parentheses and brackets open around it, within the scope outside.
    nesting: usize,
}

/// Finds all functions that have a body.
fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let mut scopes: Vec<Scope> = Vec::new();
    let mut header = 0;
    let mut nesting = 0usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' => nesting += 1,
            b')' | b']' => nesting = nesting.saturating_sub(1),
            b'{' => {
                scopes.push(open(&code[header..at], header, nesting));
                (header, nesting) = (at + 1, 0);
            }
            b'}' => {
                if let Some(scope) = scopes.pop() {
                    nesting = scope.nesting;
                    found.extend(close(code, &scopes, &scope, at + 1));
                }
                header = at + 1;
            }
            b';' if nesting == 0 => header = at + 1,
            _ => {}
        }
    }
    found
}

/// What a pair of braces is, from the code between the statement before and `{`.
fn open(header: &str, offset: usize, nesting: usize) -> Scope {
    let plain = Scope { name: None, function: None, nesting };
    let mut words = words(header).peekable();
    while let Some((at, word)) = words.next() {
        let next = words.peek().map(|(_, word)| (*word).to_owned());
        match word {
            "fn" if next.is_some() && header[at + 2..].trim_start().starts_with(is_word) => {
                return Scope { name: next, function: Some(offset + at), nesting };
            }
            "mod" | "trait" if next.is_some() => return Scope { name: next, ..plain },
            "impl" if nesting == 0 => {
                return Scope { name: implemented(&header[at + 4..]), ..plain };
            }
            _ => {}
        }
    }
    plain
}

/// The type of `impl<..> Trait for path::Type<..>`, without path and arguments.
fn implemented(header: &str) -> Option<String> {
    let mut depth = 0i32;
    let mut name = None;
    let mut previous = ' ';
    let mut at = 0;
    for (start, word) in words(header) {
        for c in header[at..start].chars() {
            match c {
                '<' => depth += 1,
                '>' if previous != '-' => depth -= 1,
                _ => {}
            }
            previous = c;
        }
        at = start + word.len();
        match word {
            "where" if depth == 0 => break,
            "for" | "dyn" | "mut" | "const" => {}
            _ if depth == 0 => name = Some(word.to_owned()),
            _ => {}
        }
    }
    name
}

/// The function that ends with a scope, if it is one.
fn close(code: &str, outside: &[Scope], scope: &Scope, end: usize) -> Option<Function> {
    let start = scope.function?;
    let path = outside.iter().filter_map(|outer| outer.name.clone());
    let lines = code[start..end].lines().count();
    Some(Function { path: path.chain(scope.name.clone()).collect(), start, end, lines })
}

#[cfg(test)]
mod tests;
