//! Requests of local clients.

use std::net::IpAddr;

use ha_types::Node;
use ring_service::{Layout, Output, Status, View, response};
use sansio::Now;
use sansio::edge::{Channel, Conn, Frame, Level};
use wire::Malformed;

use crate::message::{self, Message, REASON_MAX};
use crate::{Cfg, Interface};

const RINGSTATUSGET: i32 = 0;
const RINGREENABLE: i32 = 1;
const KILLNODE: i32 = 2;
const TRYSHUTDOWN: i32 = 3;
const REPLYTOSHUTDOWN: i32 = 4;
const GET_NODE_ADDRS: i32 = 5;
const LOCAL_GET: i32 = 6;
const RELOAD_CONFIG: i32 = 7;
const REOPEN_LOG_FILES: i32 = 8;
const NODESTATUSGET: i32 = 9;
const TRACKSTART: i32 = 10;
const TRACKSTOP: i32 = 11;

/// How many requests there are; higher ids do not exist.
pub const REQUESTS: i32 = 12;

const RINGSTATUS_ANSWER: i32 = 0;
const RINGREENABLE_ANSWER: i32 = 1;
const TRACKSTART_ANSWER: i32 = 2;
const TRACKSTOP_ANSWER: i32 = 3;
const KILLNODE_ANSWER: i32 = 8;
pub(crate) const TRYSHUTDOWN_ANSWER: i32 = 9;
const NODE_ADDRS_ANSWER: i32 = 11;
const LOCAL_GET_ANSWER: i32 = 12;
const REPLYTOSHUTDOWN_ANSWER: i32 = 13;
pub(crate) const RELOAD_ANSWER: i32 = 14;
pub(crate) const REOPEN_ANSWER: i32 = 15;
const NODESTATUS_ANSWER: i32 = 16;

const INTERFACES_MAX: usize = 16;
const NAME_MAX: usize = 128;
const STATUS_MAX: usize = 512;
const FAMILY_INET: u32 = 2;
const FAMILY_INET6: u32 = 10;

/// Whether a request waits for the end of a synchronization.
pub fn flow_controlled(id: i32) -> bool {
    !matches!(id, GET_NODE_ADDRS | LOCAL_GET | REOPEN_LOG_FILES | NODESTATUSGET)
}

impl Cfg {
    /// Serves a request.
    pub fn request(&mut self, now: Now, conn: Conn, frame: &Frame) {
        if frame.channel != Channel::Request || !self.clients.contains_key(&conn) {
            return;
        }
        if let Err(why) = self.serve(now, conn, frame.id, &View::request(&frame.body)) {
            self.log(Level::Warning, format!("request {} of a cfg client: {why}", frame.id));
            self.answer(conn, 0, Status::InvalidParam);
        }
    }

    fn serve(&mut self, now: Now, conn: Conn, id: i32, view: &View<'_>) -> Result<(), Malformed> {
        match id {
            RINGSTATUSGET => self.ring_status(conn),
            RINGREENABLE => self.answer(conn, RINGREENABLE_ANSWER, Status::NotSupported),
            KILLNODE => {
                let status = self.kill(view)?;
                self.answer(conn, KILLNODE_ANSWER, status);
            }
            TRYSHUTDOWN => {
                let flags = view.u32(16, "flags")?;
                if let Some(status) = self.try_shutdown(now, conn, flags) {
                    self.answer(conn, TRYSHUTDOWN_ANSWER, status);
                }
            }
            REPLYTOSHUTDOWN => {
                let status = self.vote(conn, view.u32(16, "an answer")? != 0);
                self.answer(conn, REPLYTOSHUTDOWN_ANSWER, status);
            }
            GET_NODE_ADDRS => self.node_addresses(conn, Node(view.u32(16, "a node")?)),
            LOCAL_GET => {
                let body = Layout::response(32).u32(24, self.me.0).finish();
                self.out.push_back(response(conn, LOCAL_GET_ANSWER, Status::Ok, body));
            }
            RELOAD_CONFIG => {
                self.reloading.insert(conn);
                self.say(&Message::Reload { asker: conn });
            }
            REOPEN_LOG_FILES => self.out.push_back(Output::ReopenLogs { asker: conn }),
            NODESTATUSGET => {
                let node = Node(view.u32(16, "a node")?);
                self.node_status(conn, node, view.u32(24, "a version")?);
            }
            TRACKSTART => {
                self.track(conn);
                self.answer(conn, TRACKSTART_ANSWER, Status::Ok);
            }
            TRACKSTOP => {
                self.untrack(conn);
                self.answer(conn, TRACKSTOP_ANSWER, Status::Ok);
            }
            _ => self.answer(conn, 0, Status::InvalidParam),
        }
        Ok(())
    }

    fn answer(&mut self, conn: Conn, id: i32, status: Status) {
        self.out.push_back(response(conn, id, status, Vec::new()));
    }

    fn ring_status(&mut self, conn: Conn) {
        let links: Vec<&Interface> = self.interfaces.iter().take(INTERFACES_MAX).collect();
        let write = |layout: Layout, (i, interface): (usize, &&Interface)| {
            let name = format!("{} {}", interface.link, interface.address);
            let layout = layout.text(32 + i * NAME_MAX, NAME_MAX, &name);
            layout.text(2080 + i * STATUS_MAX, STATUS_MAX, &interface.status)
        };
        let layout = Layout::response(10272).count(24, links.len());
        let body = links.iter().enumerate().fold(layout, write).finish();
        self.out.push_back(response(conn, RINGSTATUS_ANSWER, Status::Ok, body));
    }

    /// Only a member can be killed.
    fn kill(&mut self, view: &View<'_>) -> Result<Status, Malformed> {
        let node = Node(view.u32(16, "a node")?);
        let len = view.raw(24, 2, "a length")?;
        let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
        let reason = message::reason(view.raw(26, REASON_MAX, "a reason")?, len)?;
        if !self.members.contains(&node) {
            return Ok(Status::NotExist);
        }
        self.say(&Message::KillNode { node, reason });
        Ok(Status::Ok)
    }

    fn node_addresses(&mut self, conn: Conn, node: Node) {
        let node = if node.0 == 0 { self.me } else { node };
        let addresses = self.addresses.get(&node).filter(|addresses| !addresses.is_empty());
        let (status, body) = match addresses {
            None => (Status::NotExist, Layout::response(32)),
            Some(addresses) => {
                let family = if addresses[0].is_ipv6() { FAMILY_INET6 } else { FAMILY_INET };
                let list: Vec<u8> = addresses.iter().copied().flat_map(address).collect();
                let layout = Layout::response(32).u32(24, family).count(28, addresses.len());
                (Status::Ok, layout.then(&list))
            }
        };
        self.out.push_back(response(conn, NODE_ADDRS_ANSWER, status, body.finish()));
    }

    fn node_status(&mut self, conn: Conn, node: Node, version: u32) {
        let known = self.node_status.get(&node);
        let refusal = || Layout::response(32).finish();
        let (status, body) = match known {
            None => (Status::FailedOperation, refusal()),
            Some(known) if version == 1 => (Status::Ok, known.write(node.0)),
            Some(_) => (Status::NotSupported, refusal()),
        };
        self.out.push_back(response(conn, NODESTATUS_ANSWER, status, body));
    }
}

fn address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            bytes
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}
