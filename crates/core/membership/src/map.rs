//! The configuration map of a running daemon: what it shows, and what it reacts to.

use cmap::service::Service;
use cmap::sync::{self, VersionCheck};
use cmap::{Event, Notice, PREFIX, Store, Tracker, Value, access};
use corosync_conf::{Config, Keys};
use ring_service::{MapValue, View};
use sansio::edge::Who;

/// The map with its clients and its part in synchronization.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    pub(crate) store: Store,
    pub(crate) service: Service,
    pub(crate) version: VersionCheck,
    users: Tracker,
    cancel_wait: Tracker,
    config_version: Tracker,
}

/// What a change of the map asks of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Let somebody in or no longer.
    Allow(Who, bool),
    /// An administrator does not want to wait for all any more.
    CancelWaitForAll,
    /// The configuration's version has changed.
    NewVersion,
}

const CANCEL_WAIT_FOR_ALL: &str = "quorum.cancel_wait_for_all";
const ANY: i32 = Event::Add as i32 | Event::Modify as i32 | Event::Delete as i32;

/// Services by number: their names to tools, and how many kinds of message
/// their nodes exchange. Those of the reference that are missing here (pload,
/// mon, wd) are missing in the map, too.
const SERVICES: [(u16, &str, u16); 5] =
    [(0, "cmap", 1), (1, "cfg", 5), (2, "cpg", 7), (3, "quorum", 0), (5, "votequorum", 4)];

impl Map {
    pub(crate) fn new(config: &Config) -> Self {
        let mut store = Store::new();
        let mut track = |key: &str, wanted| store.track(Some(key), wanted).expect("known flags");
        let mut this = Self {
            users: track("uidgid.", ANY | PREFIX),
            cancel_wait: track(CANCEL_WAIT_FOR_ALL, Event::Add as i32 | Event::Modify as i32),
            config_version: track(sync::CONFIG_VERSION, ANY),
            store,
            service: Service::new(),
            version: VersionCheck::new(),
        };
        for (key, value) in config.keys.iter() {
            this.set(key, value.clone());
        }
        this.describe(config.quorum.is_some());
        access::protect(&mut this.store).expect("nothing is protected yet");
        if config.quorum.is_some() {
            access::protect_votequorum(&mut this.store).expect("nothing of it is protected yet");
        }
        this
    }

    fn describe(&mut self, counts_votes: bool) {
        for (number, name, kinds) in SERVICES {
            if name == "votequorum" && !counts_votes {
                continue;
            }
            let loaded = format!("internal_configuration.service.{number}");
            self.set(&format!("{loaded}.name"), Value::text(format!("corosync_{name}")));
            self.set(&format!("{loaded}.ver"), Value::U32(0));
            self.set(&format!("runtime.services.{name}.service_id"), Value::U16(number));
            for kind in 0..kinds {
                for way in ["rx", "tx"] {
                    self.set(&format!("runtime.services.{name}.{kind}.{way}"), Value::U64(0));
                }
            }
        }
        for key in ["blackbox.dump_flight_data", "blackbox.dump_state", "force_gather"] {
            self.set(&format!("runtime.{key}"), Value::text("no"));
        }
    }

    /// Sets a key whose name is the daemon's own.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        // A node number is all that varies in such names.
        self.store.set(key, value).unwrap_or_else(|status| unreachable!("{key}: {status}"));
    }

    pub(crate) fn publish(&mut self, key: &str, value: MapValue) {
        let value = match value {
            MapValue::U8(value) => Value::U8(value),
            MapValue::U32(value) => Value::U32(value),
            MapValue::Text(text) => Value::text(text),
        };
        self.set(key, value);
    }

    /// Counts a message of a service, sent (`tx`) or received (`rx`).
    pub(crate) fn count(&mut self, message: &[u8], way: &str) {
        let Ok((id, _)) = View::message(message) else { return };
        let (service, kind) = (id >> 16, id & 0xffff);
        let named = SERVICES.iter().find(|(number, ..)| i32::from(*number) == service);
        if let Some((_, name, _)) = named {
            // Kinds of message that are not known are not counted.
            let _ = self.store.count(&format!("runtime.services.{name}.{kind}.{way}"), 1);
        }
    }

    /// What a change that this daemon tracks means.
    pub(crate) fn react(&mut self, notice: &Notice) -> Option<Reaction> {
        if notice.tracker == self.users {
            let (who, number) = who(&notice.key)?;
            return Some(Reaction::Allow(who, self.is_allowed(who, number)));
        }
        if notice.tracker == self.config_version {
            self.version.changed(&self.store);
            return Some(Reaction::NewVersion);
        }
        let asked = notice.tracker == self.cancel_wait
            && notice.new.as_ref().and_then(Value::as_u8) == Some(1);
        if asked {
            self.set(CANCEL_WAIT_FOR_ALL, Value::U8(0));
        }
        asked.then_some(Reaction::CancelWaitForAll)
    }

    /// Keys set by tools count like those of the file.
    fn is_allowed(&self, who: Who, number: u32) -> bool {
        let kind = if matches!(who, Who::User(_)) { "uid" } else { "gid" };
        ["uidgid", "uidgid.config"].iter().any(|prefix| {
            let value = self.store.value(&format!("{prefix}.{kind}.{number}"));
            value.and_then(Value::as_u8) == Some(1)
        })
    }

    /// The map as a configuration, for the comparison with a new one.
    pub(crate) fn running(&self) -> Keys {
        self.store.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }
}

fn who(key: &str) -> Option<(Who, u32)> {
    let name = key.strip_prefix("uidgid.")?;
    let name = name.strip_prefix("config.").unwrap_or(name);
    let (kind, number) = name.split_once('.')?;
    let number = number.parse().ok()?;
    match kind {
        "uid" => Some((Who::User(number), number)),
        "gid" => Some((Who::Group(number), number)),
        _ => None,
    }
}
