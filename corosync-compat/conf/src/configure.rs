//! From keys to a configuration that has passed every check.

use std::net::IpAddr;

use cmap::Value;
use ha_types::Node;

use crate::host::{Host, IpVersion};
use crate::legacy::Legacy;
use crate::link::{self, Link, Reading};
use crate::logging::Logging;
use crate::quorum::{self, Expected, Quorum};
use crate::schema::Document;
use crate::system::System;
use crate::timing::Timing;
use crate::totem::{self, Totem, Transport};
use crate::{Keys, Kind, Refused};

/// A node of the nodelist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    /// Its place in the nodelist, from 0.
    pub position: u32,
    /// Its id, as set or made from its address.
    pub node: Node,
    /// Its name.
    pub name: Option<String>,
    /// Its votes.
    pub votes: u32,
}

/// This node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalNode {
    /// Its place in the nodelist; None in a file without one.
    pub position: Option<u32>,
    /// Its id.
    pub node: Node,
    /// Its address on link 0.
    pub address: IpAddr,
}

/// A configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What it was made from.
    pub document: Document,
    /// All keys for the map: the file's, and the computed ones.
    pub keys: Keys,
    /// The totem section.
    pub totem: Totem,
    /// The links, in order.
    pub links: Vec<Link>,
    /// This node.
    pub local: LocalNode,
    /// The nodelist; empty in a file without one.
    pub nodes: Vec<NodeEntry>,
    /// What votequorum is to do; None without a provider.
    pub quorum: Option<Quorum>,
    /// The logging section.
    pub logging: Logging,
    /// The system section.
    pub system: System,
    /// What a file of 1.x means.
    pub legacy: Legacy,
    /// To be logged at the start.
    pub warnings: Vec<String>,
    /// To be logged at the start, not worrying.
    pub notices: Vec<String>,
}

/// Computes what the file leaves out and checks the whole [CONF-6].
pub fn configure(document: Document, host: &Host) -> Result<Config, Refused> {
    let logging = Logging::of(&document)?;
    let legacy = Legacy::of(&document);
    let (transport, transport_is_implied) = totem::transport(&document, &legacy)?;
    let protection = totem::protection(&document, &legacy)?;
    let mut maker = Maker::new(&document, host, transport);
    let links = maker.links()?;
    let timing = Timing::of(&maker.keys, maker.members_for_token(&links));
    let links = maker.with_ping_times(links, &timing);
    let local = maker.local(&links)?;
    maker.check_links(&links, local.node)?;
    totem::check_version(&document)?;
    timing.check(&document)?;
    maker.check_families(&links)?;
    maker.check_duplicates()?;
    let link_mode = totem::link_mode(&document)?;
    maker.check_number_of_links(&links)?;
    for (key, value) in timing.runtime_keys() {
        maker.keys.compute(key, value);
    }
    quorum::complete(&mut maker.keys, &legacy);
    let quorum = Quorum::of(&maker.keys, local.position, &links, &legacy);
    let totem = Totem {
        transport,
        transport_is_implied,
        cluster_name: document.keys.text("totem.cluster_name").map(str::to_owned),
        config_version: {
            document.keys.value("totem.config_version").and_then(Value::as_u64).unwrap_or(0)
        },
        ip_version: maker.ip_version,
        protection,
        timing,
        link_mode,
        net_mtu: totem::net_mtu(&document, transport),
        clear_node_high_bit: maker.clear_high_bit,
        nodeid: document.keys.u32("totem.nodeid").filter(|n| *n != 0),
    };
    let system = System::of(&document)?;
    let (nodes, keys) = (maker.entries(), maker.keys);
    let warnings = warnings(&document, &legacy, &links, &local);
    let notices = notices(&legacy, quorum.as_ref(), &totem);
    Ok(Config {
        document,
        keys,
        totem,
        links,
        local,
        nodes,
        quorum,
        logging,
        system,
        legacy,
        warnings,
        notices,
    })
}

