//! Requests of clients of votequorum.

use ha_types::{Node, RingId};
use ring_service::{Layout, Status, View, response};
use sansio::Now;
use sansio::edge::{Channel, Conn, Frame, Level};
use wire::Malformed;

use crate::config::TieBreaker;
use crate::device::Poll;
use crate::message::{DEVICE_NAME, Param, flags};
use crate::notify::Tracker;
use crate::{NodeState, NodeVotes, VoteQuorum};

const GETINFO: i32 = 0;
const SETEXPECTED: i32 = 1;
const SETVOTES: i32 = 2;
const TRACKSTART: i32 = 3;
const TRACKSTOP: i32 = 4;
const QDEVICE_REGISTER: i32 = 5;
const QDEVICE_UNREGISTER: i32 = 6;
const QDEVICE_UPDATE: i32 = 7;
const QDEVICE_POLL: i32 = 8;
const QDEVICE_MASTER_WINS: i32 = 9;

/// How many requests there are; higher ids do not exist.
pub const REQUESTS: i32 = 10;

const STATUS_ANSWER: i32 = 0;
const GETINFO_ANSWER: i32 = 1;

pub(crate) const TRACK_CURRENT: u32 = 1;
pub(crate) const TRACK_CHANGES: u32 = 2;
pub(crate) const TRACK_CHANGES_ONLY: u32 = 4;

impl VoteQuorum {
    /// A client has connected.
    pub fn accepted(&mut self, conn: Conn) {
        self.clients.insert(conn, None);
    }

    /// A client has gone.
    pub fn closed(&mut self, conn: Conn) {
        self.clients.remove(&conn);
        if self.device.registering == Some(conn) {
            self.device.registering = None;
        }
    }

    /// Serves a request.
    pub fn request(&mut self, now: Now, conn: Conn, frame: &Frame) {
        if frame.channel != Channel::Request || !self.clients.contains_key(&conn) {
            return;
        }
        let view = View::request(&frame.body);
        match self.serve(now, conn, frame.id, &view) {
            Ok(Some(status)) => self.answer(conn, status),
            Ok(None) => {}
            Err(why) => {
                let text = format!("request {} of a votequorum client: {why}", frame.id);
                self.log(Level::Warning, text);
                self.answer(conn, Status::InvalidParam);
            }
        }
    }

    /// None: answered already, or later.
    fn serve(
        &mut self,
        now: Now,
        conn: Conn,
        id: i32,
        view: &View<'_>,
    ) -> Result<Option<Status>, Malformed> {
        let name = || view.text(16, DEVICE_NAME, "a device's name");
        Ok(match id {
            GETINFO => {
                self.info(conn, Node(view.u32(16, "a node")?));
                None
            }
            SETEXPECTED => Some(self.set_expected(view.u32(16, "expected votes")?)),
            SETVOTES => {
                let node = Node(view.u32(20, "a node")?);
                Some(self.set_votes(node, view.u32(16, "votes")?))
            }
            TRACKSTART => {
                Some(self.track(conn, view.u64(16, "a context")?, view.u32(24, "flags")?))
            }
            TRACKSTOP => Some(self.untrack(conn)),
            QDEVICE_REGISTER => self.register_device(conn, name()?),
            QDEVICE_UNREGISTER => Some(self.unregister_device(name()?)),
            QDEVICE_UPDATE => {
                let new = view.text(16 + DEVICE_NAME, DEVICE_NAME, "a device's name")?;
                Some(self.update_device(name()?, new))
            }
            QDEVICE_POLL => {
                let rep = Node(view.u32(280, "a representative")?);
                let ring = RingId { rep, seq: view.u64(288, "a ring's sequence")? };
                let cast_vote = view.u32(272, "a vote")? != 0;
                Some(self.poll_device(now, &Poll { name: name()?, cast_vote, ring }))
            }
            QDEVICE_MASTER_WINS => {
                Some(self.set_master_wins(name()?, view.u32(272, "a switch")? != 0))
            }
            _ => Some(Status::InvalidParam),
        })
    }

