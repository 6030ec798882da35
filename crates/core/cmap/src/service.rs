//! The service `cmap`: what `libcmap` asks, and what it is told.

use std::collections::BTreeMap;

use sansio::edge::{Channel, Conn, Frame};

use crate::stats::{self, Clear, Stats};
use crate::{Event, Notice, Status, Store, Tracker, Type, Value, store};

pub mod wire;

use self::wire::{Request, id};

/// The service's name on libqb IPC.
pub const NAME: &str = "cmap";
/// Most iterations and trackings that one connection may have open, each.
pub const MAX_OPEN: usize = 4096;
/// Most bytes that a client may ask room for in one answer.
const MAX_ROOM: u64 = 1024 * 1024 - 256;

const MAP_ICMAP: i32 = 0;
const MAP_STATS: i32 = 1;

/// What the service wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Send {
        /// To this client.
        conn: Conn,
        /// The response or event.
        frame: Frame,
    },
    /// Tell the part of the daemon whose tracker this is.
    Tell(Notice),
    /// Clear statistics.
    Clear(Clear),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Map {
    #[default]
    Icmap,
    Stats,
}

#[derive(Clone, Debug)]
struct Iteration {
    prefix: String,
    /// The key returned last.
    at: Option<String>,
}

#[derive(Clone, Debug)]
enum Tracking {
    Icmap { tracker: Tracker, instance: u64 },
    Stats { key: Option<String>, wanted: store::Wanted, instance: u64, last: Option<Value> },
}

#[derive(Clone, Debug, Default)]
struct Client {
    map: Map,
    next_handle: u64,
    iterations: BTreeMap<u64, Iteration>,
    trackings: BTreeMap<u64, Tracking>,
}

/// All clients of the service. The maps belong to the daemon and are lent for
/// each request.
#[derive(Clone, Debug, Default)]
pub struct Service {
    clients: BTreeMap<Conn, Client>,
    /// Which client a tracker of the store belongs to.
    owners: BTreeMap<Tracker, (Conn, u64)>,
}

impl Service {
    /// No clients.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client that may connect has connected.
    pub fn accepted(&mut self, conn: Conn) {
        self.clients.insert(conn, Client::default());
    }

    /// A client has gone; what it tracked is forgotten.
    pub fn closed(&mut self, conn: Conn, store: &mut Store) {
        let Some(client) = self.clients.remove(&conn) else { return };
        for tracking in client.trackings.into_values() {
            self.forget(&tracking, store);
        }
    }

    /// Answers a request. A request that does not exist is ignored, a malformed
    /// one is answered with `CS_ERR_INVALID_PARAM` [CMAP-9]. What others are
    /// told of a change comes before its answer.
    pub fn request(
        &mut self,
        conn: Conn,
        frame: &Frame,
        store: &mut Store,
        stats: &dyn Stats,
    ) -> Vec<Output> {
        if !self.clients.contains_key(&conn) || frame.channel != Channel::Request {
            return Vec::new();
        }
        let Some(request) = Request::decode(frame.id, &frame.body) else { return Vec::new() };
        let mut outputs = Vec::new();
        let answer = match request {
            Ok(request) => self.answer(conn, request, store, stats, &mut outputs),
            Err(_) => Err(Status::InvalidParam),
        };
        outputs.extend(self.notices(store));
        let (status, body) = match answer {
            Ok(body) => (Status::Ok, body),
            Err(status) => (status, vec![0; wire::empty_response_len(frame.id)]),
        };
        let id = Request::response_id(frame.id);
        let frame = Frame { channel: Channel::Response, id, error: status.code(), body };
        outputs.push(Output::Send { conn, frame });
        outputs
    }

    /// What is to be told of changes that the daemon itself has made.
    pub fn notices(&self, store: &mut Store) -> Vec<Output> {
        std::iter::from_fn(|| store.poll_notice()).map(|notice| self.told(notice)).collect()
    }

    /// Tells those who track single statistics of their changes; to be called
    /// about once a second.
    pub fn poll_stats(&mut self, stats: &dyn Stats) -> Vec<Output> {
        let mut outputs = Vec::new();
        for (conn, client) in &mut self.clients {
            for tracking in client.trackings.values_mut() {
                if let Some(event) = tracking.poll(stats) {
                    outputs.push(Output::Send { conn: *conn, frame: event });
                }
            }
        }
        outputs
    }

