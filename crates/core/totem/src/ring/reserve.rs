//! Ring sequences that this node may use, made durable ahead of their use.
//!
//! The file holds the end of the reservation and not the last sequence used:
//! a restart goes on behind it. So no membership waits for a disk, and a disk
//! that hangs is noticed when the reservation comes to its end.

use ha_types::Node;
use sansio::edge::PersistId;

/// How far a reservation reaches; a membership takes four.
const AHEAD: u64 = 1024;
/// When less than this is left the next reservation is asked for.
const LOW: u64 = AHEAD / 2;

/// A reservation to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: PersistId,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The reservation of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reserve {
    name: String,
    /// Sequences up to here may be used.
    durable: u64,
    /// What is being written.
    asked: Option<(PersistId, u64)>,
    /// Up to where it should reach.
    wanted: u64,
    requests: u64,
}

impl Reserve {
    /// The name of a node's file in the state directory.
    pub(crate) fn file_name(node: Node) -> String {
        format!("ringid_{}", node.0)
    }

    /// The end of the last reservation in the file's content: 8 bytes. Others
    /// count as none, as in the reference.
    pub(crate) fn read(stored: Option<&[u8]>) -> u64 {
        let bytes = stored.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        bytes.map_or(0, u64::from_le_bytes).min(crate::message::MAX_RING_SEQ)
    }

    pub(crate) fn new(node: Node) -> Self {
        let name = Self::file_name(node);
        Self { name, durable: 0, asked: None, wanted: 0, requests: 0 }
    }

    /// [TOTEM-3] Whether `seq` may be used.
    pub(crate) fn covers(&self, seq: u64) -> bool {
        if sansio::mutant::active("TOTEM-3/remove") {
            return true;
        }
        let asked = self.asked.map_or(0, |(_, end)| end);
        let weak = if sansio::mutant::active("TOTEM-3/weaken") { asked } else { 0 };
        seq <= self.durable.max(weak)
    }

    /// Makes sure that what follows `seq` is reserved or about to be.
    pub(crate) fn want(&mut self, seq: u64) -> Option<Request> {
        if self.durable < seq + LOW {
            self.wanted = self.wanted.max(seq + AHEAD);
        }
        self.ask()
    }

    /// The reservation is on disk.
    pub(crate) fn persisted(&mut self, id: PersistId) -> Option<Request> {
        if let Some((_, end)) = self.asked.filter(|(asked, _)| *asked == id) {
            self.asked = None;
            self.durable = self.durable.max(end);
        }
        self.ask()
    }

    /// It is not. Asked for again when the next sequence is wanted.
    pub(crate) fn failed(&mut self, id: PersistId) {
        if self.asked.is_some_and(|(asked, _)| asked == id) {
            self.asked = None;
        }
    }

    /// At the end, what has not been used is given back: `seq` is the last.
    pub(crate) fn give_back(&mut self, seq: u64) -> Request {
        self.requests += 1;
        let id = PersistId(self.requests);
        Request { id, name: self.name.clone(), bytes: seq.to_le_bytes().to_vec() }
    }

    /// One write at a time: a disk that hangs has one to hang on.
    fn ask(&mut self) -> Option<Request> {
        if self.asked.is_some() || self.wanted <= self.durable {
            return None;
        }
        if sansio::mutant::active("TOTEM-3/remove") {
            return None;
        }
        self.requests += 1;
        let id = PersistId(self.requests);
        self.asked = Some((id, self.wanted));
        Some(Request { id, name: self.name.clone(), bytes: self.wanted.to_le_bytes().to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_reserved_ahead_and_in_time() {
        let mut reserve = Reserve::new(Node(3));
        assert!(!reserve.covers(1));
        let first = reserve.want(1).unwrap();
        assert_eq!((first.name.as_str(), first.bytes.len()), ("ringid_3", 8));
        assert_eq!(Reserve::read(Some(&first.bytes)), 1 + AHEAD);
        assert!(!reserve.covers(1), "asked for is not durable");
        assert_eq!(reserve.want(9), None, "one at a time");
        assert_eq!(reserve.persisted(first.id).map(|next| next.id), Some(PersistId(2)));
        assert!(reserve.covers(1 + AHEAD) && !reserve.covers(2 + AHEAD));
        assert!(reserve.persisted(PersistId(2)).is_none());
        assert_eq!(reserve.want(9 + AHEAD - LOW), None, "plenty left");
        assert!(reserve.want(10 + AHEAD - LOW).is_some());
    }

    #[test]
    fn a_failed_write_is_asked_for_again() {
        let mut reserve = Reserve::new(Node(3));
        let first = reserve.want(1).unwrap();
        reserve.failed(first.id);
        assert!(!reserve.covers(1));
        assert!(reserve.want(1).is_some());
    }

    #[test]
    fn what_is_no_sequence_counts_as_none() {
        assert_eq!(Reserve::read(None), 0);
        assert_eq!(Reserve::read(Some(&[1, 2, 3])), 0);
        assert_eq!(Reserve::read(Some(&[0xff; 8])), crate::message::MAX_RING_SEQ);
    }
}
