//! The cfg service: status of rings and nodes, shutdown by vote, killing a
//! node, reload, reopening logs.
//!
//! What it knows of addresses and links, the daemon tells it. Source of the
//! behaviour: `corosync-cfgtool(8)`, `corosync/cfg.h`, and Corosync 3.1.7 where
//! these are silent.

mod message;
mod requests;
mod shutdown;
mod status;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use ha_types::Node;
use ring_service::{Group, Guarantee, Output, Status, response};
use sansio::edge::{Conn, Level};
use sansio::{Mono, Now, TimerTable};

pub use message::Message;
pub use requests::{REQUESTS, flow_controlled};
use shutdown::{Client, Vote};
pub use status::{LinkStatus, NodeStatus};

sansio::timers! {
    /// Timers of cfg.
    pub enum Timer {
        /// Those who have not answered a request to shut down count as no.
        Shutdown => "cfg-shutdown",
    }
}

/// One of this node's links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub link: u8,
    /// Its address.
    pub address: IpAddr,
    /// How it stands, as tools print it.
    pub status: String,
}

/// The service of one node.
#[derive(Clone, Debug)]
pub struct Cfg {
    me: Node,
    shutdown_timeout_ms: u32,
    interfaces: Vec<Interface>,
    addresses: BTreeMap<Node, Vec<IpAddr>>,
    node_status: BTreeMap<Node, NodeStatus>,
    members: BTreeSet<Node>,
    clients: BTreeMap<Conn, Client>,
    vote: Option<Vote>,
    /// Clients whose reload has not come back from the ring.
    reloading: BTreeSet<Conn>,
    timers: TimerTable<Timer>,
    dropped: u64,
    out: VecDeque<Output>,
}

impl Cfg {
    /// The service of a node.
    pub fn new(me: Node) -> Self {
        Self {
            me,
            shutdown_timeout_ms: 5000,
            interfaces: Vec::new(),
            addresses: BTreeMap::new(),
            node_status: BTreeMap::new(),
            members: BTreeSet::new(),
            clients: BTreeMap::new(),
            vote: None,
            reloading: BTreeSet::new(),
            timers: TimerTable::new(),
            dropped: 0,
            out: VecDeque::new(),
        }
    }

    /// `cfg.shutdown_timeout`
    pub fn set_shutdown_timeout(&mut self, ms: u32) {
        self.shutdown_timeout_ms = ms;
    }

    /// This node's links.
    pub fn set_interfaces(&mut self, interfaces: Vec<Interface>) {
        self.interfaces = interfaces;
    }

    /// The addresses of every configured or heard node, by link.
    pub fn set_addresses(&mut self, addresses: BTreeMap<Node, Vec<IpAddr>>) {
        self.addresses = addresses;
    }

    /// How every known node stands.
    pub fn set_node_status(&mut self, status: BTreeMap<Node, NodeStatus>) {
        self.node_status = status;
    }

    /// Who is in the ring.
    pub fn set_members(&mut self, members: BTreeSet<Node>) {
        self.members = members;
    }

    /// How many messages were malformed.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Cfg::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Handles one timer that is due.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.timers.pop_due(now.mono) == Some(Timer::Shutdown) {
            self.shutdown_timed_out();
        }
    }

    /// A message of this service was delivered.
    pub fn deliver(&mut self, from: Node, bytes: &[u8]) {
        match Message::decode(bytes) {
            Ok(Message::RingReenable) => {}
            Ok(Message::KillNode { node, reason }) => self.killed(from, node, reason),
            Ok(Message::Shutdown) => {
                self.log(Level::Notice, format!("Node {} was shut down by sysadmin", from.0));
                if from == self.me {
                    self.out.push_back(Output::Shutdown);
                }
            }
            Ok(Message::Reload { asker }) => self.reload(from, asker),
            Ok(Message::Crypto { phase }) => {
                if from == self.me {
                    self.out.push_back(Output::CryptoPhase(phase));
                }
            }
            Err(why) => {
                self.dropped += 1;
                self.log(Level::Warning, format!("cfg message of {from} dropped: {why}"));
            }
        }
    }

    /// The reload that this client asked for has ended.
    pub fn reloaded(&mut self, asker: Conn, status: Status) {
        if self.clients.contains_key(&asker) {
            self.out.push_back(response(asker, requests::RELOAD_ANSWER, status, Vec::new()));
        }
    }

    /// The log files that this client wanted opened anew are.
    pub fn logs_reopened(&mut self, asker: Conn, status: Status) {
        if self.clients.contains_key(&asker) {
            self.out.push_back(response(asker, requests::REOPEN_ANSWER, status, Vec::new()));
        }
    }

    fn killed(&mut self, by: Node, node: Node, reason: String) {
        if node == self.me {
            self.log(Level::Notice, format!("Killed by node {} : {reason}", by.0));
            self.out.push_back(Output::Killed { by, reason });
        }
    }

    /// Only the asker's node answers, and only a client that did ask.
    fn reload(&mut self, by: Node, asker: Conn) {
        self.log(Level::Notice, format!("Config reload requested by node {}", by.0));
        let asker = (by == self.me && self.reloading.remove(&asker)).then_some(asker);
        self.out.push_back(Output::Reload { by, asker });
    }

    fn say(&mut self, message: &Message) {
        let bytes = message.encode(self.me);
        let (group, guarantee) = (Group::Services, Guarantee::Safe);
        self.out.push_back(Output::Mcast { group, guarantee, bytes });
    }

    fn log(&mut self, level: Level, text: String) {
        self.out.push_back(Output::Log { level, text });
    }
}