    /// Tells those who track statistics that one is new or gone.
    pub fn stats_key_changed(&self, event: Event, key: &str, value: &Value) -> Vec<Output> {
        let told = self.clients.iter().flat_map(|(conn, client)| {
            let events = client.trackings.values().filter_map(|t| t.appeared(event, key, value));
            events.map(|frame| Output::Send { conn: *conn, frame })
        });
        told.collect()
    }

    fn answer(
        &mut self,
        conn: Conn,
        request: Request,
        store: &mut Store,
        stats: &dyn Stats,
        outputs: &mut Vec<Output>,
    ) -> Result<Vec<u8>, Status> {
        let client = self.clients.get_mut(&conn).ok_or(Status::BadHandle)?;
        match request {
            Request::Set { .. } | Request::Delete { .. } | Request::Adjust { .. } => {
                let map = client.map;
                let done = change(map, request, store)?;
                outputs.extend(done.map(Output::Clear));
                Ok(Vec::new())
            }
            Request::Get { key, room } => client.get(&key, room, store, stats),
            Request::IterInit { prefix } => client.iter_init(prefix),
            Request::IterNext { handle } => client.iter_next(handle, store, stats),
            Request::IterFinalize { handle } => {
                client.iterations.remove(&handle).map(|_| Vec::new()).ok_or(Status::BadHandle)
            }
            Request::TrackAdd { key, wanted, instance } => {
                self.track(conn, key, wanted, instance, store, stats)
            }
            Request::TrackDelete { handle } => {
                let tracking = client.trackings.remove(&handle).ok_or(Status::BadHandle)?;
                self.forget(&tracking, store);
                Ok(tracking.instance().to_le_bytes().to_vec())
            }
            Request::SetMap { map } => client.set_map(map),
        }
    }

    fn track(
        &mut self,
        conn: Conn,
        key: Option<String>,
        wanted: store::Wanted,
        instance: u64,
        store: &mut Store,
        stats: &dyn Stats,
    ) -> Result<Vec<u8>, Status> {
        let client = self.clients.get_mut(&conn).ok_or(Status::BadHandle)?;
        if client.trackings.len() >= MAX_OPEN {
            return Err(Status::NoResources);
        }
        let tracking = match client.map {
            Map::Icmap => {
                Tracking::Icmap { tracker: store.track(key.as_deref(), wanted)?, instance }
            }
            Map::Stats => {
                stats::check_tracking(wanted)?;
                let last = key.as_deref().and_then(|key| stats.value(key));
                Tracking::Stats { key, wanted, instance, last }
            }
        };
        if let Tracking::Icmap { tracker, .. } = tracking {
            self.owners.insert(tracker, (conn, instance));
        }
        let handle = client.new_handle();
        client.trackings.insert(handle, tracking);
        Ok(handle.to_le_bytes().to_vec())
    }

    fn forget(&mut self, tracking: &Tracking, store: &mut Store) {
        if let Tracking::Icmap { tracker, .. } = tracking {
            self.owners.remove(tracker);
            // It was taken from the client's list, so the store has it.
            let _ = store.untrack(*tracker);
        }
    }

    fn told(&self, notice: Notice) -> Output {
        match self.owners.get(&notice.tracker) {
            Some((conn, instance)) => {
                Output::Send { conn: *conn, frame: event_frame(&notice, *instance) }
            }
            None => Output::Tell(notice),
        }
    }
}

impl Client {
    fn get(
        &self,
        key: &str,
        room: u64,
        store: &Store,
        stats: &dyn Stats,
    ) -> Result<Vec<u8>, Status> {
        let room = usize::try_from(room.min(MAX_ROOM + 1)).map_err(|_| Status::NoMemory)?;
        if room as u64 > MAX_ROOM {
            return Err(Status::NoMemory);
        }
        let value = match self.map {
            Map::Icmap => store.value(key).cloned(),
            Map::Stats => stats.value(key),
        };
        let value = value.ok_or(Status::NotExist)?;
        let bytes = value.to_bytes();
        if room == 0 {
            return Ok(wire::got(value.value_type(), bytes.len(), &[], 0));
        }
        if room < bytes.len() {
            return Err(Status::InvalidParam);
        }
        Ok(wire::got(value.value_type(), bytes.len(), &bytes, room))
    }

    fn iter_init(&mut self, prefix: String) -> Result<Vec<u8>, Status> {
        if self.iterations.len() >= MAX_OPEN {
            return Err(Status::NoResources);
        }
        let handle = self.new_handle();
        self.iterations.insert(handle, Iteration { prefix, at: None });
        Ok(handle.to_le_bytes().to_vec())
    }

