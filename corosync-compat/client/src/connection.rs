//! One connection: requests with their responses, and events.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use qb_ipc::{BlockingClient, Frame};
use wire::{Malformed, Reader, Writer};

use crate::CsError;

/// What Corosync's libraries ask for, in bytes: their requests, responses and
/// events are never longer.
const MAX_MESSAGE: u32 = 1 << 20;

pub(crate) struct Connection {
    client: BlockingClient,
}

impl Connection {
    pub(crate) fn open(service: &str) -> Result<Self, CsError> {
        Ok(Self { client: BlockingClient::connect(service, MAX_MESSAGE)? })
    }

    /// Sends a request and gives the body of a response without error. Waits as
    /// long as the daemon lives, as the reference's libraries do.
    pub(crate) fn call(&mut self, id: i32, body: &[u8]) -> Result<Vec<u8>, CsError> {
        let answer = self.client.request(id, body, None)?;
        CsError::check(answer.error)?;
        Ok(answer.body)
    }

    /// The next event within `timeout`; `None` waits for ever.
    pub(crate) fn event(&mut self, timeout: Option<Duration>) -> Result<Option<Frame>, CsError> {
        match self.client.recv_event(timeout) {
            Ok(frame) => Ok(Some(frame)),
            Err(qb_ipc::Error::TimedOut) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Becomes readable when an event or the end comes.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.client.fd()
    }
}

/// Writes `len` bytes of `value`, with zeros where it is shorter.
pub(crate) fn put_padded(out: &mut Writer, value: &[u8], len: usize) {
    let value = &value[..value.len().min(len)];
    out.raw(value).raw(&vec![0; len - value.len()]);
}

/// The text before the first zero byte.
pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Reads an integer and the bytes up to the next multiple of eight.
pub(crate) trait Aligned {
    /// An unsigned 32-bit number alone in eight bytes.
    fn u32_of_8(&mut self, wanted: &'static str) -> Result<u32, Malformed>;
    /// A byte alone in eight bytes.
    fn u8_of_8(&mut self, wanted: &'static str) -> Result<u8, Malformed>;
}

impl Aligned for Reader<'_> {
    fn u32_of_8(&mut self, wanted: &'static str) -> Result<u32, Malformed> {
        let value = self.u32(wanted)?;
        self.u32("its padding").map(|_| value)
    }

    fn u8_of_8(&mut self, wanted: &'static str) -> Result<u8, Malformed> {
        let value = self.u8(wanted)?;
        self.take(7, "its padding").map(|_| value)
    }
}

/// Reads `count` numbers of 32 bits; a count that exceeds the bytes is malformed.
pub(crate) fn u32_list(r: &mut Reader<'_>, count: u32) -> Result<Vec<u32>, Malformed> {
    let fits = count as usize <= r.remaining() / 4;
    if !fits {
        return Err(r.refuse("as many entries as announced"));
    }
    (0..count).map(|_| r.u32("an entry")).collect()
}
