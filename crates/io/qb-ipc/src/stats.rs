//! Counters of connections and services: what Corosync shows as `stats.ipcs.*`.

/// What happened on one connection since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionStats {
    /// The client's process.
    pub client_pid: u32,
    /// Requests handed to the application.
    pub requests: u64,
    /// Responses put on the channel.
    pub responses: u64,
    /// Events put on the channel.
    pub events: u64,
    /// Times that a channel had no room and a message had to wait or wait on.
    pub send_retries: u64,
    /// Times that the client was said to have sent something and had not.
    pub recv_retries: u64,
    /// The present flow control level.
    pub flow_control_state: u8,
    /// Changes of the flow control level.
    pub flow_control_count: u64,
    /// Requests refused because of their form; each costs the connection.
    pub invalid_requests: u64,
    /// Times that the queue became full (`Blocked`).
    pub overload: u64,
    /// Messages that wait in our queue now.
    pub queued: u64,
    /// Messages that ever had to wait in our queue.
    pub queued_total: u64,
    /// Events that the client has not read yet, as far as it says.
    pub event_queue_length: u32,
    /// Bytes of requests, with headers.
    pub bytes_received: u64,
    /// Bytes of responses and events, with headers.
    pub bytes_sent: u64,
}

/// What happened on one service since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceStats {
    /// Connections that exist.
    pub active_connections: u64,
    /// Connections that ended.
    pub closed_connections: u64,
    /// Handshakes that the allow rule refused.
    pub refused: u64,
    /// Handshakes refused because a limit was reached.
    pub over_limit: u64,
    /// Handshakes that were malformed, broken off or too slow.
    pub failed_handshakes: u64,
}
