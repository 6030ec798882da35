//! One accepted connection: channels, queue, doorbells, counters.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use sansio::edge::{Channel, Conn, Frame};

use super::config::Limits;
use super::queue::{Message, Pressure, Queue};
use crate::access::Peer;
use crate::directory::Directory;
use crate::message::{ID_DISCONNECT, REQUEST_HEADER_SIZE, RESPONSE_HEADER_SIZE, response_header};
use crate::ring::Broken;
use crate::stats::ConnectionStats;
use crate::syscall;
use crate::transport::{Sent, ServerChannels};

/// Doorbells sent at once.
const BELLS_MAX: usize = 64;

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// There is no such connection, or it is ending.
    Gone,
    /// The message is longer than the connection carries.
    TooLong,
    /// The queue is full; the connection is being ended.
    Overrun,
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gone => "the connection is gone",
            Self::TooLong => "the message is too long for the connection",
            Self::Overrun => "the client does not read what it is sent",
        })
    }
}

impl std::error::Error for SendError {}

/// How taking a request went.
pub(super) enum Taken {
    Request(Frame),
    Nothing,
    /// The connection is over, for this reason.
    End(String),
}

pub(super) struct Connection {
    pub(super) conn: Conn,
    pub(super) peer: Peer,
    pub(super) stream: UnixStream,
    pub(super) channels: ServerChannels,
    pub(super) max_msg_size: u32,
    pub(super) stats: ConnectionStats,
    queue: Queue,
    flow_control: u8,
    /// Doorbells for events that are in the ring, but not yet announced.
    bells_owed: usize,
    /// It stands in the server's list of connections with requests.
    pub(super) runnable: bool,
    /// It was closed, lives on until its queue is sent, at most until then.
    pub(super) closing: Option<(String, Instant)>,
    /// Kept last: its files go when nothing uses them any more.
    _directory: Directory,
}

impl Connection {
    pub(super) fn new(
        conn: Conn,
        peer: Peer,
        stream: UnixStream,
        channels: ServerChannels,
        max_msg_size: u32,
        directory: Directory,
    ) -> Self {
        let client_pid = peer.credentials.pid;
        Self {
            conn,
            peer,
            stream,
            channels,
            max_msg_size,
            stats: ConnectionStats { client_pid, ..ConnectionStats::default() },
            queue: Queue::default(),
            flow_control: 0,
            bells_owed: 0,
            runnable: false,
            closing: None,
            _directory: directory,
        }
    }

    /// Whether requests are taken at present.
    pub(super) fn is_served(&self) -> bool {
        self.flow_control == 0 && self.closing.is_none()
    }

    pub(super) fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn owes_bells(&self) -> bool {
        self.bells_owed > 0
    }

    /// Takes the next request.
    pub(super) fn take(&mut self, scratch: &mut Vec<u8>) -> Taken {
        match self.channels.try_receive(self.max_msg_size, scratch) {
            Ok(None) => Taken::Nothing,
            Ok(Some((ID_DISCONNECT, _))) => Taken::End("the client said goodbye".into()),
            Ok(Some((id, body))) if id >= 0 => {
                self.stats.requests += 1;
                self.stats.bytes_received += (REQUEST_HEADER_SIZE + body.len()) as u64;
                Taken::Request(Frame { channel: Channel::Request, id, error: 0, body })
            }
            Ok(Some((id, _))) => self.invalid(&format!("message id {id}")),
            Err(Broken(what)) => self.invalid(&what),
        }
    }

    fn invalid(&mut self, what: &str) -> Taken {
        self.stats.invalid_requests += 1;
        Taken::End(format!("the client broke the protocol: {what}"))
    }

