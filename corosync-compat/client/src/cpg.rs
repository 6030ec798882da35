//! Process groups: who is in which.

use wire::{Malformed, Reader, Writer};

use crate::CsError;
use crate::connection::Connection;

const ITERATION_INITIALIZE: i32 = 5;
const ITERATION_NEXT: i32 = 6;
const ITERATION_FINALIZE: i32 = 7;

/// Bytes of the field of a group's name.
const NAME_FIELD: usize = 128;

/// What an iteration gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iteration {
    /// Each group once.
    Names,
    /// Each member of each group.
    Members,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The group's name; often with a zero byte at its end.
    pub group: Vec<u8>,
    /// The node of the process.
    pub node: u32,
    /// The process.
    pub pid: u32,
}

/// A connection to the service `cpg`.
pub struct Cpg {
    connection: Connection,
}

impl Cpg {
    /// Connects.
    pub fn open() -> Result<Self, CsError> {
        Ok(Self { connection: Connection::open("cpg")? })
    }

    /// Begins a walk; the handle is for [`Cpg::iterate`] and [`Cpg::end_iteration`].
    pub fn begin_iteration(&mut self, what: Iteration) -> Result<u64, CsError> {
        let number = match what {
            Iteration::Names => 1,
            Iteration::Members => 3,
        };
        // The name of a group is there and unused.
        let request = Writer::new().raw(&[0; 8 + NAME_FIELD]).u32(number).u32(0).finish();
        let body = self.connection.call(ITERATION_INITIALIZE, &request)?;
        Ok(Reader::new(&body).u64("the iteration's handle")?)
    }

    /// The next one, or [`CsError::NO_SECTIONS`] at the end.
    pub fn iterate(&mut self, handle: u64) -> Result<Member, CsError> {
        let body = self.connection.call(ITERATION_NEXT, &Writer::new().u64(handle).finish())?;
        Ok(decode_member(&body)?)
    }

    /// Ends a walk.
    pub fn end_iteration(&mut self, handle: u64) -> Result<(), CsError> {
        let request = Writer::new().u64(handle).finish();
        self.connection.call(ITERATION_FINALIZE, &request).map(|_| ())
    }
}

fn decode_member(body: &[u8]) -> Result<Member, Malformed> {
    let mut r = Reader::new(body);
    let len = r.u32("a group's length")? as usize;
    r.u32("its padding")?;
    let field = r.take(NAME_FIELD, "a group")?;
    let group = field.get(..len).ok_or_else(|| r.refuse("a group that fits its field"))?.to_vec();
    Ok(Member { group, node: r.u32("a node")?, pid: r.u32("a process")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::put_padded;

    #[test]
    fn members_are_read() {
        let mut out = Writer::new();
        out.u32(4).u32(0);
        put_padded(&mut out, b"cib\0", NAME_FIELD);
        let mut bytes = out.u32(2).u32(77).finish();
        let member = Member { group: b"cib\0".to_vec(), node: 2, pid: 77 };
        assert_eq!(decode_member(&bytes), Ok(member));
        bytes[0] = 129;
        assert!(decode_member(&bytes).is_err());
    }
}
