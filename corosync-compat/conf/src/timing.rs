//! Timers and limits of the totem protocol, as set and as computed.

use cmap::Value;

use crate::schema::Document;
use crate::{Keys, Kind, Refused};

/// Timers in milliseconds, and limits. What is not set is computed [CONF-7].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Until a token counts as lost, in milliseconds.
    pub token_ms: u32,
    /// Per cent of the token's time after which its lateness is logged.
    pub token_warning_percent: u32,
    /// Until the token is sent again, in milliseconds.
    pub token_retransmit_ms: u32,
    /// How often it is sent before it counts as lost.
    pub token_retransmits_before_loss: u32,
    /// How long the representative holds the token of an idle ring, in milliseconds.
    pub hold_ms: u32,
    /// How long a join message waits for answers, in milliseconds.
    pub join_ms: u32,
    /// Longest random delay of a join message, in milliseconds.
    pub send_join_ms: u32,
    /// Until a new membership must be agreed on, in milliseconds.
    pub consensus_ms: u32,
    /// How often a foreign ring is looked for, in milliseconds.
    pub merge_ms: u32,
    /// How often an interface that is down is looked at, in milliseconds.
    pub downcheck_ms: u32,
    /// Rotations without the messages that are missing before the node leaves.
    pub fail_to_receive: u32,
    /// Rotations without a message before the token is held.
    pub seqno_unchanged: u32,
    /// Heartbeats that may be lost; 0: none are sent.
    pub heartbeat_failures_allowed: u32,
    /// Delay of the network in the heartbeat's time, in milliseconds.
    pub max_network_delay_ms: u32,
    /// Most messages on the way in one rotation.
    pub window_size: u32,
    /// Most messages of one node in one rotation.
    pub max_messages: u32,
    /// Receipts of a token with a message missing before it is asked for.
    pub miss_count: u32,
    /// How often knet looks for the path's largest packet, in seconds.
    pub knet_pmtud_interval_s: u32,
    /// Largest packet of knet, in bytes; 0: found out.
    pub knet_mtu: u32,
    /// Smallest packet that knet compresses, in bytes.
    pub knet_compression_threshold: u32,
    /// How hard knet compresses.
    pub knet_compression_level: i32,
    /// What knet compresses with.
    pub knet_compression_model: String,
    /// Whether datagrams from addresses that are no member's are dropped.
    pub block_unlisted_ips: bool,
    /// Whether a held token goes on when a message is asked for again.
    pub cancel_token_hold_on_retransmit: bool,
}

/// The kernel's tick that the reference was built with, in milliseconds.
const TICK_MS: u32 = 10;
const LEAST_MS: u32 = 3 * TICK_MS;
const LEAST_HOLD_MS: u32 = 14;

const TOKEN_MS: u32 = 3000;
const TOKEN_COEFFICIENT_MS: u32 = 650;

impl Timing {
    /// Reads and computes; `members` is the number of nodes on link 0.
    pub(crate) fn of(keys: &Keys, members: u32) -> Self {
        let set = |name: &str| keys.u32(&format!("totem.{name}"));
        let or = |name: &str, default: u32| set(name).filter(|v| *v != 0).unwrap_or(default);
        let or_zero = |name: &str, default: u32| set(name).unwrap_or(default);
        let is_yes = |name: &str, default: bool| match keys.text(&format!("totem.{name}")) {
            Some("yes") => true,
            Some("no") => false,
            _ => default,
        };
        let retransmits = or("token_retransmits_before_loss_const", 4);
        let coefficient = or_zero("token_coefficient", TOKEN_COEFFICIENT_MS);
        let more = members.saturating_sub(2).wrapping_mul(coefficient);
        let token_ms = or("token", TOKEN_MS).wrapping_add(more);
        let token_retransmit_ms = or("token_retransmit", retransmit_ms(token_ms, retransmits));
        Self {
            token_ms,
            token_warning_percent: or_zero("token_warning", 75),
            token_retransmit_ms,
            token_retransmits_before_loss: retransmits,
            hold_ms: or("hold", hold_ms(token_retransmit_ms)),
            join_ms: or("join", 50),
            send_join_ms: or_zero("send_join", 0),
            consensus_ms: or("consensus", consensus_ms(token_ms)),
            merge_ms: or("merge", 200),
            downcheck_ms: or("downcheck", 1000),
            fail_to_receive: or("fail_recv_const", 2500),
            seqno_unchanged: or("seqno_unchanged_const", 30),
            heartbeat_failures_allowed: or_zero("heartbeat_failures_allowed", 0),
            max_network_delay_ms: or("max_network_delay", 50),
            window_size: or("window_size", 50),
            max_messages: or("max_messages", 17),
            miss_count: or("miss_count_const", 5),
            knet_pmtud_interval_s: or("knet_pmtud_interval", 30),
            knet_mtu: or_zero("knet_mtu", 0),
            knet_compression_threshold: or_zero("knet_compression_threshold", 0),
            knet_compression_level: match keys.value("totem.knet_compression_level") {
                Some(Value::I32(level)) => *level,
                _ => 0,
            },
            knet_compression_model: {
                keys.text("totem.knet_compression_model").unwrap_or("none").to_owned()
            },
            block_unlisted_ips: is_yes("block_unlisted_ips", true),
            cancel_token_hold_on_retransmit: is_yes("cancel_token_hold_on_retransmit", false),
        }
    }

