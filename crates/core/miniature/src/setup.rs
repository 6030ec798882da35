//! What a daemon of the miniature was made from, in bytes: the flight recorder
//! keeps them, so that replay can begin at process start.

use std::collections::{BTreeMap, BTreeSet};

use observe::Node;
use sansio::RecordError;
use wire::{Reader, Writer};

use crate::ipc::MAX_NODES;
use crate::{keeper, ring};

/// No name, path or address in a setup is longer.
const MAX_TEXT: usize = 4096;
/// More than any stored state of a ring has.
const MAX_STORED: usize = 64;

impl ring::Config {
    /// The bytes for the recorder.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u32(self.node.0).u64(self.epoch);
        w.u32(u32::try_from(self.nodes.len()).expect("a cluster is small"));
        for (node, address) in &self.nodes {
            w.u32(node.0).text(&address.to_string());
        }
        w.u8(self.stored.is_some().into());
        w.blob(self.stored.as_deref().unwrap_or_default()).finish()
    }

    /// What was recorded.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut r = Reader::new(bytes);
        let (node, epoch) = (Node(r.u32("a node")?), r.u64("an epoch")?);
        let mut nodes = BTreeMap::new();
        for _ in 0..count(&mut r)? {
            let node = Node(r.u32("a node")?);
            let address = r.text(MAX_TEXT, "an address")?.parse();
            nodes.insert(node, address.map_err(|_| r.refuse("an address with a port"))?);
        }
        let is_stored = r.u8("whether a state was stored")? != 0;
        let stored = r.blob(MAX_STORED, "a stored state")?.to_vec();
        r.end()?;
        Ok(Self { node, epoch, nodes, stored: is_stored.then_some(stored) })
    }
}

impl keeper::Config {
    /// The bytes for the recorder.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u32(self.node.0).u32(u32::try_from(self.all.len()).expect("a cluster is small"));
        for node in &self.all {
            w.u32(node.0);
        }
        w.text(&self.service).text(&self.rsc).text(&self.agent).text(&self.fence_agent).finish()
    }

    /// What was recorded.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut r = Reader::new(bytes);
        let node = Node(r.u32("a node")?);
        let mut all = BTreeSet::new();
        for _ in 0..count(&mut r)? {
            all.insert(Node(r.u32("a node")?));
        }
        let mut text = |wanted| Ok::<_, RecordError>(r.text(MAX_TEXT, wanted)?.to_string());
        let config = Self {
            node,
            all,
            service: text("a service")?,
            rsc: text("a resource")?,
            agent: text("an agent")?,
            fence_agent: text("a fence agent")?,
        };
        r.end()?;
        Ok(config)
    }
}

fn count(r: &mut Reader<'_>) -> Result<u32, RecordError> {
    let count = r.u32("a number of nodes")?;
    if count as usize > MAX_NODES { Err(r.refuse("fewer nodes").into()) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> ring::Config {
        let nodes = [(Node(1), "127.0.0.1:7001"), (Node(2), "[::1]:7002")];
        ring::Config {
            node: Node(1),
            epoch: 77,
            nodes: nodes.map(|(node, address)| (node, address.parse().unwrap())).into(),
            stored: Some(vec![1, 2, 3]),
        }
    }

    #[test]
    fn setups_come_back() {
        assert_eq!(ring::Config::decode(&ring().encode()), Ok(ring()));
        let fresh = ring::Config { stored: None, ..ring() };
        assert_eq!(ring::Config::decode(&fresh.encode()), Ok(fresh));
        let keeper = keeper::Config {
            node: Node(2),
            all: [Node(1), Node(2)].into(),
            service: "mini-ring".into(),
            rsc: "vip".into(),
            agent: "/agent".into(),
            fence_agent: "/fence".into(),
        };
        assert_eq!(keeper::Config::decode(&keeper.encode()), Ok(keeper));
    }

    #[test]
    fn damaged_setups_are_refused() {
        let bytes = ring().encode();
        for cut in 0..bytes.len() {
            assert!(ring::Config::decode(&bytes[..cut]).is_err());
            assert!(keeper::Config::decode(&bytes[..cut]).is_err());
        }
    }
}
