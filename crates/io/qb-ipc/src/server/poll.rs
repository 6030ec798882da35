//! Waiting: the epoll set, and the timers for what no descriptor announces.

use std::future::Future;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use sansio::edge::Conn;
use tokio::io::unix::AsyncFd;

use super::Server;
use crate::ring::Broken;
use crate::syscall;

/// The first wait before a full channel is tried again; then twice as long each time.
pub(super) const RETRY_FIRST: Duration = Duration::from_millis(1);
const RETRY_LAST: Duration = Duration::from_millis(32);
const BATCH: usize = 64;
/// Doorbells read at once; reading them as they come keeps clients from waiting.
const BELLS_READ: usize = 512;

/// What a descriptor in the set stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Listener,
    Handshake(u64),
    Stream(Conn),
    Requests(Conn),
}

impl Token {
    fn pack(self) -> u64 {
        match self {
            Self::Listener => 0,
            Self::Handshake(number) => number << 2 | 1,
            Self::Stream(conn) => conn.0 << 2 | 2,
            Self::Requests(conn) => conn.0 << 2 | 3,
        }
    }

    fn unpack(data: u64) -> Self {
        match data & 3 {
            1 => Self::Handshake(data >> 2),
            2 => Self::Stream(Conn(data >> 2)),
            3 => Self::Requests(Conn(data >> 2)),
            _ => Self::Listener,
        }
    }
}

/// A set with the listener in it, and the descriptor for the runtime.
pub(super) fn open(listener: &UnixListener) -> io::Result<(Epoll, AsyncFd<OwnedFd>)> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, Token::Listener.pack()))?;
    let notice = syscall::readable(epoll.0.try_clone()?)?;
    Ok((epoll, notice))
}

