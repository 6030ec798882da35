//! What clients of votequorum are told.

use ring_service::{Layout, Output, Status, event};
use sansio::edge::Conn;

use crate::VoteQuorum;
use crate::message::flags;

const QUORUM: i32 = 3;
const EXPECTED_VOTES: i32 = 4;
const NODELIST: i32 = 5;

/// A client that wants to be told, and the number it gave for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tracker {
    pub(crate) context: u64,
}

impl VoteQuorum {
    fn trackers(&self) -> Vec<(Conn, Tracker)> {
        self.clients.iter().filter_map(|(conn, tracker)| Some((*conn, (*tracker)?))).collect()
    }

    pub(crate) fn tell_quorum(&mut self) {
        for (conn, tracker) in self.trackers() {
            let told = self.quorum_event(conn, tracker.context);
            self.out.push_back(told);
        }
    }

    pub(crate) fn tell_nodelist(&mut self) {
        for (conn, tracker) in self.trackers() {
            let told = self.nodelist_event(conn, tracker.context);
            self.out.push_back(told);
        }
    }

    pub(crate) fn tell_expected_votes(&mut self) {
        let expected = self.own().expected_votes;
        for (conn, tracker) in self.trackers() {
            let body = Layout::response(40).u64(24, tracker.context).u32(32, expected).finish();
            self.out.push_back(event(conn, EXPECTED_VOTES, Status::Ok, body));
        }
    }

    pub(crate) fn quorum_event(&self, conn: Conn, context: u64) -> Output {
        let mut list: Vec<u8> = Vec::new();
        let mut count = self.nodes.len();
        for (node, known) in &self.nodes {
            list.extend(node.0.to_le_bytes());
            list.extend((known.state as u32).to_le_bytes());
        }
        if self.own().flags & flags::QDEVICE_REGISTERED != 0 {
            // The device has the number 0 and no state of its own.
            list.extend([0; 8]);
            count += 1;
        }
        let layout = Layout::response(48).u32(24, self.quorate.into()).u64(32, context);
        let body = layout.count(40, count).then(&list).finish();
        event(conn, QUORUM, Status::Ok, body)
    }

    pub(crate) fn nodelist_event(&self, conn: Conn, context: u64) -> Output {
        let layout = Layout::response(56).u64(24, context).ring(32, self.ring);
        let body = layout.count(48, self.members.len()).then_nodes(&self.members).finish();
        event(conn, NODELIST, Status::Ok, body)
    }
}
