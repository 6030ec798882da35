//! What the host knows: names, addresses, users.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::grammar::{self, What};
use crate::{Files, Keys};

/// What the configuration is read against; all of it plain data, so that a
/// recording has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// `uname -n`.
    pub nodename: String,
    /// The addresses of its interfaces, in the kernel's order.
    pub interfaces: Vec<Interface>,
    /// What the resolver says of the names in [`Wanted::hosts`], in its order.
    pub addresses: BTreeMap<String, Vec<IpAddr>>,
    /// The numbers of the users in [`Wanted::users`] that exist.
    pub users: BTreeMap<String, u32>,
    /// The numbers of the groups in [`Wanted::groups`] that exist.
    pub groups: BTreeMap<String, u32>,
}

/// An address of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The address.
    pub address: IpAddr,
    /// How many of its bits name the network.
    pub prefix_len: u8,
    /// The name that the resolver has for it.
    pub name: Option<String>,
}

/// The names that the texts use and the shell is to look up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Users by name.
    pub users: BTreeSet<String>,
    /// Groups by name.
    pub groups: BTreeSet<String>,
    /// Hosts by name, of either address family.
    pub hosts: BTreeSet<String>,
}

/// Which families of addresses count, and which comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// IPv6, else IPv4.
    V6V4,
    /// IPv4, else IPv6.
    V4V6,
}

impl Wanted {
    /// What these texts name, whether or not they will be taken.
    pub fn of(files: &Files) -> Self {
        let mut wanted = Self::default();
        for text in std::iter::once(&files.main).chain(&files.uidgid) {
            for step in grammar::steps(&text.bytes).0 {
                if let What::Item { path, key, value } = step.what {
                    wanted.take(&path, &key, &String::from_utf8_lossy(&value));
                }
            }
        }
        wanted
    }

    fn take(&mut self, path: &str, key: &str, value: &str) {
        let names = if path == "uidgid.uid" {
            &mut self.users
        } else if path == "uidgid.gid" {
            &mut self.groups
        } else if is_address_key(path, key) && literal(value).is_none() {
            &mut self.hosts
        } else {
            return;
        };
        names.insert(value.to_owned());
    }
}

fn is_address_key(path: &str, key: &str) -> bool {
    let in_node = path.starts_with("nodelist.node.") && (key == "name" || key.ends_with("_addr"));
    in_node || matches!(key, "bindnetaddr" | "mcastaddr" | "memberaddr")
}

impl Host {
    /// The first address of a name or literal that `version` allows.
    pub fn resolve(&self, name: &str, version: IpVersion) -> Option<IpAddr> {
        let all = self.all_addresses(name);
        let first = |v4: bool| all.iter().find(|a| a.is_ipv4() == v4).copied();
        match version {
            IpVersion::V4 => first(true),
            IpVersion::V6 => first(false),
            IpVersion::V6V4 => first(false).or_else(|| first(true)),
            IpVersion::V4V6 => first(true).or_else(|| first(false)),
        }
    }

    fn all_addresses(&self, name: &str) -> Vec<IpAddr> {
        match literal(name) {
            Some(address) => vec![address],
            None => self.addresses.get(name).cloned().unwrap_or_default(),
        }
    }

    fn has(&self, address: IpAddr) -> bool {
        self.interfaces.iter().any(|i| i.address == address)
    }

    /// Which node of the nodelist this host is [CONF-5].
    pub fn local_position(&self, keys: &Keys) -> Option<u32> {
        self.position_by_nodename(keys)
            .or_else(|| self.position_by_interface(keys))
            .or_else(|| self.position_by_resolver(keys))
    }

    /// The whole name of the host, then without one label after the other from
    /// its end, then the first label against the first labels of the nodes.
    fn position_by_nodename(&self, keys: &Keys) -> Option<u32> {
        let mut name = self.nodename.as_str();
        loop {
            if let Some(position) = node_named(keys, name, false) {
                return Some(position);
            }
            match name.rsplit_once('.') {
                Some((shorter, _)) => name = shorter,
                None => return node_named(keys, name, true),
            }
        }
    }

