//! Links: what a node binds to and where its datagrams go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cmap::Value;
use ha_types::Node;

use crate::host::{Host, IpVersion};
use crate::schema::Document;
use crate::totem::Transport;
use crate::{Keys, Kind, Refused};

/// Most links.
pub const MAX_LINKS: u32 = 8;
/// The port of link 0 unless set.
pub const DEFAULT_PORT: u16 = 5405;
/// Knet's node ids are below this.
const KNET_MAX_NODE: u32 = 65536;

/// A node's address on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: Node,
    /// Its address there.
    pub address: IpAddr,
}

/// What knet needs to know of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnetLink {
    /// Which link is preferred in passive mode.
    pub priority: u8,
    /// Between two pings, in milliseconds.
    pub ping_interval_ms: u32,
    /// Until a ping counts as lost, in milliseconds.
    pub ping_timeout_ms: u32,
    /// How many pings the latency is averaged over.
    pub ping_precision: u32,
    /// Pongs until a link is up.
    pub pong_count: u32,
    /// Whether it runs over SCTP.
    pub over_sctp: bool,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub number: u8,
    /// What to bind to: an address of this host, or a network in a file of 1.x.
    pub bind: Option<IpAddr>,
    /// Where datagrams to all go; None without multicast.
    pub multicast: Option<IpAddr>,
    /// Whether that is everybody on the network.
    pub is_broadcast: bool,
    /// The port.
    pub port: u16,
    /// How many routers multicast may pass, plus one.
    pub ttl: u8,
    /// The nodes' addresses, in the order of the nodelist.
    pub members: Vec<Member>,
    /// For knet.
    pub knet: KnetLink,
}

impl Link {
    /// Zeros that make no sense become the defaults, where there is a nodelist.
    fn fill_zeros(&mut self) {
        if self.port == 0 {
            self.port = DEFAULT_PORT + u16::from(self.number);
        }
        let knet = &mut self.knet;
        knet.priority = knet.priority.max(1);
        if knet.ping_precision == 0 {
            knet.ping_precision = 2048;
        }
    }
}

/// The id that an IPv4 address makes.
pub fn node_of_address(address: Ipv4Addr, clear_high_bit: bool) -> Node {
    let bits = address.to_bits();
    Node(if clear_high_bit { bits & 0x7fff_ffff } else { bits })
}

/// The multicast address of a cluster's name [CONF-8].
pub fn multicast_of_name(cluster_name: &str, link: u8, is_ipv6: bool) -> IpAddr {
    let fold =
        |value: i32, byte: u8| value.wrapping_shl(1).wrapping_add(i32::from(byte.cast_signed()));
    let folded = cluster_name.bytes().fold(0i32, fold).cast_unsigned() & 0xffff;
    let id = u16::try_from(folded).expect("16 bits").wrapping_add(link.into());
    if is_ipv6 {
        return IpAddr::V6(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, id));
    }
    let last = u8::try_from(id % 255).expect("less than 255");
    IpAddr::V4(Ipv4Addr::new(239, 192, id.to_be_bytes()[0], last))
}

/// Sets the bind addresses of all links from the local node's addresses.
pub(crate) fn bind_to_node(keys: &mut Keys, local: u32) {
    let prefix = format!("nodelist.node.{local}.");
    let addresses = keys.with_prefix(&prefix).filter_map(|(key, value)| {
        Some((address_link(key.strip_prefix(&prefix)?)?, value.clone(), keys.line(key)))
    });
    for (link, address, line) in addresses.collect::<Vec<_>>() {
        keys.derive(format!("totem.interface.{link}.bindnetaddr"), address, line);
    }
}

/// The link of `ringN_addr`.
pub(crate) fn address_link(key: &str) -> Option<u32> {
    key.strip_prefix("ring")?.strip_suffix("_addr")?.parse().ok()
}

/// What reading links needs to know.
pub(crate) struct Reading<'a> {
    pub(crate) document: &'a Document,
    pub(crate) keys: &'a Keys,
    pub(crate) host: &'a Host,
    pub(crate) transport: Transport,
    pub(crate) ip_version: IpVersion,
    pub(crate) clear_high_bit: bool,
}

