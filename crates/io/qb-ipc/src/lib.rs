//! The local IPC of libqb, both sides: what Corosync's and Pacemaker's clients
//! speak to their daemons.
//!
//! ```text
//!  client                                   server
//!    | -- connection request (stream) -------> |  credentials, allow rule, limits
//!    | <- connection response, three names --- |  folder and files made for the client
//!    |                                         |
//!    | == request channel ===================> |
//!    | <= response channel =================== |   rings in /dev/shm, or datagram sockets
//!    | <= event channel ====================== |
//!    | -- one byte per request (SHM) --------> |   the stream socket lives as long as
//!    | <- one byte per event (SHM) ----------- |   the connection: liveness and doorbell
//! ```
//!
//! [`Server`] serves one service on a tokio runtime, [`AsyncClient`] is its
//! counterpart for daemons, [`BlockingClient`] the one for tools.
//!
//! Invariants:
//! - Nothing in a mapped file is believed: each word is read once and checked,
//!   lengths are bounded by the ring, cursors are our own. A peer that truncates
//!   its files costs itself the connection (see [`memory`](self) below) and
//!   nobody else anything.
//! - A client that is refused owns nothing: the rule is asked before any file
//!   is made.
//! - Every queue has a bound; what exceeds it costs the connection.
//!
//! **Files that a client owns.** The protocol gives the client its ring files,
//! so it may truncate them while we read, and the kernel answers the next access
//! with SIGBUS. The crate installs one handler that replaces the damaged mapping
//! by private zeroes, marks it as torn, and lets the access go on; the code that
//! made the access finds the mark and ends that connection. Faults elsewhere go
//! to the handler that was there before.
//!
//! Sources: behaviour of libqb 2.0.6 to 2.0.10 as observed with its own clients
//! and servers, its public headers (`qb/qbipcc.h`, `qb/qbipcs.h`, `qb/qbrb.h`),
//! and where these are silent its source.

mod access;
mod chunk;
mod client;
mod directory;
mod error;
mod memory;
mod message;
mod name;
mod ring;
mod semaphore;
mod server;
mod sigbus;
mod spin;
mod stats;
mod syscall;
mod transport;

pub use access::{
    Expectation, Grant, Peer, Refusal, Rule, UidGidTable, allow_all, corosync_rule, pacemaker_rule,
};
pub use chunk::{Chunk, ChunkError, decode_chunk};
pub use client::{AsyncClient, BlockingClient, ClientEvent, ConnectOptions};
pub use directory::reap;
pub use error::Error;
pub use message::{
    CONNECTION_REQUEST_SIZE, CONNECTION_RESPONSE_SIZE, CONTROL_SIZE, ConnectionRequest,
    ConnectionResponse, Control, REQUEST_HEADER_SIZE, RESPONSE_HEADER_SIZE, RequestHeader,
    ResponseHeader, decode_connection_request, decode_connection_response, decode_control,
    decode_request, decode_request_header, decode_response, decode_response_header,
};
pub use name::Naming;
pub use sansio::edge::{Channel, Conn, Credentials, Frame};
pub use server::{ConnNumbers, Event, Limits, SendError, Server, ServerConfig};
pub use stats::{ConnectionStats, ServiceStats};
pub use transport::Transport;
