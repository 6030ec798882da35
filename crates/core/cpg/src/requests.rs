//! Requests of local clients.

use std::collections::VecDeque;

use ring_service::{Layout, NODES_MAX, Status, View, response};
use sansio::edge::{Channel, Conn, Frame, Level};
use wire::Malformed;

use crate::clients::State;
use crate::message::{Message, Part, Reason};
use crate::name::Name;
use crate::{Cpg, Process};

const JOIN: i32 = 0;
const LEAVE: i32 = 1;
const MCAST: i32 = 2;
const MEMBERSHIP: i32 = 3;
const LOCAL_GET: i32 = 4;
const ITERATION_INITIALIZE: i32 = 5;
const ITERATION_NEXT: i32 = 6;
const ITERATION_FINALIZE: i32 = 7;
const FINALIZE: i32 = 8;
const ZERO_COPY_ALLOC: i32 = 9;
const ZERO_COPY_EXECUTE: i32 = 11;
const PARTIAL_MCAST: i32 = 12;

const JOIN_ANSWER: i32 = 0;
const LEAVE_ANSWER: i32 = 1;
const MEMBERSHIP_ANSWER: i32 = 3;
const LOCAL_GET_ANSWER: i32 = 7;
const ITERATION_INITIALIZE_ANSWER: i32 = 9;
const ITERATION_NEXT_ANSWER: i32 = 10;
const ITERATION_FINALIZE_ANSWER: i32 = 11;
const FINALIZE_ANSWER: i32 = 12;
const PARTIAL_SEND_ANSWER: i32 = 18;

const NAMES_ONLY: u32 = 1;
const ONE_GROUP: u32 = 2;
const FIRST_PART: u32 = 1;
/// More open iterations of one client are a mistake of it.
const ITERATIONS_MAX: usize = 256;

/// How many requests there are; higher ids do not exist.
pub const ALL_GROUPS_REQUESTS: i32 = 13;

/// Whether a request waits for the end of a synchronization.
pub fn flow_controlled(id: i32) -> bool {
    !(MEMBERSHIP..=ITERATION_FINALIZE).contains(&id)
}

impl Cpg {
    /// Serves a request.
    pub fn request(&mut self, conn: Conn, frame: &Frame) {
        if frame.channel != Channel::Request || !self.clients.contains_key(&conn) {
            return;
        }
        let view = View::request(&frame.body);
        let served = self.serve(conn, frame.id, &view);
        if let Err(why) = served {
            self.log(Level::Warning, format!("request {} of a cpg client: {why}", frame.id));
            if frame.id != MCAST {
                self.answer(conn, 0, Status::InvalidParam);
            }
        }
    }

    fn serve(&mut self, conn: Conn, id: i32, view: &View<'_>) -> Result<(), Malformed> {
        match id {
            JOIN => self.join(conn, view)?,
            LEAVE => self.ask_leave(conn, view)?,
            MCAST => self.mcast(conn, view)?,
            PARTIAL_MCAST => self.partial_mcast(conn, view)?,
            MEMBERSHIP => self.membership(conn, view)?,
            LOCAL_GET => self.local_get(conn),
            ITERATION_INITIALIZE => self.iteration_initialize(conn, view)?,
            ITERATION_NEXT => self.iteration_next(conn, view)?,
            ITERATION_FINALIZE => self.iteration_finalize(conn, view)?,
            FINALIZE => self.finalize(conn),
            ZERO_COPY_ALLOC..=ZERO_COPY_EXECUTE => self.answer(conn, 0, Status::NotSupported),
            _ => self.answer(conn, 0, Status::InvalidParam),
        }
        Ok(())
    }

    fn answer(&mut self, conn: Conn, id: i32, status: Status) {
        self.out.push_back(response(conn, id, status, Vec::new()));
    }

    fn join(&mut self, conn: Conn, view: &View<'_>) -> Result<(), Malformed> {
        let (pid, flags) = (view.u32(152, "a process")?, view.u32(160, "flags")?);
        let status = match Name::read(view, 16) {
            Ok(group) => self.try_join(conn, group, pid, flags),
            Err(_) => Status::NameTooLong,
        };
        self.answer(conn, JOIN_ANSWER, status);
        Ok(())
    }

