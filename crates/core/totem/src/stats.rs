//! What `stats.srp.*` of cmap shows.

use std::collections::VecDeque;

use sansio::Mono;

/// How many visits of the token the averages look back.
const VISITS: usize = 100;
/// Gatherings in a row after which something is wrong with the network.
const MANY_GATHERS: u32 = 3;

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {
        /// Counters since the start, by their names in cmap.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$meta])* pub $name: u64,)+
            /// Gatherings in a row that reached no consensus.
            pub continuous_gather: u32,
            visits: VecDeque<Visit>,
        }

        impl Stats {
            /// Every counter with its name.
            pub fn counters(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),+]
            }
        }
    };
}

counters! {
    /// Tokens sent.
    orf_token_tx,
    /// Tokens received.
    orf_token_rx,
    /// Merge detections sent.
    memb_merge_detect_tx,
    /// Merge detections received.
    memb_merge_detect_rx,
    /// Joins sent.
    memb_join_tx,
    /// Joins received.
    memb_join_rx,
    /// Ordered messages sent.
    mcast_tx,
    /// Ordered messages sent again.
    mcast_retx,
    /// Ordered messages received.
    mcast_rx,
    /// Commit tokens sent.
    memb_commit_token_tx,
    /// Commit tokens received.
    memb_commit_token_rx,
    /// Requests to end the holding of the token sent.
    token_hold_cancel_tx,
    /// Such requests received.
    token_hold_cancel_rx,
    /// Rings installed.
    operational_entered,
    /// Tokens lost in a standing ring.
    operational_token_lost,
    /// Times that gathering began.
    gather_entered,
    /// Times that an agreed membership was not formed in time.
    gather_token_lost,
    /// Times that a membership was committed to.
    commit_entered,
    /// Tokens lost while committing.
    commit_token_lost,
    /// Times that recovery began.
    recovery_entered,
    /// Tokens lost in recovery.
    recovery_token_lost,
    /// Times that consensus was not reached in time.
    consensus_timeouts,
    /// Messages dropped: malformed, foreign, or not believed.
    rx_msg_dropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Visit {
    received: Mono,
    sent: Option<Mono>,
    backlog: u32,
}

/// Averages over the last visits of the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Averages {
    /// `mtt_rx_token`: mean time between two visits, in milliseconds.
    pub mtt_rx_token_ms: u64,
    /// `avg_token_workload`: mean time that the token was here, in milliseconds.
    pub avg_token_workload_ms: u64,
    /// `avg_backlog_calc`: mean number of frames that waited.
    pub avg_backlog_calc: u64,
}

impl Stats {
    /// Whether gathering has failed so often that a firewall is likely
    /// (`firewall_enabled_or_nic_failure`).
    pub fn is_firewall_likely(&self) -> bool {
        self.continuous_gather > MANY_GATHERS
    }

    /// When the token was here last (`time_since_token_last_received`).
    pub fn token_received_at(&self) -> Option<Mono> {
        self.visits.back().map(|visit| visit.received)
    }

    /// The averages.
    pub fn averages(&self) -> Averages {
        let pairs = self.visits.iter().zip(self.visits.iter().skip(1));
        let mut sums = Averages::default();
        let mut count = 0;
        let ms = |from: Mono, to: Mono| u64::try_from((to - from).as_millis()).unwrap_or(u64::MAX);
        for (earlier, visit) in pairs {
            sums.mtt_rx_token_ms += ms(earlier.received, visit.received);
            sums.avg_token_workload_ms += visit.sent.map_or(0, |sent| ms(visit.received, sent));
            sums.avg_backlog_calc += u64::from(visit.backlog);
            count += 1;
        }
        let mean = |sum: u64| sum / u64::max(count, 1);
        Averages {
            mtt_rx_token_ms: mean(sums.mtt_rx_token_ms),
            avg_token_workload_ms: mean(sums.avg_token_workload_ms),
            avg_backlog_calc: mean(sums.avg_backlog_calc),
        }
    }

    pub(crate) fn token_received(&mut self, now: Mono, backlog: u32) {
        if self.visits.len() == VISITS {
            self.visits.pop_front();
        }
        self.visits.push_back(Visit { received: now, sent: None, backlog });
    }

    pub(crate) fn token_sent(&mut self, now: Mono) {
        self.orf_token_tx += 1;
        if let Some(visit) = self.visits.back_mut() {
            visit.sent = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_over_the_last_visits() {
        let mut stats = Stats::default();
        assert_eq!(stats.averages(), Averages::default());
        for visit in 0..200 {
            stats.token_received(Mono(visit * 10_000_000), 4);
            stats.token_sent(Mono(visit * 10_000_000 + 3_000_000));
        }
        let expected =
            Averages { mtt_rx_token_ms: 10, avg_token_workload_ms: 3, avg_backlog_calc: 4 };
        assert_eq!(stats.averages(), expected);
        assert_eq!(stats.orf_token_tx, 200);
        assert!(stats.counters().contains(&("orf_token_tx", 200)));
    }
}
