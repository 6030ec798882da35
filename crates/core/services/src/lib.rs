//! The services above the ring, as one core.
//!
//! [`Services`] owns cpg, votequorum, quorum and cfg, and the barrier between
//! them; it hands ordered messages to the service they are for, and requests of
//! local clients to the service they connected to. The configuration map is
//! the daemon's: its messages and its steps of synchronization leave as outputs
//! (`Deliver`, `Step`), and [`Services::map_synchronized`] brings it back in.
//!
//! ```text
//!   ring events ─▶ ┌ barrier ┐ ─▶ messages to the ring
//!   requests    ─▶ │ cpg     │ ─▶ answers and events to clients
//!   timers      ─▶ │ votes ──┼▶ quorum
//!                  └ cfg     ┘ ─▶ values for the map, files, log lines
//! ```
//!
//! While the services of a new ring synchronize, requests that would send are
//! held back (level 2), those of votequorum excepted, as its quorum device may
//! be what the ring waits for. What comes in nevertheless is answered with
//! `CS_ERR_TRY_AGAIN`.

mod dispatch;
mod gate;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cpg::Cpg;
use ha_types::ring::{Configuration, ConfigurationKind};
use ha_types::{Node, RingId};
use ring_cfg::Cfg;
use ring_service::{Group, MapValue, Output, Service, SyncStep};
use ring_sync::Barrier;
use sansio::edge::Conn;
use sansio::{Core, Mono, Now};
use votequorum::{Quorum, VoteQuorum};

pub use dispatch::Input;

/// What the services are told at their start.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// None: no provider of quorum, everybody may act.
    pub votes: Option<votequorum::Config>,
    /// Content of [`votequorum::FILE`], if it exists.
    pub tracked_votes: Option<Vec<u8>>,
    /// How a node's addresses are shown in `runtime.members.N.ip`.
    pub shown_addresses: BTreeMap<Node, String>,
}

/// The services of one node.
#[derive(Clone, Debug)]
pub struct Services {
    me: Node,
    barrier: Barrier,
    cpg: Cpg,
    votes: Option<VoteQuorum>,
    quorum: Quorum,
    cfg: Cfg,
    /// Each connection's service.
    clients: BTreeMap<Conn, Service>,
    shown_addresses: BTreeMap<Node, String>,
    join_counts: BTreeMap<Node, u32>,
    members: BTreeSet<Node>,
    synchronizing: bool,
    /// The ring cannot take more messages now.
    ring_full: bool,
    dropped: u64,
    out: VecDeque<Output>,
}

impl Services {
    /// The services of a node that is in no ring yet.
    ///
    /// # Errors
    /// The configuration contradicts itself.
    pub fn new(me: Node, config: Config) -> Result<Self, String> {
        let tracked = config.tracked_votes.as_deref();
        let votes = config.votes.map(|votes| VoteQuorum::new(me, votes, tracked)).transpose()?;
        let mut own = vec![Service::CMAP, Service::CPG, Service::QUORUM];
        own.extend(votes.as_ref().map(|_| Service::VOTEQUORUM));
        let mut this = Self {
            me,
            barrier: Barrier::new(own),
            cpg: Cpg::new(me),
            quorum: Quorum::new(votes.is_some()),
            votes,
            cfg: Cfg::new(me),
            clients: BTreeMap::new(),
            shown_addresses: config.shown_addresses,
            join_counts: BTreeMap::new(),
            members: BTreeSet::new(),
            synchronizing: true,
            ring_full: false,
            dropped: 0,
            out: VecDeque::new(),
        };
        this.collect(Now::default());
        Ok(this)
    }

    /// The cfg service, to be told of links and addresses.
    pub fn cfg_mut(&mut self) -> &mut Cfg {
        &mut self.cfg
    }

    /// This node.
    pub fn node(&self) -> Node {
        self.me
    }

    /// The process groups.
    pub fn cpg(&self) -> &Cpg {
        &self.cpg
    }

    /// The votes, if anybody counts them.
    pub fn votes(&self) -> Option<&VoteQuorum> {
        self.votes.as_ref()
    }

    /// Whether this node may act.
    pub fn is_quorate(&self) -> bool {
        self.quorum.is_quorate()
    }

    /// Whether a synchronization is under way, or no ring has formed yet.
    pub fn is_synchronizing(&self) -> bool {
        self.synchronizing
    }

    /// How many messages were malformed or for nobody.
    pub fn dropped(&self) -> u64 {
        let votes = self.votes.as_ref().map_or(0, VoteQuorum::dropped);
        self.dropped + self.barrier.dropped() + self.cpg.dropped() + self.cfg.dropped() + votes
    }

    /// The configuration was read again.
    pub fn reconfigure(&mut self, now: Now, config: &votequorum::Config) {
        if let Some(votes) = &mut self.votes {
            votes.reconfigure(config);
        }
        self.collect(now);
    }

    /// An administrator set `quorum.cancel_wait_for_all`.
    pub fn cancel_wait_for_all(&mut self, now: Now) {
        if let Some(votes) = &mut self.votes {
            votes.cancel_wait_for_all();
        }
        self.collect(now);
    }

    /// The node is about to leave the ring in good order.
    pub fn leave(&mut self, now: Now) {
        if let Some(votes) = &mut self.votes {
            votes.leave();
        }
        self.collect(now);
    }

    /// The map has said what others must know.
    pub fn map_synchronized(&mut self, now: Now) {
        self.barrier.processed(Service::CMAP);
        self.collect(now);
    }

