//! The membership daemon, corosync, as one core.
//!
//! [`Membership`] owns the ring, the services above it and the configuration
//! map, forwards what comes in to the one that it is for, and carries what they
//! say to each other. It has hardly a will of its own.
//!
//! ```text
//!   datagrams ─▶ totem ─ messages, memberships ─▶ services ─▶ clients
//!       ▲          │  ▲                            │   │
//!       └──────────┘  └──── messages ──────────────┤   └ values, steps ─▶ map ─▶ clients
//!                     ▲                                                    │
//!                     └──────────── versions ──────────────────────────────┘
//! ```
//!
//! Order: after each input the services are drained first, then the map, then
//! the ring, and so again until nobody has anything to say. So the message that
//! completes a synchronization has had all its effects, the ring's own release
//! among them, before the ring hands out the next one [TOTEM-9].

mod flow;
mod map;
mod reading;
mod record;
mod reload;
mod stats;
#[cfg(test)]
mod tests;
mod translate;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use corosync_conf::Config;
use ha_types::Node;
use ring_service::Service;
use sansio::edge::{Conn, Daemon, Frame, Input, Level, Output, PersistId};
use sansio::{Core, Mono, NoJob, Now, TimerTable};
use services::Services;
use totem::Totem;

pub use reading::Reading;

use map::Map;
use stats::{Connections, Seen};
use translate::Routes;

/// What a daemon is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The configuration.
    pub reading: Reading,
    /// Content of the file that holds the ring id, if there is one.
    pub stored_ring_id: Option<Vec<u8>>,
    /// Content of [`votequorum::FILE`], if there is one.
    pub stored_votes: Option<Vec<u8>>,
    /// For random delays.
    pub seed: u64,
}

/// Name of the file for [`Setup::stored_ring_id`].
pub fn ring_id_file(node: Node) -> String {
    totem::Config::new(node).ring_id_file()
}

/// Name of the file for [`Setup::stored_votes`].
pub const VOTES_FILE: &str = votequorum::FILE;

sansio::timers! {
    /// Timers of the daemon's own.
    pub enum Timer {
        /// Those who track statistics are to be told.
        Stats => "stats",
        /// What the services had to say before leaving has had its time.
        Leave => "leave",
    }
}

/// How often statistics that somebody tracks are looked at.
const STATS_PERIOD: Duration = Duration::from_secs(1);
/// How long a last message may take.
const LEAVE_DELAY: Duration = Duration::from_millis(500);

/// Exit status of a daemon that was killed from afar.
const EXIT_KILLED: u8 = 15;
/// Exit status when the ring id cannot be kept.
const EXIT_NOT_STORED: u8 = 21;

/// Who waits for a file to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    Ring(PersistId),
    Votes,
}

/// The daemon.
#[derive(Clone, Debug)]
pub struct Membership {
    me: Node,
    config: Config,
    routes: Routes,
    totem: Totem,
    services: Services,
    map: Map,
    writing: BTreeMap<PersistId, Writer>,
    persists: u64,
    /// Clients of cmap; those of the other services are theirs to know.
    map_clients: std::collections::BTreeSet<Conn>,
    connections: Connections,
    /// Clients that wait for the reload that is under way; Some: one is.
    reloading: Option<Vec<Conn>>,
    /// Another reload was asked for meanwhile, by these.
    reload_again: Option<Vec<Conn>>,
    leaving: bool,
    is_ready: bool,
    timers: TimerTable<Timer>,
    out: VecDeque<Output<NoJob>>,
}

impl Membership {
    /// A node that has just started, its network bound.
    ///
    /// # Errors
    /// The configuration is refused, with the reason for the administrator.
    pub fn new(now: Now, setup: Setup) -> Result<Self, String> {
        let config = setup.reading.config().map_err(|refused| refused.to_string())?;
        let me = config.local.node;
        let services = Services::new(
            me,
            services::Config {
                votes: translate::votes(&config),
                tracked_votes: setup.stored_votes,
                shown_addresses: translate::shown_addresses(&config),
            },
        )?;
        let totem = Totem::new(
            now,
            totem::Config {
                timing: translate::timing(&config),
                nodes: translate::nodes(&config),
                netmtu: config.totem.net_mtu.try_into().unwrap_or(usize::MAX),
                ipv6: config.local.address.is_ipv6(),
                stored_ring_id: setup.stored_ring_id,
                seed: setup.seed,
                ..totem::Config::new(me)
            },
        );
        let mut this = Self {
            me,
            routes: Routes::of(&config),
            map: Map::new(&config),
            totem,
            services,
            config,
            writing: BTreeMap::new(),
            persists: 0,
            map_clients: std::collections::BTreeSet::new(),
            connections: Connections::default(),
            reloading: None,
            reload_again: None,
            leaving: false,
            is_ready: false,
            timers: TimerTable::new(),
            out: VecDeque::new(),
        };
        this.begin(now);
        Ok(this)
    }

    /// This node.
    pub fn node(&self) -> Node {
        self.me
    }

    /// The ring.
    pub fn ring(&self) -> &Totem {
        &self.totem
    }

    /// The services.
    pub fn services(&self) -> &Services {
        &self.services
    }

    fn begin(&mut self, now: Now) {
        self.out.push_back(Output::Observe(observe::Event::RingUp));
        self.tell_addresses();
        let address = self.config.local.address;
        self.log("TOTEM", Level::Notice, format!("The network interface [{address}] is now up."));
        self.totem.handle(now, totem::Input::Interface { up: true });
        self.pump(now);
    }

