//! Type SOCKET: two pairs of datagram sockets and a control file of three
//! records, by which each side sees what the other has sent and not yet got.
//!
//! A bound datagram socket takes messages from anybody until it is connected, and
//! names in the abstract namespace are no secret. Both sides therefore have the
//! kernel name the sender of each datagram, and drop a stranger's.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::atomic::Ordering;

use sansio::edge::{Channel, Credentials};

use super::{Opening, Sent};
use crate::directory::{self, PREFIX};
use crate::error::Error;
use crate::memory::Region;
use crate::message::{
    self, CONTROL_SIZE, ConnectionResponse, RESPONSE_HEADER_SIZE, ResponseHeader,
};
use crate::name;
use crate::ring::Broken;
use crate::syscall::{self, Received};

/// Foreign datagrams dropped in one call before it says that nothing came.
const STRANGERS_MAX: usize = 16;

/// The control file.
struct ControlFile(Region);

impl ControlFile {
    fn map(file: &File) -> io::Result<Self> {
        Ok(Self(Region::map(&[(file.as_fd(), CONTROL_SIZE)])?.0))
    }

    fn sent(&self, channel: Channel) -> i32 {
        self.0.i32(Self::at(channel)).load(Ordering::Acquire)
    }

    fn count(&self, channel: Channel, change: i32) {
        self.0.i32(Self::at(channel)).fetch_add(change, Ordering::AcqRel);
    }

    fn flow_control(&self) -> &std::sync::atomic::AtomicI32 {
        self.0.i32(4)
    }

    fn at(channel: Channel) -> usize {
        match channel {
            Channel::Request => 0,
            Channel::Response => 8,
            Channel::Event => 16,
        }
    }
}

/// A socket that connects when its peer is there.
struct Lazy {
    socket: UnixDatagram,
    /// Where to connect to; `None` once connected.
    peer: Option<SocketAddr>,
}

impl Lazy {
    fn try_send(&mut self, header: &[u8], body: &[u8], max: u32) -> io::Result<Sent> {
        if let Some(peer) = &self.peer {
            match self.socket.connect_addr(peer) {
                Ok(()) => self.peer = None,
                // The client has not bound its end yet.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => return Ok(Sent::Full),
                Err(e) => return Err(e),
            }
            syscall::set_buffer_sizes(&self.socket, max as usize)?;
        }
        outcome(syscall::send(&self.socket, &[header, body]))
    }
}

fn outcome(result: io::Result<usize>) -> io::Result<Sent> {
    match result {
        Ok(_) => Ok(Sent::Yes),
        Err(e) => match e.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOBUFS | libc::EINTR) => Ok(Sent::Full),
            Some(libc::EMSGSIZE) => Ok(Sent::TooLong),
            _ => Err(e),
        },
    }
}

/// The server's ends of the sockets.
pub(crate) struct SocketServer {
    /// Shares its description with `response`: requests come in, responses go out.
    pub(super) request: UnixDatagram,
    response: Lazy,
    event: Lazy,
    control: ControlFile,
    sender_uid: u32,
    max_msg_size: u32,
}

impl SocketServer {
    pub(super) fn create(opening: &Opening<'_>) -> io::Result<(Self, ConnectionResponse)> {
        let control_name = format!("{PREFIX}-control-{}", opening.service);
        let file = opening.directory.file(&control_name, CONTROL_SIZE, opening.grant)?;
        let control = ControlFile::map(&file)?;
        let base = format!("{}-{}", opening.directory.base(), opening.service);
        let request = bound(&base, "request", opening.max_msg_size)?;
        syscall::set_pass_credentials(&request, true)?;
        let response =
            Lazy { socket: request.try_clone()?, peer: Some(name::datagram(&base, "response")?) };
        let event = Lazy {
            socket: bound(&base, "event-tx", opening.max_msg_size)?,
            peer: Some(name::datagram(&base, "event")?),
        };
        let folder = opening.directory.base();
        let answer = ConnectionResponse {
            request: format!("{}{control_name}", folder.trim_end_matches(PREFIX)),
            response: base,
            ..Default::default()
        };
        let (sender_uid, max_msg_size) = (opening.sender_uid, opening.max_msg_size);
        Ok((Self { request, response, event, control, sender_uid, max_msg_size }, answer))
    }

    pub(super) fn ready(&self) -> bool {
        self.control.sent(Channel::Request) > 0
    }

