//! Closed process groups.
//!
//! Processes join groups by name, send to the group of their connection, and
//! are told, in one order on all nodes, of messages and of who joins and leaves.
//! Every node keeps the list of all processes of all groups; a new ring makes
//! the lists equal again: nodes that have not come along are gone with their
//! processes, then each node lists its own.
//!
//! `docs/spec/cpg.md` numbers the requirements. Source of the behaviour:
//! `cpg_overview(3)` and following, and Corosync 3.1.7 where these are silent.

mod clients;
mod message;
mod name;
mod requests;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ha_types::{Node, RingId};
use ring_service::{Output, mcast};
use sansio::edge::{Conn, Level};

use clients::{Client, State};
pub use message::{Message, Part, Reason};
pub use name::{NAME_LEN, NAME_MAX, Name};
pub use requests::{ALL_GROUPS_REQUESTS, flow_controlled};

/// The planted mistakes of `docs/spec/cpg.md`.
pub const MUTANTS: &[&str] = &[
    "CPG-1/remove",
    "CPG-1/weaken",
    "CPG-2/remove",
    "CPG-2/weaken",
    "CPG-3/remove",
    "CPG-3/weaken",
    "CPG-4/remove",
    "CPG-4/weaken",
];

/// A process in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its node.
    pub node: Node,
    /// Its number there.
    pub pid: u32,
    /// The group.
    pub group: Name,
}

/// A process that joined or left, as clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) node: Node,
    pub(crate) pid: u32,
    pub(crate) reason: u32,
}

/// The service of one node.
#[derive(Clone, Debug)]
pub struct Cpg {
    me: Node,
    clients: BTreeMap<Conn, Client>,
    /// By node, then process; one process can be in several groups.
    processes: Vec<Process>,
    /// Members of the ring that is being synchronized, and its identity.
    members: BTreeSet<Node>,
    ring: RingId,
    /// Members of the ring that was synchronized last.
    old_members: BTreeSet<Node>,
    /// Members of that ring that have not come along.
    lost: BTreeSet<Node>,
    /// What members have listed in this synchronization, in order of delivery.
    listed: Vec<Process>,
    /// What has left since this synchronization began; None outside of one.
    ended: Option<Vec<Process>>,
    next_iteration: u64,
    dropped: u64,
    out: VecDeque<Output>,
}

impl Cpg {
    /// The service of a node that is in no ring yet.
    pub fn new(me: Node) -> Self {
        Self {
            me,
            clients: BTreeMap::new(),
            processes: Vec::new(),
            members: BTreeSet::new(),
            ring: RingId { rep: Node(0), seq: 0 },
            old_members: BTreeSet::new(),
            lost: BTreeSet::new(),
            listed: Vec::new(),
            ended: None,
            next_iteration: 1,
            dropped: 0,
            out: VecDeque::new(),
        }
    }

    /// All processes of all groups, by node and process.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// How many messages were malformed.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// A message of this service was delivered.
    pub fn deliver(&mut self, from: Node, bytes: &[u8]) {
        match Message::decode(bytes) {
            Ok(Message::Join { group, pid }) => {
                let process = Process { node: from, pid, group };
                if let Some(ended) = &mut self.ended {
                    ended.retain(|ended| *ended != process);
                }
                if self.add(process.clone()) {
                    let change = Change { node: from, pid, reason: Reason::Join.number() };
                    self.tell_change(&process.group, &[change], &[]);
                }
            }
            Ok(Message::Leave { group, pid, reason }) => {
                self.leave(&Process { node: from, pid, group }, reason);
            }
            Ok(Message::JoinList(entries)) => self.list(from, entries),
            Ok(Message::Mcast { group, pid, bytes, part }) => {
                self.tell_message(&group, (from, pid), &bytes, part.as_ref());
            }
            Ok(Message::DownList { .. } | Message::DownListOld) => {}
            Err(why) => {
                self.dropped += 1;
                self.log(Level::Warning, format!("cpg message of {from} dropped: {why}"));
            }
        }
    }

    fn send(&mut self, message: &Message, source: Conn) {
        self.out.push_back(mcast(message.encode(self.me, source)));
    }

    fn log(&mut self, level: Level, text: String) {
        self.out.push_back(Output::Log { level, text });
    }

    /// False: it is there already.
    fn add(&mut self, process: Process) -> bool {
        if self.processes.contains(&process) {
            return false;
        }
        let key = |p: &Process| (p.node, p.pid);
        let at = self.processes.partition_point(|p| key(p) <= key(&process));
        self.processes.insert(at, process);
        true
    }

    /// The clients are told even of a process that nobody knew, as its node
    /// says that it was there. Before or behind its node's list, a process that
    /// leaves during a synchronization is not there any more [CPG-8].
    fn leave(&mut self, process: &Process, reason: u32) {
        self.processes.retain(|p| p != process);
        self.listed.retain(|p| p != process);
        if let Some(ended) = self.ended.as_mut().filter(|ended| !ended.contains(process)) {
            ended.push(process.clone());
        }
        let change = Change { node: process.node, pid: process.pid, reason };
        self.tell_change(&process.group, &[], &[change]);
        self.left_here(process, reason);
    }

    /// A client whose own leave was delivered is free to join again [CPG-9].
    fn left_here(&mut self, process: &Process, reason: u32) {
        if process.node != self.me || reason != Reason::Leave.number() {
            return;
        }
        for client in self.clients.values_mut() {
            if client.is_in(&process.group) && client.pid == process.pid {
                client.state = State::Unjoined;
                client.group = None;
            }
        }
    }

    /// [CPG-2] A message counts only from a node that has a process in the group.
    fn knows(&self, node: Node, group: &Name) -> bool {
        if sansio::mutant::active("CPG-2/remove") {
            return true;
        }
        let any_group = sansio::mutant::active("CPG-2/weaken");
        let mut of_node = self.processes.iter().filter(|process| process.node == node);
        of_node.any(|process| any_group || process.group == *group)
    }
}
