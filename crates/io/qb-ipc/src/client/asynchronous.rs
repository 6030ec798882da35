//! The client for daemons, on a tokio runtime.
//!
//! ```text
//!   stream socket ----------- liveness, doorbells of events (SHM) --+
//!   ring of responses -> waiter thread -> eventfd (SHM) ------------+-> poll_event
//!   datagram sockets -------- responses, events (SOCKET) -----------+
//!   timer ------------------- requests that wait for room ----------+
//! ```

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sansio::edge::{Channel, Credentials, Frame};
use tokio::io::unix::AsyncFd;
use tokio::time::Sleep;

use super::connect::Connecting;
use super::waiter::Waiter;
use super::{ConnectOptions, Link};
use crate::error::Error;
use crate::spin::Spin;
use crate::syscall;
use crate::transport::Transport;

const RETRY_FIRST: Duration = Duration::from_millis(1);
const RETRY_LAST: Duration = Duration::from_millis(32);

/// What happens at a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A response or an event.
    Frame(Frame),
    /// So many requests wait for room that sending more may fail.
    Blocked,
    /// Half of them have gone.
    Writable,
    /// The connection is over; nothing else comes any more.
    Closed {
        /// Why, for the log.
        why: String,
    },
}

/// A connection to a service. Lives on a tokio runtime with IO and time.
///
/// Over SHM a response that belongs to no request is noticed only together with
/// the next answer or event.
pub struct AsyncClient {
    stream: AsyncFd<OwnedFd>,
    source: Source,
    link: Link,
    queue: Queue,
    ready: VecDeque<ClientEvent>,
    /// Requests sent, less the responses that came.
    awaiting: u64,
    hung_up: bool,
    spin: Spin,
    retry_after: Duration,
    retry_at: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
    body: Vec<u8>,
}

/// Where responses, and for SOCKET events, announce themselves.
enum Source {
    Shm { waiter: Waiter, notice: AsyncFd<OwnedFd> },
    Socket { request: AsyncFd<OwnedFd>, event: AsyncFd<OwnedFd> },
}

/// Requests that wait for room.
struct Queue {
    messages: VecDeque<(i32, Vec<u8>)>,
    bytes: usize,
    blocked: bool,
    bytes_max: usize,
    messages_max: usize,
}

impl AsyncClient {
    /// Connects to a service. Errors as those of
    /// [`BlockingClient::connect_with`](crate::BlockingClient::connect_with).
    pub async fn connect(service: &str, options: &ConnectOptions) -> Result<Self, Error> {
        let mut connecting = Connecting::start(service, options)?;
        let stream = syscall::readable(connecting.stream.try_clone()?)?;
        let answered = async {
            loop {
                let mut guard = stream.readable().await?;
                if connecting.advance()? {
                    return Ok::<_, Error>(());
                }
                guard.clear_ready();
            }
        };
        tokio::time::timeout(options.timeout, answered).await.map_err(|_| Error::TimedOut)??;
        let link = connecting.finish(options)?;
        let source = Source::new(&link)?;
        Ok(Self {
            stream,
            source,
            link,
            queue: Queue::new(options),
            ready: VecDeque::new(),
            awaiting: 0,
            hung_up: false,
            spin: Spin::new(options.spin),
            retry_after: RETRY_FIRST,
            retry_at: None,
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            body: Vec::new(),
        })
    }

    /// Sends a request, or queues it while flow control holds it back or there is
    /// no room.
    ///
    /// # Errors
    /// [`Error::Again`] if the queue is full, too; [`Error::TooLong`];
    /// [`Error::Disconnected`].
    pub fn send_request(&mut self, id: i32, body: &[u8]) -> Result<(), Error> {
        if self.hung_up {
            return Err(self.link.hung_up());
        }
        if self.queue.messages.is_empty() {
            match self.link.try_send(id, body) {
                Err(Error::Again) => {}
                result => {
                    self.awaiting += u64::from(result.is_ok());
                    return result;
                }
            }
        }
        self.link.check(body.len())?;
        if self.queue.push(id, body)? {
            self.ready.push_back(ClientEvent::Blocked);
        }
        Ok(())
    }

    /// What happens next. Dropping the future loses nothing. After `Closed` it is
    /// `Closed` again.
    pub async fn next_event(&mut self) -> ClientEvent {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// What happens next, or the promise to wake the task when something does.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<ClientEvent> {
        match self.ready.pop_front() {
            Some(event) => Poll::Ready(event),
            None => self.poll_new(cx),
        }
    }

    /// Sends a request and waits for the next response; events that come before
    /// it are kept for [`AsyncClient::next_event`].
    pub async fn request(&mut self, id: i32, body: &[u8]) -> Result<Frame, Error> {
        self.send_request(id, body)?;
        loop {
            match std::future::poll_fn(|cx| self.poll_new(cx)).await {
                ClientEvent::Frame(frame) if frame.channel == Channel::Response => {
                    return Ok(frame);
                }
                ClientEvent::Closed { why } => return Err(Error::Disconnected(why)),
                other => self.ready.push_back(other),
            }
        }
    }