    pub(super) fn try_receive(
        &mut self,
        max: u32,
        scratch: &mut Vec<u8>,
    ) -> Result<Option<(i32, Vec<u8>)>, Broken> {
        scratch.resize(scratch.len().max(max as usize), 0);
        let Some(got) = receive(&self.request, &mut scratch[..max as usize], self.sender_uid)?
        else {
            return Ok(None);
        };
        self.control.count(Channel::Request, -1);
        if got.truncated {
            return Err(Broken(format!("a request of more than {max} bytes")));
        }
        let (id, body) = message::decode_request(&scratch[..got.len], max as usize)
            .map_err(|e| Broken(format!("a request of {} bytes: {e}", got.len)))?;
        Ok(Some((id, body.to_vec())))
    }

    pub(super) fn try_send(
        &mut self,
        channel: Channel,
        header: &[u8; RESPONSE_HEADER_SIZE],
        body: &[u8],
    ) -> Result<Sent, Broken> {
        let socket = if channel == Channel::Event { &mut self.event } else { &mut self.response };
        let sent = socket.try_send(header, body, self.max_msg_size);
        let sent = sent.map_err(|e| Broken(format!("its socket is gone: {e}")))?;
        if sent == Sent::Yes {
            self.control.count(channel, 1);
        }
        Ok(sent)
    }

    pub(super) fn set_flow_control(&self, level: u8) {
        self.control.flow_control().store(i32::from(level), Ordering::Release);
    }

    pub(super) fn event_queue_length(&self) -> u32 {
        u32::try_from(self.control.sent(Channel::Event)).unwrap_or(0)
    }
}

/// The client's ends of the sockets.
pub(crate) struct SocketClient {
    /// Requests go out, responses come in.
    pub(crate) request: UnixDatagram,
    pub(crate) event: UnixDatagram,
    control: ControlFile,
    server_uid: u32,
    /// Holds the longest message; kept, as zeroing it each time would cost more
    /// than the message.
    scratch: Vec<u8>,
}

impl SocketClient {
    pub(super) fn open(
        response: &ConnectionResponse,
        root: &Path,
        server: Credentials,
    ) -> Result<Self, Error> {
        let file = directory::open_given(root, &response.request, CONTROL_SIZE, server.uid)?;
        let control = ControlFile::map(&file)?;
        let end = |ours: &str, theirs: &str| -> io::Result<UnixDatagram> {
            let socket = bound(&response.response, ours, response.max_msg_size)?;
            syscall::set_pass_credentials(&socket, true)?;
            socket.connect_addr(&name::datagram(&response.response, theirs)?)?;
            Ok(socket)
        };
        let request = end("response", "request")?;
        let event = end("event", "event-tx")?;
        let scratch = vec![0; response.max_msg_size as usize];
        Ok(Self { request, event, control, server_uid: server.uid, scratch })
    }

    pub(super) fn flow_control(&self) -> i32 {
        self.control.flow_control().load(Ordering::Acquire)
    }

    pub(super) fn try_send(&mut self, header: &[u8], body: &[u8]) -> Result<Sent, Error> {
        let sent = outcome(syscall::send(&self.request, &[header, body]))?;
        if sent == Sent::Yes {
            self.control.count(Channel::Request, 1);
        }
        Ok(sent)
    }

    pub(super) fn ready(&self, channel: Channel) -> bool {
        self.control.sent(channel) > 0
    }

    pub(super) fn try_receive(
        &mut self,
        channel: Channel,
        max: u32,
        body: &mut Vec<u8>,
    ) -> Result<Option<ResponseHeader>, Error> {
        let socket = if channel == Channel::Event { &self.event } else { &self.request };
        let Some(got) = receive(socket, &mut self.scratch, self.server_uid)? else {
            return Ok(None);
        };
        self.control.count(channel, -1);
        if got.truncated {
            return Err(Error::Malformed(format!("a message of more than {max} bytes")));
        }
        let (header, content) = message::decode_response(&self.scratch[..got.len], max as usize)?;
        body.extend_from_slice(content);
        Ok(Some(header))
    }
}

/// The next datagram of `sender`; others are dropped.
fn receive(
    socket: &UnixDatagram,
    buffer: &mut [u8],
    sender: u32,
) -> Result<Option<Received>, Broken> {
    for _ in 0..STRANGERS_MAX {
        match syscall::receive(socket, buffer) {
            Ok(got) if got.sender.is_none_or(|c| c.uid != sender) => {
                tracing::warn!(sender = ?got.sender, "a stranger's datagram is dropped");
            }
            Ok(got) => return Ok(Some(got)),
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => break,
            Err(e) => return Err(Broken(format!("its socket is gone: {e}"))),
        }
    }
    Ok(None)
}

fn bound(base: &str, suffix: &str, max_msg_size: u32) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::bind_addr(&name::datagram(base, suffix)?)?;
    socket.set_nonblocking(true)?;
    syscall::set_buffer_sizes(&socket, max_msg_size as usize)?;
    Ok(socket)
}
