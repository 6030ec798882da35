//! Who may connect, and what clients may not change.

use sansio::edge::Credentials;

use crate::{Status, Store};

const READ_ONLY_PREFIXES: [&str; 7] = [
    "internal_configuration.",
    "nodelist.",
    "runtime.config.",
    "runtime.services.",
    "runtime.totem.",
    "system.",
    "uidgid.config.",
];

const READ_ONLY_KEYS: [&str; 17] = [
    "config.reload_in_progress",
    "config.totemconfig_reload_in_progress",
    "totem.clear_node_high_bit",
    "totem.cluster_name",
    "totem.crypto_cipher",
    "totem.crypto_hash",
    "totem.crypto_model",
    "totem.ip_version",
    "totem.key",
    "totem.keyfile",
    "totem.netmtu",
    "totem.nodeid",
    "totem.rrp_mode",
    "totem.secauth",
    "totem.threads",
    "totem.transport",
    "totem.version",
];

const READ_ONLY_VOTEQUORUM: [&str; 7] = [
    "quorum.allow_downscale",
    "quorum.auto_tie_breaker",
    "quorum.auto_tie_breaker_node",
    "quorum.expected_votes_tracking",
    "quorum.last_man_standing",
    "quorum.last_man_standing_window",
    "quorum.wait_for_all",
];

/// Marks what no client may change from the daemon's start on [CMAP-5].
pub fn protect(store: &mut Store) -> Result<(), Status> {
    for prefix in READ_ONLY_PREFIXES {
        store.set_read_only(prefix, true, true)?;
    }
    protect_keys(store, &READ_ONLY_KEYS)
}

/// Marks what no client may change once votequorum runs [CMAP-5].
pub fn protect_votequorum(store: &mut Store) -> Result<(), Status> {
    protect_keys(store, &READ_ONLY_VOTEQUORUM)
}

/// Whether this peer may use Corosync's services [CMAP-7]: root and root's
/// group always; others when the map says so, looked up at each accept.
pub fn may_connect(store: &Store, peer: Credentials) -> bool {
    let granted = |key: String| store.value(&key).and_then(crate::Value::as_u8) == Some(1);
    peer.uid == 0
        || peer.gid == 0
        || granted(format!("uidgid.uid.{}", peer.uid))
        || granted(format!("uidgid.config.uid.{}", peer.uid))
        || granted(format!("uidgid.gid.{}", peer.gid))
        || granted(format!("uidgid.config.gid.{}", peer.gid))
}

fn protect_keys(store: &mut Store, keys: &[&str]) -> Result<(), Status> {
    keys.iter().try_for_each(|key| store.set_read_only(key, false, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[test]
    fn the_map_lets_users_and_groups_in_at_once() {
        let mut store = Store::new();
        let peer = |uid, gid| Credentials { pid: 1, uid, gid };
        assert!(may_connect(&store, peer(0, 100)) && may_connect(&store, peer(100, 0)));
        assert!(!may_connect(&store, peer(100, 101)));
        for key in
            ["uidgid.uid.100", "uidgid.config.uid.100", "uidgid.gid.101", "uidgid.config.gid.101"]
        {
            store.set(key, Value::U8(1)).unwrap();
            assert!(may_connect(&store, peer(100, 101)), "{key}");
            store.set(key, Value::U8(2)).unwrap();
            assert!(!may_connect(&store, peer(100, 101)), "{key}");
            store.set(key, Value::U32(1)).unwrap();
            assert!(
                !may_connect(&store, peer(100, 101)),
                "a number of another type is no permission"
            );
            store.delete(key).unwrap();
        }
    }

    #[test]
    fn what_the_daemon_computes_is_protected() {
        let mut store = Store::new();
        protect(&mut store).unwrap();
        protect_votequorum(&mut store).unwrap();
        for key in [
            "nodelist.node.0.name",
            "runtime.config.totem.token",
            "totem.key",
            "quorum.wait_for_all",
        ] {
            assert!(store.is_read_only(key), "{key}");
        }
        for key in ["totem.token", "quorum.expected_votes", "uidgid.gid.5", "logging.debug"] {
            assert!(!store.is_read_only(key), "{key}");
        }
    }
}
