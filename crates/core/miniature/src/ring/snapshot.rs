//! Recording and resuming a ring.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use observe::Node;
use sansio::edge::{self, Conn, Input};
use sansio::{
    Elided, Mono, NoJob, Outbox, Record, RecordError, Recorded, Secrets, TimerId, TimerTable,
};
use wire::{Malformed, Reader, Writer};

use super::clients::Clients;
use super::form::Phase;
use super::message::{
    Body, Datagram, put_log, put_members, put_message, put_old, put_option, read_log, read_members,
    read_message, read_old, read_option,
};
use super::order::{PENDING, View};
use super::{OUTBOX, Peer, Ring, Timer};
use crate::ipc::{self, MAX_NODES};

const FORMAT: u8 = 1;
const MAX_COMMIT: usize = 1 << 20;
const MAX_CLIENTS: u32 = 65_536;

impl Recorded for Ring {
    /// Nothing that reaches a ring is secret: every field is kept.
    fn redact(input: &Input<NoJob>, _: &mut Secrets) -> Record {
        edge::record(input, |none| match *none {})
    }

    fn restore(
        kind: &str,
        body: &[u8],
        elided: Option<Elided>,
    ) -> Result<Input<NoJob>, RecordError> {
        if elided.is_some() {
            return Err(RecordError::Elided);
        }
        edge::restore(kind, body, |_| Err(RecordError::UnknownKind("job outcome".into())))
    }

    /// None while a proposal or promise is under way: that takes less than a
    /// second, and the recorder asks again.
    fn snapshot(&self) -> Option<Vec<u8>> {
        if !self.out.is_empty() {
            return None;
        }
        let mut w = Writer::new();
        w.u8(FORMAT).u32(self.node.0).u64(self.epoch).u64(self.promised);
        w.u64(self.persists).u64(self.sent);
        put_map(&mut w, &self.nodes, |w, address| {
            w.text(&address.to_string());
        });
        put_map(&mut w, &self.peers, put_peer);
        put_timers(&mut w, &self.timers, self.last_timer);
        w.u32(u32::try_from(self.clients.tracking.len()).ok()?);
        for (conn, tracks) in &self.clients.tracking {
            w.u64(conn.0).u8((*tracks).into());
        }
        match &self.phase {
            Phase::Gather { old } => put_old(w.u8(0), old.as_ref()),
            Phase::Member(view) => put_view(w.u8(1), view),
            Phase::Propose { .. } | Phase::Promise { .. } => return None,
        }
        Some(w.finish())
    }

    fn resume(snapshot: &[u8]) -> Result<Self, RecordError> {
        let mut r = Reader::new(snapshot);
        if r.u8("a format")? != FORMAT {
            return Err(r.refuse("a snapshot in format 1").into());
        }
        let (node, epoch) = (Node(r.u32("a node")?), r.u64("an epoch")?);
        let (promised, persists) = (r.u64("a promise")?, r.u64("a count")?);
        let sent = r.u64("a count")?;
        let nodes = read_map(&mut r, read_address)?;
        let peers = read_map(&mut r, read_peer)?;
        let (timers, last_timer) = read_timers(&mut r)?;
        let clients = read_clients(&mut r)?;
        let phase = match r.u8("a phase")? {
            0 => Phase::Gather { old: read_old(&mut r)? },
            1 => Phase::Member(Box::new(read_view(&mut r)?)),
            _ => return Err(r.refuse("phase 0 or 1").into()),
        };
        r.end()?;
        let out = Outbox::with_bound(OUTBOX);
        Ok(Self {
            node,
            epoch,
            nodes,
            phase,
            promised,
            persists,
            peers,
            clients,
            sent,
            timers,
            last_timer,
            out,
        })
    }
}

fn put_map<T>(w: &mut Writer, map: &BTreeMap<Node, T>, put: impl Fn(&mut Writer, &T)) {
    w.u8(u8::try_from(map.len()).expect("at most MAX_NODES"));
    for (node, value) in map {
        w.u32(node.0);
        put(w, value);
    }
}