    pub(crate) fn answer(&mut self, conn: Conn, status: Status) {
        self.out.push_back(response(conn, STATUS_ANSWER, status, Vec::new()));
    }

    fn info(&mut self, conn: Conn, node: Node) {
        let node = if node.0 == 0 { self.me } else { node };
        let layout = Layout::response(320);
        let (status, layout) = match self.nodes.get(&node) {
            Some(known) => (Status::Ok, self.write_info(layout, node, known)),
            None => (Status::NotExist, layout),
        };
        self.out.push_back(response(conn, GETINFO_ANSWER, status, layout.finish()));
    }

    fn write_info(&self, layout: Layout, node: Node, known: &NodeVotes) -> Layout {
        let present = self.nodes.values().filter(|node| node.state == NodeState::Member);
        let highest = present.clone().map(|node| node.expected_votes).max().unwrap_or(0);
        let mut total = present.fold(0u32, |sum, node| sum.saturating_add(node.votes));
        if known.flags & flags::QDEVICE_CAST_VOTE != 0 {
            total = total.saturating_add(self.device.votes);
        }
        let layout = layout.u32(24, node.0).u32(28, known.state as u32).u32(32, known.votes);
        let layout = layout.u32(36, known.expected_votes).u32(40, highest).u32(44, total);
        let layout = layout.u32(48, self.quorum).u32(52, self.info_flags(known));
        layout.u32(56, self.device.votes).text(60, DEVICE_NAME, &self.device.name)
    }

    fn info_flags(&self, known: &NodeVotes) -> u32 {
        let of_node = |flag| known.flags & flag != 0;
        let all = [
            self.two_node,
            self.quorate,
            self.wait_for_all,
            self.last_man_standing,
            self.tie_breaker != TieBreaker::None,
            self.config.allow_downscale,
            of_node(flags::QDEVICE_REGISTERED),
            of_node(flags::QDEVICE_ALIVE),
            of_node(flags::QDEVICE_CAST_VOTE),
            of_node(flags::QDEVICE_MASTER_WINS),
        ];
        all.iter().enumerate().fold(0, |sum, (bit, set)| sum | u32::from(*set) << bit)
    }

    /// Refused: fewer than are there, or so many that quorum would be lost.
    fn set_expected(&mut self, expected: u32) -> Status {
        let downscale = std::mem::take(&mut self.config.allow_downscale);
        let (quorum, votes) = self.calculate(true, expected);
        self.config.allow_downscale = downscale;
        if expected < votes || (self.quorate && quorum > votes) {
            return Status::InvalidParam;
        }
        self.expect_of_members(expected);
        self.say_reconfigure(Param::ExpectedVotes, self.me, expected);
        Status::Ok
    }

    fn set_votes(&mut self, node: Node, votes: u32) -> Status {
        let node = if node.0 == 0 { self.me } else { node };
        let Some(known) = self.nodes.get_mut(&node) else { return Status::NameNotFound };
        let saved = std::mem::replace(&mut known.votes, votes);
        let (quorum, total) = self.calculate(true, 0);
        if quorum < total / 2 || quorum > total {
            if let Some(known) = self.nodes.get_mut(&node) {
                known.votes = saved;
            }
            return Status::InvalidParam;
        }
        self.say_reconfigure(Param::NodeVotes, node, votes);
        Status::Ok
    }

    fn track(&mut self, conn: Conn, context: u64, wanted: u32) -> Status {
        if wanted & (TRACK_CURRENT | TRACK_CHANGES) != 0 {
            let now = [self.nodelist_event(conn, context), self.quorum_event(conn, context)];
            self.out.extend(now);
        }
        let Some(tracker) = self.clients.get_mut(&conn) else { return Status::Library };
        if tracker.is_some() {
            return Status::Exist;
        }
        if wanted & (TRACK_CHANGES | TRACK_CHANGES_ONLY) != 0 {
            *tracker = Some(Tracker { context });
        }
        Status::Ok
    }

    fn untrack(&mut self, conn: Conn) -> Status {
        let tracker = self.clients.get_mut(&conn).and_then(Option::take);
        if tracker.is_some() { Status::Ok } else { Status::NotExist }
    }
}
