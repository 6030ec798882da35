//! The recorded form of [`Input`]: every field, little-endian, lists with their
//! length before them. A daemon's `redact` may replace fields before it calls
//! [`record`], and elide a payload after.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wire::{Malformed, Reader, Writer};

use super::{Channel, Child, ChildEvent, Conn, Credentials, Frame, Input, Link, PersistId};
use crate::{JobId, Record, RecordError};

/// No recorded field is longer; a longer one is a damaged file.
const MAX_FIELD: usize = 64 << 20;

/// Writes every field of `input` down; `outcome` encodes a job's result.
pub fn record<R>(input: &Input<R>, outcome: impl FnOnce(&R) -> Vec<u8>) -> Record {
    let mut w = Writer::new();
    let kind = match input {
        Input::Datagram { link, from, bytes } => {
            address(w.u8(link.0), *from).blob(bytes);
            "datagram"
        }
        Input::Accepted { conn, service, peer } => {
            credentials(w.u64(conn.0).text(service), *peer);
            "accepted"
        }
        Input::Connected { conn, peer } => {
            credentials(w.u64(conn.0), *peer);
            "connected"
        }
        Input::Frame { conn, frame } => {
            let channel = frame.channel as u8;
            w.u64(conn.0).u8(channel).i32(frame.id).i32(frame.error).blob(&frame.body);
            "frame"
        }
        Input::Closed { conn, why } => {
            w.u64(conn.0).text(why);
            "closed"
        }
        Input::Blocked(conn) => {
            w.u64(conn.0);
            "blocked"
        }
        Input::Writable(conn) => {
            w.u64(conn.0);
            "writable"
        }
        Input::Child { child, event } => {
            child_event(w.u64(child.0), event);
            "child"
        }
        Input::Persisted(id) => {
            w.u64(id.0);
            "persisted"
        }
        Input::PersistFailed { id, errno } => {
            w.u64(id.0).i32(*errno);
            "persist-failed"
        }
        Input::ConfigRead(Ok(bytes)) => {
            w.blob(bytes);
            "config-read"
        }
        Input::ConfigRead(Err(why)) => {
            w.text(why);
            "config-not-read"
        }
        Input::JobDone { id, outcome: result } => {
            w.u64(id.0).blob(&outcome(result));
            "job-done"
        }
        Input::JobFailed { id, why } => {
            w.u64(id.0).text(why);
            "job-failed"
        }
        Input::Paused { ms } => {
            w.u64(*ms);
            "paused"
        }
        Input::Reload => "reload",
        Input::Stop => "stop",
    };
    Record { kind, body: w.finish(), elided: None }
}

fn address(w: &mut Writer, address: SocketAddr) -> &mut Writer {
    match address.ip() {
        IpAddr::V4(ip) => w.u8(4).raw(&ip.octets()),
        IpAddr::V6(ip) => w.u8(6).raw(&ip.octets()),
    }
    .u16(address.port())
}

fn credentials(w: &mut Writer, peer: Credentials) {
    w.u32(peer.pid).u32(peer.uid).u32(peer.gid);
}

fn child_event(w: &mut Writer, event: &ChildEvent) {
    match event {
        ChildEvent::SpawnFailed { errno } => w.u8(0).i32(*errno),
        ChildEvent::Exited { code, stdout } => w.u8(1).i32(*code).blob(stdout),
        ChildEvent::Signalled { signal } => w.u8(2).i32(*signal),
        ChildEvent::TimedOut => w.u8(3),
    };
}

/// Makes the input of kind `kind` from its recorded bytes again; `outcome`
/// decodes a job's result.
pub fn restore<R>(
    kind: &str,
    body: &[u8],
    outcome: impl FnOnce(&[u8]) -> Result<R, RecordError>,
) -> Result<Input<R>, RecordError> {
    let mut r = Reader::new(body);
    let input = match kind {
        "datagram" => Input::Datagram {
            link: Link(r.u8("a link")?),
            from: read_address(&mut r)?,
            bytes: r.blob(MAX_FIELD, "a datagram")?.to_vec(),
        },
        "accepted" => Input::Accepted {
            conn: Conn(r.u64("a connection")?),
            service: r.text(MAX_FIELD, "a service")?.to_string(),
            peer: read_credentials(&mut r)?,
        },
        "connected" => {
            Input::Connected { conn: Conn(r.u64("a connection")?), peer: read_credentials(&mut r)? }
        }
        "frame" => Input::Frame { conn: Conn(r.u64("a connection")?), frame: read_frame(&mut r)? },
        "closed" => Input::Closed { conn: Conn(r.u64("a connection")?), why: read_text(&mut r)? },
        "blocked" => Input::Blocked(Conn(r.u64("a connection")?)),
        "writable" => Input::Writable(Conn(r.u64("a connection")?)),
        "child" => {
            Input::Child { child: Child(r.u64("a child")?), event: read_child_event(&mut r)? }
        }
        "persisted" => Input::Persisted(PersistId(r.u64("a request")?)),
        "persist-failed" => Input::PersistFailed {
            id: PersistId(r.u64("a request")?),
            errno: r.i32("an error number")?,
        },
        "job-done" => Input::JobDone {
            id: JobId(r.u64("a job")?),
            outcome: outcome(r.blob(MAX_FIELD, "an outcome")?)?,
        },
        "job-failed" => Input::JobFailed { id: JobId(r.u64("a job")?), why: read_text(&mut r)? },
        "paused" => Input::Paused { ms: r.u64("milliseconds")? },
        "config-read" => Input::ConfigRead(Ok(r.blob(MAX_FIELD, "a configuration")?.to_vec())),
        "config-not-read" => Input::ConfigRead(Err(read_text(&mut r)?)),
        "reload" => Input::Reload,
        "stop" => Input::Stop,
        other => return Err(RecordError::UnknownKind(other.to_string())),
    };
    r.end()?;
    Ok(input)
}

