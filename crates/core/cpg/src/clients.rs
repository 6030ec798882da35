//! What local clients are told.

use std::collections::{BTreeMap, VecDeque};

use ring_service::{Layout, Output, Status, event};
use sansio::edge::{Conn, Level};

use crate::name::Name;
use crate::{Change, Cpg, Part, Process};
use ha_types::Node;

const CONFCHG: i32 = 4;
const DELIVER: i32 = 5;
const TOTEM_CONFCHG: i32 = 13;
const PARTIAL_DELIVER: i32 = 17;
/// A client of model 1 wants the ring's members with its first change.
const DELIVER_INITIAL_TOTEM_CONF: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Unjoined,
    Leaving,
    Joining,
    Joined,
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) state: State,
    pub(crate) group: Option<Name>,
    pub(crate) pid: u32,
    pub(crate) flags: u32,
    pub(crate) told_ring: bool,
    /// It has said good-bye: it is told nothing, but its end is still announced.
    pub(crate) finalized: bool,
    /// Grows with each change of its group that it is told.
    pub(crate) changes: u64,
    /// The same, when it began to send a message in parts.
    pub(crate) changes_at_first_part: u64,
    pub(crate) iterations: BTreeMap<u64, VecDeque<Process>>,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Unjoined,
            group: None,
            pid: 0,
            flags: 0,
            told_ring: false,
            finalized: false,
            changes: 0,
            changes_at_first_part: 0,
            iterations: BTreeMap::new(),
        }
    }

    pub(crate) fn is_in(&self, group: &Name) -> bool {
        self.group.as_ref() == Some(group)
    }

    fn hears_of(&self, group: &Name) -> bool {
        let member = matches!(self.state, State::Joined | State::Leaving);
        member && !self.finalized && self.is_in(group)
    }
}

impl Cpg {
    /// Tells the members of a group that processes joined or left it.
    pub(crate) fn tell_change(&mut self, group: &Name, joined: &[Change], left: &[Change]) {
        let body = self.change_body(group, joined, left);
        for change in joined.iter().filter(|change| change.node == self.me) {
            let here = self.clients.values_mut();
            for client in here.filter(|c| c.pid == change.pid && c.is_in(group) && !c.finalized) {
                client.state = State::Joined;
            }
        }
        for (conn, client) in &mut self.clients {
            if client.hears_of(group) {
                client.changes += 1;
                self.out.push_back(event(*conn, CONFCHG, Status::Ok, body.clone()));
            }
        }
        self.tell_ring_where_wanted();
    }

    fn change_body(&self, group: &Name, joined: &[Change], left: &[Change]) -> Vec<u8> {
        let gone = |p: &Process| left.iter().any(|c| (c.node, c.pid) == (p.node, p.pid));
        let members = self.processes.iter().filter(|p| p.group == *group && !gone(p));
        let members: Vec<Change> =
            members.map(|p| Change { node: p.node, pid: p.pid, reason: 0 }).collect();
        let layout = group.write(Layout::response(184), 24);
        let layout = layout.count(160, members.len()).count(168, joined.len());
        let all = members.iter().chain(left).chain(joined);
        let list: Vec<u8> = all.flat_map(address).collect();
        layout.count(176, left.len()).then(&list).finish()
    }

    fn tell_ring_where_wanted(&mut self) {
        let body = self.ring_body(false);
        for (conn, client) in &mut self.clients {
            let wanted = client.flags & DELIVER_INITIAL_TOTEM_CONF != 0;
            if wanted && !client.told_ring && !client.finalized {
                client.told_ring = true;
                self.out.push_back(event(*conn, TOTEM_CONFCHG, Status::Ok, body.clone()));
            }
        }
    }

    /// Tells every client of the ring that has been synchronized.
    pub(crate) fn tell_ring(&mut self) {
        let body = self.ring_body(true);
        for conn in self.clients.iter().filter(|(_, c)| !c.finalized).map(|(conn, _)| *conn) {
            self.out.push_back(event(conn, TOTEM_CONFCHG, Status::Ok, body.clone()));
        }
    }

    fn ring_body(&self, current: bool) -> Vec<u8> {
        let members = if current { &self.members } else { &self.old_members };
        let layout = Layout::response(48).ring(24, self.ring).count(40, members.len());
        // The list begins inside the last padding of the structure, whose size
        // the reference counts nevertheless.
        let list: Vec<u8> = members.iter().flat_map(|node| node.0.to_le_bytes()).collect();
        let mut body = layout.then(&list).finish();
        body[20..20 + list.len()].copy_from_slice(&list);
        body[20 + list.len()..].fill(0);
        body
    }

    /// Tells the members of a group of a message.
    pub(crate) fn tell_message(
        &mut self,
        group: &Name,
        sender: (Node, u32),
        bytes: &[u8],
        part: Option<&Part>,
    ) {
        let hearers: Vec<Conn> =
            self.clients.iter().filter(|(_, c)| c.hears_of(group)).map(|(conn, _)| *conn).collect();
        if hearers.is_empty() {
            return;
        }
        if !self.knows(sender.0, group) {
            let text = format!("{} has no process in cpg group {group}: message dropped", sender.0);
            return self.log(Level::Warning, text);
        }
        let (id, body) = message_body(group, sender, bytes, part);
        for conn in hearers {
            self.out.push_back(event(conn, id, Status::Ok, body.clone()));
        }
    }
}

fn message_body(
    group: &Name,
    (node, pid): (Node, u32),
    bytes: &[u8],
    part: Option<&Part>,
) -> (i32, Vec<u8>) {
    let Some(part) = part else {
        let layout = group.write(Layout::response(184), 24).count(160, bytes.len());
        return (DELIVER, layout.u32(168, node.0).u32(176, pid).then(bytes).finish());
    };
    let layout = group.write(Layout::response(200), 24).u32(160, part.whole_len);
    let layout = layout.count(168, bytes.len()).u32(176, node.0).u32(184, pid).u32(192, part.kind);
    (PARTIAL_DELIVER, layout.then(bytes).finish())
}

fn address(change: &Change) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..4].copy_from_slice(&change.node.0.to_le_bytes());
    bytes[8..12].copy_from_slice(&change.pid.to_le_bytes());
    bytes[16..20].copy_from_slice(&change.reason.to_le_bytes());
    bytes
}

impl Cpg {
    /// A client has connected.
    pub fn accepted(&mut self, conn: Conn) {
        self.clients.insert(conn, Client::new());
    }

    /// A client has gone; its group is told that the process is down [CPG-6].
    pub fn closed(&mut self, conn: Conn) {
        let Some(client) = self.clients.remove(&conn) else { return };
        let Some(group) = client.group.filter(|_| client.state != State::Leaving) else { return };
        let reason = crate::Reason::ProcDown.number();
        let message = crate::Message::Leave { group, pid: client.pid, reason };
        self.out.push_back(Output::Mcast {
            group: ring_service::Group::Services,
            guarantee: ring_service::Guarantee::Agreed,
            bytes: message.encode(self.me, conn),
        });
    }
}
