//! What this machine says of names: the resolver, its users, its interfaces.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};

use corosync_conf::{Host, Interface, Wanted};
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::sys::socket::SockaddrStorage;
use nix::unistd::{Group, User};

/// Looks everything up that a configuration names. A name that nobody knows is
/// left out: whoever needs it says so.
pub(crate) fn look_up(wanted: &Wanted) -> Host {
    let user = |name: &String| {
        let user = User::from_name(name).ok().flatten()?;
        Some((name.clone(), user.uid.as_raw()))
    };
    let group = |name: &String| {
        let group = Group::from_name(name).ok().flatten()?;
        Some((name.clone(), group.gid.as_raw()))
    };
    Host {
        nodename: nix::sys::utsname::uname()
            .map(|names| names.nodename().to_string_lossy().into_owned())
            .unwrap_or_default(),
        interfaces: interfaces(),
        addresses: wanted
            .hosts
            .iter()
            .filter_map(|name| Some((name.clone(), resolve(name)?)))
            .collect(),
        users: wanted.users.iter().filter_map(user).collect(),
        groups: wanted.groups.iter().filter_map(group).collect::<BTreeMap<_, _>>(),
    }
}

fn resolve(name: &str) -> Option<Vec<IpAddr>> {
    let found = (name, 0).to_socket_addrs().ok()?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|address| address.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Some(addresses)
}

fn interfaces() -> Vec<Interface> {
    let Ok(all) = getifaddrs() else { return Vec::new() };
    all.filter_map(|found| interface(&found)).collect()
}

fn interface(found: &InterfaceAddress) -> Option<Interface> {
    let address = ip(found.address.as_ref()?)?;
    let mask = found.netmask.as_ref().and_then(ip);
    let prefix_len = match mask {
        Some(IpAddr::V4(mask)) => mask.to_bits().leading_ones(),
        Some(IpAddr::V6(mask)) => mask.to_bits().leading_ones(),
        None => {
            if address.is_ipv4() {
                32
            } else {
                128
            }
        }
    };
    // Names from addresses are asked of no server: a resolver that hangs would
    // keep the node from starting, and the nodelist is found by addresses too.
    Some(Interface { address, prefix_len: u8::try_from(prefix_len).ok()?, name: None })
}

fn ip(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}