    /// The same process is in the same group only once, also while its leave
    /// is under way.
    fn try_join(&mut self, conn: Conn, group: Name, pid: u32, flags: u32) -> Status {
        let mut open = self.clients.values().filter(|client| !client.finalized);
        if open.any(|client| client.pid == pid && client.is_in(&group)) {
            return Status::Exist;
        }
        let process = Process { node: self.me, pid, group: group.clone() };
        if self.processes.contains(&process) {
            return Status::TryAgain;
        }
        let Some(client) = self.clients.get_mut(&conn) else { return Status::Library };
        match client.state {
            State::Leaving => Status::Busy,
            State::Joining | State::Joined => Status::Exist,
            State::Unjoined => {
                client.state = State::Joining;
                (client.pid, client.flags) = (pid, flags);
                client.group = Some(group.clone());
                self.send(&Message::Join { group, pid }, conn);
                Status::Ok
            }
        }
    }

    fn ask_leave(&mut self, conn: Conn, view: &View<'_>) -> Result<(), Malformed> {
        let group = Name::read(view, 16)?;
        let pid = view.u32(152, "a process")?;
        let Some(client) = self.clients.get_mut(&conn) else { return Ok(()) };
        let status = match client.state {
            State::Unjoined | State::Leaving => Status::NotExist,
            State::Joining => Status::Busy,
            State::Joined if client.pid != pid || !client.is_in(&group) => Status::NotExist,
            State::Joined => {
                client.state = State::Leaving;
                let reason = Reason::Leave.number();
                self.send(&Message::Leave { group, pid, reason }, conn);
                Status::Ok
            }
        };
        self.answer(conn, LEAVE_ANSWER, status);
        Ok(())
    }

    /// [CPG-4] Only members of a group send to it, and only to their own.
    fn may_send(&self, conn: Conn) -> Option<(Name, u32)> {
        let client = self.clients.get(&conn)?;
        let member = matches!(client.state, State::Joining | State::Joined);
        let member = member || sansio::mutant::active("CPG-4/remove");
        let leaving = client.state == State::Leaving && sansio::mutant::active("CPG-4/weaken");
        let group = client.group.clone()?;
        (member || leaving).then_some((group, client.pid))
    }

    fn mcast(&mut self, conn: Conn, view: &View<'_>) -> Result<(), Malformed> {
        let len = usize::try_from(view.u32(32, "a length")?).unwrap_or(usize::MAX);
        let bytes = view.raw(40, len, "a message")?.to_vec();
        match self.may_send(conn) {
            Some((group, pid)) => {
                self.send(&Message::Mcast { group, pid, bytes, part: None }, conn);
            }
            None => self.log(Level::Error, "a cpg client sends without a group: dropped".into()),
        }
        Ok(())
    }

    fn partial_mcast(&mut self, conn: Conn, view: &View<'_>) -> Result<(), Malformed> {
        let len = usize::try_from(view.u32(40, "a length")?).unwrap_or(usize::MAX);
        let bytes = view.raw(56, len, "a part of a message")?.to_vec();
        let part = Part { whole_len: view.u32(32, "a length")?, kind: view.u32(48, "a kind")? };
        let Some(client) = self.clients.get_mut(&conn) else { return Ok(()) };
        if part.kind == FIRST_PART {
            client.changes_at_first_part = client.changes;
        }
        let interrupted = client.changes != client.changes_at_first_part;
        let status = match self.may_send(conn) {
            _ if interrupted => Status::Interrupt,
            None => Status::NotExist,
            Some((group, pid)) => {
                self.send(&Message::Mcast { group, pid, bytes, part: Some(part) }, conn);
                Status::Ok
            }
        };
        self.answer(conn, PARTIAL_SEND_ANSWER, status);
        Ok(())
    }

