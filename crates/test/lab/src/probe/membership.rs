//! Membership and quorum, as the node's corosync reports them.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use observe::{Event, Node, RingId};

use super::Reporter;
use crate::tool;

/// What corosync-quorumtool says.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    ring: RingId,
    quorate: bool,
    members: BTreeSet<Node>,
}

pub(super) fn watch(reporter: &Reporter) -> ! {
    let mut last: Option<Said> = None;
    loop {
        let text = match tool::run("corosync-quorumtool", &["-s"]) {
            Ok(text) | Err(text) => text,
        };
        let said = parse(&text);
        if let Some(said) = &said {
            if last.is_none() {
                reporter.report(Event::RingUp);
            }
            if last.as_ref().is_none_or(|l| l.ring != said.ring) {
                reporter.report(Event::View { ring: said.ring, members: said.members.clone() });
            }
            if last.as_ref() != Some(said) {
                reporter.report(Event::Quorum { ring: said.ring, quorate: said.quorate });
            }
        }
        last = said;
        thread::sleep(Duration::from_millis(50));
    }
}

fn parse(text: &str) -> Option<Said> {
    let field = |name: &str| {
        text.lines().find_map(|l| l.strip_prefix(name)?.trim().strip_prefix(':').map(str::trim))
    };
    let (rep, seq) = field("Ring ID")?.split_once('.')?;
    let ring = RingId { rep: Node(u32::from_str_radix(rep, 16).ok()?), seq: u64::from_str_radix(seq, 16).ok()? };
    let quorate = field("Quorate")? == "Yes";
    let list = text.split("Membership information").nth(1)?;
    let members = list.lines().filter_map(|l| l.split_whitespace().next()?.parse().ok().map(Node));
    Some(Said { ring, quorate, members: members.collect() })
}
