//! Local connections between the processes of one node.
//!
//! Each direction is a bounded queue, as a ring of shared memory or a socket's
//! buffer is. Above a high mark the sender is told `Blocked`, below a low one
//! `Writable`; a message beyond the bound costs the connection. What is queued
//! when a side closes or dies is still read by the other before it is told.

use std::collections::{BTreeMap, VecDeque};

use observe::Node;
use sansio::edge::{Conn, Frame};

/// One life of a daemon on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pid {
    pub(crate) node: Node,
    /// Its place in the stack's list of daemons.
    pub(crate) slot: usize,
    /// Counts all lives of all daemons of the node.
    pub(crate) life: u64,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) pid: Pid,
    pub(crate) conn: Conn,
}

/// What flows from one end to the other.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) queue: VecDeque<Frame>,
    /// Whether the next transfer has been scheduled.
    pub(crate) scheduled: bool,
    /// Whether the sender has been told that it is blocked.
    pub(crate) blocked: bool,
    /// The sender is gone or has closed: why, once the queue is empty.
    pub(crate) ending: Option<String>,
}

/// A connection: end 0 is the client, end 1 the server; flow 0 goes from the
/// client to the server.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) ends: [End; 2],
    pub(crate) flows: [Flow; 2],
    /// Flow control: the server holds the client's requests back.
    pub(crate) held: bool,
}

/// All connections of a world.
#[derive(Debug)]
pub(crate) struct Locals {
    bound: usize,
    last: u64,
    all: BTreeMap<u64, Local>,
    index: BTreeMap<(Pid, Conn), (u64, usize)>,
}

/// What became of a message that was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    /// It waits.
    Fine,
    /// It waits, and the sender is to be told that it is blocked.
    NowBlocked,
    /// There was no room: the connection is to be dropped.
    Overflow,
}

impl Locals {
    /// Queues hold `bound` messages, at least 4.
    pub(crate) fn new(bound: usize) -> Self {
        Self { bound: bound.max(4), last: 0, all: BTreeMap::new(), index: BTreeMap::new() }
    }

    /// Queues hold `bound` messages from now on; what is queued stays.
    pub(crate) fn set_bound(&mut self, bound: usize) {
        self.bound = bound.max(4);
    }

    pub(crate) fn open(&mut self, client: End, server: End) -> u64 {
        self.last += 1;
        let id = self.last;
        self.index.insert((client.pid, client.conn), (id, 0));
        self.index.insert((server.pid, server.conn), (id, 1));
        let flows = [Flow::default(), Flow::default()];
        self.all.insert(id, Local { ends: [client, server], flows, held: false });
        id
    }

    /// The connection that a process calls `conn`, and which end it is.
    pub(crate) fn find(&self, pid: Pid, conn: Conn) -> Option<(u64, usize)> {
        self.index.get(&(pid, conn)).copied()
    }

    pub(crate) fn entry(&mut self, id: u64) -> Option<&mut Local> {
        self.all.get_mut(&id)
    }

    /// Queues a message from `end`.
    pub(crate) fn push(&mut self, id: u64, end: usize, frame: Frame) -> Queued {
        let (bound, high) = (self.bound, self.bound * 3 / 4);
        let Some(local) = self.all.get_mut(&id) else { return Queued::Fine };
        let flow = &mut local.flows[end];
        if flow.ending.is_some() {
            return Queued::Fine;
        }
        if flow.queue.len() >= bound {
            return Queued::Overflow;
        }
        flow.queue.push_back(frame);
        if flow.queue.len() >= high && !flow.blocked {
            flow.blocked = true;
            return Queued::NowBlocked;
        }
        Queued::Fine
    }

    /// Takes the next message from `end`, and says whether its sender is to be
    /// told that there is room again.
    pub(crate) fn pop(&mut self, id: u64, end: usize) -> Option<(Frame, bool)> {
        let low = self.bound / 4;
        let flow = &mut self.all.get_mut(&id)?.flows[end];
        let frame = flow.queue.pop_front()?;
        let writable = flow.blocked && flow.queue.len() <= low;
        if writable {
            flow.blocked = false;
        }
        Some((frame, writable))
    }

    /// Forgets a connection.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Local> {
        let local = self.all.remove(&id)?;
        for end in local.ends {
            self.index.remove(&(end.pid, end.conn));
        }
        Some(local)
    }

    /// The connections of a process, with its end of each.
    pub(crate) fn of(&self, pid: Pid) -> Vec<(u64, usize)> {
        let first = (pid, Conn(0));
        let mine = self.index.range(first..).take_while(|((owner, _), _)| *owner == pid);
        mine.map(|(_, place)| *place).collect()
    }
}

#[cfg(test)]
mod tests {
    use sansio::edge::Channel;

    use super::*;

    fn pid(slot: usize) -> Pid {
        Pid { node: Node(1), slot, life: 1 }
    }

    fn frame(id: i32) -> Frame {
        Frame { channel: Channel::Event, id, error: 0, body: Vec::new() }
    }

    #[test]
    fn a_queue_has_marks_and_a_bound() {
        let mut locals = Locals::new(8);
        let client = End { pid: pid(1), conn: Conn(1) };
        let server = End { pid: pid(0), conn: Conn(9) };
        let id = locals.open(client, server);
        let told: Vec<Queued> = (0..9).map(|i| locals.push(id, 1, frame(i))).collect();
        assert_eq!(told[..5], [Queued::Fine; 5]);
        assert_eq!(told[5], Queued::NowBlocked);
        assert_eq!(told[6..8], [Queued::Fine; 2], "told once");
        assert_eq!(told[8], Queued::Overflow);
        let taken: Vec<(i32, bool)> =
            std::iter::from_fn(|| locals.pop(id, 1)).map(|(f, w)| (f.id, w)).collect();
        let writable_at = taken.iter().position(|(_, writable)| *writable);
        assert_eq!(taken.len(), 8);
        assert_eq!(writable_at, Some(5), "two are left");
        assert!(taken.iter().map(|(id, _)| *id).eq(0..8));
        assert_eq!(locals.push(id, 0, frame(0)), Queued::Fine, "the other way is free");
    }

    #[test]
    fn a_connection_is_known_by_both_names_until_it_is_removed() {
        let mut locals = Locals::new(8);
        let client = End { pid: pid(1), conn: Conn(1) };
        let server = End { pid: pid(0), conn: Conn(9) };
        let id = locals.open(client, server);
        assert_eq!(locals.find(pid(1), Conn(1)), Some((id, 0)));
        assert_eq!(locals.find(pid(0), Conn(9)), Some((id, 1)));
        assert_eq!(locals.of(pid(0)), [(id, 1)]);
        let reborn = Pid { life: 2, ..pid(0) };
        assert_eq!(locals.find(reborn, Conn(9)), None);
        locals.remove(id);
        assert_eq!(locals.find(pid(1), Conn(1)), None);
        assert_eq!(locals.of(pid(0)), []);
    }
}
