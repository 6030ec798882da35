//! Clients: one that waits in its calls, for tools, and one for daemons.

mod asynchronous;
mod blocking;
mod connect;
mod waiter;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sansio::edge::{Channel, Credentials};

use crate::access::Expectation;
use crate::directory::{self, SHM};
use crate::error::Error;
use crate::message::{REQUEST_HEADER_SIZE, ResponseHeader};
use crate::name::Naming;
use crate::syscall;
use crate::transport::{ClientChannels, Sent};

pub use asynchronous::{AsyncClient, ClientEvent};
pub use blocking::BlockingClient;

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The longest message to carry, in bytes with header; the server may carry
    /// longer ones.
    pub max_msg_size: u32,
    /// How the service's name becomes an address.
    pub naming: Naming,
    /// Whom to take for the genuine server.
    pub expect: Expectation,
    /// How long the server may take to answer.
    pub timeout: Duration,
    /// Where the server's shared files may lie.
    pub shared_folder: PathBuf,
    /// How long to watch memory for an answer before sleeping; zero never to.
    pub spin: Duration,
    /// Bytes of requests that may wait for room ([`AsyncClient`]).
    pub queue_bytes: usize,
    /// Requests that may wait for room ([`AsyncClient`]).
    pub queue_messages: usize,
}

impl ConnectOptions {
    /// The defaults of this machine, for messages of `max_msg_size` bytes.
    pub fn new(max_msg_size: u32) -> Self {
        Self {
            max_msg_size,
            naming: Naming::from_system(),
            expect: Expectation::default(),
            timeout: Duration::from_secs(10),
            shared_folder: SHM.into(),
            spin: crate::spin::default_time(),
            queue_bytes: 16 << 20,
            queue_messages: 4096,
        }
    }
}

/// What both clients are made of.
struct Link {
    stream: UnixStream,
    channels: ClientChannels,
    max_msg_size: u32,
    server: Credentials,
    /// Who called `listen`, as Pacemaker asks the descriptor.
    listener: Credentials,
    flow_control_max: i32,
    /// Once set, why the connection is over.
    over: Option<String>,
    left_behind: LeftBehind,
}

/// Where a dead server's files would be.
struct LeftBehind {
    root: PathBuf,
    name: String,
    server_pid: u32,
}

impl Link {
    fn check(&self, len: usize) -> Result<(), Error> {
        if let Some(why) = &self.over {
            return Err(Error::Disconnected(why.clone()));
        }
        let (len, max) = (len + REQUEST_HEADER_SIZE, self.max_msg_size as usize);
        if len > max { Err(Error::TooLong { len, max }) } else { Ok(()) }
    }

    /// Sends a request, or says why not: held back, too long, or over.
    fn try_send(&mut self, id: i32, body: &[u8]) -> Result<(), Error> {
        self.check(body.len())?;
        let result = self.send_unchecked(id, body);
        self.noted(result)
    }

    fn send_unchecked(&mut self, id: i32, body: &[u8]) -> Result<(), Error> {
        let level = self.channels.flow_control()?;
        if (1..=self.flow_control_max).contains(&level) {
            return Err(Error::Again);
        }
        match self.channels.try_send(id, body)? {
            Sent::Yes => self.ring_bell(),
            Sent::Full => Err(Error::Again),
            Sent::TooLong => {
                let len = body.len() + REQUEST_HEADER_SIZE;
                Err(Error::TooLong { len, max: self.max_msg_size as usize })
            }
        }
    }

    /// Announces a request; the server takes its bytes in no other order than the
    /// requests, so a full socket means that it is at work.
    fn ring_bell(&self) -> Result<(), Error> {
        if self.channels.as_shm().is_none() {
            return Ok(());
        }
        loop {
            match syscall::send(&self.stream, &[&[1]]) {
                Ok(_) => return Ok(()),
                Err(e) => match e.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN | libc::ENOBUFS) => {
                        wait_for(&[(&self.stream, Wait::Write)], Some(Duration::from_secs(2)))?;
                    }
                    _ => return Err(Error::Disconnected(format!("the server is gone: {e}"))),
                },
            }
        }
    }

    /// Takes the next message of a channel, if there is one. The doorbell of an
    /// event is taken with it.
    fn try_receive(
        &mut self,
        channel: Channel,
        body: &mut Vec<u8>,
    ) -> Result<Option<ResponseHeader>, Error> {
        let result = self.channels.try_receive(channel, self.max_msg_size, body);
        self.noted(result)
    }

    /// Remembers an error after which there is nothing more to do.
    fn noted<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(e) = &result
            && e.is_fatal()
            && self.over.is_none()
        {
            self.over = Some(e.to_string());
        }
        result
    }

    fn hung_up(&mut self) -> Error {
        let why = self.over.get_or_insert_with(|| "the server hung up".into());
        Error::Disconnected(why.clone())
    }

    /// Takes one doorbell off the stream. `Ok(false)` if there is none.
    fn take_bell(&mut self) -> Result<bool, Error> {
        loop {
            return match io::Read::read(&mut (&self.stream), &mut [0]) {
                Ok(0) => Err(self.hung_up()),
                Ok(_) => Ok(true),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
                Err(_) => Err(self.hung_up()),
            };
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.channels.release();
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        if self.over.is_some() {
            self.left_behind.remove_if_dead();
        }
    }
}

impl LeftBehind {
    /// The server removes its files; if it died, we are the last who can.
    fn remove_if_dead(&self) {
        if self.server_pid > 0 && !syscall::process_exists(self.server_pid) {
            directory::remove_left_behind(&self.root, &self.name, self.server_pid);
        }
    }
}

/// Where the server `server_pid` put the file `name` below `root`.
fn left_behind(root: &Path, name: &str, server_pid: u32) -> LeftBehind {
    LeftBehind { root: root.into(), name: name.into(), server_pid }
}

/// What to wait for on a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Read,
    Write,
    HangUp,
}

/// Waits until one of the descriptors is as wanted, or has hung up; says which
/// are. Empty if the time is over.
fn wait_for(
    what: &[(&dyn std::os::fd::AsFd, Wait)],
    timeout: Option<Duration>,
) -> io::Result<Vec<(usize, nix::poll::PollFlags)>> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut fds: Vec<PollFd<'_>> = what
        .iter()
        .map(|(fd, wait)| {
            let flags = match wait {
                Wait::Read => PollFlags::POLLIN,
                Wait::Write => PollFlags::POLLOUT,
                Wait::HangUp => PollFlags::empty(),
            };
            PollFd::new(fd.as_fd(), flags)
        })
        .collect();
    let timeout = match timeout {
        None => PollTimeout::NONE,
        // Rounded up, lest the last millisecond be spent spinning.
        Some(time) => {
            PollTimeout::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
        }
    };
    match poll(&mut fds, timeout) {
        Ok(_) | Err(nix::Error::EINTR) => {}
        Err(e) => return Err(e.into()),
    }
    let found = fds.iter().enumerate();
    let found = found.map(|(i, fd)| (i, fd.revents().unwrap_or(PollFlags::empty())));
    Ok(found.filter(|(_, flags)| !flags.is_empty()).collect())
}