    /// The names that the resolver has for the host's addresses, whole and up
    /// to the first dot, then the addresses as they are written.
    fn position_by_interface(&self, keys: &Keys) -> Option<u32> {
        self.interfaces.iter().find_map(|interface| {
            let written = interface.address.to_string();
            let name = interface.name.as_deref().unwrap_or(&written);
            let whole = node_named(keys, name, false);
            let short = || node_named(keys, name.split_once('.')?.0, false);
            let numeric = || interface.address.is_ipv4().then(|| node_named(keys, &written, false));
            whole.or_else(short).or_else(|| numeric().flatten())
        })
    }

    /// The nodes' names and addresses, resolved and compared with the host's.
    fn position_by_resolver(&self, keys: &Keys) -> Option<u32> {
        let is_here = |name: &str| self.all_addresses(name).into_iter().any(|a| self.has(a));
        names(keys).find(|(_, name)| is_here(name)).map(|(position, _)| position)
    }

    /// The host's address in a network as 1.x wrote it: with the bits of the
    /// host set or not.
    pub fn address_in(&self, network: IpAddr) -> Option<IpAddr> {
        let exact = self.interfaces.iter().find(|i| i.address == network);
        let within = || self.interfaces.iter().find(|i| i.shares_network_with(network));
        exact.or_else(within).map(|i| i.address)
    }
}

impl Interface {
    fn shares_network_with(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                let host_bits = 32 - u32::from(self.prefix_len.min(32));
                (mine.to_bits() ^ other.to_bits()).checked_shr(host_bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => {
                let host_bits = 128 - u32::from(self.prefix_len.min(128));
                (mine.to_bits() ^ other.to_bits()).checked_shr(host_bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// The nodes' names and first addresses, in the order of their keys.
fn names(keys: &Keys) -> impl Iterator<Item = (u32, &str)> {
    let names = keys.numbered("nodelist.node.");
    let names = names.filter(|(_, item, _)| *item == "name" || *item == "ring0_addr");
    names.filter_map(|(position, _, key)| Some((position, keys.text(key)?)))
}

fn node_named(keys: &Keys, wanted: &str, first_label_only: bool) -> Option<u32> {
    let shown = |name| first_label(name, first_label_only);
    names(keys).find(|(_, name)| shown(name) == wanted).map(|(position, _)| position)
}

fn first_label(name: &str, only: bool) -> &str {
    if only { name.split('.').next().unwrap_or(name) } else { name }
}

/// An address that needs no resolver. Like the C library, IPv4 addresses may
/// have fewer than four parts and be octal or hexadecimal.
pub fn literal(text: &str) -> Option<IpAddr> {
    let v6 = text.split_once('%').map_or(text, |(address, _scope)| address);
    let v6 = v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    v6.or_else(|| ipv4_literal(text).map(IpAddr::V4))
}

fn ipv4_literal(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(ipv4_part).collect::<Option<_>>()?;
    let (last, bytes) = parts.split_last()?;
    let free_bytes = 4usize.checked_sub(bytes.len()).filter(|free| *free > 0)?;
    let limit = 1u64 << (8 * free_bytes);
    if u64::from(*last) >= limit || bytes.iter().any(|b| *b > 255) {
        return None;
    }
    let high = bytes.iter().zip([24, 16, 8]).fold(0, |bits, (byte, shift)| bits | byte << shift);
    Some(Ipv4Addr::from_bits(high | last))
}

fn ipv4_part(text: &str) -> Option<u32> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let parse = |digits: &str, radix| {
        let all_digits = digits.chars().all(|c| c.is_digit(radix));
        if all_digits { u32::from_str_radix(digits, radix).ok() } else { None }
    };
    match text.as_bytes() {
        _ if !is_number => None,
        [b'0', b'x' | b'X', ..] => parse(&text[2..], 16),
        [b'0', _, ..] => parse(&text[1..], 8),
        _ => parse(text, 10),
    }
}

#[cfg(test)]
mod tests;
