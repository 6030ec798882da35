//! The services of one node behind real local sockets.
//!
//! A ring of one in memory stands below them: what is sent is delivered back.
//! Unmodified clients of Corosync's libraries talk to it as to a daemon; tests
//! compare what they print with what they print on the reference.

mod thread;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use cmap::{Store, Value, stats::NoStats};
use ha_types::ring::{Configuration, ConfigurationKind};
use ha_types::{Node, RingId};
use qb_ipc::{ConnNumbers, Event, Frame, Server, ServerConfig, allow_all};
use ring_cfg::{Interface, LinkStatus, NodeStatus};
use ring_service::{Group, MapValue, Output, Service, Status, SyncStep};
use sansio::edge::Conn;
use sansio::{Core, Mono, Now, Wall};
use services::{Input, Services};

pub use thread::Solo;

const SERVED: [Service; 5] =
    [Service::CMAP, Service::CFG, Service::CPG, Service::QUORUM, Service::VOTEQUORUM];

/// One node with its sockets.
struct Daemon {
    services: Services,
    store: Store,
    map: cmap::service::Service,
    servers: Vec<(Service, Server)>,
    owners: BTreeMap<Conn, usize>,
    ring: VecDeque<(Group, Vec<u8>)>,
    started: Instant,
    ended: bool,
    log: Vec<String>,
}

impl Daemon {
    /// Forms the ring of node 1 and opens the sockets of the present network
    /// namespace.
    fn start(votes: votequorum::Config) -> io::Result<Self> {
        let config = services::Config { votes: Some(votes), ..services::Config::default() };
        let services = Services::new(Node(1), config).map_err(io::Error::other)?;
        let mut daemon = Self {
            services,
            store: map(),
            map: cmap::service::Service::new(),
            servers: Vec::new(),
            owners: BTreeMap::new(),
            ring: VecDeque::new(),
            started: Instant::now(),
            ended: false,
            log: Vec::new(),
        };
        daemon.describe_links();
        daemon.drain();
        for kind in [ConfigurationKind::Transitional, ConfigurationKind::Regular] {
            daemon.input(Input::Configuration(alone(kind)));
        }
        let numbers = ConnNumbers::default();
        for service in SERVED {
            let name = service.ipc_name().unwrap_or_default();
            let config = ServerConfig { numbers: numbers.clone(), ..ServerConfig::new(name) };
            daemon.servers.push((service, Server::listen(config, allow_all())?));
        }
        Ok(daemon)
    }

    fn describe_links(&mut self) {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let cfg = self.services.cfg_mut();
        cfg.set_interfaces(vec![Interface { link: 0, address, status: "OK".into() }]);
        cfg.set_addresses(BTreeMap::from([(Node(1), vec![address])]));
        let link = LinkStatus {
            enabled: true,
            connected: true,
            mtu: 1500,
            source: address.to_string(),
            ..LinkStatus::default()
        };
        let status = NodeStatus { reachable: true, links: vec![link], ..NodeStatus::default() };
        cfg.set_node_status(BTreeMap::from([(Node(1), status)]));
    }

    fn now(&self) -> Now {
        let nanos = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Now { mono: Mono(nanos), wall: Wall(0), utc_offset_s: 0 }
    }

    /// Feeds one input and everything that follows from it.
    fn input(&mut self, input: Input) {
        let now = self.now();
        self.services.handle(now, input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            while let Some(output) = self.services.poll_output() {
                self.output(output);
            }
            let Some((group, bytes)) = self.ring.pop_front() else { return };
            let now = self.now();
            self.services.handle(now, Input::Deliver { group, from: Node(1), bytes });
        }
    }

