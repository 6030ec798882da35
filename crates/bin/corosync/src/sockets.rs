//! The daemon's datagram sockets, in the order that the core numbers them.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use corosync_conf::Config;
use corosync_conf::link::Link;
use corosync_conf::totem::Transport;
use socket2::{Domain, Protocol, Socket, Type};

/// What the kernel keeps for a daemon that is not looking.
const BUFFER_BYTES: usize = 8 * 65_536;

/// Binds what the transport needs: for udpu one socket; for udp those for the
/// token, for sending to all, and for receiving that.
pub(crate) fn bind(config: &Config) -> Result<Vec<UdpSocket>, String> {
    let link = config.links.first().ok_or("No interfaces defined")?;
    let address = config.local.address;
    let token = SocketAddr::new(address, link.port);
    match config.totem.transport {
        Transport::Knet => Err("transport knet is not built yet".into()),
        Transport::Udpu => Ok(vec![bound(token, |_| Ok(()))?]),
        Transport::Udp => {
            let all = link.multicast.ok_or("transport udp needs a multicast address")?;
            let from = SocketAddr::new(address, link.port.wrapping_sub(1));
            Ok(vec![
                bound(token, |_| Ok(()))?,
                bound(from, |socket| prepare_sending(socket, address, link))?,
                bound(SocketAddr::new(all, link.port), |socket| join(socket, all, address, link))?,
            ])
        }
    }
}

fn bound(
    address: SocketAddr,
    prepare: impl FnOnce(&Socket) -> std::io::Result<()>,
) -> Result<UdpSocket, String> {
    let make = || {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
        socket.set_send_buffer_size(BUFFER_BYTES)?;
        prepare(&socket)?;
        socket.bind(&address.into())?;
        Ok(UdpSocket::from(socket))
    };
    make().map_err(|error: std::io::Error| format!("Cannot bind {address}: {error}"))
}

fn prepare_sending(socket: &Socket, own: IpAddr, link: &Link) -> std::io::Result<()> {
    socket.set_reuse_address(true)?;
    if link.is_broadcast {
        return socket.set_broadcast(true);
    }
    match own {
        IpAddr::V4(own) => {
            socket.set_multicast_loop_v4(false)?;
            socket.set_multicast_ttl_v4(link.ttl.into())?;
            socket.set_multicast_if_v4(&own)
        }
        IpAddr::V6(_) => {
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_hops_v6(link.ttl.into())?;
            socket.set_multicast_if_v6(interface_of(own)?)
        }
    }
}

fn join(socket: &Socket, all: IpAddr, own: IpAddr, link: &Link) -> std::io::Result<()> {
    socket.set_reuse_address(true)?;
    if link.is_broadcast {
        return socket.set_broadcast(true);
    }
    match (all, own) {
        (IpAddr::V4(all), IpAddr::V4(own)) => socket.join_multicast_v4(&all, &own),
        (IpAddr::V6(all), own) => socket.join_multicast_v6(&all, interface_of(own)?),
        (IpAddr::V4(_), IpAddr::V6(_)) => {
            Err(std::io::Error::other("the multicast address is of another family"))
        }
    }
}

/// The kernel's number of the interface that has an address.
fn interface_of(address: IpAddr) -> std::io::Result<u32> {
    let wanted = |found: &nix::ifaddrs::InterfaceAddress| {
        let v6 = found.address.as_ref().and_then(|a| Some(a.as_sockaddr_in6()?.ip()));
        v6.map(IpAddr::V6) == Some(address)
    };
    let found = nix::ifaddrs::getifaddrs()?.find(wanted);
    let found = found.ok_or_else(|| std::io::Error::other("no interface has the address"))?;
    Ok(nix::net::if_::if_nametoindex(found.interface_name.as_str())?)
}
