//! The quorum service: who is in the ring, and whether that is enough.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ha_types::{Node, RingId};
use ring_service::{Layout, Output, QuorumView, Status, SyncStart, View, event, response};
use sansio::edge::{Channel, Conn, Frame, Level};
use wire::Malformed;

use crate::requests::{TRACK_CHANGES, TRACK_CHANGES_ONLY, TRACK_CURRENT};

const GETQUORATE: i32 = 0;
const TRACKSTART: i32 = 1;
const TRACKSTOP: i32 = 2;
const GETTYPE: i32 = 3;
const MODEL_GETTYPE: i32 = 4;

/// How many requests there are; higher ids do not exist.
pub const REQUESTS: i32 = 5;

const NOTIFICATION: i32 = 3;
const GETTYPE_ANSWER: i32 = 4;
const MODEL_GETTYPE_ANSWER: i32 = 5;
const V1_NOTIFICATION: i32 = 6;
const V1_NODELIST: i32 = 7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Client {
    /// Model 1 knows ring ids and who joined and left.
    model: u32,
    tracking: bool,
}

/// The service of one node.
#[derive(Clone, Debug)]
pub struct Quorum {
    /// Whether votes are counted at all; without them everybody may act.
    has_provider: bool,
    quorate: bool,
    view: QuorumView,
    members: BTreeSet<Node>,
    ring: RingId,
    old_members: BTreeSet<Node>,
    left: BTreeSet<Node>,
    joined: BTreeSet<Node>,
    clients: BTreeMap<Conn, Client>,
    out: VecDeque<Output>,
}

impl Quorum {
    /// A node in no ring; `has_provider`: votequorum decides who may act.
    pub fn new(has_provider: bool) -> Self {
        let ring = RingId { rep: Node(0), seq: 0 };
        Self {
            has_provider,
            quorate: !has_provider,
            view: QuorumView { members: BTreeSet::new(), quorate: !has_provider, ring },
            members: BTreeSet::new(),
            ring,
            old_members: BTreeSet::new(),
            left: BTreeSet::new(),
            joined: BTreeSet::new(),
            clients: BTreeMap::new(),
            out: VecDeque::new(),
        }
    }

