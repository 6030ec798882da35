//! What a node is called.

use corosync_client::{Cfg, Cmap, Lookup, host_name};

use super::Style;
use crate::output::say;

/// A configured name is cut to this many bytes.
const NAME_MAX: usize = 254;

/// The configured name of a node, else the name or number of its address; with
/// all addresses, those of the other links after it.
pub(super) fn name(style: &Style, cmap: &mut Cmap, cfg: &mut Cfg, node: u32) -> Vec<u8> {
    let configured = match style.lookup {
        Lookup::Name => configured_name(cmap, node),
        Lookup::Number => None,
    };
    let addresses = match cfg.addresses(node) {
        Ok(addresses) => addresses,
        Err(e) => {
            say(format!("Unable to get node address for nodeid {node}: {e}\n"));
            return Vec::new();
        }
    };
    let shown = if style.all_addresses { addresses.len() } else { 1 };
    let first = usize::from(configured.is_some());
    let mut text = configured.unwrap_or_default();
    for (link, address) in addresses.into_iter().enumerate().take(shown).skip(first) {
        let Some(address) = address else { continue };
        if link != 0 {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(&host_name(address, style.lookup).unwrap_or_default());
    }
    text
}

fn configured_name(cmap: &mut Cmap, node: u32) -> Option<Vec<u8>> {
    for entry in cmap.keys(b"nodelist.node.").ok()? {
        let Some((position, b"nodeid")) = crate::commands::node_key(&entry.key) else { continue };
        if cmap.get_u32(&entry.key) != Ok(node) {
            continue;
        }
        let key = [b"nodelist.node.", position, b".name"].concat();
        if let Ok(mut name) = cmap.get_text(&key) {
            name.truncate(NAME_MAX);
            return Some(name).filter(|name| !name.is_empty());
        }
    }
    None
}