struct Maker<'a> {
    document: &'a Document,
    host: &'a Host,
    keys: Keys,
    transport: Transport,
    ip_version: IpVersion,
    clear_high_bit: bool,
    position: Option<u32>,
    nodes: Vec<(u32, Node)>,
}

impl<'a> Maker<'a> {
    fn new(document: &'a Document, host: &'a Host, transport: Transport) -> Self {
        let keys = document.keys.clone();
        Self {
            document,
            host,
            transport,
            ip_version: totem::ip_version(document, transport),
            clear_high_bit: keys.text("totem.clear_node_high_bit") == Some("yes"),
            position: None,
            nodes: Vec::new(),
            keys,
        }
    }

    fn links(&mut self) -> Result<Vec<Link>, Refused> {
        let has = |key: &str| self.keys.value(key).is_some();
        if !has("totem.interface.0.bindnetaddr") || has("nodelist.node.0.ring0_addr") {
            self.find_local();
            if let Some(local) = self.position {
                link::bind_to_node(&mut self.keys, local);
            }
        }
        let mut links = link::from_interfaces(&self.reading())?;
        self.store_generated(&links);
        let has = |key: &str| self.keys.value(key).is_some();
        if has("nodelist.node.0.name") || has("nodelist.node.0.ring0_addr") {
            self.find_local();
            self.number_nodes()?;
            let reading = self.reading();
            reading.add_nodelist(&mut links, &self.nodes, |n| reading.implied_link(n))?;
        }
        Ok(links)
    }

