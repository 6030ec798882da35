//! The statistics that `corosync-cmapctl -m stats` shows.

use cmap::stats::Stats;
use cmap::{Type, Value};
use sansio::Mono;
use totem::Totem;

/// How many local connections there are and have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) active: u64,
    pub(crate) closed: u64,
}

/// All statistics at one moment.
pub(crate) struct Seen {
    values: std::collections::BTreeMap<String, Value>,
}

impl Seen {
    pub(crate) fn of(totem: &Totem, connections: Connections, now: Mono) -> Self {
        let stats = totem.stats();
        let counters = stats.counters().into_iter();
        let mut values: std::collections::BTreeMap<String, Value> = counters
            .map(|(name, value)| (format!("stats.srp.{name}"), Value::U64(value)))
            .collect();
        let mut put = |key: &str, value: Value| values.insert(format!("stats.{key}"), value);
        let short = |value: u64| Value::U32(u32::try_from(value).unwrap_or(u32::MAX));
        let since = stats.token_received_at().map_or(0, |at| (now - at).as_millis());
        let averages = stats.averages();
        put(
            "srp.time_since_token_last_received",
            Value::U64(u64::try_from(since).unwrap_or(u64::MAX)),
        );
        put("srp.continuous_gather", Value::U32(stats.continuous_gather));
        put("srp.continuous_sendmsg_failures", Value::U32(0));
        put("srp.firewall_enabled_or_nic_failure", Value::U8(stats.is_firewall_likely().into()));
        put("srp.mtt_rx_token", short(averages.mtt_rx_token_ms));
        put("srp.avg_token_workload", short(averages.avg_token_workload_ms));
        put("srp.avg_backlog_calc", short(averages.avg_backlog_calc));
        put("pg.msg_queue_avail", Value::U32(0));
        put("pg.msg_reserved", Value::U32(0));
        put("ipcs.global.active", Value::U64(connections.active));
        put("ipcs.global.closed", Value::U64(connections.closed));
        Self { values }
    }
}

impl Stats for Seen {
    fn value(&self, key: &str) -> Option<Value> {
        self.values.get(key).cloned()
    }

    fn next(&self, prefix: &str, after: Option<&str>) -> Option<(String, Type)> {
        use std::ops::Bound;
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let (key, value) = self.values.range::<str, _>((from, Bound::Unbounded)).next()?;
        key.starts_with(prefix).then(|| (key.clone(), value.value_type()))
    }
}
