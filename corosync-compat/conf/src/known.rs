//! Which keys mean something, to warn of those that do not.

/// Keys of totem that are 32 bit numbers.
pub(crate) const TOTEM_U32: [&str; 30] = [
    "version",
    "nodeid",
    "threads",
    "token",
    "token_coefficient",
    "token_retransmit",
    "token_warning",
    "hold",
    "token_retransmits_before_loss_const",
    "join",
    "send_join",
    "consensus",
    "merge",
    "downcheck",
    "fail_recv_const",
    "seqno_unchanged_const",
    "rrp_token_expired_timeout",
    "rrp_problem_count_timeout",
    "rrp_problem_count_threshold",
    "rrp_problem_count_mcast_threshold",
    "rrp_autorecovery_check_timeout",
    "heartbeat_failures_allowed",
    "max_network_delay",
    "window_size",
    "max_messages",
    "miss_count_const",
    "knet_pmtud_interval",
    "knet_mtu",
    "knet_compression_threshold",
    "netmtu",
];

const TOTEM_OTHER: [&str; 18] = [
    "block_unlisted_ips",
    "cancel_token_hold_on_retransmit",
    "clear_node_high_bit",
    "cluster_name",
    "config_version",
    "crypto_cipher",
    "crypto_hash",
    "crypto_model",
    "ip_version",
    "key",
    "keyfile",
    "knet_compression_level",
    "knet_compression_model",
    "link_mode",
    "rrp_mode",
    "secauth",
    "transport",
    "vsftype",
];

const QUORUM: [&str; 13] = [
    "allow_downscale",
    "auto_tie_breaker",
    "auto_tie_breaker_node",
    "cancel_wait_for_all",
    "expected_votes",
    "expected_votes_tracking",
    "last_man_standing",
    "last_man_standing_window",
    "leaving_timeout",
    "provider",
    "two_node",
    "votes",
    "wait_for_all",
];

const LOGGING: [&str; 15] = [
    "blackbox",
    "debug",
    "fileline",
    "function_name",
    "logfile",
    "logfile_priority",
    "subsys",
    "syslog_facility",
    "syslog_level",
    "syslog_priority",
    "tags",
    "timestamp",
    "to_file",
    "to_logfile",
    "to_stderr",
];

const SYSTEM: [&str; 6] = [
    "allow_knet_handle_fallback",
    "move_to_root_cgroup",
    "priority",
    "qb_ipc_type",
    "sched_rr",
    "state_dir",
];

const NOZZLE: [&str; 4] = ["ipaddr", "ipprefix", "macaddr", "name"];

/// Sections of 1.x and of other programs, whose keys are kept without a word.
const ELSEWHERE: [&str; 7] =
    ["aisexec.", "amf.", "event.", "nozzle.", "pload.", "resources.", "service."];

/// Whether a key that becomes a text as it stands is one that somebody reads.
pub(crate) fn is_known(path: &str) -> bool {
    let Some((section, key)) = path.split_once('.') else { return path == "compatibility" };
    match section {
        "totem" => is_totem(key),
        "quorum" => QUORUM.contains(&key) || key.starts_with("device."),
        "logging" => is_logging(key),
        "system" => SYSTEM.contains(&key),
        "nozzle" => NOZZLE.contains(&key),
        _ => ELSEWHERE.iter().any(|known| path.starts_with(known)),
    }
}

/// Whether a key of a logging section is one that somebody reads.
pub(crate) fn is_logging(key: &str) -> bool {
    LOGGING.contains(&key) || key == "to_syslog"
}

/// Whether a key of a node is one that somebody reads.
pub(crate) fn is_node(key: &str) -> bool {
    let link = key.strip_prefix("ring").and_then(|rest| rest.strip_suffix("_addr"));
    let is_address = link.is_some_and(|link| link.parse::<u32>().is_ok());
    is_address || ["name", "nodeid", "quorum_votes"].contains(&key)
}

fn is_totem(key: &str) -> bool {
    // 1.x numbered its interfaces with ringnumber.
    TOTEM_U32.contains(&key) || TOTEM_OTHER.contains(&key) || key == "interface.ringnumber"
}