    fn reading(&self) -> Reading<'_> {
        Reading {
            document: self.document,
            keys: &self.keys,
            host: self.host,
            transport: self.transport,
            ip_version: self.ip_version,
            clear_high_bit: self.clear_high_bit,
        }
    }

    fn find_local(&mut self) {
        if self.position.is_none() {
            self.position = self.host.local_position(&self.keys);
        }
        if let Some(position) = self.position {
            self.keys.compute("nodelist.local_node_pos", Value::U32(position));
        }
    }

    /// Where udp sends to is shown to tools.
    fn store_generated(&mut self, links: &[Link]) {
        if self.transport != Transport::Udp {
            return;
        }
        for link in links {
            let key = |name: &str| format!("totem.interface.{}.{name}", link.number);
            let (address, port) = (key("mcastaddr"), key("mcastport"));
            if let (None, Some(multicast)) = (self.keys.value(&address), link.multicast) {
                self.keys.compute(address, Value::text(multicast.to_string()));
            }
            if self.keys.value(&port).is_none() {
                self.keys.compute(port, Value::U16(link.port));
            }
        }
    }

    /// Ids that are not set are made from the address on link 0, without knet.
    fn number_nodes(&mut self) -> Result<(), Refused> {
        let positions = self.keys.numbered("nodelist.node.").map(|(position, _, _)| position);
        let mut positions: Vec<u32> = positions.collect();
        positions.sort_unstable();
        positions.dedup();
        for position in positions {
            let key = |name: &str| format!("nodelist.node.{position}.{name}");
            let set = self.keys.u32(&key("nodeid")).filter(|id| *id != 0);
            let address_key = key("ring0_addr");
            let address = self.keys.text(&address_key);
            let is_local = self.position == Some(position);
            let node = match (set, address) {
                (Some(id), _) => Node(id),
                (None, Some(_)) if self.transport == Transport::Knet && is_local => {
                    let reason = "Knet requires an explicit nodeid for the local node";
                    return Err(self.refuse(Kind::Plain, &address_key, reason));
                }
                (None, Some(address)) if self.transport != Transport::Knet => {
                    self.node_of_name(address, &address_key, is_local)?
                }
                _ => Node(0),
            };
            if set.is_none() && node.0 != 0 {
                self.keys.compute(key("nodeid"), Value::U32(node.0));
            }
            self.nodes.push((position, node));
        }
        Ok(())
    }

    fn node_of_name(&self, address: &str, key: &str, is_local: bool) -> Result<Node, Refused> {
        match self.host.resolve(address, IpVersion::V4) {
            Some(IpAddr::V4(v4)) => Ok(link::node_of_address(v4, self.clear_high_bit)),
            _ => {
                let which =
                    if is_local { String::new() } else { format!(" for address '{address}'.") };
                let reason = format!("An IPV6 network requires that a node ID be specified{which}");
                Err(self.refuse(Kind::Plain, key, &reason))
            }
        }
    }

    /// How many nodes the token's time is computed for. The reference counts a
    /// node twice that has nothing but `ring0_addr`, since it adds the id that it
    /// makes to the map that it is walking through. Nodes of one ring should lose
    /// a token at the same time, so that stays as it is [CONF-7].
    fn members_for_token(&self, links: &[Link]) -> u32 {
        let Some(link) = links.first().filter(|link| link.number == 0) else { return 0 };
        let twice = self.nodes.iter().filter(|(position, node)| {
            let prefix = format!("nodelist.node.{position}.");
            let mut keys = self.document.keys.with_prefix(&prefix);
            let is_bare = keys.next().is_some_and(|(key, _)| key.ends_with(".ring0_addr"));
            node.0 != 0 && is_bare && keys.next().is_none()
        });
        u32::try_from(link.members.len() + twice.count()).unwrap_or(u32::MAX)
    }

    /// Knet's pings are timed by the token unless set.
    fn with_ping_times(&mut self, mut links: Vec<Link>, timing: &Timing) -> Vec<Link> {
        for link in &mut links {
            let knet = &mut link.knet;
            if knet.pong_count == 0 {
                knet.pong_count = 2;
            }
            if knet.ping_timeout_ms == 0 {
                knet.ping_timeout_ms = timing.token_ms / knet.pong_count;
            }
            if knet.ping_interval_ms == 0 {
                knet.ping_interval_ms = timing.token_ms / knet.pong_count.wrapping_mul(2).max(1);
            }
            let key = |name| format!("runtime.config.totem.interface.{}.{name}", link.number);
            self.keys.compute(key("knet_ping_timeout"), Value::U32(knet.ping_timeout_ms));
            self.keys.compute(key("knet_ping_interval"), Value::U32(knet.ping_interval_ms));
        }
        links
    }

    /// This node's id and address: by the nodelist, or in a file without one by
    /// the network that it binds to [CONF-9].
    fn local(&self, links: &[Link]) -> Result<LocalNode, Refused> {
        let Some(first) = links.first() else {
            return Err(self.refuse(Kind::Totem, "", "No interfaces defined"));
        };
        if let Some(position) = self.position {
            let entry = self.nodes.iter().find(|(p, _)| *p == position);
            let node = entry.map_or(Node(0), |(_, node)| *node);
            let member = first.members.iter().find(|m| m.node == node).map(|m| m.address);
            let address = member.or(first.bind);
            let address =
                address.ok_or_else(|| self.refuse(Kind::Totem, "", "No interfaces defined"))?;
            return Ok(LocalNode { position: Some(position), node, address });
        }
        if self.document.has_nodelist {
            return Err(self.refuse(Kind::Totem, "", "No valid name found for local host"));
        }
        self.local_of_network(first)
    }

    fn local_of_network(&self, link: &Link) -> Result<LocalNode, Refused> {
        let key = format!("totem.interface.{}.bindnetaddr", link.number);
        let Some(network) = link.bind else {
            return Err(self.refuse(Kind::Totem, "", "No valid name found for local host"));
        };
        let address = self.host.address_in(network).ok_or_else(|| {
            let reason = format!("bindnetaddr {network} is no network of this host");
            self.refuse(Kind::Totem, &key, &reason)
        })?;
        let set = self.keys.u32("totem.nodeid").filter(|id| *id != 0).map(Node);
        let node = match (set, address) {
            (Some(node), _) => node,
            (None, IpAddr::V4(v4)) => link::node_of_address(v4, self.clear_high_bit),
            (None, IpAddr::V6(_)) => {
                let reason = "An IPV6 network requires that a node ID be specified for interface 0";
                return Err(self.refuse(Kind::Totem, &key, reason));
            }
        };
        Ok(LocalNode { position: None, node, address })
    }

    fn check_links(&self, links: &[Link], local: Node) -> Result<(), Refused> {
        for link in links {
            let number = link.number;
            let key = |name: &str| format!("totem.interface.{number}.{name}");
            let refuse = |name: &str, reason: String| {
                Err(self.refuse(Kind::Totem, &key(name), &format!("{reason} interface {number}")))
            };
            let is_udp = self.transport == Transport::Udp;
            if is_udp && link.multicast.is_none() {
                return refuse("bindnetaddr", "No multicast address specified for".to_owned());
            }
            if link.port == 0 {
                return refuse("mcastport", "No multicast port specified for".to_owned());
            }
            if !is_udp && link.ttl != 1 {
                return refuse(
                    "ttl",
                    "Can only set ttl on multicast transport types for".to_owned(),
                );
            }
            if self.transport != Transport::Knet && link.knet.priority != 1 {
                let reason = "Can only set link priority on knet transport type for";
                return refuse("knet_link_priority", reason.to_owned());
            }
            if link.multicast.is_some_and(|a| a.is_ipv6()) && local.0 == 0 {
                let reason = "An IPV6 network requires that a node ID be specified for";
                return refuse("mcastaddr", reason.to_owned());
            }
            if let (true, false, Some(multicast)) = (is_udp, link.is_broadcast, link.multicast) {
                if link.bind.is_some_and(|bind| bind.is_ipv6() != multicast.is_ipv6()) {
                    let reason = "Multicast address family does not match bind address family for";
                    return refuse("mcastaddr", reason.to_owned());
                }
                if !multicast.is_multicast() {
                    let reason = "mcastaddr is not a correct multicast address for";
                    return refuse("mcastaddr", reason.to_owned());
                }
            }
        }
        Ok(())
    }

    fn check_families(&self, links: &[Link]) -> Result<(), Refused> {
        let members = links.first().map_or(0, |link| link.members.len());
        if links.len() > 1 {
            let unnamed = (0..members)
                .find(|i| self.keys.value(&format!("nodelist.node.{i}.name")).is_none());
            if let Some(unnamed) = unnamed {
                let key = format!("nodelist.node.{unnamed}.ring0_addr");
                let reason =
                    "for a multi-link configuration, all nodes must have a 'name' attribute";
                return Err(self.refuse(Kind::Totem, &key, reason));
            }
            if links.iter().any(|link| link.members.len() != members) {
                return Err(self.refuse(
                    Kind::Totem,
                    "",
                    "Not all nodes have the same number of links",
                ));
            }
        }
        for link in links {
            let Some(first) = link.members.first() else { continue };
            let mut others = link.members.iter();
            let other = others.find(|m| m.address.is_ipv6() != first.address.is_ipv6());
            if let Some(other) = other {
                let reason = format!(
                    "Nodes for link {} have different IP families (compared {} with {})",
                    link.number, other.address, first.address
                );
                return Err(self.refuse(Kind::Totem, "", &reason));
            }
        }
        Ok(())
    }

    fn check_duplicates(&self) -> Result<(), Refused> {
        let mut seen: Vec<Node> = Vec::new();
        for (position, node) in &self.nodes {
            if node.0 != 0 && seen.contains(node) {
                let key = |name: &str| format!("nodelist.node.{position}.{name}");
                let address = self.keys.text(&key("ring0_addr")).unwrap_or_default();
                let (blamed, from) = match self.document.keys.value(&key("nodeid")) {
                    Some(_) => (key("nodeid"), String::new()),
                    None => (key("ring0_addr"), format!("(autogenerated from {address})")),
                };
                let reason = format!("Nodeid {}{from} appears twice in corosync.conf", node.0);
                return Err(self.refuse(Kind::Plain, &blamed, &reason));
            }
            seen.push(*node);
        }
        Ok(())
    }

    fn check_number_of_links(&self, links: &[Link]) -> Result<(), Refused> {
        let count = links.len();
        let Some(second) = links.get(1).filter(|_| self.transport != Transport::Knet) else {
            return Ok(());
        };
        let reason = format!("{count} is too many configured interfaces for non-Knet transport.");
        let keys = ["bindnetaddr", "mcastport", "mcastaddr"];
        let keys = keys.map(|name| format!("totem.interface.{}.{name}", second.number));
        let nodes = self.nodes.iter();
        let addresses = nodes.map(|(p, _)| format!("nodelist.node.{p}.ring{}_addr", second.number));
        let mut blamed = keys.into_iter().chain(addresses);
        let blamed = blamed.find(|key| self.document.keys.line(key).is_some()).unwrap_or_default();
        Err(self.refuse(Kind::Totem, &blamed, &reason))
    }

    fn entries(&self) -> Vec<NodeEntry> {
        let entries = self.nodes.iter().map(|(position, node)| {
            let key = |name: &str| format!("nodelist.node.{position}.{name}");
            NodeEntry {
                position: *position,
                node: *node,
                name: self.keys.text(&key("name")).map(str::to_owned),
                votes: self.keys.u32(&key("quorum_votes")).unwrap_or(1),
            }
        });
        entries.collect()
    }

    fn refuse(&self, kind: Kind, key: &str, reason: &str) -> Refused {
        self.document.refuse(kind, key, reason)
    }
}

