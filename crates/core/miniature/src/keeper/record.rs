//! Recording a keeper's inputs.

use std::collections::BTreeSet;

use observe::Node;
use sansio::edge::{self, Input};
use sansio::{Elided, Record, RecordError, Recorded, Secrets};
use wire::{Reader, Writer};

use super::{Decision, Keeper};
use crate::ipc;

const REASONS: &[&str] = &[
    "no quorum",
    "not every member has said how its resource stands",
    "the resource has its place",
    "every member is leaving",
];

impl Recorded for Keeper {
    /// Nothing that reaches a keeper is secret: every field is kept.
    fn redact(input: &Input<Decision>, _: &mut Secrets) -> Record {
        edge::record(input, encode)
    }

    fn restore(
        kind: &str,
        body: &[u8],
        elided: Option<Elided>,
    ) -> Result<Input<Decision>, RecordError> {
        if elided.is_some() {
            return Err(RecordError::Elided);
        }
        edge::restore(kind, body, decode)
    }

    /// None: what a keeper knows comes from its ring, so its recordings replay
    /// from process start.
    fn snapshot(&self) -> Option<Vec<u8>> {
        None
    }

    fn resume(_: &[u8]) -> Result<Self, RecordError> {
        Err(RecordError::UnknownKind("keeper snapshot".into()))
    }
}

fn encode(decision: &Decision) -> Vec<u8> {
    let mut w = Writer::new();
    match decision {
        Decision::Wait(why) => {
            let known = REASONS.iter().position(|reason| reason == why);
            w.u8(0).u8(known.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX));
        }
        Decision::Fence(nodes) => {
            ipc::put_nodes(w.u8(1), nodes.iter());
        }
        Decision::Place(node) => {
            w.u8(2).u32(node.0);
        }
        Decision::Clear(node) => {
            w.u8(3).u32(node.0);
        }
    }
    w.finish()
}

fn decode(bytes: &[u8]) -> Result<Decision, RecordError> {
    let mut r = Reader::new(bytes);
    let decision = match r.u8("a decision")? {
        0 => {
            let reason = REASONS.get(usize::from(r.u8("a reason")?));
            Decision::Wait(reason.ok_or_else(|| r.refuse("a reason that is known"))?)
        }
        1 => Decision::Fence(ipc::nodes(&mut r)?.into_iter().collect::<BTreeSet<Node>>()),
        2 => Decision::Place(Node(r.u32("a node")?)),
        3 => Decision::Clear(Node(r.u32("a node")?)),
        _ => return Err(r.refuse("a decision from 0 to 3").into()),
    };
    r.end()?;
    Ok(decision)
}
