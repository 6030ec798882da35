//! The client's side of the handshake.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use sansio::edge::Credentials;

use super::{ConnectOptions, Link, Wait, left_behind, wait_for};
use crate::error::Error;
use crate::message::{
    CONNECTION_RESPONSE_SIZE, ConnectionRequest, decode_connection_response,
    encode_connection_request,
};
use crate::syscall;
use crate::transport::ClientChannels;

/// A stream socket on which the request was sent and the answer is awaited.
pub(super) struct Connecting {
    pub(super) stream: UnixStream,
    answer: Vec<u8>,
    len: usize,
    sender: Option<Credentials>,
    listener: Credentials,
}

/// Connects, and waits for the answer in the call.
pub(super) fn connect(service: &str, options: &ConnectOptions) -> Result<Link, Error> {
    let mut connecting = Connecting::start(service, options)?;
    let deadline = Instant::now() + options.timeout;
    while !connecting.advance()? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::TimedOut);
        }
        wait_for(&[(&connecting.stream, Wait::Read)], Some(left))?;
    }
    connecting.finish(options)
}

impl Connecting {
    /// Connects to the service and says what is wanted. Who listens is checked
    /// before the first byte is sent.
    pub(super) fn start(service: &str, options: &ConnectOptions) -> Result<Self, Error> {
        let address = options.naming.service(service)?;
        let stream = UnixStream::connect_addr(&address)?;
        stream.set_nonblocking(true)?;
        let listener = syscall::peer_credentials(&stream)?;
        verify(options, listener, "is listened on by")?;
        syscall::set_pass_credentials(&stream, true)?;
        let least = u32::try_from(CONNECTION_RESPONSE_SIZE).unwrap_or(u32::MAX);
        let request = ConnectionRequest { max_msg_size: options.max_msg_size.max(least) };
        let bytes = encode_connection_request(request);
        if syscall::send(&stream, &[&bytes])? != bytes.len() {
            return Err(Error::Io(io::ErrorKind::WriteZero.into()));
        }
        let answer = vec![0; CONNECTION_RESPONSE_SIZE];
        Ok(Self { stream, answer, len: 0, sender: None, listener })
    }

    /// Reads what has come; `true` once it is all.
    pub(super) fn advance(&mut self) -> Result<bool, Error> {
        while self.len < self.answer.len() {
            match syscall::receive(&self.stream, &mut self.answer[self.len..]) {
                Ok(got) if got.len == 0 => {
                    return Err(Error::Disconnected("the server hung up on us".into()));
                }
                Ok(got) => {
                    self.len += got.len;
                    self.sender = self.sender.or(got.sender);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(true)
    }

    /// Checks the answer and its sender, and opens the channels it names.
    pub(super) fn finish(self, options: &ConnectOptions) -> Result<Link, Error> {
        let server = self.sender.unwrap_or(self.listener);
        verify(options, server, "is served by")?;
        syscall::set_pass_credentials(&self.stream, false)?;
        let response = decode_connection_response(&self.answer)?;
        if response.error != 0 {
            return Err(Error::Refused(response.error.wrapping_neg()));
        }
        let least = CONNECTION_RESPONSE_SIZE;
        if (response.max_msg_size as usize) < least {
            let text = format!("messages of {} bytes at most", response.max_msg_size);
            return Err(Error::Malformed(text));
        }
        let root = &options.shared_folder;
        let channels = ClientChannels::open(&response, root, server)?;
        Ok(Link {
            stream: self.stream,
            channels,
            max_msg_size: response.max_msg_size,
            server,
            listener: self.listener,
            flow_control_max: 1,
            over: None,
            left_behind: left_behind(root, &response.request, server.pid),
        })
    }
}

fn verify(options: &ConnectOptions, who: Credentials, how: &str) -> Result<(), Error> {
    if options.expect.accepts(who) {
        return Ok(());
    }
    let Credentials { pid, uid, gid } = who;
    Err(Error::NotAuthentic(format!("it {how} pid {pid} uid {uid} gid {gid}")))
}