    fn log(&mut self, part: &'static str, level: Level, text: impl Into<String>) {
        self.out.push_back(Output::Log { part, level, text: text.into() });
    }

    fn accepted(&mut self, now: Now, conn: Conn, name: &str) {
        let Some(service) = Service::named(name) else {
            let why = format!("there is no service {name}");
            return self.out.push_back(Output::Close { conn, why });
        };
        self.connections.active += 1;
        if service == Service::CMAP {
            self.map_clients.insert(conn);
            self.map.service.accepted(conn);
            self.timers.arm_if_idle(Timer::Stats, now.mono + STATS_PERIOD);
            return;
        }
        self.services.handle(now, services::Input::Accepted { conn, service });
    }

    fn frame(&mut self, now: Now, conn: Conn, frame: Frame) {
        if !self.map_clients.contains(&conn) {
            return self.services.handle(now, services::Input::Frame { conn, frame });
        }
        let seen = Seen::of(&self.totem, self.connections, now.mono);
        let outputs = self.map.service.request(conn, &frame, &mut self.map.store, &seen);
        self.map_wants(now, outputs);
    }

    fn closed(&mut self, now: Now, conn: Conn) {
        self.connections.active = self.connections.active.saturating_sub(1);
        self.connections.closed += 1;
        if self.map_clients.remove(&conn) {
            self.map.service.closed(conn, &mut self.map.store);
        } else {
            self.services.handle(now, services::Input::Closed(conn));
        }
    }

    fn persisted(&mut self, now: Now, id: PersistId, errno: Option<i32>) {
        match (self.writing.remove(&id), errno) {
            (Some(Writer::Ring(id)), None) => {
                self.totem.handle(now, totem::Input::Persisted(id));
            }
            (Some(Writer::Ring(id)), Some(errno)) => {
                self.totem.handle(now, totem::Input::PersistFailed { id, errno });
            }
            (Some(Writer::Votes), errno) => {
                let written = errno.is_none();
                self.services.handle(now, services::Input::Persisted { written });
            }
            (None, _) => {}
        }
    }

    /// Leaves in good order: what the services have to say first, then the ring.
    fn leave(&mut self, now: Now) {
        if std::mem::replace(&mut self.leaving, true) {
            return;
        }
        self.log("MAIN", Level::Notice, "Leaving the cluster as asked");
        self.services.leave(now);
        let has_last_words = self.config.quorum.as_ref().is_some_and(|q| q.allow_downscale);
        if has_last_words && self.totem.members().is_some() {
            self.timers.arm(Timer::Leave, now.mono + LEAVE_DELAY);
        } else {
            self.totem.handle(now, totem::Input::Leave);
        }
    }

    fn own_timeout(&mut self, now: Now) {
        match self.timers.pop_due(now.mono) {
            Some(Timer::Stats) => {
                let seen = Seen::of(&self.totem, self.connections, now.mono);
                let outputs = self.map.service.poll_stats(&seen);
                self.map_wants(now, outputs);
                if !self.map_clients.is_empty() {
                    self.timers.arm(Timer::Stats, now.mono + STATS_PERIOD);
                }
            }
            Some(Timer::Leave) => self.totem.handle(now, totem::Input::Leave),
            None => {}
        }
    }
}

impl Core for Membership {
    type Input = Input<NoJob>;
    type Output = Output<NoJob>;

    fn handle(&mut self, now: Now, input: Input<NoJob>) {
        match input {
            Input::Datagram { from, bytes, .. } => {
                if self.routes.admits(from.ip()) {
                    self.learn(from.ip(), &bytes);
                    self.totem.handle(now, totem::Input::Datagram(Bytes::from(bytes)));
                }
            }
            Input::Accepted { conn, service, .. } => self.accepted(now, conn, &service),
            Input::Frame { conn, frame } => self.frame(now, conn, frame),
            Input::Closed { conn, .. } => self.closed(now, conn),
            Input::Persisted(id) => self.persisted(now, id, None),
            Input::PersistFailed { id, errno } => self.persisted(now, id, Some(errno)),
            Input::Paused { ms } => {
                self.totem.handle(now, totem::Input::Paused { ms });
                self.services.handle(now, services::Input::Paused);
            }
            Input::ConfigRead(read) => self.config_read(now, read),
            Input::Reload => self.reload(None),
            Input::Stop => self.leave(now),
            // The driver bounds every queue; who does not read loses his connection.
            Input::Blocked(_)
            | Input::Writable(_)
            | Input::Connected { .. }
            | Input::Child { .. }
            | Input::JobDone { .. }
            | Input::JobFailed { .. } => {}
        }
        self.pump(now);
    }

    fn handle_timeout(&mut self, now: Now) {
        let is_due = |at: Option<Mono>| at.is_some_and(|at| at <= now.mono);
        if is_due(self.totem.poll_timeout()) {
            self.totem.handle_timeout(now);
        } else if is_due(self.services.poll_timeout()) {
            self.services.handle_timeout(now);
        } else {
            self.own_timeout(now);
        }
        self.pump(now);
    }

    fn poll_output(&mut self) -> Option<Output<NoJob>> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        let all = [self.totem.poll_timeout(), self.services.poll_timeout(), self.timers.next()];
        all.into_iter().flatten().min()
    }

    fn pause_limit(&self) -> Option<Duration> {
        Some(Duration::from_millis(u64::from(self.config.totem.timing.token_ms) / 2))
    }
}

impl Daemon for Membership {
    type Jobs = NoJob;
}
