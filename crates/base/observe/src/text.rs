//! The text form: `AT NODE EVENT field...`, one line, fields by position.
//!
//! `3500000000 n2 view 7.1 1,2,3`; a text field (group, mark, resource) stands
//! last or has its white space and `%` percent-encoded.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::{Event, Node, Observation, PowerCause, RingId, Step};

/// A line that is not an observation: what was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The field that is missing or not understood.
    pub wanted: &'static str,
    /// The line, shortened to 120 characters.
    pub line: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "observation without {}: {}", self.wanted, self.line)
    }
}

impl std::error::Error for ParseError {}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.at, self.node, self.event)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::RingUp => write!(f, "ring-up"),
            Event::View { ring, members } => {
                let list: Vec<String> = members.iter().map(|n| n.0.to_string()).collect();
                write!(f, "view {ring} {}", list.join(","))
            }
            Event::Quorum { ring, quorate } => {
                write!(f, "quorum {ring} {}", if *quorate { "yes" } else { "no" })
            }
            Event::Deliver { ring, group, sender, number, epoch } => {
                write!(f, "deliver {ring} {sender} {epoch} {number} {}", encode(group))
            }
            Event::Start { rsc, step } => write!(f, "start {} {}", step_text(*step), encode(rsc)),
            Event::Stop { rsc, step } => write!(f, "stop {} {}", step_text(*step), encode(rsc)),
            Event::Power { target, on, cause } => {
                write!(f, "power {target} {} {}", on_off(*on), cause_text(*cause))
            }
            Event::Fenced { target, ok } => {
                write!(f, "fenced {target} {}", if *ok { "yes" } else { "no" })
            }
            Event::State { version: (a, e, n), digest } => {
                write!(f, "state {a}.{e}.{n} {}", encode(digest))
            }
            Event::Left => write!(f, "left"),
            Event::Mark { text } => write!(f, "mark {}", encode(text)),
        }
    }
}

fn step_text(step: Step) -> &'static str {
    match step {
        Step::Begin => "begin",
        Step::Ok => "ok",
        Step::Failed => "failed",
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn cause_text(cause: PowerCause) -> &'static str {
    match cause {
        PowerCause::Fence => "fence",
        PowerCause::Fault => "fault",
        PowerCause::Operator => "operator",
    }
}

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '%' || c.is_whitespace() || c.is_control() {
            let mut buf = [0; 4];
            for byte in c.encode_utf8(&mut buf).bytes() {
                out.push_str(&format!("%{byte:02x}"));
            }
        } else {
            out.push(c);
        }
    }
    if out.is_empty() { "%".to_string() } else { out }
}

fn decode(text: &str) -> Option<String> {
    if text == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (high, low) = (rest.next()?, rest.next()?);
        let hex = |b: u8| (b as char).to_digit(16).and_then(|d| u8::try_from(d).ok());
        bytes.push(hex(high)? << 4 | hex(low)?);
    }
    String::from_utf8(bytes).ok()
}

/// The fields of a line, each taken with the name it has in an error.
struct Fields<'a> {
    line: &'a str,
    rest: std::str::SplitAsciiWhitespace<'a>,
}

impl<'a> Fields<'a> {
    fn refuse(&self, wanted: &'static str) -> ParseError {
        ParseError { wanted, line: self.line.chars().take(120).collect() }
    }

    fn word(&mut self, wanted: &'static str) -> Result<&'a str, ParseError> {
        self.rest.next().ok_or_else(|| self.refuse(wanted))
    }

    fn number(&mut self, wanted: &'static str) -> Result<u64, ParseError> {
        self.word(wanted)?.parse().map_err(|_| self.refuse(wanted))
    }

    fn node(&mut self, wanted: &'static str) -> Result<Node, ParseError> {
        let digits = self.word(wanted)?.strip_prefix('n').and_then(|d| d.parse().ok());
        digits.map(Node).ok_or_else(|| self.refuse(wanted))
    }

    fn ring(&mut self) -> Result<RingId, ParseError> {
        let wanted = "a ring id (representative.sequence)";
        let parts = self.word(wanted)?.split_once('.');
        let parsed = parts.and_then(|(rep, seq)| {
            Some(RingId { rep: Node(rep.parse().ok()?), seq: seq.parse().ok()? })
        });
        parsed.ok_or_else(|| self.refuse(wanted))
    }

    fn choice<T: Copy>(
        &mut self,
        wanted: &'static str,
        known: &[(&str, T)],
    ) -> Result<T, ParseError> {
        let word = self.word(wanted)?;
        let found = known.iter().find(|(name, _)| *name == word);
        found.map(|(_, value)| *value).ok_or_else(|| self.refuse(wanted))
    }

    fn text(&mut self, wanted: &'static str) -> Result<String, ParseError> {
        decode(self.word(wanted)?).ok_or_else(|| self.refuse(wanted))
    }

    fn members(&mut self) -> Result<BTreeSet<Node>, ParseError> {
        let wanted = "members (numbers with commas)";
        let list = self.word(wanted)?.split(',').map(|n| n.parse().map(Node));
        list.collect::<Result<_, _>>().map_err(|_| self.refuse(wanted))
    }
}

const YES_NO: &[(&str, bool)] = &[("yes", true), ("no", false)];
const STEPS: &[(&str, Step)] =
    &[("begin", Step::Begin), ("ok", Step::Ok), ("failed", Step::Failed)];
const CAUSES: &[(&str, PowerCause)] = &[
    ("fence", PowerCause::Fence),
    ("fault", PowerCause::Fault),
    ("operator", PowerCause::Operator),
];

impl FromStr for Observation {
    type Err = ParseError;

