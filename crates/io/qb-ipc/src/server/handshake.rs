//! From an accepted stream socket to a connection, or to a refusal.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use sansio::edge::Credentials;

use super::config::ServerConfig;
use crate::access::{Grant, Peer};
use crate::directory::Directory;
use crate::message::{
    self, CONNECTION_REQUEST_SIZE, ConnectionRequest, ConnectionResponse,
    encode_connection_response,
};
use crate::syscall;
use crate::transport::{Opening, ServerChannels, Transport};

/// A client that has connected to the stream socket and not yet said all.
pub(super) struct Handshake {
    pub(super) stream: UnixStream,
    pub(super) deadline: Instant,
    /// Who called `connect`.
    pub(super) maker: Credentials,
    bytes: [u8; CONNECTION_REQUEST_SIZE],
    len: usize,
    sender: Option<Credentials>,
}

/// A whole connection request.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) request: ConnectionRequest,
    /// Who sent it, by the control message.
    pub(super) sender: Credentials,
}

/// How far a handshake is.
pub(super) enum Step {
    Waiting,
    Asked(Asked),
    Failed(String),
}

impl Handshake {
    pub(super) fn new(stream: UnixStream, deadline: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        syscall::set_pass_credentials(&stream, true)?;
        let maker = syscall::peer_credentials(&stream)?;
        let bytes = [0; CONNECTION_REQUEST_SIZE];
        Ok(Self { stream, deadline, maker, bytes, len: 0, sender: None })
    }

    /// Reads what has come.
    pub(super) fn advance(&mut self) -> Step {
        while self.len < CONNECTION_REQUEST_SIZE {
            match syscall::receive(&self.stream, &mut self.bytes[self.len..]) {
                Ok(got) if got.len == 0 => return Step::Failed("the client hung up".into()),
                Ok(got) => {
                    self.len += got.len;
                    self.sender = self.sender.or(got.sender.filter(|c| !is_unknown(*c)));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Step::Waiting,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Step::Failed(e.to_string()),
            }
        }
        match message::decode_connection_request(&self.bytes) {
            Ok(request) => {
                let sender = self.sender.unwrap_or(self.maker);
                Step::Asked(Asked { request, sender })
            }
            Err(e) => Step::Failed(format!("no connection request: {e}")),
        }
    }

    /// Who the client is. It counts as user or group 0 only where both the one
    /// who made the socket and the one who wrote to it are.
    pub(super) fn peer(&self, sender: Credentials) -> Peer {
        let root_by_both = |sent: u32, made: u32| if sent == 0 { made } else { sent };
        let credentials = Credentials {
            pid: sender.pid,
            uid: root_by_both(sender.uid, self.maker.uid),
            gid: root_by_both(sender.gid, self.maker.gid),
        };
        // Without its groups a peer is less, never more.
        let groups = syscall::peer_groups(&self.stream).unwrap_or_default();
        Peer { credentials, groups }
    }

    /// Ends the handshake with an error number that the client gets to see.
    pub(super) fn refuse(self, errno: i32) {
        let response = ConnectionResponse { error: -errno, ..ConnectionResponse::default() };
        let _ = answer(&self.stream, &response);
    }

    /// Makes the connection's files and sockets and tells the client.
    pub(super) fn finish(
        self,
        config: &ServerConfig,
        asked: Asked,
        peer: &Peer,
        grant: &Grant,
        cookie: u64,
    ) -> Result<(UnixStream, ServerChannels, Directory, u32), (Self, io::Error)> {
        let max_msg_size = asked.request.max_msg_size.max(config.message_min);
        let number: RawFd = self.stream.as_raw_fd();
        let made = (|| {
            syscall::set_pass_credentials(&self.stream, false)?;
            let root = &config.shared_folder;
            let mut directory = Directory::create(root, peer.credentials.pid, number)?;
            let opening = Opening {
                service: &config.service,
                max_msg_size,
                sender_uid: asked.sender.uid,
                grant,
                directory: &directory,
            };
            let made = ServerChannels::create(config.transport, &opening)?;
            directory.hand_over(peer, grant, config.transport == Transport::Shm)?;
            Ok((made, directory))
        })();
        let ((channels, mut response), directory) = match made {
            Ok(made) => made,
            Err(e) => return Err((self, e)),
        };
        response.cookie = cookie;
        match answer(&self.stream, &response) {
            Ok(()) => Ok((self.stream, channels, directory, max_msg_size)),
            Err(e) => Err((self, e)),
        }
    }
}

/// What the kernel says of bytes that were written after the socket was accepted
/// and before it asked for credentials.
fn is_unknown(sender: Credentials) -> bool {
    const OVERFLOW: u32 = 65534;
    sender.pid == 0 && sender.uid == OVERFLOW
}

/// Sends the answer whole: libqb's clients hardly wait for a second part, and a
/// fresh socket has room for it.
fn answer(stream: &UnixStream, response: &ConnectionResponse) -> io::Result<()> {
    let bytes = encode_connection_response(response);
    let sent = syscall::send(stream, &[&bytes])?;
    if sent == bytes.len() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::WriteZero, "the answer did not fit the client's socket"))
}
