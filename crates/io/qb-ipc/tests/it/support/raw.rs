//! A client made by hand, that lies as it likes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use qb_ipc::{CONNECTION_RESPONSE_SIZE, ConnectionResponse, decode_connection_response};

/// The padded abstract address of `name`.
pub(crate) fn address(name: &str) -> SocketAddr {
    let mut bytes = [0; 107];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    SocketAddr::from_abstract_name(bytes).unwrap()
}

/// A connection request with any fields.
pub(crate) fn request(id: i32, size: i32, max: u32) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..4].copy_from_slice(&id.to_ne_bytes());
    bytes[8..12].copy_from_slice(&size.to_ne_bytes());
    bytes[16..20].copy_from_slice(&max.to_ne_bytes());
    bytes
}

/// A stream socket on which nothing was said yet.
pub(crate) fn stream(name: &str) -> UnixStream {
    let stream = UnixStream::connect_addr(&address(name)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// A client that has shaken hands, and what it was told.
pub(crate) struct Raw {
    pub(crate) stream: UnixStream,
    pub(crate) told: ConnectionResponse,
}

impl Raw {
    pub(crate) fn connect(name: &str, max: u32) -> Self {
        let mut stream = stream(name);
        stream.write_all(&request(-1, 24, max)).unwrap();
        let mut answer = vec![0; CONNECTION_RESPONSE_SIZE];
        stream.read_exact(&mut answer).unwrap();
        Self { stream, told: decode_connection_response(&answer).unwrap() }
    }

    /// One of the ring's files: `request`, `response` or `event`, and `header`
    /// or `data`.
    pub(crate) fn file(&self, ring: &str, part: &str) -> File {
        OpenOptions::new().read(true).write(true).open(self.path(ring, part)).unwrap()
    }

    pub(crate) fn path(&self, ring: &str, part: &str) -> String {
        let name = match ring {
            "request" => &self.told.request,
            "response" => &self.told.response,
            _ => &self.told.event,
        };
        format!("{name}-{part}")
    }

    /// Puts a chunk with any state and length at the start of the request ring,
    /// posts it and rings the bell. Where the server has taken the files away
    /// already there is nobody left to lie to.
    pub(crate) fn chunk(&mut self, state: u32, len: u32, payload: &[u8]) {
        let open = |part| OpenOptions::new().write(true).open(self.path("request", part));
        let (Ok(data), Ok(header)) = (open("data"), open("header")) else { return };
        data.write_all_at(payload, 8).unwrap();
        data.write_all_at(&len.to_ne_bytes(), 0).unwrap();
        data.write_all_at(&state.to_ne_bytes(), 4).unwrap();
        header.write_all_at(&1_u32.to_ne_bytes(), 8208).unwrap();
        let _ = self.stream.write_all(&[1]);
    }

    /// A request header with any fields, as a chunk of `len` bytes.
    pub(crate) fn message(&mut self, id: i32, size: i32, len: u32) {
        let mut payload = vec![0; 64];
        payload[..4].copy_from_slice(&id.to_ne_bytes());
        payload[8..12].copy_from_slice(&size.to_ne_bytes());
        self.chunk(0xA1A1_A1A1, len, &payload);
    }
}
