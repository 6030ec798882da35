//! What the parts of the daemon want of each other.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bytes::Bytes;
use cmap::service::Output as MapOutput;
use cmap::stats::Clear;
use cmap::sync::{Message, Reason, Verdict};
use ha_types::Node;
use ha_types::ring::{Configuration, ConfigurationKind};
use observe::Event;
use ring_cfg::{Interface, LinkStatus, NodeStatus};
use ring_service::{Group, Guarantee, Output as ServiceOutput, Status, SyncStep};
use sansio::edge::{Level, Output, PersistId};
use sansio::{Core, Now};
use totem::{Class, ExitReason, QueueLevel};

use crate::map::Reaction;
use crate::{EXIT_KILLED, EXIT_NOT_STORED, Membership, Writer, translate};

/// The only message whose sender and source are surely the same node.
const JOIN: u8 = 3;

impl Membership {
    /// Carries everything that somebody has to say to whom it is for.
    pub(crate) fn pump(&mut self, now: Now) {
        loop {
            if let Some(output) = self.services.poll_output() {
                self.services_want(now, output);
                continue;
            }
            let notices = self.map.service.notices(&mut self.map.store);
            if !notices.is_empty() {
                self.map_wants(now, notices);
                continue;
            }
            match self.totem.poll_output() {
                Some(output) => self.totem_wants(now, output),
                None => return,
            }
        }
    }

    fn totem_wants(&mut self, now: Now, output: totem::Output) {
        match output {
            totem::Output::Send { to, bytes } => {
                for (link, to) in self.routes.to(to) {
                    self.out.push_back(Output::Send { link, to, bytes: bytes.to_vec() });
                }
            }
            totem::Output::Persist { id, name, bytes } => {
                self.persist(Writer::Ring(id), name, bytes);
            }
            totem::Output::Deliver(delivery) => self.deliver(now, &delivery),
            totem::Output::Configuration(configuration) => self.configured(now, configuration),
            totem::Output::Level(level) => {
                let full = level == QueueLevel::Critical;
                self.services.handle(now, services::Input::RingFull(full));
            }
            totem::Output::Log { level, text } => self.log("TOTEM", level, text),
            totem::Output::Exit(ExitReason::Left) => {
                self.out.push_back(Output::Observe(Event::Left));
                self.out.push_back(Output::Exit { code: 0 });
            }
            totem::Output::Exit(ExitReason::RingIdNotStored) => {
                self.out.push_back(Output::Exit { code: EXIT_NOT_STORED });
            }
        }
    }

    /// The reference's cluster is of one byte order, and so is this one.
    fn deliver(&mut self, now: Now, delivery: &totem::Delivery) {
        if delivery.swapped {
            let text = format!("a message of {} has the other byte order: dropped", delivery.from);
            return self.log("TOTEM", Level::Warning, text);
        }
        let group = match delivery.group {
            totem::Group::Services => Group::Services,
            totem::Group::Sync => Group::Sync,
        };
        let bytes = delivery.bytes.to_vec();
        if group == Group::Services {
            self.map.count(&bytes, "rx");
        }
        self.services.handle(now, services::Input::Deliver { group, from: delivery.from, bytes });
    }

    fn configured(&mut self, now: Now, configuration: Configuration) {
        if configuration.kind == ConfigurationKind::Regular {
            let (ring, members) = (configuration.ring, configuration.members.clone());
            self.tell_node_status(&members);
            self.out.push_back(Output::Observe(Event::View { ring, members }));
        }
        self.services.handle(now, services::Input::Configuration(configuration));
    }

    pub(crate) fn persist(&mut self, writer: Writer, name: String, bytes: Vec<u8>) {
        self.persists += 1;
        let id = PersistId(self.persists);
        self.writing.insert(id, writer);
        self.out.push_back(Output::Persist { id, name, bytes });
    }

    fn services_want(&mut self, now: Now, output: ServiceOutput) {
        match output {
            ServiceOutput::Mcast { group, guarantee, bytes } => {
                self.submit(now, group, guarantee, bytes);
            }
            ServiceOutput::Frame { conn, frame } => {
                self.out.push_back(Output::Frame { conn, frame });
            }
            ServiceOutput::FlowControl { conn, level } => {
                self.out.push_back(Output::FlowControl { conn, level });
            }
            ServiceOutput::MapSet { key, value } => self.map.publish(&key, value),
            ServiceOutput::Persist { name, bytes } => {
                self.persist(Writer::Votes, name.to_owned(), bytes);
            }
            // Votes are counted before there is a ring; that is nobody's verdict yet.
            ServiceOutput::Quorate(_) => {
                if self.totem.members().is_some() {
                    self.observe_quorum();
                }
            }
            ServiceOutput::Step { step, .. } => self.map_step(now, step),
            ServiceOutput::Deliver { from, bytes, .. } => self.map_message(from, &bytes),
            ServiceOutput::Synchronized(_) => self.synchronized(now),
            ServiceOutput::Reload { asker, .. } => self.reload(asker),
            ServiceOutput::ReopenLogs { asker } => {
                self.out.push_back(Output::ReopenLogs);
                let status = Status::Ok;
                self.services.handle(now, services::Input::LogsReopened { asker, status });
            }
            ServiceOutput::Shutdown => self.leave(now),
            ServiceOutput::Killed { .. } => self.out.push_back(Output::Exit { code: EXIT_KILLED }),
            ServiceOutput::Log { level, text } => self.log("MAIN", level, text),
            // Said by votequorum to quorum; nobody else acts on it. Keys change
            // with knet only, which is not built.
            ServiceOutput::Quorum(_) | ServiceOutput::CryptoPhase(_) => {}
        }
    }

