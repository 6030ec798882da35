//! The options of the `totem` section that the protocol uses, with the
//! reference's defaults (corosync.conf(5)).

use std::fmt;
use std::time::Duration;

/// All timers in milliseconds, all constants in what they count.
///
/// The computed ones (`token` with its coefficient, `token_retransmit`, `hold`,
/// `consensus`) are computed where the configuration is read;
/// [`Timing::of_token`] does it the same way for tests and tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Silence of the token after which a processor has failed.
    pub token_ms: u32,
    /// Per cent of `token_ms` after which the silence is told; 0: never.
    pub token_warning_percent: u32,
    /// How long a sent token waits for a sign of life before it is sent again.
    pub token_retransmit_ms: u32,
    /// How long the representative holds the token of an idle ring.
    pub hold_ms: u32,
    /// How often the token is sent again before it counts as lost.
    pub retransmits_before_loss: u32,
    /// How often a gathering node sends its join.
    pub join_ms: u32,
    /// Longest random delay of a join, against bursts of many nodes.
    pub send_join_ms: u32,
    /// How long agreement on a membership may take.
    pub consensus_ms: u32,
    /// How long a quiet ring waits before it looks for other rings.
    pub merge_ms: u32,
    /// How often a lost interface is looked at; the shell's, kept for cmap.
    pub downcheck_ms: u32,
    /// Rotations without receipt of a message after which a node gives up.
    pub fail_recv_const: u32,
    /// Rotations without a message after which the token is held.
    pub seqno_unchanged_const: u32,
    /// Messages that all nodes may send together in one rotation.
    pub window_size: u32,
    /// Messages that one node may send in one rotation.
    pub max_messages: u32,
    /// Rotations that a missing message is waited for before it is asked for.
    pub miss_count_const: u32,
    /// Heartbeats that may fail; 0 turns the heartbeat off.
    pub heartbeat_failures_allowed: u32,
    /// Part of the heartbeat's deadline.
    pub max_network_delay_ms: u32,
    /// Whether a retransmission ends the holding of the token.
    pub cancel_token_hold_on_retransmit: bool,
}

/// A value that the protocol cannot work with, in words for the administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTiming {
    /// Name of the option.
    pub option: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for BadTiming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "totem.{}: {}", self.option, self.reason)
    }
}

impl std::error::Error for BadTiming {}

/// No timer may be shorter than this; the reference has three ticks of 10 ms.
const SHORTEST_MS: u32 = 30;
/// The shortest time to hold the token, computed from the same ticks.
const SHORTEST_HOLD_MS: u32 = 14;
/// What the window of ordered messages can take beside a burst.
const LARGEST_BURST: u32 = 8192;

impl Default for Timing {
    fn default() -> Self {
        Self::of_token(3000)
    }
}

impl Timing {
    /// The defaults for a token timeout of `token_ms`.
    pub fn of_token(token_ms: u32) -> Self {
        let retransmits_before_loss = 4;
        // In tenths, as the computed defaults have one decimal place.
        let tenths = |value: u64| u32::try_from(value / 10).unwrap_or(u32::MAX);
        let token_retransmit_ms =
            u32::try_from(u64::from(token_ms) * 10 / (retransmits_before_loss * 10 + 2))
                .unwrap_or(u32::MAX);
        Self {
            token_ms,
            token_warning_percent: 75,
            token_retransmit_ms,
            hold_ms: tenths(u64::from(token_retransmit_ms) * 8).saturating_sub(10),
            retransmits_before_loss: 4,
            join_ms: 50,
            send_join_ms: 0,
            consensus_ms: tenths(u64::from(token_ms) * 12),
            merge_ms: 200,
            downcheck_ms: 1000,
            fail_recv_const: 2500,
            seqno_unchanged_const: 30,
            window_size: 50,
            max_messages: 17,
            miss_count_const: 5,
            heartbeat_failures_allowed: 0,
            max_network_delay_ms: 50,
            cancel_token_hold_on_retransmit: false,
        }
    }

    /// Checks each value and how they relate.
    pub fn validate(&self) -> Result<(), BadTiming> {
        let timers = [
            ("token", self.token_ms, SHORTEST_MS),
            ("token_retransmit", self.token_retransmit_ms, SHORTEST_MS),
            ("hold", self.hold_ms, SHORTEST_HOLD_MS),
            ("join", self.join_ms, SHORTEST_MS),
            ("consensus", self.consensus_ms, SHORTEST_MS),
            ("merge", self.merge_ms, SHORTEST_MS),
            ("downcheck", self.downcheck_ms, SHORTEST_MS),
            ("max_network_delay", self.max_network_delay_ms, SHORTEST_MS),
        ];
        for (option, value, least) in timers {
            if value < least {
                return bad(option, format!("{value} ms is less than {least} ms"));
            }
        }
        if self.consensus_ms < self.join_ms {
            return bad("consensus", format!("shorter than join ({} ms)", self.join_ms));
        }
        if self.token_warning_percent > 100 {
            return bad("token_warning", "more than 100 per cent".into());
        }
        let counts = [("window_size", self.window_size), ("max_messages", self.max_messages)];
        for (option, value) in counts {
            if value == 0 || value > LARGEST_BURST / 2 {
                return bad(option, format!("{value} is not from 1 to {}", LARGEST_BURST / 2));
            }
        }
        Ok(())
    }

    /// When a token that went on is missed by the heartbeat, if that is used.
    pub(crate) fn heartbeat(&self) -> Option<Duration> {
        if self.heartbeat_failures_allowed == 0 {
            return None;
        }
        let silence = u64::from(self.heartbeat_failures_allowed)
            * u64::from(self.token_retransmit_ms)
            + u64::from(self.max_network_delay_ms);
        (silence < u64::from(self.token_ms)).then(|| Duration::from_millis(silence))
    }

    /// When a silence of the token is told, if ever.
    pub(crate) fn warning(&self) -> Option<Duration> {
        let silence = u64::from(self.token_warning_percent) * u64::from(self.token_ms) / 100;
        (silence > 0).then(|| Duration::from_millis(silence))
    }
}

fn bad(option: &'static str, reason: String) -> Result<(), BadTiming> {
    Err(BadTiming { option, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_defaults_are_the_reference_s() {
        let timing = Timing::of_token(1000);
        let computed = (timing.token_retransmit_ms, timing.hold_ms, timing.consensus_ms);
        assert_eq!(computed, (238, 180, 1200));
        assert_eq!(Timing::default().consensus_ms, 3600);
        assert_eq!(Timing::default().validate(), Ok(()));
    }

    #[test]
    fn impossible_values_are_named() {
        type Spoil = fn(&mut Timing);
        let cases: [(&str, Spoil); 5] = [
            ("token", |t| t.token_ms = 29),
            ("hold", |t| t.hold_ms = 13),
            ("consensus", |t| t.consensus_ms = 40),
            ("window_size", |t| t.window_size = 0),
            ("token_warning", |t| t.token_warning_percent = 101),
        ];
        for (option, spoil) in cases {
            let mut timing = Timing::default();
            spoil(&mut timing);
            assert_eq!(timing.validate().unwrap_err().option, option);
        }
    }

    #[test]
    fn a_heartbeat_longer_than_the_token_is_off() {
        let mut timing = Timing::of_token(1000);
        assert_eq!(timing.heartbeat(), None);
        timing.heartbeat_failures_allowed = 2;
        assert_eq!(timing.heartbeat(), Some(Duration::from_millis(526)));
        timing.heartbeat_failures_allowed = 5;
        assert_eq!(timing.heartbeat(), None);
    }
}
