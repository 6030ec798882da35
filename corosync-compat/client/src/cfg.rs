//! Nodes, links, reload, logs and shutdown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use wire::{Malformed, Reader, Writer};

use crate::CsError;
use crate::connection::{Connection, put_padded, until_nul};

const KILL_NODE: i32 = 2;
const TRY_SHUTDOWN: i32 = 3;
const REPLY_TO_SHUTDOWN: i32 = 4;
const NODE_ADDRESSES: i32 = 5;
const LOCAL_GET: i32 = 6;
const RELOAD: i32 = 7;
const REOPEN_LOGS: i32 = 8;
const NODE_STATUS: i32 = 9;
const TRACK_START: i32 = 10;

/// Id of the event that asks whether a shutdown is welcome.
const TEST_SHUTDOWN: i32 = 10;

/// Links of a node, at most.
pub const MAX_LINKS: usize = 8;
/// The one version of a node's status that there is.
const STATUS_VERSION: u32 = 1;
/// Bytes of an address's text in a status.
const HOST_FIELD: usize = 256;
/// Bytes of the field of a reason.
const REASON_FIELD: usize = 256;
/// Bytes of a binary address, of either family.
const ADDRESS: usize = 16;

/// How urgently the daemon shall stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Unless a client objects.
    Request,
    /// The clients are told.
    Regardless,
    /// Nobody is asked.
    Immediate,
}

/// What a client answers when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownAnswer {
    /// It objects.
    No,
    /// It agrees.
    Yes,
}

/// What the local node knows of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its id.
    pub node: u32,
    /// Whether some link to it works.
    pub reachable: bool,
    /// Whether it is reached through another node.
    pub remote: bool,
    /// Whether it is outside the cluster.
    pub external: bool,
    /// Lowest, highest and current version of knet's wire format.
    pub onwire: [u8; 3],
    /// Its links, by number.
    pub links: Vec<LinkStatus>,
}

/// A link between the local node and another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkStatus {
    /// It is configured.
    pub enabled: bool,
    /// It carries data.
    pub connected: bool,
    /// The peer's address was learnt.
    pub dynconnected: bool,
    /// Bytes of a packet.
    pub mtu: u32,
    /// The local address, as text.
    pub source: Vec<u8>,
    /// The peer's address, as text.
    pub destination: Vec<u8>,
}

/// A connection to the service `cfg`.
pub struct Cfg {
    connection: Connection,
}

impl Cfg {
    /// Connects.
    pub fn open() -> Result<Self, CsError> {
        Ok(Self { connection: Connection::open("cfg")? })
    }

    /// The local node's id.
    pub fn local_node(&mut self) -> Result<u32, CsError> {
        let body = self.connection.call(LOCAL_GET, &[])?;
        Ok(Reader::new(&body).u32("the local node")?)
    }

    /// The addresses of a node, one per link; an unused one is `None`.
    pub fn addresses(&mut self, node: u32) -> Result<Vec<Option<IpAddr>>, CsError> {
        let body = self.connection.call(NODE_ADDRESSES, &one_number(node))?;
        Ok(decode_addresses(&body)?)
    }

    /// How a node is connected.
    pub fn node_status(&mut self, node: u32) -> Result<NodeStatus, CsError> {
        let request = Writer::new().u32(node).u32(0).u32(STATUS_VERSION).u32(0).finish();
        let body = self.connection.call(NODE_STATUS, &request)?;
        let mut r = Reader::new(&body);
        if r.u32("the status's version")? != STATUS_VERSION {
            return Err(CsError::NOT_SUPPORTED);
        }
        Ok(decode_status(&mut r)?)
    }

    /// Makes a node leave the cluster and stop.
    pub fn kill_node(&mut self, node: u32, reason: &str) -> Result<(), CsError> {
        // The length counts the zero byte at the end.
        let len = u16::try_from(reason.len() + 1).map_err(|_| CsError::NAME_TOO_LONG)?;
        if reason.len() >= REASON_FIELD {
            return Err(CsError::NAME_TOO_LONG);
        }
        let mut out = Writer::new();
        out.u32(node).u32(0).u16(len);
        put_padded(&mut out, reason.as_bytes(), REASON_FIELD);
        out.raw(&[0; 6]);
        self.connection.call(KILL_NODE, &out.finish()).map(|_| ())
    }

    /// Asks the local daemon to stop.
    pub fn try_shutdown(&mut self, how: Shutdown) -> Result<(), CsError> {
        let flags = match how {
            Shutdown::Request => 0,
            Shutdown::Regardless => 1,
            Shutdown::Immediate => 2,
        };
        self.connection.call(TRY_SHUTDOWN, &one_number(flags)).map(|_| ())
    }

    /// All nodes read their configuration again.
    pub fn reload(&mut self) -> Result<(), CsError> {
        self.connection.call(RELOAD, &[]).map(|_| ())
    }

