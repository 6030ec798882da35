//! The local clients of the ring: keepers, and whoever wants to watch.

use std::collections::BTreeMap;

use observe::{Node, RingId};
use sansio::Mono;
use sansio::edge::{Channel, Conn, Frame, Level, Output};

use super::Ring;
use crate::ipc::{
    DELIVER, DeliverEvent, FROM_START, GATHERING, MCAST, TRACK, VIEW, ViewEvent, decode_mcast,
};

const EAGAIN: i32 = -11;
const EINVAL: i32 = -22;
const ESTALE: i32 = -116;

/// Each client, and whether it asked for events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Clients {
    pub(super) tracking: BTreeMap<Conn, bool>,
}

impl Clients {
    pub(super) fn add(&mut self, conn: Conn) {
        self.tracking.insert(conn, false);
    }

    pub(super) fn remove(&mut self, conn: Conn) {
        self.tracking.remove(&conn);
    }

    fn trackers(&self) -> Vec<Conn> {
        self.tracking.iter().filter(|(_, tracks)| **tracks).map(|(conn, _)| *conn).collect()
    }
}

impl Ring {
    pub(super) fn request(&mut self, now: Mono, conn: Conn, frame: &Frame) {
        if !self.clients.tracking.contains_key(&conn) {
            return;
        }
        match frame.id {
            TRACK => {
                self.clients.tracking.insert(conn, true);
                self.respond(conn, TRACK, 0, Vec::new());
                let missed = self.phase.view().is_some_and(|view| view.delivered > 0);
                if missed && frame.body == FROM_START {
                    self.gather(now, "a client came late that must see a ring from its start");
                } else {
                    self.tell_view_to(conn);
                }
            }
            MCAST => match self.multicast(&frame.body) {
                Ok(number) => self.respond(conn, MCAST, 0, number.to_le_bytes().to_vec()),
                Err(errno) => self.respond(conn, MCAST, errno, Vec::new()),
            },
            other => {
                self.log(Level::Warning, format!("a client sent request {other}, which is none"));
                self.respond(conn, other, EINVAL, Vec::new());
            }
        }
    }

    /// [MIN-9] A message is taken only for the ring for which it was decided: a
    /// client that lags behind decides on what is no longer true.
    fn multicast(&mut self, body: &[u8]) -> Result<u64, i32> {
        let (ring, bytes) = decode_mcast(body).map_err(|_| EINVAL)?;
        let view = self.phase.view().ok_or(EAGAIN)?;
        let is_current = if sansio::mutant::active("MIN-9/remove") {
            true
        } else if sansio::mutant::active("MIN-9/weaken") {
            ring.rep == view.ring.rep
        } else {
            ring == view.ring
        };
        if !is_current {
            return Err(ESTALE);
        }
        self.submit(bytes).ok_or(EAGAIN)
    }

    fn respond(&mut self, conn: Conn, id: i32, error: i32, body: Vec<u8>) {
        let frame = Frame { channel: Channel::Response, id, error, body };
        self.out.push(Output::Frame { conn, frame });
    }

    fn event(&mut self, conn: Conn, id: i32, body: Vec<u8>) {
        let frame = Frame { channel: Channel::Event, id, error: 0, body };
        self.out.push(Output::Frame { conn, frame });
    }

    /// A client that does not read would have to be waited for, or be told only
    /// half of what happened: it is dropped and may come back.
    pub(super) fn drop_client(&mut self, conn: Conn) {
        if self.clients.tracking.remove(&conn).is_some() {
            let why = "it does not read its events".to_string();
            self.out.push(Output::Close { conn, why });
        }
    }

    pub(super) fn tell_view(&mut self) {
        for conn in self.clients.trackers() {
            self.tell_view_to(conn);
        }
        self.hold_back(0);
    }

    fn tell_view_to(&mut self, conn: Conn) {
        let Some(view) = self.phase.view() else {
            return self.event(conn, GATHERING, Vec::new());
        };
        let quorate = self.is_quorate(view.members.len());
        let members = super::node_set(&view.members);
        let body = ViewEvent { ring: view.ring, quorate, members }.encode();
        self.event(conn, VIEW, body);
    }

    pub(super) fn tell_gathering(&mut self) {
        for conn in self.clients.trackers() {
            self.event(conn, GATHERING, Vec::new());
        }
        self.hold_back(1);
    }

    /// While no ring stands, requests wait instead of failing one by one.
    fn hold_back(&mut self, level: u8) {
        for conn in self.clients.tracking.keys() {
            self.out.push(Output::FlowControl { conn: *conn, level });
        }
    }

    pub(super) fn tell_delivery(&mut self, ring: RingId, sender: Node, bytes: Vec<u8>) {
        let body = DeliverEvent { ring, sender, bytes }.encode();
        for conn in self.clients.trackers() {
            self.event(conn, DELIVER, body.clone());
        }
    }
}