    fn configuration(&mut self, now: Now, configuration: &Configuration) {
        self.synchronizing = true;
        self.regulate();
        for node in &configuration.left {
            self.publish_member(*node, "left");
        }
        // Both configurations of a change may name who is new; it counts once.
        let regular = configuration.kind == ConfigurationKind::Regular;
        for node in configuration.joined.iter().filter(|_| regular) {
            let count = self.join_counts.entry(*node).or_default();
            *count += 1;
            let count = *count;
            self.publish_joined(*node, count);
        }
        if regular {
            self.members.clone_from(&configuration.members);
            self.cfg.set_members(configuration.members.clone());
        }
        self.barrier.configuration(configuration);
        self.collect(now);
    }

    fn publish_member(&mut self, node: Node, status: &str) {
        let key = format!("runtime.members.{}.status", node.0);
        self.out.push_back(Output::MapSet { key, value: MapValue::Text(status.into()) });
    }

    fn publish_joined(&mut self, node: Node, count: u32) {
        let key = |what: &str| format!("runtime.members.{}.{what}", node.0);
        if count == 1 {
            let shown = self.shown_addresses.get(&node).cloned().unwrap_or_default();
            self.out.push_back(Output::MapSet { key: key("ip"), value: MapValue::Text(shown) });
        }
        let value = MapValue::U32(count);
        self.out.push_back(Output::MapSet { key: key("join_count"), value });
        self.publish_member(node, "joined");
    }

    /// Brings what the services want done into one order, and moves on the
    /// barrier as far as it goes.
    fn collect(&mut self, now: Now) {
        loop {
            self.collect_services();
            if let Some(output) = self.barrier.poll_output() {
                self.barrier_wants(now, output);
            } else if !self.retry_processing() {
                return;
            }
        }
    }

    fn collect_services(&mut self) {
        while let Some(output) = self.cpg.poll_output().or_else(|| self.cfg.poll_output()) {
            self.out.push_back(output);
        }
        while let Some(output) = self.votes.as_mut().and_then(VoteQuorum::poll_output) {
            match output {
                Output::Quorum(view) => {
                    self.quorum.decided(view);
                    self.collect_quorum();
                }
                other => self.out.push_back(other),
            }
        }
        self.collect_quorum();
    }

    fn collect_quorum(&mut self) {
        while let Some(output) = self.quorum.poll_output() {
            self.out.push_back(output);
        }
    }

    fn barrier_wants(&mut self, now: Now, output: ring_sync::Output) {
        match output {
            ring_sync::Output::Mcast(bytes) => {
                let guarantee = ring_service::Guarantee::Agreed;
                self.out.push_back(Output::Mcast { group: Group::Sync, guarantee, bytes });
            }
            ring_sync::Output::Init(start) => {
                self.step(Service::CMAP, SyncStep::Init(start.clone()));
                self.cpg.sync_init(&start);
                self.quorum.sync_init(&start);
                if let Some(votes) = &mut self.votes {
                    votes.sync_init(now, &start);
                }
            }
            ring_sync::Output::Process(service) => self.process(service),
            ring_sync::Output::Activate(service) => self.activate(service),
            ring_sync::Output::Abort(service) => match service {
                Service::CMAP => self.step(Service::CMAP, SyncStep::Abort),
                Service::CPG => self.cpg.sync_abort(),
                _ => {}
            },
            ring_sync::Output::Completed(ring) => self.completed(ring),
        }
    }

    fn step(&mut self, service: Service, step: SyncStep) {
        self.out.push_back(Output::Step { service, step });
    }

    fn process(&mut self, service: Service) {
        match service {
            Service::CMAP => self.step(Service::CMAP, SyncStep::Process),
            Service::CPG => {
                self.cpg.sync_process();
                self.collect_services();
                self.barrier.processed(Service::CPG);
            }
            Service::VOTEQUORUM => {
                self.retry_processing();
            }
            _ => self.barrier.processed(service),
        }
    }

    /// Votequorum may wait for its device. True: it has just become ready.
    fn retry_processing(&mut self) -> bool {
        let turn = self.barrier.processing() == Some(Service::VOTEQUORUM);
        let Some(votes) = self.votes.as_mut().filter(|_| turn) else { return false };
        let ready = votes.sync_process();
        self.collect_services();
        if ready {
            self.barrier.processed(Service::VOTEQUORUM);
        }
        ready
    }

    fn activate(&mut self, service: Service) {
        match service {
            Service::CMAP => self.step(Service::CMAP, SyncStep::Activate),
            Service::CPG => self.cpg.sync_activate(),
            Service::QUORUM => self.quorum.sync_activate(),
            Service::VOTEQUORUM => {
                if let Some(votes) = &mut self.votes {
                    votes.sync_activate();
                }
            }
            _ => {}
        }
    }

    fn completed(&mut self, ring: RingId) {
        self.synchronizing = false;
        let level = sansio::edge::Level::Notice;
        let text = "Completed service synchronization, ready to provide service.".into();
        self.out.push_back(Output::Log { level, text });
        self.out.push_back(Output::Synchronized(ring));
        self.regulate();
    }
}

impl Core for Services {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Now, input: Input) {
        self.take(now, input);
        self.collect(now);
    }

    fn handle_timeout(&mut self, now: Now) {
        if self.cfg.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.cfg.handle_timeout(now);
        } else if let Some(votes) = &mut self.votes {
            votes.handle_timeout(now);
        }
        self.collect(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        let votes = self.votes.as_ref().and_then(VoteQuorum::poll_timeout);
        votes.into_iter().chain(self.cfg.poll_timeout()).min()
    }
}