    /// The local daemon opens its log files again.
    pub fn reopen_logs(&mut self) -> Result<(), CsError> {
        self.connection.call(REOPEN_LOGS, &[]).map(|_| ())
    }

    /// Wishes to be asked before the daemon stops.
    pub fn track_shutdown(&mut self) -> Result<(), CsError> {
        self.connection.call(TRACK_START, &[0; 8]).map(|_| ())
    }

    /// Waits for the question; `None` waits for ever. `false`: it did not come.
    pub fn await_question(&mut self, timeout: Option<Duration>) -> Result<bool, CsError> {
        match self.connection.event(timeout)? {
            Some(frame) if frame.id == TEST_SHUTDOWN => Ok(true),
            Some(_) => Err(CsError::LIBRARY),
            None => Ok(false),
        }
    }

    /// Answers the question.
    pub fn answer_shutdown(&mut self, answer: ShutdownAnswer) -> Result<(), CsError> {
        let number = u32::from(answer == ShutdownAnswer::Yes);
        self.connection.call(REPLY_TO_SHUTDOWN, &one_number(number)).map(|_| ())
    }
}

fn one_number(number: u32) -> Vec<u8> {
    Writer::new().u32(number).u32(0).finish()
}

fn decode_addresses(body: &[u8]) -> Result<Vec<Option<IpAddr>>, Malformed> {
    const INET: u32 = libc::AF_INET as u32;
    const INET6: u32 = libc::AF_INET6 as u32;
    let mut r = Reader::new(body);
    let family = r.u32("the addresses' family")?;
    let count = r.u32("the number of addresses")? as usize;
    (0..count.min(MAX_LINKS))
        .map(|_| {
            let mut bytes = [0; ADDRESS];
            bytes.copy_from_slice(r.take(ADDRESS, "an address")?);
            let [a, b, c, d, ..] = bytes;
            Ok(match family {
                _ if bytes == [0; ADDRESS] => None,
                INET => Some(Ipv4Addr::new(a, b, c, d).into()),
                INET6 => Some(Ipv6Addr::from(bytes).into()),
                _ => None,
            })
        })
        .collect()
}

fn decode_status(r: &mut Reader<'_>) -> Result<NodeStatus, Malformed> {
    let node = r.u32("the node")?;
    let mut flag = || r.u8("a flag");
    let (reachable, remote, external) = (flag()? != 0, flag()? != 0, flag()? != 0);
    let onwire = [flag()?, flag()?, flag()?];
    r.take(2, "padding")?;
    let links = (0..MAX_LINKS).map(|_| decode_link(r)).collect::<Result<_, _>>()?;
    Ok(NodeStatus { node, reachable, remote, external, onwire, links })
}

fn decode_link(r: &mut Reader<'_>) -> Result<LinkStatus, Malformed> {
    let mut flag = || Ok(r.u8("a flag")? != 0);
    let (enabled, connected, dynconnected) = (flag()?, flag()?, flag()?);
    r.u8("padding")?;
    let mtu = r.u32("the mtu")?;
    let mut text = || Ok(until_nul(r.take(HOST_FIELD, "an address")?).to_vec());
    let (source, destination) = (text()?, text()?);
    Ok(LinkStatus { enabled, connected, dynconnected, mtu, source, destination })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_are_read() {
        let mut out = Writer::new();
        out.u32(2).u32(2).raw(&[10, 0, 0, 7]).raw(&[0; 12]).raw(&[0; 16]);
        let v4 = decode_addresses(&out.finish()).unwrap();
        assert_eq!(v4, [Some(Ipv4Addr::new(10, 0, 0, 7).into()), None]);
        out.u32(10).u32(1).raw(&Ipv6Addr::LOCALHOST.octets());
        let v6 = decode_addresses(&out.finish()).unwrap();
        assert_eq!(v6, [Some(Ipv6Addr::LOCALHOST.into())]);
        out.u32(2).u32(u32::MAX).raw(&[1; 16]);
        assert!(decode_addresses(&out.finish()).is_err());
    }

    #[test]
    fn a_status_is_as_long_as_the_header_says() {
        let mut out = Writer::new();
        out.u32(3).raw(&[1, 0, 1, 1, 2, 3, 0, 0]);
        for link in 0..8 {
            out.raw(&[u8::from(link == 1), u8::from(link == 1), 0, 0]).u32(1500);
            put_padded(&mut out, b"10.0.0.1", HOST_FIELD);
            put_padded(&mut out, b"10.0.0.2", HOST_FIELD);
        }
        let bytes = out.finish();
        assert_eq!(bytes.len(), 4176 - 4);
        let mut r = Reader::new(&bytes);
        let status = decode_status(&mut r).unwrap();
        assert_eq!(r.end(), Ok(()));
        assert_eq!((status.node, status.reachable, status.external), (3, true, true));
        assert_eq!(status.onwire, [1, 2, 3]);
        assert!(status.links[1].connected && !status.links[0].enabled);
        assert_eq!(status.links[7].destination, b"10.0.0.2");
    }
}
