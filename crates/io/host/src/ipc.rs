//! Local connections, those that our services accept and those that we make.
//!
//! One conversation of the loop with [`qb_ipc`]: what happens there becomes
//! inputs, one per source and look, so that no client and no service starves
//! another. A connection that the core has closed is not heard of again, also
//! while its last frames are still on their way.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use qb_ipc::{
    AsyncClient, ClientEvent, ConnNumbers, ConnectOptions, Error, Event, Refusal, Rule, SendError,
    Server, ServerConfig,
};
use sansio::edge::{Channel, Conn, Credentials, Frame};

/// A service that the daemon offers.
pub struct Service {
    /// Its name, transport and bounds.
    pub config: ServerConfig,
    /// Who may connect.
    pub rule: Rule,
    /// Whether clients are told to try again until the daemon is ready.
    pub waits_for_ready: bool,
}

/// The services with the rules of those that wait in front of `open`.
pub(crate) fn guarded(mut services: Vec<Service>, open: &Arc<AtomicBool>) -> Vec<Service> {
    for service in services.iter_mut().filter(|service| service.waits_for_ready) {
        let mut rule = std::mem::replace(&mut service.rule, qb_ipc::allow_all());
        let open = open.clone();
        service.rule = Box::new(move |peer| match open.load(Ordering::Relaxed) {
            true => rule(peer),
            false => Err(Refusal::NOT_READY),
        });
    }
    services
}

/// What happened, in the words of [`sansio::edge::Input`].
pub(crate) enum Happened {
    Accepted { conn: Conn, service: String, peer: Credentials },
    Connected { conn: Conn, peer: Credentials },
    Frame { conn: Conn, frame: Frame },
    Closed { conn: Conn, why: String },
    Blocked(Conn),
    Writable(Conn),
}

type Connecting = Pin<Box<dyn Future<Output = Result<AsyncClient, Error>> + Send>>;

enum Client {
    Connecting(Connecting),
    Connected(Box<AsyncClient>),
}

/// The daemon's local connections.
pub(crate) struct Ipc {
    servers: Vec<Server>,
    /// Which server has accepted a connection.
    accepted: BTreeMap<Conn, usize>,
    clients: BTreeMap<Conn, Client>,
    options: ConnectOptions,
    happened: VecDeque<Happened>,
}

