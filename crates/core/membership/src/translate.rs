//! From the configuration to what the ring, the votes and the network are told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use corosync_conf::Config;
use corosync_conf::totem::Transport;
use ha_types::Node;
use sansio::edge::Link;
use totem::To;

/// The socket for what goes to one node, and by udpu for everything.
pub(crate) const UNICAST: Link = Link(0);
/// The socket that multicast is sent by; the one it comes in on is the third.
pub(crate) const MULTICAST: Link = Link(1);

/// Where datagrams go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Routes {
    me: Node,
    peers: BTreeMap<Node, SocketAddr>,
    /// Learnt from datagrams, where no nodelist names the nodes.
    multicast: Option<SocketAddr>,
    port: u16,
    listed_only: bool,
}

impl Routes {
    pub(crate) fn of(config: &Config) -> Self {
        let me = config.local.node;
        let link = config.links.first();
        let port = link.map_or(0, |link| link.port);
        let members = link.into_iter().flat_map(|link| &link.members);
        let peers = members.map(|m| (m.node, SocketAddr::new(m.address, port)));
        let is_udp = config.totem.transport == Transport::Udp;
        let multicast = link.and_then(|link| link.multicast).filter(|_| is_udp);
        Self {
            me,
            peers: peers.filter(|(node, _)| *node != me).collect(),
            multicast: multicast.map(|address| SocketAddr::new(address, port)),
            port,
            listed_only: !is_udp && config.totem.timing.block_unlisted_ips,
        }
    }

    /// The sockets and addresses for a datagram of the ring.
    pub(crate) fn to(&self, to: To) -> Vec<(Link, SocketAddr)> {
        match (to, self.multicast) {
            (To::Node(node), _) => {
                self.peers.get(&node).map(|address| (UNICAST, *address)).into_iter().collect()
            }
            (To::All | To::Ring, Some(address)) => vec![(MULTICAST, address)],
            (To::All | To::Ring, None) => {
                self.peers.values().map(|address| (UNICAST, *address)).collect()
            }
        }
    }

    /// Whether a datagram from there is looked at.
    pub(crate) fn admits(&self, from: IpAddr) -> bool {
        !self.listed_only || self.peers.values().any(|peer| peer.ip() == from)
    }

    /// In a file without a nodelist, a node is where its datagrams come from.
    pub(crate) fn learn(&mut self, node: Node, from: IpAddr) {
        if self.multicast.is_some() && node != self.me {
            self.peers.insert(node, SocketAddr::new(from, self.port));
        }
    }
}

/// What the ring is told of its timers; the configuration has checked them.
pub(crate) fn timing(config: &Config) -> totem::Timing {
    let timing = &config.totem.timing;
    totem::Timing {
        token_ms: timing.token_ms,
        token_warning_percent: timing.token_warning_percent,
        token_retransmit_ms: timing.token_retransmit_ms,
        hold_ms: timing.hold_ms,
        retransmits_before_loss: timing.token_retransmits_before_loss,
        join_ms: timing.join_ms,
        send_join_ms: timing.send_join_ms,
        consensus_ms: timing.consensus_ms,
        merge_ms: timing.merge_ms,
        downcheck_ms: timing.downcheck_ms,
        fail_recv_const: timing.fail_to_receive,
        seqno_unchanged_const: timing.seqno_unchanged,
        window_size: timing.window_size,
        max_messages: timing.max_messages,
        miss_count_const: timing.miss_count,
        heartbeat_failures_allowed: timing.heartbeat_failures_allowed,
        max_network_delay_ms: timing.max_network_delay_ms,
        cancel_token_hold_on_retransmit: timing.cancel_token_hold_on_retransmit,
    }
}

/// Whom the ring listens to; None: to everybody who has the address (and key).
pub(crate) fn nodes(config: &Config) -> Option<BTreeSet<Node>> {
    let members = config.links.first().map(|link| &link.members);
    let nodes: BTreeSet<Node> = members.into_iter().flatten().map(|m| m.node).collect();
    (!nodes.is_empty()).then_some(nodes)
}

/// What the votes are told; None: nobody counts them.
pub(crate) fn votes(config: &Config) -> Option<votequorum::Config> {
    let quorum = config.quorum.as_ref()?;
    let number = |key: &str| config.keys.u32(key).filter(|number| *number != 0);
    let is_listed = config.local.position.is_some() && quorum.nodes > 0;
    let nodes = is_listed.then_some(votequorum::NodeList {
        own_votes: quorum.votes,
        nodes: quorum.nodes,
        votes: quorum.nodes_votes,
    });
    let device = quorum.device.as_ref().map(|device| votequorum::Device {
        votes: device.votes,
        timeout_ms: device.timeout_ms,
        sync_timeout_ms: device.sync_timeout_ms,
    });
    let breaks_ties = config.keys.u8("quorum.auto_tie_breaker").is_some_and(|v| v != 0);
    Some(votequorum::Config {
        nodes,
        expected_votes: number("quorum.expected_votes"),
        votes: number("quorum.votes"),
        two_node: quorum.two_node,
        wait_for_all: quorum.wait_for_all,
        last_man_standing: quorum.last_man_standing,
        last_man_standing_window_ms: quorum.last_man_standing_window_ms,
        auto_tie_breaker: breaks_ties,
        auto_tie_breaker_node: {
            config.keys.text("quorum.auto_tie_breaker_node").map(str::to_owned)
        },
        allow_downscale: quorum.allow_downscale,
        expected_votes_tracking: quorum.expected_votes_tracking,
        device,
    })
}

/// How tools are shown a node's addresses.
pub(crate) fn shown_addresses(config: &Config) -> BTreeMap<Node, String> {
    let mut shown: BTreeMap<Node, String> = BTreeMap::new();
    for (node, number, address) in addresses_by_link(config) {
        let text = shown.entry(node).or_default();
        text.push_str(&format!("r({number}) ip({address}) "));
    }
    shown
}

/// Every configured node's addresses, by link.
pub(crate) fn addresses(config: &Config) -> BTreeMap<Node, Vec<IpAddr>> {
    let mut all: BTreeMap<Node, Vec<IpAddr>> = BTreeMap::new();
    for (node, _, address) in addresses_by_link(config) {
        all.entry(node).or_default().push(address);
    }
    all.entry(config.local.node).or_insert_with(|| vec![config.local.address]);
    all
}

fn addresses_by_link(config: &Config) -> impl Iterator<Item = (Node, u8, IpAddr)> + '_ {
    let links = config.links.iter();
    links.flat_map(|link| link.members.iter().map(|m| (m.node, link.number, m.address)))
}
