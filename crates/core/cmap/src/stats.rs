//! The map of statistics: read only, computed when it is asked for.

use crate::{Status, Type, Value, store};

/// Where the statistics come from: the daemon that owns the numbers.
pub trait Stats {
    /// A statistic's present value.
    fn value(&self, key: &str) -> Option<Value>;

    /// The first key with this prefix behind `after`, and its type.
    fn next(&self, prefix: &str, after: Option<&str>) -> Option<(String, Type)>;
}

/// Which statistics a client wants cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clear {
    /// `stats.clear.knet`
    Knet,
    /// `stats.clear.ipc`
    Ipc,
    /// `stats.clear.totem`
    Totem,
    /// `stats.clear.schedmiss`
    SchedMiss,
    /// `stats.clear.all`
    All,
}

const CLEAR_PREFIX: &str = "stats.clear.";
const CLEARERS: [(&str, Clear); 5] = [
    ("stats.clear.knet", Clear::Knet),
    ("stats.clear.ipc", Clear::Ipc),
    ("stats.clear.totem", Clear::Totem),
    ("stats.clear.schedmiss", Clear::SchedMiss),
    ("stats.clear.all", Clear::All),
];

/// Whether writing this key means something; all else is read-only.
pub fn is_read_only(key: &str) -> bool {
    !key.starts_with(CLEAR_PREFIX)
}

/// What writing this key clears.
pub fn cleared_by(key: &str) -> Result<Clear, Status> {
    let found = CLEARERS.into_iter().find(|(prefix, _)| key.starts_with(prefix));
    found.map(|(_, clear)| clear).ok_or(Status::NotSupported)
}

/// Whether statistics can be tracked like this: below a prefix only coming and
/// going, and both of them.
pub fn check_tracking(wanted: store::Wanted) -> Result<(), Status> {
    let both = store::Event::Add as i32 | store::Event::Delete as i32;
    let is_prefix = wanted & store::PREFIX != 0;
    if is_prefix && wanted & both != both { Err(Status::NotSupported) } else { Ok(()) }
}

/// No statistics at all; for tests and for a daemon that has none yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStats;

impl Stats for NoStats {
    fn value(&self, _: &str) -> Option<Value> {
        None
    }

    fn next(&self, _: &str, _: Option<&str>) -> Option<(String, Type)> {
        None
    }
}
