//! Sections whose keys are only known when they end.

use cmap::{Type, Value};

use super::{Reason, integer};

/// A key that is to be stored, and the line it comes from.
type Entry = (String, Value, u32);

/// An interface section.
#[derive(Clone, Debug, Default)]
pub(super) struct Interface {
    link: u8,
    ring: Option<u8>,
    /// Numbers last until the next interface section.
    numbers: Vec<(&'static str, Value, u32)>,
    texts: Vec<(&'static str, Value, u32)>,
    members: Vec<(Value, u32)>,
}

const NUMBERS: [(&str, Type); 7] = [
    ("mcastport", Type::U16),
    ("ttl", Type::U8),
    ("knet_link_priority", Type::U8),
    ("knet_ping_interval", Type::U32),
    ("knet_ping_timeout", Type::U32),
    ("knet_ping_precision", Type::U32),
    ("knet_pong_count", Type::U32),
];
const TEXTS: [&str; 4] = ["bindnetaddr", "mcastaddr", "broadcast", "knet_transport"];

impl Interface {
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    /// Takes a key that an interface knows; false for others.
    pub(super) fn take(
        &mut self,
        key: &str,
        path: &str,
        value: &[u8],
        line: u32,
    ) -> Result<bool, Reason> {
        if key == "linknumber" {
            self.link = integer(path, value, Type::U8)?.as_u8().unwrap_or(0);
            return Ok(true);
        }
        if key == "ringnumber" {
            // Kept as a text too, since the reference does not know it.
            self.ring = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            return Ok(false);
        }
        if let Some((name, kind)) = NUMBERS.iter().find(|(name, _)| *name == key) {
            self.numbers.push((name, integer(path, value, *kind)?, line));
            return Ok(true);
        }
        let text = TEXTS.iter().find(|name| **name == key);
        self.texts.extend(text.map(|name| (*name, Value::text(value), line)));
        Ok(text.is_some())
    }

    pub(super) fn member(&mut self, address: &[u8], line: u32) {
        self.members.push((Value::text(address), line));
    }

    /// The number of the ring in 1.x.
    pub(super) fn ring_number(&self) -> u8 {
        self.ring.unwrap_or(self.link)
    }

    pub(super) fn entries(&mut self) -> Vec<Entry> {
        let link = self.link;
        let texts = self.texts.drain(..).collect::<Vec<_>>();
        let named = texts.into_iter().chain(self.numbers.iter().cloned());
        let named = named
            .map(|(name, value, line)| (format!("totem.interface.{link}.{name}"), value, line));
        let mut entries: Vec<Entry> = named.collect();
        // The reference numbers members from the last to the first.
        for (number, (value, line)) in self.members.drain(..).rev().enumerate() {
            entries.push((format!("totem.interface.{link}.member.{number}"), value, line));
        }
        entries
    }
}

/// A `logger_subsys` or `logging_daemon` section.
#[derive(Clone, Debug, Default)]
pub(super) struct Subsystem {
    subsys: Option<(Vec<u8>, u32)>,
    daemon: Option<(Vec<u8>, u32)>,
    items: Vec<(String, Value, u32)>,
}

impl Subsystem {
    pub(super) fn take(&mut self, key: &str, value: &[u8], line: u32, with_name: bool) {
        match key {
            "subsys" => self.subsys = Some((value.to_vec(), line)),
            "name" if with_name => self.daemon = Some((value.to_vec(), line)),
            _ => self.items.push((key.to_owned(), Value::text(value), line)),
        }
    }

    pub(super) fn logger_subsys(&mut self) -> Result<Vec<Entry>, Reason> {
        let (subsys, line) =
            self.subsys.clone().ok_or("No subsys key in logger_subsys directive")?;
        let prefix = format!("logging.logger_subsys.{}", String::from_utf8_lossy(&subsys));
        let mut entries = self.items_below(&prefix);
        entries.push((format!("{prefix}.subsys"), Value::text(subsys), line));
        Ok(entries)
    }

    /// Settings of the daemon `corosync` stand where they would without it.
    pub(super) fn logging_daemon(&mut self) -> Result<Vec<Entry>, Reason> {
        let (daemon, line) =
            self.daemon.clone().ok_or("No name key in logging_daemon directive")?;
        let name = String::from_utf8_lossy(&daemon).into_owned();
        let is_ours = name == "corosync";
        let subsys = self.subsys.clone();
        let below = |prefix: &str| match &subsys {
            Some((subsys, _)) => format!("{prefix}.{}", String::from_utf8_lossy(subsys)),
            None => prefix.to_owned(),
        };
        let prefix = match (is_ours, &subsys) {
            (true, None) => "logging".to_owned(),
            (true, Some(_)) => below("logging.logger_subsys"),
            (false, _) => below(&format!("logging.logging_daemon.{name}")),
        };
        let mut entries = self.items_below(&prefix);
        if let Some((subsys, line)) = &subsys {
            entries.push((format!("{prefix}.subsys"), Value::text(subsys), *line));
        }
        if !is_ours {
            entries.push((format!("{prefix}.name"), Value::text(&daemon), line));
        }
        Ok(entries)
    }

    /// The first of several values of a key stands, unlike everywhere else.
    fn items_below(&mut self, prefix: &str) -> Vec<Entry> {
        let items = self.items.drain(..).rev();
        items.map(|(key, value, line)| (format!("{prefix}.{key}"), value, line)).collect()
    }
}
