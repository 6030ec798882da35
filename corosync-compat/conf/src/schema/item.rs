//! One key and its value, by section.

use cmap::{Type, Value};

use super::{Reader, Reason, Section, integer};
use crate::known;

pub(super) const UIDGID_ONLY: &str = "uidgid: Only uid and gid are allowed items";

const QUORUM_U32: [&str; 4] =
    ["expected_votes", "last_man_standing_window", "leaving_timeout", "votes"];
const QUORUM_U8: [&str; 6] = [
    "allow_downscale",
    "auto_tie_breaker",
    "expected_votes_tracking",
    "last_man_standing",
    "two_node",
    "wait_for_all",
];

/// Keys with a closed set of values, and what is said about others.
const CHOICES: [(&str, &[&str], &str); 10] = [
    ("totem.ip_version", &["ipv4", "ipv6", "ipv6-4", "ipv4-6"], "Invalid ip_version type"),
    ("totem.crypto_model", &["nss", "openssl"], "Invalid crypto model. Should be nss or openssl"),
    (
        "totem.crypto_cipher",
        &["none", "aes256", "aes192", "aes128"],
        "Invalid cipher type. Should be none, aes256, aes192 or aes128",
    ),
    (
        "totem.crypto_hash",
        &["none", "md5", "sha1", "sha256", "sha384", "sha512"],
        "Invalid hash type. Should be none, md5, sha1, sha256, sha384 or sha512",
    ),
    (
        "totem.knet_compression_model",
        &["zlib", "lz4", "lz4hc", "lzo2", "lzma", "bzip2", "zstd"],
        "Invalid compression model. Should be zlib, lz4, lz4hc, lzo2, lzma, bzip2 or zstd",
    ),
    ("system.qb_ipc_type", &["native", "shm", "socket"], "Invalid system.qb_ipc_type"),
    ("system.sched_rr", &["yes", "no"], "Invalid system.sched_rr value"),
    ("system.move_to_root_cgroup", &["yes", "no", "auto"], "Invalid system.move_to_root_cgroup"),
    (
        "system.allow_knet_handle_fallback",
        &["yes", "no"],
        "Invalid system.allow_knet_handle_fallback",
    ),
    // The reference takes any text here and then means "off".
    ("totem.secauth", &["on", "off"], "Invalid secauth value. Should be on or off"),
];

impl Reader<'_> {
    pub(super) fn item(
        &mut self,
        section: Section,
        path: &str,
        key: &str,
        value: &[u8],
    ) -> Result<(), Reason> {
        match section {
            Section::Interface => self.interface_item(path, key, value),
            Section::LoggerSubsys | Section::LoggingDaemon => {
                if !known::is_logging(key) && key != "name" {
                    self.note_unknown(path);
                }
                let with_name = section == Section::LoggingDaemon;
                self.subsystem.take(key, value, self.line, with_name);
                Ok(())
            }
            Section::Uidgid => self.uidgid_item(key, value),
            Section::Member if key != "memberaddr" => {
                Err("Only memberaddr is allowed in member section".to_owned())
            }
            Section::Member => {
                self.interface.member(value, self.line);
                Ok(())
            }
            Section::Node => self.node_item(key, value),
            _ => match number_type(section, path, key) {
                Some(kind) => self.put_number(path, value, kind),
                None => self.text_item(section, path, value),
            },
        }
    }

    /// A key that stays a text.
    fn text_item(&mut self, section: Section, path: &str, value: &[u8]) -> Result<(), Reason> {
        if matches!(section, Section::Totem | Section::System) {
            check_choice(path, value)?;
        }
        if !known::is_known(path) {
            self.note_unknown(path);
        }
        self.put_text(path, value)
    }

    fn interface_item(&mut self, path: &str, key: &str, value: &[u8]) -> Result<(), Reason> {
        if path == format!("totem.interface.{key}")
            && self.interface.take(key, path, value, self.line)?
        {
            return Ok(());
        }
        self.text_item(Section::Interface, path, value)
    }

    fn node_item(&mut self, key: &str, value: &[u8]) -> Result<(), Reason> {
        let path = format!("nodelist.node.{}.{key}", self.node_number);
        if key == "nodeid" || key == "quorum_votes" {
            return self.put_number(&path, value, Type::U32);
        }
        if !known::is_node(key) {
            self.note_unknown(&path);
        }
        self.put_text(&path, value)
    }

    pub(super) fn uidgid_item(&mut self, key: &str, value: &[u8]) -> Result<(), Reason> {
        let (known, what, place) = match key {
            "uid" => (&self.host.users, "user", "/etc/passwd"),
            "gid" => (&self.host.groups, "group", "/etc/group"),
            _ => return Err(UIDGID_ONLY.to_owned()),
        };
        let name = String::from_utf8_lossy(value);
        let number = integer("", value, Type::U32).ok().and_then(|v| v.as_u32());
        let number = number.or_else(|| known.get(name.as_ref()).copied()).ok_or_else(|| {
            format!("The '{name}' {what} is not found in {place}, please read the documentation.")
        })?;
        self.put(format!("uidgid.config.{key}.{number}"), Value::U8(1), self.line)
    }
}

fn number_type(section: Section, path: &str, key: &str) -> Option<Type> {
    let below = |prefix: &str| path.strip_prefix(prefix).unwrap_or_default();
    match section {
        Section::Totem if known::TOTEM_U32.contains(&below("totem.")) => Some(Type::U32),
        Section::Totem if path == "totem.knet_compression_level" => Some(Type::I32),
        Section::Totem if path == "totem.config_version" => Some(Type::U64),
        Section::Quorum if QUORUM_U32.contains(&below("quorum.")) => Some(Type::U32),
        Section::Quorum if QUORUM_U8.contains(&below("quorum.")) => Some(Type::U8),
        Section::Device => match below("quorum.device.") {
            "timeout" | "sync_timeout" | "votes" => Some(Type::U32),
            "master_wins" => Some(Type::U8),
            _ => None,
        },
        Section::Resources if key == "watchdog_timeout" => Some(Type::U32),
        Section::ResourcesPolled if key == "poll_period" => Some(Type::U64),
        _ => None,
    }
}

fn check_choice(path: &str, value: &[u8]) -> Result<(), Reason> {
    let choice = CHOICES.iter().find(|(key, _, _)| *key == path);
    match choice {
        Some((_, allowed, reason)) if !allowed.iter().any(|a| a.as_bytes() == value) => {
            Err((*reason).to_owned())
        }
        _ => Ok(()),
    }
}
