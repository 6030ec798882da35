//! How links and nodes stand, as clients see it.

use ring_service::Layout;

const LINKS_MAX: usize = 8;
const HOST_MAX: usize = 256;
const LINK_LEN: usize = 520;

/// A link to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkStatus {
    /// It is configured and in use.
    pub enabled: bool,
    /// The other end answers.
    pub connected: bool,
    /// The other end's address was learnt.
    pub dynamic: bool,
    /// What one datagram can carry, in bytes.
    pub mtu: u32,
    /// Our address.
    pub source: String,
    /// Theirs.
    pub destination: String,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// Some link is connected.
    pub reachable: bool,
    /// It is another node.
    pub remote: bool,
    /// It is reached through another one.
    pub external: bool,
    /// Lowest wire version that it speaks.
    pub onwire_min: u8,
    /// Highest wire version that it speaks.
    pub onwire_max: u8,
    /// The one that is spoken.
    pub onwire_version: u8,
    /// Its links, by number; at most eight.
    pub links: Vec<LinkStatus>,
}

impl NodeStatus {
    /// Version 1 of the structure, whose header ends at 24.
    pub(crate) fn write(&self, node: u32) -> Vec<u8> {
        let layout = Layout::response(4200).u32(24, 1).u32(28, node);
        let layout = layout.u8(32, self.reachable.into()).u8(33, self.remote.into());
        let layout = layout.u8(34, self.external.into()).u8(35, self.onwire_min);
        let layout = layout.u8(36, self.onwire_max).u8(37, self.onwire_version);
        let write = |layout: Layout, (i, link): (usize, &LinkStatus)| {
            let at = 40 + i * LINK_LEN;
            let layout = layout.u8(at, link.enabled.into()).u8(at + 1, link.connected.into());
            let layout = layout.u8(at + 2, link.dynamic.into()).u32(at + 4, link.mtu);
            let layout = layout.text(at + 8, HOST_MAX, &link.source);
            layout.text(at + 8 + HOST_MAX, HOST_MAX, &link.destination)
        };
        self.links.iter().take(LINKS_MAX).enumerate().fold(layout, write).finish()
    }
}
