//! A new configuration for a daemon that runs.

use std::net::IpAddr;

use cmap::Value;
use ha_types::Node;

use crate::link::{Link, Member};
use crate::secrets::KeySource;
use crate::totem::Transport;
use crate::{Config, Keys};

/// A change of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key goes.
    Delete(String),
    /// The key gets this value.
    Set(String, Value),
}

/// What a reload does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Changes of the map, deletions first, each group in the order of the keys.
    pub changes: Vec<Change>,
    /// Keys that the file changes and that stay as they are, with what is logged.
    pub ignored: Vec<String>,
    /// Members that are new, by link.
    pub joined: Vec<(u8, Member)>,
    /// Members that are gone, by link.
    pub left: Vec<(u8, Member)>,
}

/// Why a reload changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusedReload {
    /// Keys or algorithms of udp and udpu differ.
    RestartNeeded {
        /// What is logged.
        reason: String,
    },
    /// A node's address differs, or the transport of a link.
    LinkChanged {
        /// What is logged before, one line each.
        details: Vec<String>,
        /// What is logged.
        reason: String,
    },
    /// This node is not in the new file, or has another id.
    LocalNodeChanged {
        /// What is logged.
        reason: String,
    },
}

const FIXED: [&str; 19] = [
    "quorum.provider",
    "system.allow_knet_handle_fallback",
    "system.move_to_root_cgroup",
    "system.priority",
    "system.qb_ipc_type",
    "system.sched_rr",
    "system.state_dir",
    "totem.cluster_name",
    "totem.interface.bindnetaddr",
    "totem.interface.broadcast",
    "totem.interface.mcastaddr",
    "totem.interface.mcastport",
    "totem.interface.ringnumber",
    "totem.interface.ttl",
    "totem.ip_version",
    "totem.netmtu",
    "totem.rrp_mode",
    "totem.threads",
    "totem.transport",
];
const ALSO_FIXED: [&str; 1] = ["totem.version"];

/// Sections whose keys go when the file no longer has them.
const REPLACED: [&str; 5] = ["logging.", "totem.", "nodelist.", "quorum.", "uidgid.config."];

/// Keys of these sections that the daemon keeps whatever the file says.
const KEPT: [&str; 2] = ["nodelist.local_node_pos", "quorum.cancel_wait_for_all"];

/// What turns the running configuration into the new one [CONF-12]. `running`
/// is the map as it stands, which tools may have changed since the start.
/// `keys_differ` says whether the key that the new configuration names has other
/// bytes than the one in use.
pub fn plan(
    old: &Config,
    running: &Keys,
    new: &Config,
    keys_differ: bool,
) -> Result<Plan, RefusedReload> {
    check_protection(old, new, keys_differ)?;
    check_local(old, new)?;
    check_links(old, new)?;
    let (wanted, ignored) = without_fixed(running, &new.keys);
    let mut changes: Vec<Change> = deleted(running, &wanted).map(Change::Delete).collect();
    let set = wanted.iter().filter(|(key, value)| running.value(key) != Some(value));
    changes.extend(set.map(|(key, value)| Change::Set(key.to_owned(), value.clone())));
    Ok(Plan {
        changes,
        ignored,
        joined: only_in(&new.links, &old.links),
        left: only_in(&old.links, &new.links),
    })
}

/// Knet changes its keys in two phases; udp and udpu cannot: each node would
/// drop the others' datagrams until it has read its own file.
fn check_protection(old: &Config, new: &Config, keys_differ: bool) -> Result<(), RefusedReload> {
    let (before, after) = (&old.totem.protection, &new.totem.protection);
    let is_inline_change = match (&before.key, &after.key) {
        (Some(KeySource::Inline(a)), Some(KeySource::Inline(b))) => a != b,
        _ => false,
    };
    let differs = before.cipher != after.cipher
        || before.hash != after.hash
        || is_inline_change
        || after.key.is_some() && keys_differ;
    if differs && old.totem.transport != Transport::Knet {
        let reason = "crypto keys cannot be changed while running on udp and udpu: restart needed";
        return Err(RefusedReload::RestartNeeded { reason: reason.to_owned() });
    }
    Ok(())
}

fn check_local(old: &Config, new: &Config) -> Result<(), RefusedReload> {
    let (before, after) = (old.local.node, new.local.node);
    if before == after {
        return Ok(());
    }
    let reason = format!(
        "this node's id cannot be changed while running (from {} to {})",
        before.0, after.0
    );
    Err(RefusedReload::LocalNodeChanged { reason })
}

fn check_links(old: &Config, new: &Config) -> Result<(), RefusedReload> {
    let mut details = Vec::new();
    for link in &new.links {
        let Some(was) = old.links.iter().find(|l| l.number == link.number) else { continue };
        let number = link.number;
        if was.knet.over_sctp != link.knet.over_sctp {
            details.push(format!(
                "New config has different knet transport for link {number}. Internal value was NOT changed."
            ));
        }
        for member in &link.members {
            let before = address_of(was, member.node);
            if let Some(before) = before.filter(|before| *before != member.address) {
                details.push(format!(
                    "new config has different address for link {number} (addr changed from {before} \
                     to {}). Internal value was NOT changed.",
                    member.address
                ));
            }
        }
    }
    if details.is_empty() {
        return Ok(());
    }
    let reason = "To reconfigure an interface it must be deleted and recreated. A working interface \
                  needs to be available to corosync at all times";
    Err(RefusedReload::LinkChanged { details, reason: reason.to_owned() })
}

fn address_of(link: &Link, node: Node) -> Option<IpAddr> {
    link.members.iter().find(|m| m.node == node).map(|m| m.address)
}

/// The new keys with those that cannot change as they are, and a line for each.
fn without_fixed(running: &Keys, new: &Keys) -> (Keys, Vec<String>) {
    let mut wanted = new.clone();
    let mut ignored = Vec::new();
    for key in FIXED.into_iter().chain(ALSO_FIXED) {
        let (before, after) = (running.value(key), new.value(key));
        if before == after {
            continue;
        }
        if after.is_some() {
            ignored.push(format!(
                "Modified entry '{key}' in corosync.conf cannot be changed at run-time"
            ));
        }
        // What the daemon runs on is what tools are shown.
        match before {
            Some(value) => wanted.compute(key, value.clone()),
            None => {
                wanted.remove(key);
            }
        }
    }
    (wanted, ignored)
}

fn deleted<'a>(running: &'a Keys, wanted: &'a Keys) -> impl Iterator<Item = String> + 'a {
    let is_replaced =
        |key: &str| REPLACED.iter().any(|p| key.starts_with(p)) && !KEPT.contains(&key);
    let gone = running.iter().filter(move |(key, _)| is_replaced(key));
    gone.filter(|(key, _)| wanted.value(key).is_none()).map(|(key, _)| key.to_owned())
}

fn only_in(links: &[Link], others: &[Link]) -> Vec<(u8, Member)> {
    let has = |number: u8, member: &Member| {
        others.iter().any(|link| link.number == number && link.members.contains(member))
    };
    let members = links.iter().flat_map(|l| l.members.iter().map(|m| (l.number, *m)));
    members.filter(|(number, member)| !has(*number, member)).collect()
}

#[cfg(test)]
mod tests;
