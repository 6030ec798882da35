//! What a service is like, and what it grants its clients at most.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sansio::edge::Conn;

use crate::directory::SHM;
use crate::message::CONNECTION_RESPONSE_SIZE;
use crate::name::Naming;
use crate::transport::Transport;

/// Hands out connection numbers; the services of one daemon share one.
#[derive(Clone, Debug)]
pub struct ConnNumbers(Arc<AtomicU64>);

impl Default for ConnNumbers {
    /// Starts at 2^32, where the numbers of accepted connections begin.
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(1 << 32)))
    }
}

impl ConnNumbers {
    pub(super) fn next(&self) -> Conn {
        Conn(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Bounds of what clients can make a service hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one user; user 0 has no such limit.
    pub connections_per_user: usize,
    /// Connections in total.
    pub connections: usize,
    /// Further connections that only user 0 can have.
    pub reserved_for_root: usize,
    /// Bytes of shared memory of one user's connections; user 0 has no such limit.
    pub shared_bytes_per_user: u64,
    /// Handshakes that are not finished, in total; beyond it the oldest goes.
    pub handshakes: usize,
    /// How long a handshake may take.
    pub handshake_time: Duration,
    /// Bytes that wait for one client when `Blocked` is said.
    pub queue_blocked_bytes: usize,
    /// Messages that wait for one client when `Blocked` is said.
    pub queue_blocked_messages: usize,
    /// Bytes that may wait for one client; more costs the connection.
    pub queue_bytes: usize,
    /// Messages that may wait for one client; more cost the connection.
    pub queue_messages: usize,
    /// How long a connection that was closed may take to accept what is queued.
    pub linger_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_user: 256,
            connections: 4096,
            reserved_for_root: 64,
            shared_bytes_per_user: 1 << 30,
            handshakes: 512,
            handshake_time: Duration::from_secs(5),
            queue_blocked_bytes: 8 << 20,
            queue_blocked_messages: 2048,
            queue_bytes: 16 << 20,
            queue_messages: 4096,
            linger_time: Duration::from_secs(2),
        }
    }
}

/// One service.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Its name, under which clients find it.
    pub service: String,
    /// How the name becomes an address.
    pub naming: Naming,
    /// How its messages travel.
    pub transport: Transport,
    /// The least that a connection carries, in bytes with header, whatever the
    /// client asked for (libqb: the enforced buffer size).
    pub message_min: u32,
    /// The most that a client may ask for; more is refused with `EMSGSIZE`.
    pub message_max: u32,
    /// Bounds of queues and counts.
    pub limits: Limits,
    /// Where connections' files are made.
    pub shared_folder: PathBuf,
    /// Where connections' numbers come from.
    pub numbers: ConnNumbers,
    /// How long to watch a connection's memory for its next request before
    /// sleeping; zero never to.
    pub spin: Duration,
}

impl ServerConfig {
    /// A service with the defaults of this machine: SHM, names as the
    /// administrator wants them.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            naming: Naming::from_system(),
            transport: Transport::default(),
            message_min: u32::try_from(CONNECTION_RESPONSE_SIZE).unwrap_or(u32::MAX),
            message_max: 64 << 20,
            limits: Limits::default(),
            shared_folder: SHM.into(),
            numbers: ConnNumbers::default(),
            spin: crate::spin::default_time(),
        }
    }
}