    /// Sends a message, or queues it behind those that wait.
    pub(super) fn send(
        &mut self,
        channel: Channel,
        id: i32,
        error: i32,
        body: &[u8],
        limits: &Limits,
    ) -> Result<Pressure, SendError> {
        if body.len() + RESPONSE_HEADER_SIZE > self.max_msg_size as usize {
            return Err(SendError::TooLong);
        }
        if self.queue.front(channel).is_none() {
            match self.put(channel, id, error, body) {
                Ok(Sent::Yes) => return Ok(Pressure::Same),
                Ok(Sent::TooLong) => return Err(SendError::TooLong),
                Ok(Sent::Full) => {}
                Err(_) => return Err(SendError::Gone),
            }
        }
        self.stats.send_retries += 1;
        let message = Message { id, error, body: body.to_vec() };
        let pressure = self.queue.push(channel, message, limits).ok_or(SendError::Overrun)?;
        self.stats.queued_total += 1;
        self.stats.overload += u64::from(pressure == Pressure::Blocked);
        Ok(pressure)
    }

    /// Sends what waits, as far as there is room. Says whether anything went.
    pub(super) fn flush(&mut self, limits: &Limits) -> Result<(bool, Pressure), Broken> {
        let (mut progress, mut pressure) = (false, Pressure::Same);
        for channel in [Channel::Response, Channel::Event] {
            while let Some(message) = self.queue.front(channel) {
                let header = response_header(message.id, message.error, message.body.len());
                let sent = self.channels.try_send(channel, &header, &message.body)?;
                match sent {
                    Sent::Full => {
                        self.stats.send_retries += 1;
                        break;
                    }
                    Sent::Yes => {
                        let len = header.len() + message.body.len();
                        self.sent(channel, len).map_err(|e| Broken(e.to_string()))?;
                    }
                    Sent::TooLong => {
                        tracing::warn!(len = message.body.len(), "a message is too long");
                    }
                }
                progress = true;
                if self.queue.pop(channel, limits) == Pressure::Writable {
                    pressure = Pressure::Writable;
                }
            }
        }
        Ok((progress, pressure))
    }

    fn put(&mut self, channel: Channel, id: i32, error: i32, body: &[u8]) -> io::Result<Sent> {
        let header = response_header(id, error, body.len());
        let sent = self.channels.try_send(channel, &header, body);
        let sent = sent.map_err(|Broken(what)| io::Error::other(what))?;
        if sent == Sent::Yes {
            self.sent(channel, header.len() + body.len())?;
        }
        Ok(sent)
    }

    fn sent(&mut self, channel: Channel, len: usize) -> io::Result<()> {
        self.stats.bytes_sent += len as u64;
        if channel != Channel::Event {
            self.stats.responses += 1;
            return Ok(());
        }
        self.stats.events += 1;
        if self.channels.has_doorbell() {
            self.bells_owed += 1;
            self.ring_bells()?;
        }
        Ok(())
    }

    /// Announces events, as many as the stream takes.
    pub(super) fn ring_bells(&mut self) -> io::Result<()> {
        while self.bells_owed > 0 {
            let count = self.bells_owed.min(BELLS_MAX);
            match syscall::send(&self.stream, &[&[0; BELLS_MAX][..count]]) {
                Ok(rung) => self.bells_owed -= rung,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.stats.send_retries += 1;
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Sets the flow control level, for the client to see.
    pub(super) fn set_flow_control(&mut self, level: u8) {
        if self.flow_control != level {
            self.flow_control = level;
            self.stats.flow_control_state = level;
            self.stats.flow_control_count += 1;
            self.channels.set_flow_control(level);
        }
    }

    /// The counters, with the present lengths of the queues.
    pub(super) fn stats(&self) -> ConnectionStats {
        ConnectionStats {
            queued: self.queue.len() as u64,
            event_queue_length: self.channels.event_queue_length(),
            ..self.stats
        }
    }

    /// Bytes of shared memory that it takes, about.
    pub(super) fn shared_bytes(&self) -> u64 {
        shared_bytes(self.max_msg_size, self.channels.has_doorbell())
    }
}

/// What a connection with messages of `max_msg_size` bytes takes in shared memory.
pub(super) fn shared_bytes(max_msg_size: u32, rings: bool) -> u64 {
    let page = crate::memory::page_size() as u64;
    if !rings {
        return page;
    }
    3 * (crate::chunk::data_size(max_msg_size, crate::memory::page_size()) as u64 + 3 * page)
}
