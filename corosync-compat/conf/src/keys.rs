//! The flat keys that a text becomes.

use std::collections::BTreeMap;

use cmap::Value;

/// Keys with their values and where they come from, in the order of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    value: Value,
    line: Option<u32>,
}

impl FromIterator<(String, Value)> for Keys {
    /// Keys that stand in no file: those of a running map.
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(keys: I) -> Self {
        let entry = |(key, value)| (key, Entry { value, line: None });
        Self { entries: keys.into_iter().map(entry).collect() }
    }
}

impl Keys {
    /// Sets a key as a line of the file says.
    pub(crate) fn put(&mut self, key: String, value: Value, line: u32) {
        self.entries.insert(key, Entry { value, line: Some(line) });
    }

    /// Sets a key that was computed.
    pub(crate) fn compute(&mut self, key: impl Into<String>, value: Value) {
        self.entries.insert(key.into(), Entry { value, line: None });
    }

    /// Sets a key that was computed from what stands in a line.
    pub(crate) fn derive(&mut self, key: String, value: Value, line: Option<u32>) {
        self.entries.insert(key, Entry { value, line });
    }

    /// Takes a key away.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        self.entries.remove(key).is_some()
    }

    /// A key's value.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The line that set a key; None for computed ones.
    pub fn line(&self, key: &str) -> Option<u32> {
        self.entries.get(key)?.line
    }

    /// A text key, when it is UTF-8.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.value(key)?.as_text()
    }

    /// A `u32` key.
    pub fn u32(&self, key: &str) -> Option<u32> {
        self.value(key)?.as_u32()
    }

    /// A `u8` key.
    pub fn u8(&self, key: &str) -> Option<u8> {
        self.value(key)?.as_u8()
    }

    /// All keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), &entry.value))
    }

    /// The keys that begin with `prefix`, in order.
    pub fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let from = self
            .entries
            .range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        let below = from.take_while(move |(key, _)| key.starts_with(prefix));
        below.map(|(key, entry)| (key.as_str(), &entry.value))
    }

    /// Splits `PREFIX<number>.<rest>` keys below a prefix that ends in a dot.
    pub(crate) fn numbered<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (u32, &'a str, &'a str)> {
        self.with_prefix(prefix).filter_map(move |(key, _)| {
            let (number, rest) = key[prefix.len()..].split_once('.')?;
            Some((number.parse().ok()?, rest, key))
        })
    }
}
