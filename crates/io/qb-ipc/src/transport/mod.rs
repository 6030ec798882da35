//! The three channels of a connection, in both forms and on both sides.
//!
//! Nothing here waits: what cannot be done now is said to the caller, who owns
//! queues, timers and the stream socket with its doorbells.

mod shm;
mod socket;

use std::io;
use std::path::Path;

use sansio::edge::{Channel, Credentials};

use crate::access::Grant;
use crate::directory::Directory;
use crate::error::Error;
use crate::message::{self, ConnectionResponse, RESPONSE_HEADER_SIZE, ResponseHeader};
use crate::ring::Broken;

use shm::{ShmClient, ShmServer};
use socket::{SocketClient, SocketServer};

/// How a service's messages travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Datagram sockets: libqb's type SOCKET.
    Socket,
    /// Ring buffers in shared memory: libqb's type SHM, its default.
    #[default]
    Shm,
}

impl Transport {
    fn kind(self) -> i32 {
        match self {
            Self::Socket => 0,
            Self::Shm => 1,
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is on its way.
    Yes,
    /// There is no room now.
    Full,
    /// The kernel takes no message of this length.
    TooLong,
}

/// What is needed to make the channels of an accepted connection.
pub(crate) struct Opening<'a> {
    pub(crate) service: &'a str,
    pub(crate) max_msg_size: u32,
    /// The user that the kernel will name as the sender of datagrams.
    pub(crate) sender_uid: u32,
    pub(crate) grant: &'a Grant,
    pub(crate) directory: &'a Directory,
}

/// A server's side of the channels.
pub(crate) enum ServerChannels {
    Shm(ShmServer),
    Socket(SocketServer),
}

impl ServerChannels {
    /// Makes the files and sockets, and the response that names them.
    pub(crate) fn create(
        transport: Transport,
        opening: &Opening<'_>,
    ) -> io::Result<(Self, ConnectionResponse)> {
        let (channels, mut response) = match transport {
            Transport::Shm => {
                let (channels, response) = ShmServer::create(opening)?;
                (Self::Shm(channels), response)
            }
            Transport::Socket => {
                let (channels, response) = SocketServer::create(opening)?;
                (Self::Socket(channels), response)
            }
        };
        response.kind = transport.kind();
        response.max_msg_size = opening.max_msg_size;
        Ok((channels, response))
    }

    /// Whether a request seems to wait; costs no system call.
    pub(crate) fn ready(&self) -> bool {
        match self {
            Self::Shm(c) => c.request.ready(),
            Self::Socket(c) => c.ready(),
        }
    }

    /// Takes the next request, if there is one: its id and its body. `scratch`
    /// holds the longest message and is reused between calls.
    pub(crate) fn try_receive(
        &mut self,
        max: u32,
        scratch: &mut Vec<u8>,
    ) -> Result<Option<(i32, Vec<u8>)>, Broken> {
        match self {
            Self::Shm(c) => c.try_receive(max),
            Self::Socket(c) => c.try_receive(max, scratch),
        }
    }

    /// Puts a response or event on its channel, if there is room.
    pub(crate) fn try_send(
        &mut self,
        channel: Channel,
        header: &[u8; RESPONSE_HEADER_SIZE],
        body: &[u8],
    ) -> Result<Sent, Broken> {
        match self {
            Self::Shm(c) => c.try_send(channel, header, body),
            Self::Socket(c) => c.try_send(channel, header, body),
        }
    }

    /// Tells the client whether to send requests.
    pub(crate) fn set_flow_control(&self, level: u8) {
        match self {
            Self::Shm(c) => c.set_flow_control(level),
            Self::Socket(c) => c.set_flow_control(level),
        }
    }

    /// Events that the client has not read, as it says.
    pub(crate) fn event_queue_length(&self) -> u32 {
        match self {
            Self::Shm(c) => c.event_queue_length(),
            Self::Socket(c) => c.event_queue_length(),
        }
    }

    /// Whether requests and events are announced on the stream socket.
    pub(crate) fn has_doorbell(&self) -> bool {
        matches!(self, Self::Shm(_))
    }

    /// The socket on which requests arrive, where it is not the stream.
    pub(crate) fn request_socket(&self) -> Option<&std::os::unix::net::UnixDatagram> {
        match self {
            Self::Shm(_) => None,
            Self::Socket(c) => Some(&c.request),
        }
    }

    /// Tells the client that the server has left.
    pub(crate) fn release(&self) {
        if let Self::Shm(c) = self {
            c.release();
        }
    }
}

/// A client's side of the channels.
pub(crate) enum ClientChannels {
    Shm(ShmClient),
    Socket(SocketClient),
}

impl ClientChannels {
    /// Opens what the response names. `root` is where shared files may lie.
    pub(crate) fn open(
        response: &ConnectionResponse,
        root: &Path,
        server: Credentials,
    ) -> Result<Self, Error> {
        match response.kind {
            0 => Ok(Self::Socket(SocketClient::open(response, root, server)?)),
            _ => Ok(Self::Shm(ShmClient::open(response, root, server)?)),
        }
    }

    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::Shm(_) => Transport::Shm,
            Self::Socket(_) => Transport::Socket,
        }
    }

    /// The server's flow control level.
    pub(crate) fn flow_control(&self) -> Result<i32, Error> {
        match self {
            Self::Shm(c) => c.flow_control(),
            Self::Socket(c) => Ok(c.flow_control()),
        }
    }

    /// Sends a request, if there is room.
    pub(crate) fn try_send(&mut self, id: i32, body: &[u8]) -> Result<Sent, Error> {
        let header = message::request_header(id, body.len());
        match self {
            Self::Shm(c) => c.try_send(&header, body),
            Self::Socket(c) => c.try_send(&header, body),
        }
    }

    /// Whether a message seems to wait; costs no system call.
    pub(crate) fn ready(&self, channel: Channel) -> bool {
        match self {
            Self::Shm(c) => c.reader(channel).ready(),
            Self::Socket(c) => c.ready(channel),
        }
    }

    /// Takes the next response or event; its body goes to `body`, which is
    /// cleared first.
    pub(crate) fn try_receive(
        &mut self,
        channel: Channel,
        max: u32,
        body: &mut Vec<u8>,
    ) -> Result<Option<ResponseHeader>, Error> {
        body.clear();
        match self {
            Self::Shm(c) => c.try_receive(channel, max, body),
            Self::Socket(c) => c.try_receive(channel, max, body),
        }
    }

    /// Leaves the connection.
    pub(crate) fn release(&self) {
        if let Self::Shm(c) = self {
            c.release();
        }
    }

    pub(crate) fn as_shm(&self) -> Option<&ShmClient> {
        match self {
            Self::Shm(c) => Some(c),
            Self::Socket(_) => None,
        }
    }

    pub(crate) fn as_socket(&self) -> Option<&SocketClient> {
        match self {
            Self::Shm(_) => None,
            Self::Socket(c) => Some(c),
        }
    }
}

/// Cuts a body to what the header claims, which lies within what arrived.
fn cut(claimed: i32, header: usize, arrived: usize, body: &mut Vec<u8>) -> Result<(), Broken> {
    match usize::try_from(claimed) {
        Ok(size) if (header..=arrived).contains(&size) => {
            body.truncate(size - header);
            Ok(())
        }
        _ => Err(Broken(format!("a message of {arrived} bytes claims {claimed}"))),
    }
}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Self {
        Self::Malformed(broken.0)
    }
}