impl Ipc {
    /// Opens the services.
    pub(crate) fn start(services: Vec<Service>, options: ConnectOptions) -> io::Result<Self> {
        let numbers = ConnNumbers::default();
        let open = |service: Service| {
            let name = service.config.service.clone();
            let config = ServerConfig { numbers: numbers.clone(), ..service.config };
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("service {name}: {error}"));
            Server::listen(config, service.rule).map_err(named)
        };
        Ok(Self {
            servers: services.into_iter().map(open).collect::<io::Result<_>>()?,
            accepted: BTreeMap::new(),
            clients: BTreeMap::new(),
            options,
            happened: VecDeque::new(),
        })
    }

    /// Waits until [`Ipc::take`] has something.
    pub(crate) async fn ready(&mut self) {
        std::future::poll_fn(|cx| {
            self.look(cx);
            if self.happened.is_empty() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// What happened next, without waiting. Whoever waits later asks again with
    /// a waker of its own.
    pub(crate) fn take(&mut self) -> Option<Happened> {
        if self.happened.is_empty() {
            self.look(&mut Context::from_waker(Waker::noop()));
        }
        self.happened.pop_front()
    }

    /// At most one event of each source.
    fn look(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.servers.len() {
            if let Poll::Ready(event) = self.servers[index].poll_event(cx) {
                self.served(index, event);
            }
        }
        let conns: Vec<Conn> = self.clients.keys().copied().collect();
        for conn in conns {
            self.look_at_client(conn, cx);
        }
    }

    fn served(&mut self, index: usize, event: Event) {
        let happened = match event {
            Event::Accepted { conn, peer } => {
                self.accepted.insert(conn, index);
                let service = self.servers[index].service().to_string();
                Happened::Accepted { conn, service, peer: peer.credentials }
            }
            Event::Request { conn, frame } => Happened::Frame { conn, frame },
            Event::Closed { conn, why } => Happened::Closed { conn, why },
            Event::Blocked(conn) => Happened::Blocked(conn),
            Event::Writable(conn) => Happened::Writable(conn),
        };
        // The core has closed what is not there any more.
        let known = self.accepted.contains_key(&happened.conn());
        if let Happened::Closed { conn, .. } = happened {
            self.accepted.remove(&conn);
        }
        if known {
            self.happened.push_back(happened);
        }
    }

    fn look_at_client(&mut self, conn: Conn, cx: &mut Context<'_>) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let happened = match client {
            Client::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(connected)) => {
                    let peer = connected.server();
                    *client = Client::Connected(Box::new(connected));
                    Happened::Connected { conn, peer }
                }
                Poll::Ready(Err(error)) => Happened::Closed { conn, why: error.to_string() },
            },
            Client::Connected(client) => match client.poll_event(cx) {
                Poll::Pending => return,
                Poll::Ready(ClientEvent::Frame(frame)) => Happened::Frame { conn, frame },
                Poll::Ready(ClientEvent::Blocked) => Happened::Blocked(conn),
                Poll::Ready(ClientEvent::Writable) => Happened::Writable(conn),
                Poll::Ready(ClientEvent::Closed { why }) => Happened::Closed { conn, why },
            },
        };
        if let Happened::Closed { .. } = happened {
            self.clients.remove(&conn);
        }
        self.happened.push_back(happened);
    }

    /// Begins to connect; `Connected` or `Closed` follows.
    pub(crate) fn connect(&mut self, conn: Conn, service: String) {
        if self.clients.contains_key(&conn) {
            tracing::error!("Connection {} to {service} was asked for twice", conn.0);
            return;
        }
        let options = self.options.clone();
        let connecting = async move { AsyncClient::connect(&service, &options).await };
        self.clients.insert(conn, Client::Connecting(Box::pin(connecting)));
    }

    /// Queues a frame; one for a connection that is gone is ignored.
    pub(crate) fn send(&mut self, conn: Conn, frame: &Frame) {
        if let Some(index) = self.accepted.get(&conn) {
            let len = frame.body.len();
            // What is said about a connection that ends by this comes as an event.
            if let Err(SendError::TooLong) = self.servers[*index].send_frame(conn, frame) {
                tracing::error!("A message of {len} bytes is too long for connection {}", conn.0);
            }
            return;
        }
        let Some(Client::Connected(client)) = self.clients.get_mut(&conn) else { return };
        if frame.channel != Channel::Request {
            tracing::error!("Connection {} is a client's: it sends requests only", conn.0);
            return;
        }
        match client.send_request(frame.id, &frame.body) {
            Err(Error::Again) => {
                self.clients.remove(&conn);
                let why = "its queue was full".to_string();
                self.happened.push_back(Happened::Closed { conn, why });
            }
            Err(error @ Error::TooLong { .. }) => tracing::error!("Connection {}: {error}", conn.0),
            // The end of the connection comes as an event.
            Ok(()) | Err(_) => {}
        }
    }

    /// Says whether a client's requests are served.
    pub(crate) fn flow_control(&mut self, conn: Conn, level: u8) {
        if let Some(index) = self.accepted.get(&conn) {
            self.servers[*index].set_flow_control(conn, level);
        }
    }

    /// Ends a connection after what is queued on it has been sent.
    pub(crate) fn close(&mut self, conn: Conn, why: &str) {
        if let Some(index) = self.accepted.remove(&conn) {
            tracing::debug!("Closing connection {}: {why}", conn.0);
            self.servers[index].close(conn, why);
        }
        self.clients.remove(&conn);
        self.happened.retain(|happened| happened.conn() != conn);
    }

    /// Sends what is queued, but waits no longer than `patience` for those who
    /// do not read.
    pub(crate) async fn finish(&mut self, patience: Duration) {
        for server in &mut self.servers {
            for conn in server.connections().collect::<Vec<_>>() {
                server.close(conn, "the daemon ends");
            }
        }
        let closing = async {
            for server in &mut self.servers {
                while server.connections().next().is_some() {
                    server.next_event().await;
                }
            }
        };
        let _ = tokio::time::timeout(patience, closing).await;
    }
}

impl Happened {
    fn conn(&self) -> Conn {
        match self {
            Self::Accepted { conn, .. }
            | Self::Connected { conn, .. }
            | Self::Frame { conn, .. }
            | Self::Closed { conn, .. }
            | Self::Blocked(conn)
            | Self::Writable(conn) => *conn,
        }
    }
}