/// All links that the interface sections configure.
pub(crate) fn from_interfaces(reading: &Reading<'_>) -> Result<Vec<Link>, Refused> {
    let numbers = reading.interface_numbers()?;
    let is_broadcast = numbers
        .iter()
        .any(|n| reading.keys.text(&format!("totem.interface.{n}.broadcast")) == Some("yes"));
    let mut links: Vec<Link> = Vec::new();
    for number in numbers {
        let is_ipv6 = links.first().and_then(|link| link.bind).map(|a| a.is_ipv6());
        links.push(reading.link(number, is_ipv6, is_broadcast)?);
    }
    Ok(links)
}

impl Reading<'_> {
    fn interface_numbers(&self) -> Result<Vec<u8>, Refused> {
        let prefix = "totem.interface.";
        let mut numbers: Vec<u8> = Vec::new();
        for (key, _) in self.keys.with_prefix(prefix) {
            let Some((number, rest)) = key[prefix.len()..].split_once('.') else { continue };
            if self.transport == Transport::Udp && rest != "bindnetaddr" {
                continue;
            }
            // What is no number counts as 0, like C's atoi.
            let number = number.parse::<u32>().unwrap_or(0);
            let number = self.checked_number(number, key)?;
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn checked_number(&self, number: u32, key: &str) -> Result<u8, Refused> {
        let small = u8::try_from(number).ok().filter(|_| number < MAX_LINKS);
        small.ok_or_else(|| {
            let most = MAX_LINKS - 1;
            let reason =
                format!("interface ring number {number} is bigger than allowed maximum {most}");
            self.refuse(Kind::Totem, key, reason)
        })
    }

    fn link(
        &self,
        number: u8,
        link0_is_ipv6: Option<bool>,
        is_broadcast: bool,
    ) -> Result<Link, Refused> {
        let bind = self.address(number, "bindnetaddr", "failed to parse bindnet address")?;
        let configured = self.address(number, "mcastaddr", "failed to parse mcast address")?;
        let is_ipv6 = link0_is_ipv6.or(bind.map(|a| a.is_ipv6())).unwrap_or(false);
        let name = self.keys.text("totem.cluster_name");
        let derived = || {
            let name = name.filter(|_| self.transport == Transport::Udp)?;
            Some(multicast_of_name(name, number, is_ipv6))
        };
        let everybody = IpAddr::V4(Ipv4Addr::BROADCAST);
        // Only link 0 can be a broadcast.
        let multicast =
            if is_broadcast && number == 0 { Some(everybody) } else { configured.or_else(derived) };
        let step = if is_broadcast { 2 } else { 1 };
        let port = self.value(number, "mcastport").and_then(Value::as_u16);
        let ttl = self.value(number, "ttl").and_then(Value::as_u8);
        Ok(Link {
            number,
            bind,
            multicast,
            is_broadcast: is_broadcast && number == 0,
            port: port.unwrap_or(DEFAULT_PORT + step * u16::from(number)),
            ttl: ttl.unwrap_or(1),
            members: self.listed_members(number)?,
            knet: self.knet(number)?,
        })
    }

    fn knet(&self, number: u8) -> Result<KnetLink, Refused> {
        let set = |name: &str| self.value(number, name).and_then(Value::as_u32);
        let key = format!("totem.interface.{number}.knet_transport");
        let over_sctp = match self.keys.text(&key) {
            None | Some("udp") => false,
            Some("sctp") => true,
            Some(_) => {
                let reason = "Unrecognised knet_transport. expected 'udp' or 'sctp'";
                return Err(self.refuse(Kind::Plain, &key, reason.to_owned()));
            }
        };
        Ok(KnetLink {
            priority: self.value(number, "knet_link_priority").and_then(Value::as_u8).unwrap_or(1),
            ping_interval_ms: set("knet_ping_interval").unwrap_or(0),
            ping_timeout_ms: set("knet_ping_timeout").unwrap_or(0),
            ping_precision: set("knet_ping_precision").unwrap_or(2048),
            pong_count: set("knet_pong_count").unwrap_or(2),
            over_sctp,
        })
    }

    /// The member list of 1.x, which a nodelist puts out of force.
    fn listed_members(&self, number: u8) -> Result<Vec<Member>, Refused> {
        if self.keys.value("nodelist.node.0.ring0_addr").is_some() {
            return Ok(Vec::new());
        }
        let prefix = format!("totem.interface.{number}.member.");
        let mut listed = Vec::new();
        for (key, value) in self.keys.with_prefix(&prefix) {
            let text = value.as_text().unwrap_or_default();
            let address = self.host.resolve(text, self.ip_version);
            let address = address.ok_or_else(|| {
                self.refuse(Kind::Plain, key, format!("failed to parse node address '{text}'"))
            })?;
            let node = match address {
                IpAddr::V4(address) => node_of_address(address, self.clear_high_bit),
                IpAddr::V6(_) => {
                    let reason = format!(
                        "An IPV6 network requires that a node ID be specified for address '{text}'."
                    );
                    return Err(self.refuse(Kind::Plain, key, reason));
                }
            };
            listed.push((self.keys.line(key), Member { node, address }));
        }
        listed.sort_by_key(|(line, _)| *line);
        Ok(listed.into_iter().map(|(_, member)| member).collect())
    }

    fn value(&self, number: u8, name: &str) -> Option<&Value> {
        self.keys.value(&format!("totem.interface.{number}.{name}"))
    }

    fn address(&self, number: u8, name: &str, complaint: &str) -> Result<Option<IpAddr>, Refused> {
        let key = format!("totem.interface.{number}.{name}");
        let Some(value) = self.keys.value(&key) else { return Ok(None) };
        let text = value.as_text().unwrap_or_default();
        let address = self.host.resolve(text, self.ip_version);
        address
            .map(Some)
            .ok_or_else(|| self.refuse(Kind::Plain, &key, format!("{complaint} '{text}'")))
    }

    fn refuse(&self, kind: Kind, key: &str, reason: String) -> Refused {
        let line = self.keys.line(key);
        Refused { kind, file: self.document.file.clone(), line, reason }
    }

    /// Puts the nodelist's addresses on their links.
    pub(crate) fn add_nodelist(
        &self,
        links: &mut Vec<Link>,
        nodes: &[(u32, Node)],
        link_of_new: impl Fn(u8) -> Link,
    ) -> Result<(), Refused> {
        for link in links.iter_mut() {
            link.members.clear();
        }
        for (position, node) in nodes {
            let prefix = format!("nodelist.node.{position}.");
            for (key, value) in self.keys.with_prefix(&prefix) {
                let Some(number) = address_link(&key[prefix.len()..]) else { continue };
                let number = self.checked_number(number, key)?;
                let text = value.as_text().unwrap_or_default();
                self.check_node(*node, text, key)?;
                let address = self.host.resolve(text, self.ip_version).ok_or_else(|| {
                    self.refuse(Kind::Plain, key, format!("failed to parse node address '{text}'"))
                })?;
                let at = links.iter().position(|link| link.number == number).unwrap_or_else(|| {
                    links.push(link_of_new(number));
                    links.len() - 1
                });
                links[at].members.push(Member { node: *node, address });
            }
        }
        links.sort_by_key(|link| link.number);
        for link in links {
            link.fill_zeros();
        }
        Ok(())
    }

    fn check_node(&self, node: Node, address: &str, key: &str) -> Result<(), Refused> {
        let reason = match (self.transport, node.0) {
            (Transport::Knet, 0) => {
                format!("Knet requires an explicit nodeid to be specified for address '{address}'.")
            }
            (Transport::Knet, KNET_MAX_NODE..) => {
                format!(
                    "Knet requires nodeid to be less than {KNET_MAX_NODE} for address '{address}'."
                )
            }
            _ => return Ok(()),
        };
        Err(self.refuse(Kind::Plain, key, reason))
    }

    /// What a link has that only the nodelist names.
    pub(crate) fn implied_link(&self, number: u8) -> Link {
        let port = DEFAULT_PORT + u16::from(number);
        let knet =
            KnetLink { priority: 1, ping_precision: 2048, pong_count: 2, ..Default::default() };
        Link {
            number,
            bind: None,
            multicast: None,
            is_broadcast: false,
            port,
            ttl: 1,
            members: Vec::new(),
            knet,
        }
    }
}

#[cfg(test)]
mod tests;