impl Server {
    pub(super) fn watch(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token.pack()))?)
    }

    pub(super) fn unwatch(&self, fd: impl AsFd) {
        let _ = self.epoll.delete(fd);
    }

    /// Makes the set wait for what a connection is about now.
    pub(super) fn update_interest(&self, conn: Conn) {
        let Some(connection) = self.connections.get(&conn) else { return };
        let epoll = &self.epoll;
        let mut stream = EpollFlags::EPOLLIN;
        stream.set(EpollFlags::EPOLLOUT, connection.owes_bells());
        let mut event = EpollEvent::new(stream, Token::Stream(conn).pack());
        let _ = epoll.modify(&connection.stream, &mut event);
        if let Some(socket) = connection.channels.request_socket() {
            let mut requests = EpollFlags::empty();
            requests.set(EpollFlags::EPOLLIN, connection.is_served());
            let mut event = EpollEvent::new(requests, Token::Requests(conn).pack());
            let _ = epoll.modify(socket, &mut event);
        }
    }

    /// Sees to it that a connection that could not send all is tried again.
    pub(super) fn watch_stalled(&mut self, conn: Conn) {
        let Some(connection) = self.connections.get(&conn) else { return };
        let owes_bells = connection.owes_bells();
        if !owes_bells && !connection.has_queue() {
            return;
        }
        if self.stalled.insert(conn) {
            self.retry_after = RETRY_FIRST;
            self.retry_at = Some(Instant::now() + RETRY_FIRST);
            if owes_bells {
                self.update_interest(conn);
            }
        }
    }

    /// Handles what descriptors have to say; with `look`, also if the runtime has
    /// not been told yet that there is something. `true` if anything may have
    /// changed; `false` once the runtime will wake the task.
    pub(super) fn poll_descriptors(&mut self, cx: &mut Context<'_>, look: bool) -> bool {
        if self.notice.poll_read_ready(cx).is_pending() && !look {
            return false;
        }
        let mut events = [EpollEvent::empty(); BATCH];
        let count = match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
            Ok(0) | Err(nix::Error::EINTR) => 0,
            Ok(count) => count,
            Err(e) => {
                tracing::error!(service = %self.config.service, "epoll_wait: {e}");
                0
            }
        };
        for event in &events[..count] {
            self.handle(Token::unpack(event.data()), event.events());
        }
        if count > 0 {
            return true;
        }
        match self.notice.poll_read_ready(cx) {
            Poll::Ready(Ok(mut guard)) => {
                guard.clear_ready();
                true
            }
            Poll::Ready(Err(_)) | Poll::Pending => false,
        }
    }

    fn handle(&mut self, token: Token, flags: EpollFlags) {
        match token {
            Token::Listener => self.accept_clients(),
            Token::Handshake(number) => self.advance_handshake(number),
            Token::Requests(conn) => self.make_runnable(conn),
            Token::Stream(conn) => self.handle_stream(conn, flags),
        }
    }

    fn handle_stream(&mut self, conn: Conn, flags: EpollFlags) {
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.retry(conn);
        }
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if !flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            return;
        }
        let mut bells = [0; BELLS_READ];
        match (&connection.stream).read(&mut bells) {
            Ok(0) => self.end_after_requests(conn),
            // Bytes mean nothing without rings, where they may still announce an end.
            Ok(_) if connection.channels.has_doorbell() => {
                if !connection.channels.ready() {
                    connection.stats.recv_retries += u64::from(!connection.runnable);
                }
                self.make_runnable(conn);
            }
            Ok(_) => {}
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {}
            Err(e) => self.end(conn, format!("the client is gone: {e}")),
        }
    }

    /// The client hung up; what it had sent before is still served.
    fn end_after_requests(&mut self, conn: Conn) {
        let mut left = Vec::new();
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        while connection.is_served() && left.len() < super::TURN as usize {
            let super::Taken::Request(frame) = connection.take(&mut self.scratch) else { break };
            left.push(super::Event::Request { conn, frame });
        }
        self.ready.extend(left);
        self.end(conn, "the client hung up".into());
    }

    /// Waits for the earliest deadline. `true` if one has passed and was handled.
    pub(super) fn poll_timers(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.next_deadline() else { return false };
        self.sleep.as_mut().reset(at.into());
        if self.sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        let now = Instant::now();
        self.expire_handshakes(now);
        if self.accept_again_at.is_some_and(|at| at <= now) {
            self.accept_again_at = None;
            if self.watch(&self.listener, Token::Listener).is_err() {
                self.accept_again_at = Some(now + RETRY_LAST);
            }
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_all(now);
        }
        true
    }

    fn next_deadline(&self) -> Option<Instant> {
        let handshake = self.handshakes.values().next().map(|h| h.deadline);
        [handshake, self.retry_at, self.accept_again_at].into_iter().flatten().min()
    }

    fn retry_all(&mut self, now: Instant) {
        self.retry_at = None;
        let mut progress = false;
        for conn in self.stalled.clone() {
            progress |= self.retry(conn);
            let closing = self.connections.get(&conn).and_then(|c| c.closing.clone());
            if let Some((why, until)) = closing
                && until <= now
            {
                self.end(conn, format!("{why} (and the client did not read what was left)"));
            }
        }
        self.retry_after =
            if progress { RETRY_FIRST } else { (self.retry_after * 2).min(RETRY_LAST) };
        if !self.stalled.is_empty() {
            self.retry_at = Some(now + self.retry_after);
        }
    }

    /// Sends what waits for a client. Says whether anything went.
    fn retry(&mut self, conn: Conn) -> bool {
        let Some(connection) = self.connections.get_mut(&conn) else {
            self.stalled.remove(&conn);
            return false;
        };
        let owed = connection.owes_bells();
        let flushed = connection.ring_bells().map_err(|e| Broken(e.to_string()));
        match flushed.and_then(|()| connection.flush(&self.config.limits)) {
            Err(Broken(what)) => {
                self.end(conn, format!("the client is gone: {what}"));
                false
            }
            Ok((progress, pressure)) => {
                self.settle(conn, owed);
                self.note(conn, pressure);
                progress
            }
        }
    }

    /// After sending: a connection with nothing left to send is not stalled, and
    /// ends if it was closed.
    fn settle(&mut self, conn: Conn, owed: bool) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let owes = connection.owes_bells();
        let idle = !owes && !connection.has_queue();
        let ended = if idle { connection.closing.take() } else { None };
        if owed != owes {
            self.update_interest(conn);
        }
        if idle {
            self.stalled.remove(&conn);
        }
        if let Some((why, _)) = ended {
            self.end(conn, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        let conn = Conn((1 << 40) + 5);
        for token in
            [Token::Listener, Token::Handshake(7), Token::Stream(conn), Token::Requests(conn)]
        {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
