//! The client for tools: each call waits.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use sansio::edge::{Channel, Credentials, Frame};

use super::connect::connect;
use super::{ConnectOptions, Link, Wait, wait_for};
use crate::error::Error;
use crate::message::ResponseHeader;
use crate::spin::Spin;
use crate::transport::Transport;

/// A wait for a response is cut in slices of this length, between which the
/// server is looked after: a semaphore does not say that its owner died.
const SLICE: Duration = Duration::from_millis(100);

/// A connection to a service. Requests are answered in their order; events come
/// on their own.
///
/// ```no_run
/// use std::time::Duration;
/// let mut client = qb_ipc::BlockingClient::connect("quorum", 8192)?;
/// client.send_request(1, &[])?;
/// let answer = client.recv_response(Some(Duration::from_secs(2)))?;
/// println!("id {} with {} bytes", answer.id, answer.body.len());
/// # Ok::<(), qb_ipc::Error>(())
/// ```
pub struct BlockingClient {
    link: Link,
    spin: Spin,
}

impl BlockingClient {
    /// Connects to a service that user or group 0 runs.
    pub fn connect(service: &str, max_msg_size: u32) -> Result<Self, Error> {
        Self::connect_with(service, &ConnectOptions::new(max_msg_size))
    }

    /// Connects to a service.
    ///
    /// # Errors
    /// [`Error::Disconnected`] if nobody serves the name, [`Error::Refused`] if
    /// the server does not want us, [`Error::NotAuthentic`] if we do not want it.
    pub fn connect_with(service: &str, options: &ConnectOptions) -> Result<Self, Error> {
        Ok(Self { link: connect(service, options)?, spin: Spin::new(options.spin) })
    }

    /// Sends a request without waiting for its answer.
    ///
    /// # Errors
    /// [`Error::Again`] while flow control holds requests back or the channel is
    /// full, [`Error::TooLong`] if it will never fit.
    pub fn send_request(&mut self, id: i32, body: &[u8]) -> Result<(), Error> {
        self.link.try_send(id, body)
    }

    /// The next response; `None` waits for ever.
    pub fn recv_response(&mut self, timeout: Option<Duration>) -> Result<Frame, Error> {
        let mut body = Vec::new();
        let header = self.recv_response_into(&mut body, timeout)?;
        Ok(Frame { channel: Channel::Response, id: header.id, error: header.error, body })
    }

    /// The next response, its body in a buffer that is reused.
    pub fn recv_response_into(
        &mut self,
        body: &mut Vec<u8>,
        timeout: Option<Duration>,
    ) -> Result<ResponseHeader, Error> {
        let deadline = timeout.map(|t| Instant::now() + t);
        loop {
            let channels = &self.link.channels;
            self.spin.until(|| channels.ready(Channel::Response));
            if let Some(header) = self.link.try_receive(Channel::Response, body)? {
                return Ok(header);
            }
            let left = left(deadline);
            if left.is_some_and(|l| l.is_zero()) {
                return Err(Error::TimedOut);
            }
            self.wait_for_response(left.map_or(SLICE, |l| l.min(SLICE)))?;
        }
    }

    /// The next event; `None` waits for ever.
    pub fn recv_event(&mut self, timeout: Option<Duration>) -> Result<Frame, Error> {
        let deadline = timeout.map(|t| Instant::now() + t);
        let mut body = Vec::new();
        loop {
            if let Some(header) = self.link.try_receive(Channel::Event, &mut body)? {
                self.take_bell()?;
                let (id, error) = (header.id, header.error);
                return Ok(Frame { channel: Channel::Event, id, error, body });
            }
            let left = left(deadline);
            if left.is_some_and(|l| l.is_zero()) {
                return Err(Error::TimedOut);
            }
            self.wait_for_event(left)?;
        }
    }

    /// Sends a request and waits for the next response; `None` waits for ever.
    pub fn request(
        &mut self,
        id: i32,
        body: &[u8],
        timeout: Option<Duration>,
    ) -> Result<Frame, Error> {
        self.send_request(id, body)?;
        self.recv_response(timeout)
    }

    /// Up to which flow control level requests are held back: 1 at first; a
    /// client that raises it to 2 waits longer and is queued for less.
    pub fn set_flow_control_max(&mut self, level: u8) {
        self.link.flow_control_max = i32::from(level.min(2));
    }

    /// The descriptor that becomes readable when an event or the end comes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        match self.link.channels.as_socket() {
            Some(socket) => socket.event.as_fd(),
            None => self.link.stream.as_fd(),
        }
    }

    /// Who serves us, as the kernel said when the server answered.
    pub fn server(&self) -> Credentials {
        self.link.server
    }

    /// Who called `listen` on the service's socket.
    pub fn listener(&self) -> Credentials {
        self.link.listener
    }

    /// The longest message that the connection carries, in bytes with header.
    pub fn max_msg_size(&self) -> u32 {
        self.link.max_msg_size
    }

    /// How messages travel; the server chose.
    pub fn transport(&self) -> Transport {
        self.link.channels.transport()
    }

    /// Whether the connection has not been seen to end.
    pub fn is_connected(&self) -> bool {
        self.link.over.is_none()
    }

    fn wait_for_response(&mut self, slice: Duration) -> Result<(), Error> {
        if let Some(shm) = self.link.channels.as_shm() {
            shm.response_ring().semaphore().wait(slice);
            return self.check_alive(Channel::Response);
        }
        let Some(socket) = self.link.channels.as_socket() else { return Ok(()) };
        let stream = &self.link.stream;
        wait_for(&[(&socket.request, Wait::Read), (stream, Wait::HangUp)], Some(slice))?;
        self.check_alive(Channel::Response)
    }

    fn wait_for_event(&mut self, left: Option<Duration>) -> Result<(), Error> {
        let stream = &self.link.stream;
        match self.link.channels.as_socket() {
            Some(socket) => wait_for(&[(&socket.event, Wait::Read), (stream, Wait::HangUp)], left)?,
            None => wait_for(&[(stream, Wait::Read)], left)?,
        };
        self.check_alive(Channel::Event)
    }

    /// Fails if the server hung up and nothing is left to read on `channel`.
    fn check_alive(&mut self, channel: Channel) -> Result<(), Error> {
        if self.link.channels.ready(channel) {
            return Ok(());
        }
        let found = wait_for(&[(&self.link.stream, Wait::HangUp)], Some(Duration::ZERO))?;
        let over = PollFlags::POLLHUP | PollFlags::POLLERR;
        // Looked at again: what was sent just before the end still counts.
        if found.iter().any(|(_, flags)| flags.intersects(over))
            && !self.link.channels.ready(channel)
        {
            return Err(self.link.hung_up());
        }
        Ok(())
    }

    /// An event's doorbell follows it; the server may be about to send it.
    fn take_bell(&mut self) -> Result<(), Error> {
        if self.link.channels.as_shm().is_none() {
            return Ok(());
        }
        loop {
            match self.link.take_bell() {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    wait_for(&[(&self.link.stream, Wait::Read)], Some(SLICE))?;
                }
                // The event was there all the same; the next call says so.
                Err(_) => return Ok(()),
            }
        }
    }
}

fn left(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|at| at.saturating_duration_since(Instant::now()))
}