fn warnings(
    document: &Document,
    legacy: &Legacy,
    links: &[Link],
    local: &LocalNode,
) -> Vec<String> {
    let keys = &document.keys;
    let mut warnings = Vec::new();
    let has_nodelist = keys.value("nodelist.node.0.ring0_addr").is_some();
    let mut interfaces = keys.with_prefix("totem.interface.");
    let has_members = interfaces.any(|(key, _)| key.contains(".member."));
    if has_members && has_nodelist {
        warnings.push("member section is used together with nodelist. Members ignored.".to_owned());
    }
    if has_members && !has_nodelist {
        warnings.push("member section is deprecated.".to_owned());
    }
    if keys.value("totem.nodeid").is_some() && document.has_nodelist {
        let text = "nodeid in totem section is deprecated and ignored. \
                    Nodelist (or autogenerated) nodeid is going to be used.";
        warnings.push(text.to_owned());
    }
    if keys.value("totem.interface.0.bindnetaddr").is_some() && has_nodelist {
        let text = "interface section bindnetaddr is used together with nodelist. \
                    Nodelist one is going to be used.";
        warnings.push(text.to_owned());
    }
    if !warnings.is_empty() || legacy.implies_udp {
        warnings.push("Please migrate config file to nodelist.".to_owned());
    }
    if local.position.is_none() {
        let members = links.first().map_or(&[][..], |link| &link.members);
        if !members.is_empty() && members.iter().all(|m| m.address != local.address) {
            let address = local.address;
            warnings.push(format!("this host's address {address} is not in the member list"));
        }
    }
    if let Some(ring) = document.dropped_rings.first() {
        warnings.push(format!(
            "interface {ring} is ignored: redundant rings need transport knet and a nodelist"
        ));
    }
    warnings.extend(document.unknown_warning());
    warnings
}

fn notices(legacy: &Legacy, quorum: Option<&Quorum>, totem: &Totem) -> Vec<String> {
    let mut notices = Vec::new();
    if legacy.implies_udp {
        notices.push("no transport and no nodelist: using transport udp as 1.x did".to_owned());
    }
    if legacy.secauth_is_on && totem.protection.key.is_some() {
        notices.push("no secauth: using it as 1.x did".to_owned());
    }
    if let (true, Some(quorum)) = (legacy.votequorum_by_itself, quorum) {
        notices.push(match quorum.expected {
            Expected::Votes(votes) => {
                format!("no quorum section: using votequorum with {votes} expected votes")
            }
            Expected::HighestSeen => {
                "no quorum section: using votequorum and waiting for all of the most nodes ever seen; \
                 nodes that are cut apart at their very first start cannot know of each other: \
                 set expected_votes in a quorum section"
                    .to_owned()
            }
        });
    }
    notices
}