fn read_map<T>(
    r: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<BTreeMap<Node, T>, Malformed> {
    let count = r.u8("a number of nodes")?;
    if usize::from(count) > MAX_NODES {
        return Err(r.refuse("at most 64 nodes"));
    }
    (0..count).map(|_| Ok((Node(r.u32("a node")?), read(r)?))).collect()
}

fn read_address(r: &mut Reader<'_>) -> Result<SocketAddr, Malformed> {
    let text = r.text(64, "an address")?;
    text.parse().map_err(|_| r.refuse("an address and port"))
}

fn put_peer(w: &mut Writer, peer: &Peer) {
    w.u64(peer.epoch).u64(peer.heard_at.0).u8(peer.hears_me.into()).u64(peer.promised);
}

fn read_peer(r: &mut Reader<'_>) -> Result<Peer, Malformed> {
    Ok(Peer {
        epoch: r.u64("an epoch")?,
        heard_at: Mono(r.u64("a time")?),
        hears_me: r.u8("a flag")? != 0,
        promised: r.u64("a promise")?,
    })
}

fn put_timers(w: &mut Writer, timers: &TimerTable<Timer>, last: Option<Timer>) {
    for timer in Timer::ALL {
        put_option(w, timers.deadline(*timer).as_ref(), |w, at| {
            w.u64(at.0);
        });
        w.u8((last == Some(*timer)).into());
    }
}

fn read_timers(r: &mut Reader<'_>) -> Result<(TimerTable<Timer>, Option<Timer>), Malformed> {
    let (mut timers, mut last) = (TimerTable::new(), None);
    for timer in Timer::ALL {
        if let Some(at) = read_option(r, |r| r.u64("a deadline"))? {
            timers.arm(*timer, Mono(at));
        }
        if r.u8("a flag")? != 0 {
            last = Some(*timer);
        }
    }
    Ok((timers, last))
}

fn read_clients(r: &mut Reader<'_>) -> Result<Clients, Malformed> {
    let count = r.u32("a number of clients")?;
    if count > MAX_CLIENTS {
        return Err(r.refuse("at most 65536 clients"));
    }
    let one = |r: &mut Reader<'_>| Ok((Conn(r.u64("a client")?), r.u8("a flag")? != 0));
    let tracking = (0..count).map(|_| one(r)).collect::<Result<_, Malformed>>()?;
    Ok(Clients { tracking })
}

fn put_view(w: &mut Writer, view: &View) {
    put_members(ipc::put_ring(w, view.ring), &view.members);
    put_map(w, &view.heard_at, |w, at| {
        w.u64(at.0);
    });
    w.u64(view.delivered).u64(view.stable).u64(view.first).u64(view.last_seq);
    put_log(w, &view.log);
    w.u8(u8::try_from(view.pending.len()).expect("at most PENDING"));
    view.pending.iter().for_each(|message| put_message(w, message));
    let number = |w: &mut Writer, number: &u64| {
        w.u64(*number);
    };
    put_map(w, &view.next_number, number);
    put_map(w, &view.acks, number);
    put_option(w, view.commit.as_ref(), |w, commit| {
        let body = commit.clone();
        w.blob(&Datagram { sender: Node(0), epoch: 0, body }.encode());
    });
}

fn read_view(r: &mut Reader<'_>) -> Result<View, Malformed> {
    Ok(View {
        ring: ipc::ring(r)?,
        members: read_members(r)?,
        heard_at: read_map(r, |r| Ok(Mono(r.u64("a time")?)))?,
        delivered: r.u64("a sequence")?,
        stable: r.u64("a sequence")?,
        first: r.u64("a number")?,
        last_seq: r.u64("a sequence")?,
        log: read_log(r)?,
        pending: read_pending(r)?,
        next_number: read_map(r, |r| r.u64("a number"))?,
        acks: read_map(r, |r| r.u64("a sequence"))?,
        commit: read_option(r, read_commit)?,
    })
}

fn read_pending(r: &mut Reader<'_>) -> Result<VecDeque<super::message::Message>, Malformed> {
    let count = r.u8("a number of messages")?;
    if usize::from(count) > PENDING {
        return Err(r.refuse("at most 64 pending messages"));
    }
    (0..count).map(|_| read_message(r)).collect()
}

fn read_commit(r: &mut Reader<'_>) -> Result<Body, Malformed> {
    Ok(Datagram::decode(r.blob(MAX_COMMIT, "a commit")?)?.body)
}