    fn output(&mut self, output: Output) {
        let now = self.now();
        match output {
            Output::Mcast { group, bytes, .. } => self.ring.push_back((group, bytes)),
            Output::Frame { conn, frame } => self.send(conn, &frame),
            Output::FlowControl { conn, level } => {
                if let Some(server) = self.server(conn) {
                    server.set_flow_control(conn, level);
                }
            }
            Output::MapSet { key, value } => {
                let value = match value {
                    MapValue::U8(value) => Value::U8(value),
                    MapValue::U32(value) => Value::U32(value),
                    MapValue::Text(text) => Value::text(text),
                };
                if let Err(status) = self.store.set(&key, value) {
                    self.log.push(format!("{key}: {status:?}"));
                }
            }
            Output::Step { step: SyncStep::Process, .. } => self.services.map_synchronized(now),
            Output::Persist { .. } => self.services.handle(now, Input::Persisted { written: true }),
            Output::Reload { asker: Some(asker), .. } => {
                self.services.handle(now, Input::Reloaded { asker, status: Status::Ok });
            }
            Output::ReopenLogs { asker } => {
                self.services.handle(now, Input::LogsReopened { asker, status: Status::Ok });
            }
            Output::Shutdown | Output::Killed { .. } => self.ended = true,
            Output::Log { text, .. } => self.log.push(text),
            Output::Quorum(_)
            | Output::Quorate(_)
            | Output::Step { .. }
            | Output::Deliver { .. }
            | Output::Synchronized(_)
            | Output::Reload { asker: None, .. }
            | Output::CryptoPhase(_) => {}
        }
    }

    fn server(&mut self, conn: Conn) -> Option<&mut Server> {
        let index = *self.owners.get(&conn)?;
        Some(&mut self.servers[index].1)
    }

    fn send(&mut self, conn: Conn, frame: &Frame) {
        let sent = self.server(conn).map(|server| server.send_frame(conn, frame));
        if let Some(Err(why)) = sent {
            self.log.push(format!("{conn:?}: {why:?}"));
        }
    }

    fn event(&mut self, index: usize, event: Event) {
        let service = self.servers[index].0;
        match event {
            Event::Accepted { conn, .. } => {
                self.owners.insert(conn, index);
                if service == Service::CMAP {
                    self.map.accepted(conn);
                } else {
                    self.input(Input::Accepted { conn, service });
                }
            }
            Event::Request { conn, frame } if service == Service::CMAP => {
                let outputs = self.map.request(conn, &frame, &mut self.store, &NoStats);
                for output in outputs {
                    if let cmap::service::Output::Send { conn, frame } = output {
                        self.send(conn, &frame);
                    }
                }
            }
            Event::Request { conn, frame } => self.input(Input::Frame { conn, frame }),
            Event::Closed { conn, .. } => {
                self.owners.remove(&conn);
                self.map.closed(conn, &mut self.store);
                self.input(Input::Closed(conn));
            }
            Event::Blocked(_) | Event::Writable(_) => {}
        }
    }

    /// One event, or what is due; at the latest when `look_again` has passed.
    async fn turn(&mut self, look_again: Duration) {
        let due = self.services.poll_timeout().map(|at| Duration::from_nanos(at.0));
        let until_due = due.map(|at| at.saturating_sub(self.started.elapsed()));
        let wait = until_due.map_or(look_again, |until| until.min(look_again));
        let servers = &mut self.servers;
        let next = std::future::poll_fn(|cx| {
            for (index, (_, server)) in servers.iter_mut().enumerate() {
                if let std::task::Poll::Ready(event) = server.poll_event(cx) {
                    return std::task::Poll::Ready((index, event));
                }
            }
            std::task::Poll::Pending
        });
        if let Ok((index, event)) = tokio::time::timeout(wait, next).await {
            self.event(index, event);
        }
        let now = self.now();
        while self.services.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.services.handle_timeout(now);
            self.drain();
        }
    }
}

fn alone(kind: ConfigurationKind) -> Configuration {
    let me = BTreeSet::from([Node(1)]);
    let joined = if kind == ConfigurationKind::Regular { me.clone() } else { BTreeSet::new() };
    let ring = RingId { rep: Node(1), seq: 5 };
    Configuration { kind, ring, members: me, left: BTreeSet::new(), joined }
}

/// What the tools look for in the map.
fn map() -> Store {
    let mut store = Store::new();
    let texts = [
        ("totem.transport", "udpu"),
        ("totem.cluster_name", "solo"),
        ("nodelist.node.0.ring0_addr", "127.0.0.1"),
        ("nodelist.node.0.name", "alone"),
        ("quorum.provider", "corosync_votequorum"),
    ];
    let texts = texts.into_iter().map(|(key, text)| (key, Value::text(text)));
    let numbers = [("nodelist.node.0.nodeid", 1), ("nodelist.local_node_pos", 0)];
    let numbers = numbers.into_iter().map(|(key, number)| (key, Value::U32(number)));
    for (key, value) in texts.chain(numbers) {
        store.set(key, value).expect("an empty store takes every valid key");
    }
    store
}
