//! The server of one service.
//!
//! All its descriptors stand in an epoll set of its own, and the runtime waits
//! for that set alone: a turn costs as much as there is to do, not as there are
//! clients. [`Server::poll_event`] hands out one event at a time, requests of
//! several clients in turn.

mod accept;
mod config;
mod connection;
mod handshake;
mod poll;
mod queue;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use nix::sys::epoll::Epoll;
use sansio::edge::{Channel, Conn, Frame};
use tokio::io::unix::AsyncFd;
use tokio::time::Sleep;

use crate::access::{Peer, Rule};
use crate::directory;
use crate::spin::Spin;
use crate::stats::{ConnectionStats, ServiceStats};
use crate::syscall;

pub use config::{ConnNumbers, Limits, ServerConfig};
pub use connection::SendError;
use connection::{Connection, Taken};
use handshake::Handshake;
use queue::Pressure;

/// Requests handed out before the descriptors are looked at again.
const TURN: u32 = 16;
/// Rounds without an event after which the runtime gets its turn.
const IDLE_ROUNDS: u32 = 64;

/// What happens at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client is there and was told so.
    Accepted {
        /// Its number, never used again.
        conn: Conn,
        /// Who it is.
        peer: Peer,
    },
    /// A request came in.
    Request {
        /// From this client.
        conn: Conn,
        /// The message; its channel is `Request`.
        frame: Frame,
    },
    /// A connection ended; said once of each that was accepted.
    Closed {
        /// The connection.
        conn: Conn,
        /// Why, for the log.
        why: String,
    },
    /// So much waits for the client that sending more may cost the connection.
    Blocked(Conn),
    /// Half of that has gone.
    Writable(Conn),
}

/// One service and its connections. Lives on a tokio runtime with IO and time.
pub struct Server {
    config: ServerConfig,
    rule: Rule,
    listener: UnixListener,
    /// Its socket file, to be removed at the end.
    path: Option<PathBuf>,
    epoll: Epoll,
    /// A second descriptor of the same set, for the runtime.
    notice: AsyncFd<OwnedFd>,
    handshakes: BTreeMap<u64, Handshake>,
    next_handshake: u64,
    connections: BTreeMap<Conn, Connection>,
    ready: VecDeque<Event>,
    /// Connections that may have requests, in the order of their turns.
    runnable: VecDeque<Conn>,
    turn: u32,
    /// Whose request was handed out last: likely the next to send one.
    recent: Option<Conn>,
    spin: Spin,
    /// Connections whose queue or doorbells wait for room.
    stalled: BTreeSet<Conn>,
    retry_at: Option<Instant>,
    retry_after: Duration,
    /// The listener rests, as the process has no descriptors left.
    accept_again_at: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
    scratch: Vec<u8>,
    stats: ServiceStats,
}

impl Server {
    /// Opens the service. What dead servers left in the shared folder is removed
    /// first. `rule` is asked about each client before anything is made for it.
    ///
    /// # Errors
    /// `AddrInUse` if another process serves the name; `AlreadyExists` if
    /// something that is no socket stands where its socket file belongs.
    pub fn listen(config: ServerConfig, rule: Rule) -> io::Result<Self> {
        match directory::reap(&config.shared_folder) {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed folders of dead servers"),
            Err(e) => tracing::warn!(folder = %config.shared_folder.display(), "{e}"),
        }
        let address = config.naming.service(&config.service)?;
        let path = config.naming.path(&config.service);
        if let Some(path) = &path {
            directory::clear_socket(path)?;
        }
        let listener = UnixListener::bind_addr(&address)?;
        listener.set_nonblocking(true)?;
        syscall::set_pass_credentials(&listener, true)?;
        if let Some(path) = &path {
            directory::open_socket(path)?;
        }
        let (epoll, notice) = poll::open(&listener)?;
        let spin = Spin::new(config.spin);
        Ok(Self {
            rule,
            listener,
            path,
            epoll,
            notice,
            handshakes: BTreeMap::new(),
            next_handshake: 0,
            connections: BTreeMap::new(),
            ready: VecDeque::new(),
            runnable: VecDeque::new(),
            turn: 0,
            recent: None,
            spin,
            stalled: BTreeSet::new(),
            retry_at: None,
            retry_after: poll::RETRY_FIRST,
            accept_again_at: None,
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            scratch: Vec::new(),
            stats: ServiceStats::default(),
            config,
        })
    }

    /// The next event. Dropping the future loses nothing.
    pub async fn next_event(&mut self) -> Event {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The next event, or the promise to wake the task when there is one.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        for _ in 0..IDLE_ROUNDS {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(event);
            }
            let turn_over = self.turn >= TURN;
            if !turn_over {
                if let Some(event) = self.next_request() {
                    return Poll::Ready(event);
                }
                if self.spin_for_request() {
                    continue;
                }
            }
            self.turn = 0;
            let changed = self.poll_descriptors(cx, turn_over) || !self.runnable.is_empty();
            if !changed && !self.poll_timers(cx) {
                return Poll::Pending;
            }
        }
        // Clients keep us busy with nothing: let other tasks have a turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Answers a request.
    ///
    /// # Errors
    /// The message was not taken; after [`SendError::Gone`] and
    /// [`SendError::Overrun`] the connection is ending and [`Event::Closed`] comes.
    pub fn respond(
        &mut self,
        conn: Conn,
        id: i32,
        error: i32,
        body: &[u8],
    ) -> Result<(), SendError> {
        self.send(conn, Channel::Response, id, error, body)
    }

    /// Sends an event; errors as those of [`Server::respond`].
    pub fn send_event(
        &mut self,
        conn: Conn,
        id: i32,
        error: i32,
        body: &[u8],
    ) -> Result<(), SendError> {
        self.send(conn, Channel::Event, id, error, body)
    }