    fn from_str(line: &str) -> Result<Self, ParseError> {
        let mut fields = Fields { line, rest: line.split_ascii_whitespace() };
        let at = fields.number("a time in nanoseconds")?;
        let node = fields.node("a node (n1)")?;
        let event = event(&mut fields)?;
        match fields.rest.next() {
            None => Ok(Observation { at, node, event }),
            Some(_) => Err(fields.refuse("an end after its last field")),
        }
    }
}

fn event(fields: &mut Fields<'_>) -> Result<Event, ParseError> {
    Ok(match fields.word("an event")? {
        "ring-up" => Event::RingUp,
        "view" => Event::View { ring: fields.ring()?, members: fields.members()? },
        "quorum" => {
            Event::Quorum { ring: fields.ring()?, quorate: fields.choice("yes or no", YES_NO)? }
        }
        "deliver" => Event::Deliver {
            ring: fields.ring()?,
            sender: fields.node("a sender")?,
            epoch: fields.number("an epoch")?,
            number: fields.number("a number")?,
            group: fields.text("a group")?,
        },
        "start" => {
            Event::Start { step: fields.choice("a step", STEPS)?, rsc: fields.text("a resource")? }
        }
        "stop" => {
            Event::Stop { step: fields.choice("a step", STEPS)?, rsc: fields.text("a resource")? }
        }
        "power" => Event::Power {
            target: fields.node("a target")?,
            on: fields.choice("on or off", &[("on", true), ("off", false)])?,
            cause: fields.choice("a cause", CAUSES)?,
        },
        "fenced" => Event::Fenced {
            target: fields.node("a target")?,
            ok: fields.choice("yes or no", YES_NO)?,
        },
        "state" => Event::State { version: version(fields)?, digest: fields.text("a digest")? },
        "left" => Event::Left,
        "mark" => Event::Mark { text: fields.text("a text")? },
        _ => return Err(fields.refuse("a known event")),
    })
}

fn version(fields: &mut Fields<'_>) -> Result<(u64, u64, u64), ParseError> {
    let wanted = "a version (admin_epoch.epoch.num_updates)";
    let word = fields.word(wanted)?;
    let parts: Option<Vec<u64>> = word.split('.').map(|p| p.parse().ok()).collect();
    match parts.as_deref() {
        Some([a, e, n]) => Ok((*a, *e, *n)),
        _ => Err(fields.refuse(wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_survives_its_text() {
        let ring = RingId { seq: 12, rep: Node(1) };
        let events = [
            Event::RingUp,
            Event::View { ring, members: BTreeSet::from([Node(1), Node(3)]) },
            Event::Quorum { ring, quorate: true },
            Event::Deliver { ring, group: "a b%".into(), sender: Node(3), number: 4, epoch: 9 },
            Event::Start { rsc: "vip".into(), step: Step::Begin },
            Event::Stop { rsc: "vip:0".into(), step: Step::Failed },
            Event::Power { target: Node(2), on: false, cause: PowerCause::Fence },
            Event::Fenced { target: Node(2), ok: true },
            Event::State { version: (0, 7, 3), digest: "d41d".into() },
            Event::Left,
            Event::Mark { text: "cut 1|2,3 (ü)".into() },
            Event::Mark { text: String::new() },
        ];
        for event in events {
            let seen = Observation { at: 5, node: Node(2), event };
            assert_eq!(seen.to_string().parse(), Ok(seen));
        }
    }

    #[test]
    fn a_line_that_is_none_says_what_it_lacks() {
        let wanted = |line: &str| line.parse::<Observation>().unwrap_err().wanted;
        assert_eq!(wanted("x n1 left"), "a time in nanoseconds");
        assert_eq!(wanted("1 x left"), "a node (n1)");
        assert_eq!(wanted("1 n1 vanished"), "a known event");
        assert_eq!(wanted("1 n1 view 3 1"), "a ring id (representative.sequence)");
        assert_eq!(wanted("1 n1 left now"), "an end after its last field");
        assert_eq!(wanted("1 n1 mark %zz"), "a text");
    }
}
