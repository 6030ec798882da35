//! Options as getopt(3) and getopt_long(3) of glibc take them, with the same
//! complaints: operands may stand between options, single letters may share a
//! dash, a long option may be cut short as long as it stays unique.

use std::collections::VecDeque;

use crate::output::say;

/// Whether a long option has an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// It has none.
    Nothing,
    /// It has one.
    Argument,
}

/// A long option and the letter it stands for.
pub(crate) type Long = (&'static str, Takes, char);

/// What a command understands.
pub(crate) struct Spec {
    /// The letters, each with a colon after it if it has an argument.
    pub(crate) letters: &'static str,
    /// The long options; without any, `--word` is a row of letters.
    pub(crate) long: &'static [Long],
}

/// What was found on a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An option with its argument, which is empty if it has none.
    Option(char, Vec<u8>),
    /// Something that is wrong and was complained about.
    Wrong,
}

/// Walks over a command line.
pub(crate) struct Options<'a> {
    spec: &'a Spec,
    program: Vec<u8>,
    rest: VecDeque<Vec<u8>>,
    /// Letters that share a dash and are still to come.
    cluster: VecDeque<u8>,
    operands: Vec<Vec<u8>>,
    /// Who hears the complaints.
    complain: fn(&[u8]),
}

impl<'a> Options<'a> {
    /// Starts after the program's name, the first of `arguments`.
    pub(crate) fn new(spec: &'a Spec, arguments: Vec<Vec<u8>>) -> Self {
        let mut rest = VecDeque::from(arguments);
        let program = rest.pop_front().unwrap_or_default();
        let complain = |text: &[u8]| say(text);
        Self { spec, program, rest, cluster: VecDeque::new(), operands: Vec::new(), complain }
    }

    /// The program's name as it was called.
    pub(crate) fn program(&self) -> &[u8] {
        &self.program
    }

    /// The next option, `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Found> {
        if let Some(letter) = self.cluster.pop_front() {
            return Some(self.short(letter));
        }
        loop {
            let word = self.rest.pop_front()?;
            match word.as_slice() {
                b"--" => {
                    self.operands.extend(self.rest.drain(..));
                    return None;
                }
                [b'-', b'-', name @ ..] if !self.spec.long.is_empty() => {
                    return Some(self.long(name));
                }
                [b'-', first, others @ ..] => {
                    self.cluster = others.iter().copied().collect();
                    return Some(self.short(*first));
                }
                _ => self.operands.push(word),
            }
        }
    }

    /// What is no option, once all options were taken.
    pub(crate) fn operands(mut self) -> Vec<Vec<u8>> {
        self.operands.extend(self.rest);
        self.operands
    }

    fn short(&mut self, letter: u8) -> Found {
        let known = letter != b':' && letter != b';';
        let at = self.spec.letters.bytes().position(|b| b == letter).filter(|_| known);
        let Some(at) = at else {
            return self.wrong(&[b"invalid option -- '", &[letter], b"'"]);
        };
        let takes = self.spec.letters.as_bytes().get(at + 1) == Some(&b':');
        if !takes {
            return Found::Option(char::from(letter), Vec::new());
        }
        if !self.cluster.is_empty() {
            return Found::Option(char::from(letter), self.cluster.drain(..).collect());
        }
        match self.rest.pop_front() {
            Some(argument) => Found::Option(char::from(letter), argument),
            None => self.wrong(&[b"option requires an argument -- '", &[letter], b"'"]),
        }
    }

    fn long(&mut self, word: &[u8]) -> Found {
        let equals = word.iter().position(|b| *b == b'=');
        let (name, value) = match equals {
            Some(at) => (&word[..at], Some(word[at + 1..].to_vec())),
            None => (word, None),
        };
        let (full, takes, letter) = match self.find(name, word) {
            Ok(found) => found,
            Err(complaint) => return self.wrong(&[&complaint]),
        };
        let full = full.as_bytes();
        match (takes, value) {
            (Takes::Nothing, None) => Found::Option(letter, Vec::new()),
            (Takes::Nothing, Some(_)) => {
                self.wrong(&[b"option '--", full, b"' doesn't allow an argument"])
            }
            (Takes::Argument, Some(value)) => Found::Option(letter, value),
            (Takes::Argument, None) => match self.rest.pop_front() {
                Some(value) => Found::Option(letter, value),
                None => self.wrong(&[b"option '--", full, b"' requires an argument"]),
            },
        }
    }

    /// The long option of that name or, if it is the only one, that begins so;
    /// else what is wrong with the word.
    fn find(&self, name: &[u8], word: &[u8]) -> Result<Long, Vec<u8>> {
        let known = self.spec.long;
        if let Some(exact) = known.iter().find(|(full, ..)| full.as_bytes() == name) {
            return Ok(*exact);
        }
        let begins = |(full, ..): &&Long| full.as_bytes().starts_with(name);
        let candidates: Vec<&Long> = known.iter().filter(begins).collect();
        match candidates.as_slice() {
            [] => Err([b"unrecognized option '--", word, b"'"].concat()),
            [only] => Ok(**only),
            many => {
                let mut text = [b"option '--", word, b"' is ambiguous; possibilities:"].concat();
                for (full, ..) in many {
                    text.extend_from_slice(format!(" '--{full}'").as_bytes());
                }
                Err(text)
            }
        }
    }

    fn wrong(&self, parts: &[&[u8]]) -> Found {
        (self.complain)(&[&self.program, b": ".as_slice(), &parts.concat(), b"\n"].concat());
        Found::Wrong
    }
}

#[cfg(test)]
mod tests;