    /// While the services synchronize, all that they send is part of it.
    fn submit(&mut self, now: Now, group: Group, guarantee: Guarantee, bytes: Vec<u8>) {
        let class = if self.services.is_synchronizing() { Class::Sync } else { Class::Ordinary };
        let to = match group {
            Group::Services => totem::Group::Services,
            Group::Sync => totem::Group::Sync,
        };
        if group == Group::Services {
            self.map.count(&bytes, "tx");
        }
        let safe = guarantee == Guarantee::Safe;
        if let Err(why) = self.totem.submit(now, (to, class, safe), Bytes::from(bytes)) {
            self.log("TOTEM", Level::Error, format!("a message of the services is lost: {why}"));
        }
    }

    fn observe_quorum(&mut self) {
        let (ring, quorate) = (self.totem.ring_id(), self.services.is_quorate());
        self.out.push_back(Output::Observe(Event::Quorum { ring, quorate }));
    }

    fn synchronized(&mut self, now: Now) {
        self.observe_quorum();
        self.totem.handle(now, totem::Input::SyncDone);
        if !std::mem::replace(&mut self.is_ready, true) {
            self.out.push_back(Output::Ready);
        }
    }

    fn map_step(&mut self, now: Now, step: SyncStep) {
        match step {
            SyncStep::Init(start) => {
                self.map.version.begin(&self.map.store, start.came_along.len());
            }
            SyncStep::Process => {
                self.tell_version(now, Reason::Sync);
                self.services.map_synchronized(now);
            }
            SyncStep::Activate => {
                if let Verdict::Exit(why) = self.map.version.activate() {
                    self.log("CMAP", Level::Error, why);
                    self.leave(now);
                }
            }
            SyncStep::Abort => {}
        }
    }

    fn tell_version(&mut self, now: Now, reason: Reason) {
        let bytes = Message::of(&self.map.store, reason).encode();
        self.submit(now, Group::Services, Guarantee::Agreed, bytes);
    }

    fn map_message(&mut self, from: Node, bytes: &[u8]) {
        match Message::decode(bytes, false) {
            Ok(message) => {
                self.map.version.received(&mut self.map.store, self.me, from, &message);
            }
            Err(why) => {
                self.log("CMAP", Level::Warning, format!("message of {from} dropped: {why}"));
            }
        }
    }

    pub(crate) fn map_wants(&mut self, now: Now, outputs: Vec<MapOutput>) {
        for output in outputs {
            match output {
                MapOutput::Send { conn, frame } => {
                    self.out.push_back(Output::Frame { conn, frame });
                }
                MapOutput::Tell(notice) => match self.map.react(&notice) {
                    Some(Reaction::Allow(who, allowed)) => {
                        self.out.push_back(Output::Allow { who, allowed });
                    }
                    Some(Reaction::CancelWaitForAll) => self.services.cancel_wait_for_all(now),
                    // Before the first synchronization it is told there.
                    Some(Reaction::NewVersion) if self.is_ready => {
                        self.tell_version(now, Reason::NewVersion);
                    }
                    Some(Reaction::NewVersion) | None => {}
                },
                MapOutput::Clear(Clear::Totem | Clear::All) => self.totem.clear_stats(),
                MapOutput::Clear(Clear::Ipc) => self.connections.closed = 0,
                MapOutput::Clear(Clear::Knet | Clear::SchedMiss) => {}
            }
        }
    }

    /// Where nobody lists the nodes, a node is where its joins come from.
    pub(crate) fn learn(&mut self, from: IpAddr, bytes: &[u8]) {
        let node = bytes.get(5..9).and_then(|id| id.try_into().ok()).map(u32::from_le_bytes);
        if let (Some(&JOIN), Some(node)) = (bytes.get(3), node.filter(|node| *node != 0)) {
            self.routes.learn(Node(node), from);
        }
    }

    /// Tells cfg what it shows of links and addresses.
    pub(crate) fn tell_addresses(&mut self) {
        let address = self.config.local.address;
        let interface = Interface { link: 0, address, status: "OK".into() };
        let addresses = translate::addresses(&self.config);
        let timeout_ms = self.config.keys.u32("cfg.shutdown_timeout");
        let cfg = self.services.cfg_mut();
        cfg.set_interfaces(vec![interface]);
        cfg.set_addresses(addresses);
        if let Some(ms) = timeout_ms {
            cfg.set_shutdown_timeout(ms);
        }
        let members = self.totem.members().cloned().unwrap_or_default();
        self.tell_node_status(&members);
    }

    /// Without knet a link is up when its node is in the ring.
    fn tell_node_status(&mut self, members: &BTreeSet<Node>) {
        let mtu = self.config.totem.net_mtu;
        let listed = self.config.links.first().map(|link| link.members.clone());
        let status = listed.unwrap_or_default().into_iter().map(|member| {
            let reachable = members.contains(&member.node);
            let link = LinkStatus {
                enabled: true,
                connected: reachable,
                mtu,
                source: member.address.to_string(),
                ..LinkStatus::default()
            };
            let status = NodeStatus { reachable, links: vec![link], ..NodeStatus::default() };
            (member.node, status)
        });
        let status = status.collect();
        self.services.cfg_mut().set_node_status(status);
    }
}