    fn iter_next(
        &mut self,
        handle: u64,
        store: &Store,
        stats: &dyn Stats,
    ) -> Result<Vec<u8>, Status> {
        let iteration = self.iterations.get_mut(&handle).ok_or(Status::BadHandle)?;
        let (prefix, at) = (iteration.prefix.as_str(), iteration.at.as_deref());
        let next = match self.map {
            Map::Icmap => {
                let next = store.next(prefix, at);
                next.map(|(key, value)| (key.to_owned(), value.wire_len(), value.value_type()))
            }
            // The length of a text is only known to who asks for its value.
            Map::Stats => {
                let next = stats.next(prefix, at);
                next.map(|(key, kind)| (key, kind.fixed_len().unwrap_or(0), kind))
            }
        };
        let (key, len, value_type) = next.ok_or(Status::NoSections)?;
        let body = wire::iterated(&key, len, value_type);
        iteration.at = Some(key);
        Ok(body)
    }

    fn set_map(&mut self, map: i32) -> Result<Vec<u8>, Status> {
        if !self.iterations.is_empty() || !self.trackings.is_empty() {
            return Err(Status::Busy);
        }
        self.map = match map {
            MAP_ICMAP => Map::Icmap,
            MAP_STATS => Map::Stats,
            _ => return Err(Status::NotExist),
        };
        Ok(Vec::new())
    }

    fn new_handle(&mut self) -> u64 {
        self.next_handle += 1;
        self.next_handle
    }
}

impl Tracking {
    fn instance(&self) -> u64 {
        match self {
            Self::Icmap { instance, .. } | Self::Stats { instance, .. } => *instance,
        }
    }

    /// The event for a single statistic that has changed since the last poll.
    /// The reference sends the new value as the old one too.
    fn poll(&mut self, stats: &dyn Stats) -> Option<Frame> {
        let Self::Stats { key: Some(key), wanted, instance, last } = self else { return None };
        if *wanted & store::PREFIX != 0 {
            return None;
        }
        let now = stats.value(key)?;
        if last.as_ref() == Some(&now) {
            return None;
        }
        *last = Some(now.clone());
        Some(stats_event(Event::Modify, key, &now, *instance))
    }

    fn appeared(&self, event: Event, changed: &str, value: &Value) -> Option<Frame> {
        let Self::Stats { key, wanted, instance, .. } = self else { return None };
        let below = *wanted & store::PREFIX != 0;
        let is_meant = match key {
            Some(key) => changed == key || below && changed.starts_with(key.as_str()),
            None => below,
        };
        let is_wanted = is_meant && *wanted & event as i32 != 0;
        is_wanted.then(|| stats_event(event, changed, value, *instance))
    }
}

/// Changes the map; Some when statistics are to be cleared.
fn change(map: Map, request: Request, store: &mut Store) -> Result<Option<Clear>, Status> {
    let key = match &request {
        Request::Set { key, .. } | Request::Delete { key } | Request::Adjust { key, .. } => key,
        _ => return Err(Status::InvalidParam),
    };
    let is_read_only = match map {
        Map::Icmap => store.is_read_only(key),
        Map::Stats => stats::is_read_only(key),
    };
    if is_read_only {
        return Err(Status::Access);
    }
    match (map, request) {
        (Map::Icmap, Request::Set { key, len, value_type, bytes }) => {
            let value_type = Type::from_number(value_type).ok_or(Status::InvalidParam)?;
            let value = Value::from_client(value_type, len, &bytes).ok_or(Status::InvalidParam)?;
            store.set(&key, value).map(|()| None)
        }
        (Map::Icmap, Request::Delete { key }) => store.delete(&key).map(|()| None),
        (Map::Icmap, Request::Adjust { key, step }) => store.adjust(&key, step).map(|()| None),
        (Map::Stats, Request::Set { key, .. }) => stats::cleared_by(&key).map(Some),
        _ => Err(Status::NotSupported),
    }
}

fn stats_event(event: Event, key: &str, value: &Value, instance: u64) -> Frame {
    let both = Some(value.clone());
    let key = key.to_owned();
    let notice = Notice { tracker: Tracker(0), event, key, new: both.clone(), old: both };
    event_frame(&notice, instance)
}

fn event_frame(notice: &Notice, instance: u64) -> Frame {
    let body = wire::notification(notice, instance);
    Frame { channel: Channel::Event, id: id::NOTIFY, error: Status::Ok.code(), body }
}

#[cfg(test)]
mod tests;