    /// Whether this node may act.
    pub fn is_quorate(&self) -> bool {
        self.quorate
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Votequorum has decided.
    pub fn decided(&mut self, view: QuorumView) {
        if view.quorate != self.quorate {
            let text = match view.quorate {
                true => "This node is within the primary component and will provide service.",
                false => {
                    "This node is within the non-primary component and will NOT provide any \
                     services."
                }
            };
            self.out.push_back(Output::Log { level: Level::Notice, text: text.into() });
            self.out.push_back(Output::Quorate(view.quorate));
        }
        self.quorate = view.quorate;
        self.log_nodes("Members", &view.members);
        self.view = view;
        for conn in self.trackers() {
            self.tell_view(conn);
        }
    }

    /// A new ring.
    pub fn sync_init(&mut self, start: &SyncStart) {
        self.members.clone_from(&start.members);
        self.ring = start.ring;
        let stayed = &(&self.old_members & &start.came_along) & &start.members;
        self.left = &self.old_members - &stayed;
        self.joined = &start.members - &stayed;
        self.log_nodes("Sync members", &start.members);
        for (what, nodes) in
            [("Sync joined", self.joined.clone()), ("Sync left", self.left.clone())]
        {
            if !nodes.is_empty() {
                self.log_nodes(what, &nodes);
            }
        }
    }

    /// All members are through.
    pub fn sync_activate(&mut self) {
        self.old_members.clone_from(&self.members);
        for conn in self.trackers() {
            self.tell_nodes(conn, true);
        }
    }

    /// A client has connected.
    pub fn accepted(&mut self, conn: Conn) {
        self.clients.insert(conn, Client { model: 0, tracking: false });
    }

    /// A client has gone.
    pub fn closed(&mut self, conn: Conn) {
        self.clients.remove(&conn);
    }

    /// Serves a request.
    pub fn request(&mut self, conn: Conn, frame: &Frame) {
        if frame.channel != Channel::Request || !self.clients.contains_key(&conn) {
            return;
        }
        if self.serve(conn, frame.id, &View::request(&frame.body)).is_err() {
            self.answer(conn, 0, Status::InvalidParam, Vec::new());
        }
    }

    fn serve(&mut self, conn: Conn, id: i32, view: &View<'_>) -> Result<(), Malformed> {
        let kind = u32::from(self.has_provider);
        match id {
            GETQUORATE => {
                let body = Layout::response(32).u32(24, self.quorate.into()).finish();
                self.answer(conn, GETQUORATE, Status::Ok, body);
            }
            TRACKSTART => self.track(conn, view.u32(16, "flags")?),
            TRACKSTOP => {
                if let Some(client) = self.clients.get_mut(&conn) {
                    client.tracking = false;
                }
                // A client that did not track is told the same.
                self.answer(conn, TRACKSTOP, Status::Ok, Vec::new());
            }
            GETTYPE => {
                let body = Layout::response(32).u32(24, kind).finish();
                self.answer(conn, GETTYPE_ANSWER, Status::Ok, body);
            }
            MODEL_GETTYPE => {
                let model = view.u32(16, "a model")?;
                let known = model <= 1;
                if let Some(client) = self.clients.get_mut(&conn).filter(|_| known) {
                    client.model = model;
                }
                let status = if known { Status::Ok } else { Status::InvalidParam };
                let body = Layout::response(32).u32(24, kind).finish();
                self.answer(conn, MODEL_GETTYPE_ANSWER, status, body);
            }
            _ => self.answer(conn, 0, Status::InvalidParam, Vec::new()),
        }
        Ok(())
    }

    fn track(&mut self, conn: Conn, wanted: u32) {
        if wanted & (TRACK_CURRENT | TRACK_CHANGES) != 0 {
            self.tell_nodes(conn, false);
            self.tell_view(conn);
        }
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let status = if client.tracking { Status::Exist } else { Status::Ok };
        client.tracking |= wanted & (TRACK_CHANGES | TRACK_CHANGES_ONLY) != 0;
        self.answer(conn, TRACKSTART, status, Vec::new());
    }

    fn answer(&mut self, conn: Conn, id: i32, status: Status, body: Vec<u8>) {
        self.out.push_back(response(conn, id, status, body));
    }

    fn trackers(&self) -> Vec<Conn> {
        self.clients.iter().filter(|(_, c)| c.tracking).map(|(conn, _)| *conn).collect()
    }

    fn model(&self, conn: Conn) -> u32 {
        self.clients.get(&conn).map_or(0, |client| client.model)
    }

    fn tell_view(&mut self, conn: Conn) {
        let members = &self.view.members;
        let quorate = u32::from(self.quorate);
        // The list begins inside the last padding of the structure, whose size
        // is counted nevertheless.
        let (id, size, layout) = if self.model(conn) == 0 {
            let layout = Layout::response(48).u32(24, quorate).u64(32, self.view.ring.seq);
            (NOTIFICATION, 48, layout.count(40, members.len()))
        } else {
            let layout = Layout::response(56).u32(24, quorate).ring(32, self.view.ring);
            (V1_NOTIFICATION, 56, layout.count(48, members.len()))
        };
        let body = with_list(layout, size - 4, members.iter());
        self.out.push_back(event(conn, id, Status::Ok, body));
    }

    fn tell_nodes(&mut self, conn: Conn, changes: bool) {
        if self.model(conn) == 0 {
            return;
        }
        let none = BTreeSet::new();
        let (joined, left) = if changes { (&self.joined, &self.left) } else { (&none, &none) };
        let layout = Layout::response(64).ring(24, self.ring).count(40, self.members.len());
        let layout = layout.count(48, joined.len()).count(56, left.len());
        let body = with_list(layout, 60, self.members.iter().chain(joined).chain(left));
        self.out.push_back(event(conn, V1_NODELIST, Status::Ok, body));
    }

    fn log_nodes(&mut self, what: &str, nodes: &BTreeSet<Node>) {
        let list: String = nodes.iter().map(|node| format!(" {}", node.0)).collect();
        let text = format!("{what}[{}]:{list}", nodes.len());
        self.out.push_back(Output::Log { level: Level::Notice, text });
    }
}

/// Makes room for the list behind the structure, then writes it from `at` on.
fn with_list<'a>(layout: Layout, at: usize, nodes: impl Iterator<Item = &'a Node>) -> Vec<u8> {
    let list: Vec<u8> = nodes.flat_map(|node| node.0.to_le_bytes()).collect();
    layout.then(&vec![0; list.len()]).raw(at, &list).finish()
}
