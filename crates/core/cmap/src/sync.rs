//! The configuration's version, compared when a ring has formed.
//!
//! Each node multicasts its `totem.config_version`; a node that sees at its
//! first synchronization with others that its own is not the highest ends,
//! because it runs on a file that the administrator has since replaced.

use ha_types::Node;
use wire::{Malformed, Reader, Writer};

use crate::{Store, Type, Value, value};

/// The key that is compared.
pub const CONFIG_VERSION: &str = "totem.config_version";

const NAME_LEN: usize = 256;
const ITEM_ALIGN: usize = 8;
/// Most items in one message; the reference's limit.
const MAX_ITEMS: u8 = 32;

/// Why the message was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// A ring has formed.
    Sync = 0,
    /// The version has changed while running.
    NewVersion = 1,
}

/// The one message of the service: keys and their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Why it was sent; None for a reason from the future.
    pub reason: Option<Reason>,
    /// Keys and values; None where the sender does not have the key.
    pub items: Vec<(String, Option<Value>)>,
}

impl Message {
    /// The message that tells the version of this map.
    pub fn of(store: &Store, reason: Reason) -> Self {
        let item = (CONFIG_VERSION.to_owned(), store.value(CONFIG_VERSION).cloned());
        Self { reason: Some(reason), items: vec![item] }
    }

    /// The version that the message tells; 0 where the sender has none.
    pub fn config_version(&self) -> u64 {
        let told = self.items.iter().find(|(key, _)| key == CONFIG_VERSION);
        told.and_then(|(_, value)| value.as_ref()?.as_u64()).unwrap_or(0)
    }

    /// The message with its libqb header, whose id is 0 (service 0, message 0).
    ///
    /// # Panics
    /// When a key is longer than 255 bytes or there are more than 32.
    pub fn encode(&self) -> Vec<u8> {
        let mut items = Writer::new();
        for (key, value) in &self.items {
            put_item(&mut items, key, value.as_ref());
        }
        let items = items.finish();
        let reason = self.reason.map_or(u8::MAX, |reason| reason as u8);
        let count = u8::try_from(self.items.len()).expect("at most 32 items");
        let size = i32::try_from(HEADER_LEN + items.len()).expect("a few values of 16 KiB");
        let mut w = Writer::new();
        w.u64(0).i32(size).u32(0);
        w.u64(reason.into()).u64(count.into()).u64(0).u64(0);
        w.raw(&items).finish()
    }

    /// Reads a message; `swapped` when its sender has the other byte order.
    pub fn decode(bytes: &[u8], swapped: bool) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        r.take(16, "a header")?;
        let reason = padded_u8(&mut r, "a reason")?;
        let count = padded_u8(&mut r, "a number of items")?;
        if count > MAX_ITEMS {
            return Err(r.refuse("at most 32 items"));
        }
        r.take(16, "reserved bytes")?;
        let items = (0..count).map(|_| item(&mut r, swapped)).collect::<Result<_, _>>()?;
        let reason = match reason {
            0 => Some(Reason::Sync),
            1 => Some(Reason::NewVersion),
            _ => None,
        };
        Ok(Self { reason, items })
    }
}

const HEADER_LEN: usize = 48;

fn put_item(w: &mut Writer, key: &str, value: Option<&Value>) {
    let mut name = [0; NAME_LEN];
    name[..key.len()].copy_from_slice(key.as_bytes());
    let bytes = value.map(Value::to_bytes).unwrap_or_default();
    let number = value.map_or(0, |v| v.value_type() as u8);
    w.u64(key.len() as u64).raw(&name).u64(number.into()).u64(bytes.len() as u64).raw(&bytes);
    w.raw(&[0; ITEM_ALIGN][..padding(bytes.len())]);
}

fn item(r: &mut Reader<'_>, swapped: bool) -> Result<(String, Option<Value>), Malformed> {
    let key_len = match (r.u16("a key's length")?, swapped) {
        (len, true) => len.swap_bytes(),
        (len, false) => len,
    };
    r.take(6, "padding")?;
    let name = r.take(NAME_LEN, "a key")?;
    let key = name.get(..usize::from(key_len)).and_then(|k| std::str::from_utf8(k).ok());
    let key = key.filter(|key| !key.contains('\0'));
    let key = key.ok_or_else(|| r.refuse("a key's name"))?.to_owned();
    let number = padded_u8(r, "a type")?;
    let len = match (r.u64("a value's length")?, swapped) {
        (len, true) => len.swap_bytes(),
        (len, false) => len,
    };
    let len = usize::try_from(len).ok().filter(|len| *len <= value::MAX_LEN + 1);
    let len = len.ok_or_else(|| r.refuse("a value of at most 16 KiB"))?;
    let mut bytes = r.take(len, "a value")?.to_vec();
    // The last item may come without its padding.
    r.take(padding(len).min(r.remaining()), "padding")?;
    let Some(value_type) = Type::from_number(number) else { return Ok((key, None)) };
    if swapped && value_type.fixed_len() == Some(len) {
        bytes.reverse();
    }
    let value = Value::from_bytes(value_type, &bytes);
    Ok((key, Some(value.ok_or_else(|| r.refuse("a value of its type"))?)))
}

fn padded_u8(r: &mut Reader<'_>, wanted: &'static str) -> Result<u8, Malformed> {
    let value = r.u8(wanted)?;
    r.take(7, "padding")?;
    Ok(value)
}

fn padding(len: usize) -> usize {
    len.next_multiple_of(ITEM_ALIGN) - len
}

/// What is to be done after a synchronization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Stay,
    /// Log this and stop the daemon.
    Exit(String),
}

/// Follows one synchronization after the other [CMAP-8].
#[derive(Clone, Debug, Default)]
pub struct VersionCheck {
    mine: u64,
    highest: u64,
    alone: bool,
    has_synced: bool,
}

impl VersionCheck {
    /// Before the first ring.
    pub fn new() -> Self {
        Self::default()
    }

    /// A ring has formed; `came_along` is how many nodes of the old ring are in
    /// the transitional configuration.
    pub fn begin(&mut self, store: &Store, came_along: usize) {
        self.mine = store.value(CONFIG_VERSION).and_then(Value::as_u64).unwrap_or(0);
        self.highest = self.mine;
        self.alone = came_along == 0;
    }

    /// A node told its version: it is kept in the map for tools to see.
    pub fn received(&mut self, store: &mut Store, me: Node, from: Node, message: &Message) {
        if message.reason.is_none() {
            return;
        }
        let version = message.config_version();
        if from != me {
            self.highest = self.highest.max(version);
        }
        let key = format!("runtime.members.{}.config_version", from.0);
        store.set(&key, Value::U64(version)).expect("a valid name");
    }

    /// The version of this map has changed while running.
    pub fn changed(&mut self, store: &Store) {
        self.mine = store.value(CONFIG_VERSION).and_then(Value::as_u64).unwrap_or(0);
    }

    /// All have told theirs.
    pub fn activate(&mut self) -> Verdict {
        if self.alone || std::mem::replace(&mut self.has_synced, true) {
            return Verdict::Stay;
        }
        if self.mine == 0 || self.mine == self.highest {
            return Verdict::Stay;
        }
        Verdict::Exit(format!(
            "Received config version ({}) is different than my config version ({})! Exiting",
            self.highest, self.mine
        ))
    }
}

#[cfg(test)]
mod tests;