    /// Up to which flow control level requests are held back: 1 at first.
    pub fn set_flow_control_max(&mut self, level: u8) {
        self.link.flow_control_max = i32::from(level.min(2));
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

    fn poll_new(&mut self, cx: &mut Context<'_>) -> Poll<ClientEvent> {
        let mut may_spin = self.awaiting > 0;
        loop {
            if let Some(event) = self.flush_queue().or_else(|| self.take()) {
                return Poll::Ready(event);
            }
            let channels = &self.link.channels;
            if std::mem::take(&mut may_spin)
                && self.spin.until(|| channels.ready(Channel::Response))
            {
                continue;
            }
            if self.hung_up {
                let why = self.link.over.clone().unwrap_or_default();
                return Poll::Ready(ClientEvent::Closed { why });
            }
            let changed = self.poll_stream(cx) | self.poll_source(cx) | self.poll_retry(cx);
            if !changed {
                return Poll::Pending;
            }
        }
    }

    /// The next message that is there already.
    fn take(&mut self) -> Option<ClientEvent> {
        for channel in [Channel::Response, Channel::Event] {
            match self.link.try_receive(channel, &mut self.body) {
                Ok(None) => {}
                Ok(Some(header)) => {
                    if channel == Channel::Response {
                        self.awaiting = self.awaiting.saturating_sub(1);
                    }
                    let body = std::mem::take(&mut self.body);
                    let (id, error) = (header.id, header.error);
                    return Some(ClientEvent::Frame(Frame { channel, id, error, body }));
                }
                Err(_) => self.hung_up = true,
            }
        }
        None
    }

    /// Reads doorbells, which say only that it is worth looking, and the end.
    fn poll_stream(&mut self, cx: &mut Context<'_>) -> bool {
        let mut changed = false;
        while let Poll::Ready(Ok(mut guard)) = self.stream.poll_read_ready(cx) {
            match guard.try_io(|_| (&self.link.stream).read(&mut [0; 512])) {
                Err(_) => {}
                Ok(Ok(n)) if n > 0 => changed = true,
                Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) => {
                    let _ = self.link.hung_up();
                    self.hung_up = true;
                    return true;
                }
            }
        }
        changed
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> bool {
        match &self.source {
            Source::Shm { waiter, notice } => {
                if self.awaiting > 0 {
                    waiter.watch();
                }
                let Poll::Ready(Ok(mut guard)) = notice.poll_read_ready(cx) else { return false };
                waiter.clear();
                guard.clear_ready();
                true
            }
            Source::Socket { request, event } => {
                let mut changed = false;
                for (socket, channel) in [(request, Channel::Response), (event, Channel::Event)] {
                    if let Poll::Ready(Ok(mut guard)) = socket.poll_read_ready(cx) {
                        changed = true;
                        guard.clear_ready();
                        // Looked at after clearing, so that nothing is overlooked.
                        let received = self.link.try_receive(channel, &mut self.body);
                        if let Ok(Some(header)) = received {
                            if channel == Channel::Response {
                                self.awaiting = self.awaiting.saturating_sub(1);
                            }
                            let body = std::mem::take(&mut self.body);
                            let (id, error) = (header.id, header.error);
                            let frame = Frame { channel, id, error, body };
                            self.ready.push_back(ClientEvent::Frame(frame));
                        }
                    }
                }
                changed
            }
        }
    }

    /// Sends requests that waited, as far as there is room.
    fn flush_queue(&mut self) -> Option<ClientEvent> {
        while let Some((id, body)) = self.queue.messages.front() {
            match self.link.try_send(*id, body) {
                Ok(()) => self.awaiting += 1,
                Err(Error::Again) => break,
                Err(Error::TooLong { len, max }) => {
                    tracing::warn!(len, max, "a request that waited is too long");
                }
                Err(_) => {
                    self.hung_up = true;
                    break;
                }
            }
            self.retry_after = RETRY_FIRST;
            if self.queue.pop() {
                return Some(ClientEvent::Writable);
            }
        }
        None
    }

    /// Waits until it is time to try the queue again.
    fn poll_retry(&mut self, cx: &mut Context<'_>) -> bool {
        if self.queue.messages.is_empty() {
            self.retry_at = None;
            self.retry_after = RETRY_FIRST;
            return false;
        }
        let at = *self.retry_at.get_or_insert_with(|| Instant::now() + self.retry_after);
        self.sleep.as_mut().reset(at.into());
        if self.sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.retry_at = None;
        self.retry_after = (self.retry_after * 2).min(RETRY_LAST);
        true
    }
}

impl Source {
    fn new(link: &Link) -> Result<Self, Error> {
        if let Some(socket) = link.channels.as_socket() {
            let request = syscall::readable(socket.request.try_clone()?)?;
            let event = syscall::readable(socket.event.try_clone()?)?;
            return Ok(Self::Socket { request, event });
        }
        let ring = link.channels.as_shm().map(|shm| shm.response_ring());
        let waiter = Waiter::start(ring.ok_or(Error::Again)?)?;
        let notice = syscall::readable(waiter.descriptor()?)?;
        Ok(Self::Shm { waiter, notice })
    }
}

impl Queue {
    fn new(options: &ConnectOptions) -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
            blocked: false,
            bytes_max: options.queue_bytes,
            messages_max: options.queue_messages,
        }
    }

    /// Adds a request. `Ok(true)` if the queue has become half full by it.
    fn push(&mut self, id: i32, body: &[u8]) -> Result<bool, Error> {
        let bytes = self.bytes + body.len();
        if bytes > self.bytes_max || self.messages.len() >= self.messages_max {
            return Err(Error::Again);
        }
        self.bytes = bytes;
        self.messages.push_back((id, body.to_vec()));
        let full = bytes >= self.bytes_max / 2 || self.messages.len() >= self.messages_max / 2;
        let newly = full && !self.blocked;
        self.blocked |= full;
        Ok(newly)
    }

    /// Removes the first request. `true` if the queue was blocked and has room.
    fn pop(&mut self) -> bool {
        self.bytes -= self.messages.pop_front().map_or(0, |(_, body)| body.len());
        let room = self.bytes <= self.bytes_max / 4 && self.messages.len() <= self.messages_max / 4;
        room && std::mem::take(&mut self.blocked)
    }
}
