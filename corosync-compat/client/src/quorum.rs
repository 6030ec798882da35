//! Whether the node is quorate, and who its members are.

use std::time::Duration;

use wire::{Reader, Writer};

use crate::CsError;
use crate::connection::{Aligned, Connection, u32_list};

const GET_QUORATE: i32 = 0;
const TRACK_START: i32 = 1;
const TRACK_STOP: i32 = 2;
const GET_TYPE: i32 = 3;

/// Id of the event that tells of quorum and members.
const NOTIFICATION: i32 = 3;

/// What to be told: the state as it is, once, or every change.
pub(crate) const TRACK_CURRENT: u32 = 1;
pub(crate) const TRACK_CHANGES: u32 = 2;

/// Whether the cluster has a notion of quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumKind {
    /// No provider is configured: always quorate.
    Free,
    /// A provider decides.
    Set,
}

/// Quorum and members at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Whether the members have quorum.
    pub quorate: bool,
    /// Sequence number of the ring.
    pub ring_seq: u64,
    /// The members, in the order of the ring.
    pub members: Vec<u32>,
}

/// A connection to the service `quorum`.
pub struct Quorum {
    connection: Connection,
    kind: QuorumKind,
}

impl Quorum {
    /// Connects, and asks for the kind.
    pub fn open() -> Result<Self, CsError> {
        let mut connection = Connection::open("quorum")?;
        let body = connection.call(GET_TYPE, &[])?;
        let number = Reader::new(&body).u32("the kind of quorum")?;
        let kind = if number == 0 { QuorumKind::Free } else { QuorumKind::Set };
        Ok(Self { connection, kind })
    }

    /// Whether a provider decides.
    pub fn kind(&self) -> QuorumKind {
        self.kind
    }

    /// Whether the local node is quorate.
    pub fn is_quorate(&mut self) -> Result<bool, CsError> {
        let body = self.connection.call(GET_QUORATE, &[])?;
        Ok(Reader::new(&body).u32("whether quorate")? != 0)
    }

    /// Asks for one view, as it is now.
    pub fn track_current(&mut self) -> Result<(), CsError> {
        self.track(TRACK_CURRENT)
    }

    /// Asks for a view at each change from now on.
    pub fn track_changes(&mut self) -> Result<(), CsError> {
        self.track(TRACK_CHANGES)
    }

    fn track(&mut self, flags: u32) -> Result<(), CsError> {
        let request = Writer::new().u32(flags).u32(0).finish();
        self.connection.call(TRACK_START, &request).map(|_| ())
    }

    /// Wishes no more views.
    pub fn track_stop(&mut self) -> Result<(), CsError> {
        self.connection.call(TRACK_STOP, &[]).map(|_| ())
    }

    /// The next view within `timeout`; `None` waits for ever.
    pub fn next_view(&mut self, timeout: Option<Duration>) -> Result<Option<View>, CsError> {
        let Some(frame) = self.connection.event(timeout)? else { return Ok(None) };
        if frame.id != NOTIFICATION {
            return Err(CsError::LIBRARY);
        }
        decode_view(&frame.body).map(Some)
    }
}

fn decode_view(body: &[u8]) -> Result<View, CsError> {
    let mut r = Reader::new(body);
    let quorate = r.u32_of_8("whether quorate")? != 0;
    let ring_seq = r.u64("the ring")?;
    // The list follows its length without padding.
    let count = r.u32("the number of members")?;
    Ok(View { quorate, ring_seq, members: u32_list(&mut r, count)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_read_and_short_ones_refused() {
        let bytes = Writer::new().u32(1).u32(0).u64(0x1c).u32(2).u32(1).u32(3).finish();
        let view = View { quorate: true, ring_seq: 0x1c, members: vec![1, 3] };
        assert_eq!(decode_view(&bytes), Ok(view));
        for len in 0..bytes.len() {
            assert_eq!(decode_view(&bytes[..len]), Err(CsError::LIBRARY));
        }
    }
}