fn read_text(r: &mut Reader<'_>) -> Result<String, Malformed> {
    Ok(r.text(MAX_FIELD, "a reason")?.to_string())
}

fn read_address(r: &mut Reader<'_>) -> Result<SocketAddr, Malformed> {
    let family = r.u8("an address family")?;
    let ip = match family {
        4 => {
            let mut octets = [0; 4];
            octets.copy_from_slice(r.take(4, "an IPv4 address")?);
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        6 => {
            let mut octets = [0; 16];
            octets.copy_from_slice(r.take(16, "an IPv6 address")?);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return Err(r.refuse("address family 4 or 6")),
    };
    Ok(SocketAddr::new(ip, r.u16("a port")?))
}

fn read_credentials(r: &mut Reader<'_>) -> Result<Credentials, Malformed> {
    Ok(Credentials { pid: r.u32("a pid")?, uid: r.u32("a uid")?, gid: r.u32("a gid")? })
}

fn read_frame(r: &mut Reader<'_>) -> Result<Frame, Malformed> {
    let channel = match r.u8("a channel")? {
        0 => Channel::Request,
        1 => Channel::Response,
        2 => Channel::Event,
        _ => return Err(r.refuse("channel 0, 1 or 2")),
    };
    Ok(Frame {
        channel,
        id: r.i32("a message id")?,
        error: r.i32("an error")?,
        body: r.blob(MAX_FIELD, "a body")?.to_vec(),
    })
}

fn read_child_event(r: &mut Reader<'_>) -> Result<ChildEvent, Malformed> {
    Ok(match r.u8("a child's event")? {
        0 => ChildEvent::SpawnFailed { errno: r.i32("an error number")? },
        1 => ChildEvent::Exited {
            code: r.i32("an exit status")?,
            stdout: r.blob(MAX_FIELD, "an output")?.to_vec(),
        },
        2 => ChildEvent::Signalled { signal: r.i32("a signal")? },
        3 => ChildEvent::TimedOut,
        _ => return Err(r.refuse("a child's event from 0 to 3")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Input<u64>> {
        let conn = Conn(1 << 32);
        let peer = Credentials { pid: 7, uid: 0, gid: 189 };
        let frame = Frame { channel: Channel::Event, id: 3, error: -11, body: b"<x/>".to_vec() };
        let child = Child(4);
        vec![
            Input::Datagram {
                link: Link(1),
                from: "10.0.0.1:5405".parse().unwrap(),
                bytes: vec![1, 2],
            },
            Input::Datagram { link: Link(0), from: "[fe80::1]:9".parse().unwrap(), bytes: vec![] },
            Input::Accepted { conn, service: "cib_rw".into(), peer },
            Input::Connected { conn, peer },
            Input::Frame { conn, frame },
            Input::Closed { conn, why: "client is gone".into() },
            Input::Blocked(conn),
            Input::Writable(conn),
            Input::Child { child, event: ChildEvent::SpawnFailed { errno: 2 } },
            Input::Child { child, event: ChildEvent::Exited { code: 7, stdout: b"hi".to_vec() } },
            Input::Child { child, event: ChildEvent::Signalled { signal: 9 } },
            Input::Child { child, event: ChildEvent::TimedOut },
            Input::Persisted(PersistId(5)),
            Input::PersistFailed { id: PersistId(5), errno: 28 },
            Input::JobDone { id: JobId(6), outcome: 77 },
            Input::JobFailed { id: JobId(6), why: "panicked".into() },
            Input::Paused { ms: 900 },
            Input::ConfigRead(Ok(vec![1, 2, 3])),
            Input::ConfigRead(Err("no such file".into())),
            Input::Reload,
            Input::Stop,
        ]
    }

    fn outcome(bytes: &[u8]) -> Result<u64, RecordError> {
        Ok(Reader::new(bytes).u64("an outcome")?)
    }

    #[test]
    fn every_input_comes_back() {
        for input in samples() {
            let record = record(&input, |n| n.to_le_bytes().to_vec());
            assert_eq!(restore(record.kind, &record.body, outcome), Ok(input));
        }
    }

    #[test]
    fn damaged_records_are_refused_without_panic() {
        for input in samples() {
            let record = record(&input, |n| n.to_le_bytes().to_vec());
            for cut in 0..record.body.len() {
                assert!(restore(record.kind, &record.body[..cut], outcome).is_err());
            }
            let mut longer = record.body.clone();
            longer.push(0);
            assert!(restore(record.kind, &longer, outcome).is_err());
        }
        assert_eq!(
            restore("vanished", &[], outcome),
            Err(RecordError::UnknownKind("vanished".into()))
        );
    }
}
