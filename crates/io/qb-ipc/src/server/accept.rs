//! New clients: accepting, the limits, the rule.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::connection::{Connection, shared_bytes};
use super::handshake::{Asked, Handshake, Step};
use super::poll::Token;
use super::{Event, Server};
use crate::access::{Peer, Refusal};
use crate::transport::Transport;

/// Clients accepted before the others get their turn again.
const ACCEPTS: usize = 64;
/// How long the listener rests when there are no descriptors left.
const REST: Duration = Duration::from_millis(100);

impl Server {
    pub(super) fn accept_clients(&mut self) {
        for _ in 0..ACCEPTS {
            match self.listener.accept() {
                Ok((stream, _)) => self.begin_handshake(stream),
                Err(e) => match e.raw_os_error() {
                    Some(libc::EAGAIN) => return,
                    Some(libc::EINTR | libc::ECONNABORTED) => {}
                    _ => return self.rest(&e),
                },
            }
        }
    }

    /// The listener would report the same client for ever.
    fn rest(&mut self, why: &io::Error) {
        tracing::error!(service = %self.config.service, "cannot accept clients for now: {why}");
        self.unwatch(&self.listener);
        self.accept_again_at = Some(Instant::now() + REST);
    }

    fn begin_handshake(&mut self, stream: UnixStream) {
        let deadline = Instant::now() + self.config.limits.handshake_time;
        let Ok(handshake) = Handshake::new(stream, deadline) else { return };
        if self.handshakes.len() >= self.config.limits.handshakes {
            self.drop_a_handshake(handshake.maker.uid);
        }
        let number = self.next_handshake;
        self.next_handshake += 1;
        if self.watch(&handshake.stream, Token::Handshake(number)).is_ok() {
            self.handshakes.insert(number, handshake);
            self.advance_handshake(number);
        }
    }

    /// Makes room: the oldest handshake of the same user goes, if there is one,
    /// else the oldest that is not user 0's, so that strangers lock out nobody.
    fn drop_a_handshake(&mut self, uid: u32) {
        let all = || self.handshakes.iter();
        let same = all().find(|(_, h)| h.maker.uid == uid && uid != 0);
        let victim =
            same.or_else(|| all().find(|(_, h)| h.maker.uid != 0)).or_else(|| all().next());
        if let Some(number) = victim.map(|(number, _)| *number) {
            self.handshakes.remove(&number);
            self.stats.over_limit += 1;
        }
    }

    pub(super) fn advance_handshake(&mut self, number: u64) {
        let Some(handshake) = self.handshakes.get_mut(&number) else { return };
        let step = handshake.advance();
        if matches!(step, Step::Waiting) {
            return;
        }
        let Some(handshake) = self.handshakes.remove(&number) else { return };
        self.unwatch(&handshake.stream);
        match step {
            Step::Waiting => {}
            Step::Failed(why) => {
                let pid = handshake.maker.pid;
                tracing::debug!(service = %self.config.service, pid, "handshake failed: {why}");
                self.stats.failed_handshakes += 1;
            }
            Step::Asked(asked) => self.judge(handshake, asked),
        }
    }

    fn judge(&mut self, handshake: Handshake, asked: Asked) {
        let peer = handshake.peer(asked.sender);
        let grant = match (self.rule)(&peer) {
            Ok(grant) => grant,
            Err(Refusal(errno)) => {
                tracing::info!(service = %self.config.service, %peer, errno, "client refused");
                self.stats.refused += 1;
                return handshake.refuse(errno);
            }
        };
        if let Some((errno, limit)) = self.limit_reached(&peer, asked) {
            tracing::warn!(service = %self.config.service, %peer, "client refused: {limit}");
            self.stats.over_limit += 1;
            return handshake.refuse(errno);
        }
        let conn = self.config.numbers.next();
        match handshake.finish(&self.config, asked, &peer, &grant, conn.0) {
            Err((handshake, e)) => {
                tracing::warn!(service = %self.config.service, %peer, "no connection made: {e}");
                self.stats.failed_handshakes += 1;
                handshake.refuse(e.raw_os_error().unwrap_or(libc::EIO));
            }
            Ok((stream, channels, directory, max)) => {
                let peer_of = peer.clone();
                self.admit(Connection::new(conn, peer_of, stream, channels, max, directory), peer);
            }
        }
    }

    fn admit(&mut self, connection: Connection, peer: Peer) {
        let conn = connection.conn;
        let watched = self.watch(&connection.stream, Token::Stream(conn)).and_then(|()| {
            let requests = connection.channels.request_socket();
            requests.map_or(Ok(()), |socket| self.watch(socket, Token::Requests(conn)))
        });
        if let Err(e) = watched {
            tracing::warn!(service = %self.config.service, %peer, "cannot watch a client: {e}");
            return;
        }
        self.connections.insert(conn, connection);
        self.ready.push_back(Event::Accepted { conn, peer });
    }

    /// The limit that one more connection would exceed, and the error for it.
    fn limit_reached(&self, peer: &Peer, asked: Asked) -> Option<(i32, &'static str)> {
        let limits = &self.config.limits;
        if asked.request.max_msg_size > self.config.message_max {
            return Some((libc::EMSGSIZE, "it asks for longer messages than the service allows"));
        }
        let uid = peer.credentials.uid;
        let total = self.connections.len();
        if uid == 0 {
            let full = total >= limits.connections + limits.reserved_for_root;
            return full.then_some((libc::EMFILE, "too many connections"));
        }
        let own = || self.connections.values().filter(|c| c.peer.credentials.uid == uid);
        if total >= limits.connections {
            return Some((libc::EMFILE, "too many connections"));
        }
        if own().count() >= limits.connections_per_user {
            return Some((libc::EMFILE, "too many connections of this user"));
        }
        let max = asked.request.max_msg_size.max(self.config.message_min);
        let more = shared_bytes(max, self.config.transport == Transport::Shm);
        let bytes = own().map(Connection::shared_bytes).sum::<u64>() + more;
        (bytes > limits.shared_bytes_per_user)
            .then_some((libc::ENOMEM, "too much shared memory of this user"))
    }

    pub(super) fn expire_handshakes(&mut self, now: Instant) {
        while let Some(entry) = self.handshakes.first_entry() {
            if entry.get().deadline > now {
                break;
            }
            let handshake = entry.remove();
            let pid = handshake.maker.pid;
            tracing::info!(service = %self.config.service, pid, "client did not finish its handshake");
            self.stats.failed_handshakes += 1;
        }
    }
}