    /// The keys below `runtime.config.totem.` that show them.
    pub fn runtime_keys(&self) -> Vec<(String, Value)> {
        let numbers = [
            ("block_unlisted_ips", self.block_unlisted_ips.into()),
            ("cancel_token_hold_on_retransmit", self.cancel_token_hold_on_retransmit.into()),
            ("consensus", self.consensus_ms),
            ("downcheck", self.downcheck_ms),
            ("fail_recv_const", self.fail_to_receive),
            ("heartbeat_failures_allowed", self.heartbeat_failures_allowed),
            ("hold", self.hold_ms),
            ("join", self.join_ms),
            ("knet_compression_threshold", self.knet_compression_threshold),
            ("knet_mtu", self.knet_mtu),
            ("knet_pmtud_interval", self.knet_pmtud_interval_s),
            ("max_messages", self.max_messages),
            ("max_network_delay", self.max_network_delay_ms),
            ("merge", self.merge_ms),
            ("miss_count_const", self.miss_count),
            ("send_join", self.send_join_ms),
            ("seqno_unchanged_const", self.seqno_unchanged),
            ("token", self.token_ms),
            ("token_retransmit", self.token_retransmit_ms),
            ("token_retransmits_before_loss_const", self.token_retransmits_before_loss),
            ("token_warning", self.token_warning_percent),
            ("window_size", self.window_size),
        ];
        let key = |name: &str| format!("runtime.config.totem.{name}");
        let numbers = numbers.into_iter().map(|(name, value)| (key(name), Value::U32(value)));
        let level = Value::I32(self.knet_compression_level);
        let model = Value::text(&self.knet_compression_model);
        let others =
            [(key("knet_compression_level"), level), (key("knet_compression_model"), model)];
        numbers.chain(others).collect()
    }

    /// The bounds that the reference sets, in its order.
    pub(crate) fn check(&self, document: &Document) -> Result<(), Refused> {
        let refuse = |key: &str, reason: String| {
            Err(document.refuse(Kind::Totem, &format!("totem.{key}"), reason))
        };
        let least = |key: &str, what: &str, value: u32, least: u32| {
            if value >= least {
                return Ok(());
            }
            refuse(key, format!("The {what} ({value} ms) may not be less than ({least} ms)."))
        };
        let delay = self.max_network_delay_ms;
        least("max_network_delay", "max_network_delay parameter", delay, LEAST_MS)?;
        least("token", "token timeout parameter", self.token_ms, LEAST_MS)?;
        if self.token_warning_percent > 100 {
            // The reference prints it as a signed number.
            let percent = self.token_warning_percent.cast_signed();
            let range = "must be between 0 (disabled) and 100.";
            return refuse(
                "token_warning",
                format!("The token warning parameter ({percent}%) {range}"),
            );
        }
        self.check_retransmit(document)?;
        least("hold", "token hold timeout parameter", self.hold_ms, LEAST_HOLD_MS)?;
        least("join", "join timeout parameter", self.join_ms, LEAST_MS)?;
        least("consensus", "consensus timeout parameter", self.consensus_ms, LEAST_MS)?;
        if self.consensus_ms < self.join_ms {
            let (consensus, join) = (self.consensus_ms, self.join_ms);
            return refuse(
                "consensus",
                format!(
                    "The consensus timeout parameter ({consensus} ms) may not be less than \
                     join timeout ({join} ms)."
                ),
            );
        }
        least("merge", "merge timeout parameter", self.merge_ms, LEAST_MS)?;
        least("downcheck", "downcheck timeout parameter", self.downcheck_ms, LEAST_MS)
    }

    fn check_retransmit(&self, document: &Document) -> Result<(), Refused> {
        let retransmit = self.token_retransmit_ms;
        if retransmit >= LEAST_MS {
            return Ok(());
        }
        if document.keys.value("totem.token_retransmit").is_some() {
            let reason = format!(
                "The token retransmit timeout parameter ({retransmit} ms) may not be less than \
                 ({LEAST_MS} ms)."
            );
            return Err(document.refuse(Kind::Totem, "totem.token_retransmit", reason));
        }
        let reason = "Not appropriate token or token_retransmits_before_loss_const value set";
        let blamed = ["totem.token_retransmits_before_loss_const", "totem.token"];
        let blamed = blamed.into_iter().find(|key| document.keys.line(key).is_some());
        Err(document.refuse(Kind::Totem, blamed.unwrap_or_default(), reason))
    }
}

/// The reference computes in double and truncates.
fn retransmit_ms(token_ms: u32, retransmits: u32) -> u32 {
    truncated(f64::from(token_ms) / (f64::from(retransmits) + 0.2))
}

fn hold_ms(token_retransmit_ms: u32) -> u32 {
    truncated(f64::from(token_retransmit_ms) * 0.8 - f64::from(TICK_MS))
}

/// The product passes through single precision on its way.
#[allow(clippy::cast_possible_truncation)]
fn consensus_ms(token_ms: u32) -> u32 {
    truncated(f64::from((1.2 * f64::from(token_ms)) as f32))
}

/// A C cast to int, kept as its 32 bits: negative numbers become large ones,
/// what is out of range becomes the least integer, as the processor does it.
#[allow(clippy::cast_possible_truncation)]
fn truncated(value: f64) -> u32 {
    let fits = value > f64::from(i32::MIN) - 1.0 && value < f64::from(i32::MAX) + 1.0;
    let whole = if fits { value as i32 } else { i32::MIN };
    whole.cast_unsigned()
}

#[cfg(test)]
mod tests;