    /// Sends a frame on its channel; a request counts as a response. Errors as
    /// those of [`Server::respond`].
    pub fn send_frame(&mut self, conn: Conn, frame: &Frame) -> Result<(), SendError> {
        self.send(conn, frame.channel, frame.id, frame.error, &frame.body)
    }

    fn send(
        &mut self,
        conn: Conn,
        channel: Channel,
        id: i32,
        error: i32,
        body: &[u8],
    ) -> Result<(), SendError> {
        let connection = self.connections.get_mut(&conn).ok_or(SendError::Gone)?;
        if connection.closing.is_some() {
            return Err(SendError::Gone);
        }
        match connection.send(channel, id, error, body, &self.config.limits) {
            Ok(pressure) => {
                self.note(conn, pressure);
                self.watch_stalled(conn);
                Ok(())
            }
            Err(SendError::TooLong) => Err(SendError::TooLong),
            Err(SendError::Overrun) => {
                self.overrun(conn);
                Err(SendError::Overrun)
            }
            Err(SendError::Gone) => {
                self.end(conn, "the client is gone or has damaged its channels".into());
                Err(SendError::Gone)
            }
        }
    }

    /// Tells a client whether its requests are served: 0 yes; 1 no, and ordinary
    /// clients get `EAGAIN`; 2 no, and so do those that raised their limit.
    /// While it is not 0 nothing is taken from the client. More than 2 counts as 2.
    pub fn set_flow_control(&mut self, conn: Conn, level: u8) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.set_flow_control(level.min(2));
        self.update_interest(conn);
        if level == 0 {
            self.make_runnable(conn);
        }
    }

    /// Ends a connection after what is queued on it has been sent, or could not
    /// be within [`Limits::linger_time`]. [`Event::Closed`] follows with `why`.
    pub fn close(&mut self, conn: Conn, why: impl Into<String>) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if connection.closing.is_some() {
            return;
        }
        if !connection.has_queue() && !connection.owes_bells() {
            return self.end(conn, why.into());
        }
        let until = Instant::now() + self.config.limits.linger_time;
        connection.closing = Some((why.into(), until));
        self.update_interest(conn);
    }

    /// The counters of a connection.
    pub fn connection_stats(&self, conn: Conn) -> Option<ConnectionStats> {
        self.connections.get(&conn).map(Connection::stats)
    }

    /// The counters of the service.
    pub fn stats(&self) -> ServiceStats {
        ServiceStats { active_connections: self.connections.len() as u64, ..self.stats }
    }

    /// Who is at the other end of a connection.
    pub fn peer(&self, conn: Conn) -> Option<&Peer> {
        self.connections.get(&conn).map(|c| &c.peer)
    }

    /// All connections, in the order in which they were accepted.
    pub fn connections(&self) -> impl Iterator<Item = Conn> {
        self.connections.keys().copied()
    }

    /// The service's name.
    pub fn service(&self) -> &str {
        &self.config.service
    }

    fn next_request(&mut self) -> Option<Event> {
        while let Some(conn) = self.runnable.pop_front() {
            let Some(connection) = self.connections.get_mut(&conn) else { continue };
            connection.runnable = false;
            if !connection.is_served() {
                continue;
            }
            match connection.take(&mut self.scratch) {
                Taken::Nothing => {}
                Taken::End(why) => {
                    self.end(conn, why);
                    return self.ready.pop_front();
                }
                Taken::Request(frame) => {
                    connection.runnable = true;
                    self.runnable.push_back(conn);
                    self.recent = Some(conn);
                    self.turn += 1;
                    return Some(Event::Request { conn, frame });
                }
            }
        }
        None
    }

    /// After a request was served the same client often sends the next at once.
    fn spin_for_request(&mut self) -> bool {
        let Some(conn) = self.recent.take() else { return false };
        let Some(connection) = self.connections.get(&conn) else { return false };
        if !connection.is_served() || !self.spin.until(|| connection.channels.ready()) {
            return false;
        }
        self.make_runnable(conn);
        true
    }

    fn make_runnable(&mut self, conn: Conn) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if connection.is_served() && !connection.runnable {
            connection.runnable = true;
            self.runnable.push_back(conn);
        }
    }

    fn note(&mut self, conn: Conn, pressure: Pressure) {
        match pressure {
            Pressure::Same => {}
            Pressure::Blocked => self.ready.push_back(Event::Blocked(conn)),
            Pressure::Writable => self.ready.push_back(Event::Writable(conn)),
        }
    }

    /// The one log line about a client that does not read.
    fn overrun(&mut self, conn: Conn) {
        let Some(connection) = self.connections.get(&conn) else { return };
        let (credentials, queued) = (connection.peer.credentials, connection.stats().queued);
        tracing::warn!(
            service = %self.config.service,
            pid = credentials.pid,
            uid = credentials.uid,
            queued,
            "dropping client {} of {}: it does not read what it is sent",
            credentials.pid,
            self.config.service,
        );
        self.end(conn, "the client does not read what it is sent".into());
    }

    /// Removes a connection at once.
    fn end(&mut self, conn: Conn, why: String) {
        let Some(mut connection) = self.connections.remove(&conn) else { return };
        // The client still gets what is in its channels, and the doorbells for it.
        let _ = connection.ring_bells();
        connection.channels.release();
        let _ = connection.stream.shutdown(std::net::Shutdown::Both);
        self.stalled.remove(&conn);
        self.stats.closed_connections += 1;
        self.ready.push_back(Event::Closed { conn, why });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for connection in self.connections.values_mut() {
            let _ = connection.ring_bells();
            connection.channels.release();
        }
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}
