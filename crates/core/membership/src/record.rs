//! What a recording keeps, and the setup that a replay starts from.

use sansio::edge::{self, Input};
use sansio::{Elided, NoJob, Record, RecordError, Recorded, Secrets};
use wire::{Malformed, Reader, Writer};

use crate::{Membership, Reading, Setup};

/// Longest stored file; a ring id has eight bytes, votes four.
const STORED_MAX: usize = 64;

impl Setup {
    /// The bytes that [`Setup::decode`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.blob(&self.reading.encode()).u64(self.seed);
        for stored in [&self.stored_ring_id, &self.stored_votes] {
            w.u8(stored.is_some().into()).blob(stored.as_deref().unwrap_or_default());
        }
        w.finish()
    }

    /// Reads what [`Setup::encode`] wrote.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let reading = Reading::decode(r.blob(bytes.len(), "a reading")?)?;
        let seed = r.u64("a seed")?;
        let mut stored = || -> Result<Option<Vec<u8>>, Malformed> {
            let is_there = r.u8("whether a file is there")? != 0;
            let bytes = r.blob(STORED_MAX, "a stored file")?.to_vec();
            Ok(is_there.then_some(bytes))
        };
        let (stored_ring_id, stored_votes) = (stored()?, stored()?);
        r.end()?;
        Ok(Self { reading, stored_ring_id, stored_votes, seed })
    }
}

impl Recorded for Membership {
    /// A configuration may have a key in it, and is left out whole.
    fn redact(input: &Input<NoJob>, _: &mut Secrets) -> Record {
        let mut record = edge::record(input, |none| match *none {});
        if let Input::ConfigRead(Ok(bytes)) = input {
            record.elided = Some(Elided::of(bytes));
            record.body.clear();
        }
        record
    }

    fn restore(
        kind: &str,
        body: &[u8],
        elided: Option<Elided>,
    ) -> Result<Input<NoJob>, RecordError> {
        if elided.is_some() {
            return Err(RecordError::Elided);
        }
        edge::restore(kind, body, |_| Err(RecordError::UnknownKind("job outcome".into())))
    }

    /// None: a recording of this daemon replays from its process's start.
    fn snapshot(&self) -> Option<Vec<u8>> {
        None
    }

    fn resume(_: &[u8]) -> Result<Self, RecordError> {
        Err(RecordError::UnknownKind("snapshot".into()))
    }
}