    fn membership(&mut self, conn: Conn, view: &View<'_>) -> Result<(), Malformed> {
        let group = Name::read(view, 16)?;
        let members = self.processes.iter().filter(|process| process.group == group);
        let members: Vec<_> = members.take(NODES_MAX).collect();
        let write = |layout: Layout, (i, process): (usize, &&Process)| {
            layout.u32(32 + 24 * i, process.node.0).u32(40 + 24 * i, process.pid)
        };
        let layout = Layout::response(9248).count(24, members.len());
        let body = members.iter().enumerate().fold(layout, write).finish();
        self.out.push_back(response(conn, MEMBERSHIP_ANSWER, Status::Ok, body));
        Ok(())
    }

    fn local_get(&mut self, conn: Conn) {
        let body = Layout::response(32).u32(24, self.me.0).finish();
        self.out.push_back(response(conn, LOCAL_GET_ANSWER, Status::Ok, body));
    }

    fn iteration_initialize(&mut self, conn: Conn, view: &View<'_>) -> Result<(), Malformed> {
        let kind = view.u32(152, "a kind")?;
        // Only then does the library fill the name in.
        let group = if kind == ONE_GROUP { Name::read(view, 16)? } else { Name::default() };
        let items = self.iterated(kind, &group);
        let Some(client) = self.clients.get_mut(&conn) else { return Ok(()) };
        let (status, handle) = if client.iterations.len() < ITERATIONS_MAX {
            let handle = self.next_iteration;
            self.next_iteration += 1;
            client.iterations.insert(handle, items);
            (Status::Ok, handle)
        } else {
            (Status::NoResources, 0)
        };
        let body = Layout::response(32).u64(24, handle).finish();
        self.out.push_back(response(conn, ITERATION_INITIALIZE_ANSWER, status, body));
        Ok(())
    }

    /// Processes of one group together; groups and, within one, processes in
    /// the order that tools print: a new group in front, its later processes
    /// behind the first.
    fn iterated(&self, kind: u32, group: &Name) -> VecDeque<Process> {
        let mut items: VecDeque<Process> = VecDeque::new();
        for process in &self.processes {
            let first = items.iter().position(|item| item.group == process.group);
            let skip = (kind == NAMES_ONLY && first.is_some())
                || (kind == ONE_GROUP && process.group != *group);
            if skip {
                continue;
            }
            let mut item = process.clone();
            if kind == NAMES_ONLY {
                (item.node.0, item.pid) = (0, 0);
            }
            items.insert(first.map_or(0, |first| first + 1), item);
        }
        items
    }

    fn iteration_next(&mut self, conn: Conn, view: &View<'_>) -> Result<(), Malformed> {
        let handle = view.u64(16, "a handle")?;
        let Some(client) = self.clients.get_mut(&conn) else { return Ok(()) };
        let layout = Layout::response(168);
        let (status, layout) = match client.iterations.get_mut(&handle).map(VecDeque::pop_front) {
            None => (Status::Library, layout),
            Some(None) => (Status::NoSections, layout),
            Some(Some(item)) => {
                let layout = item.group.write(layout, 24);
                (Status::Ok, layout.u32(160, item.node.0).u32(164, item.pid))
            }
        };
        self.out.push_back(response(conn, ITERATION_NEXT_ANSWER, status, layout.finish()));
        Ok(())
    }

    fn iteration_finalize(&mut self, conn: Conn, view: &View<'_>) -> Result<(), Malformed> {
        let handle = view.u64(16, "a handle")?;
        let Some(client) = self.clients.get_mut(&conn) else { return Ok(()) };
        let known = client.iterations.remove(&handle).is_some();
        let status = if known { Status::Ok } else { Status::Library };
        self.answer(conn, ITERATION_FINALIZE_ANSWER, status);
        Ok(())
    }

    fn finalize(&mut self, conn: Conn) {
        if let Some(client) = self.clients.get_mut(&conn) {
            client.finalized = true;
        }
        self.answer(conn, FINALIZE_ANSWER, Status::Ok);
    }
}
