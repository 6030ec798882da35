//! The keys, who may change them, and who is told of a change.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use crate::{Status, Value, name};

/// What happened to a key; the numbers are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Event {
    /// It is gone.
    Delete = 1,
    /// It has another value, or another type.
    Modify = 2,
    /// It is new.
    Add = 4,
}

/// What a tracker wants to hear: [`Event`] numbers and [`PREFIX`], joined.
pub type Wanted = i32;
/// Flag of [`Wanted`]: all keys that begin with the tracked one.
pub const PREFIX: Wanted = 8;
/// All bits that [`Wanted`] may have.
pub const WANTED_ALL: Wanted = 15;

/// Someone who is told of changes; numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tracker(pub u64);

/// What a tracker is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Who is told.
    pub tracker: Tracker,
    /// What happened.
    pub event: Event,
    /// To which key.
    pub key: String,
    /// Its value now; None when it is gone.
    pub new: Option<Value>,
    /// Its value before; None when it is new, or was counted up unseen.
    pub old: Option<Value>,
}

#[derive(Clone, Debug)]
struct Tracking {
    tracker: Tracker,
    /// None: every key.
    key: Option<String>,
    wanted: Wanted,
}

/// The map. Changes are told in the order in which they were made; the notices
/// wait in [`Store::poll_notice`].
#[derive(Clone, Debug, Default)]
pub struct Store {
    keys: BTreeMap<String, Value>,
    trackings: Vec<Tracking>,
    next_tracker: u64,
    notices: VecDeque<Notice>,
    read_only_keys: BTreeSet<String>,
    read_only_prefixes: BTreeSet<String>,
}

impl Store {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// A key's value.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.keys.get(key)
    }

    /// A key's text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.value(key)?.as_text()
    }

    /// All keys and values in the order of the keys' bytes [CMAP-3].
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.keys.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The first key with this prefix behind `after`, and its value. Keys that
    /// come and go between two calls disturb nothing [CMAP-3].
    pub fn next(&self, prefix: &str, after: Option<&str>) -> Option<(&str, &Value)> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let (key, value) = self.keys.range::<str, _>((from, Bound::Unbounded)).next()?;
        key.starts_with(prefix).then_some((key.as_str(), value))
    }

    /// Gives a key a value. The value that it has already is no change and is
    /// not told [CMAP-4].
    pub fn set(&mut self, key: &str, value: Value) -> Result<(), Status> {
        let old = match self.keys.get(key) {
            Some(old) if *old == value => return Ok(()),
            Some(_) => self.keys.remove(key),
            None if !name::is_valid(key) => return Err(Status::NameTooLong),
            None => None,
        };
        let event = if old.is_some() { Event::Modify } else { Event::Add };
        self.tell(event, key, Some(&value), old.as_ref());
        self.keys.insert(key.to_owned(), value);
        Ok(())
    }

    /// Takes a key away.
    pub fn delete(&mut self, key: &str) -> Result<(), Status> {
        let old = self.keys.remove(key).ok_or(Status::NotExist)?;
        self.tell(Event::Delete, key, None, Some(&old));
        Ok(())
    }

    /// Adds to an integer, wrapping as its type does.
    pub fn adjust(&mut self, key: &str, step: i32) -> Result<(), Status> {
        let value = self.value(key).ok_or(Status::NotExist)?;
        let value = value.adjusted(step).ok_or(Status::InvalidParam)?;
        self.set(key, value)
    }

    /// Adds to a counter that changes too often for its old values to matter:
    /// trackers hear of it without one.
    pub fn count(&mut self, key: &str, step: i32) -> Result<(), Status> {
        let value = self.keys.get_mut(key).ok_or(Status::NotExist)?;
        let counted = value.adjusted(step).ok_or(Status::InvalidParam)?;
        *value = counted.clone();
        self.tell(Event::Modify, key, Some(&counted), None);
        Ok(())
    }

    /// Tells of changes to `key` (None: to every key, with [`PREFIX`]) from now on.
    pub fn track(&mut self, key: Option<&str>, wanted: Wanted) -> Result<Tracker, Status> {
        if wanted & !WANTED_ALL != 0 {
            return Err(Status::InvalidParam);
        }
        let tracker = Tracker(self.next_tracker);
        self.next_tracker += 1;
        self.trackings.push(Tracking { tracker, key: key.map(str::to_owned), wanted });
        Ok(tracker)
    }

    /// Tells this tracker nothing any more, not even what waits.
    pub fn untrack(&mut self, tracker: Tracker) -> Result<(), Status> {
        let before = self.trackings.len();
        self.trackings.retain(|t| t.tracker != tracker);
        self.notices.retain(|n| n.tracker != tracker);
        if self.trackings.len() == before { Err(Status::NotExist) } else { Ok(()) }
    }

    /// The next thing that somebody is to be told.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Forbids or allows clients to change a key, or all keys with a prefix.
    pub fn set_read_only(
        &mut self,
        key: &str,
        is_prefix: bool,
        read_only: bool,
    ) -> Result<(), Status> {
        let set = if is_prefix { &mut self.read_only_prefixes } else { &mut self.read_only_keys };
        match (read_only, set.contains(key)) {
            (true, true) => Err(Status::Exist),
            (true, false) => {
                set.insert(key.to_owned());
                Ok(())
            }
            (false, true) => {
                set.remove(key);
                Ok(())
            }
            (false, false) => Err(Status::NotExist),
        }
    }

    /// Whether clients are kept from changing a key [CMAP-5].
    pub fn is_read_only(&self, key: &str) -> bool {
        self.read_only_keys.contains(key)
            || self.read_only_prefixes.iter().any(|prefix| key.starts_with(prefix))
    }

    /// Queues a notice for each tracker that wants it [CMAP-6]: those of the
    /// key itself first, then those of shorter and shorter prefixes. On one
    /// key, the youngest of those without [`PREFIX`] comes first, then those
    /// with it, eldest first; trackers of everything come last, youngest first.
    fn tell(&mut self, event: Event, key: &str, new: Option<&Value>, old: Option<&Value>) {
        let mut told: Vec<&Tracking> =
            self.trackings.iter().filter(|t| t.hears(event, key)).collect();
        told.sort_by_key(|t| t.rank());
        let notices = told.into_iter().map(|t| Notice {
            tracker: t.tracker,
            event,
            key: key.to_owned(),
            new: new.cloned(),
            old: old.cloned(),
        });
        self.notices.extend(notices);
    }
}

impl Tracking {
    fn hears(&self, event: Event, key: &str) -> bool {
        let all_below = self.wanted & PREFIX != 0;
        let is_meant = match &self.key {
            Some(tracked) => key == tracked || all_below && key.starts_with(tracked),
            None => all_below,
        };
        is_meant && self.wanted & event as i32 != 0
    }

    fn rank(&self) -> (std::cmp::Reverse<usize>, bool, i128) {
        let number = i128::from(self.tracker.0);
        let all_below = self.wanted & PREFIX != 0;
        let eldest_first = self.key.is_some() && all_below;
        let depth = self.key.as_ref().map_or(0, String::len);
        let turn = if eldest_first { number } else { -number };
        (std::cmp::Reverse(depth), all_below, turn)
    }
}

#[cfg(test)]
mod tests;
