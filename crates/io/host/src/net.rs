//! The daemon's datagram sockets (links).
//!
//! Received in batches and handed on one by one; sent in batches at the end of
//! each drain, in order within a link.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::task::Poll;

use sansio::edge::Link;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::sys::{self, Batch};

/// The longest datagram.
const DATAGRAM_MAX: usize = 65_535;
/// Datagrams that one system call takes.
pub(crate) const BATCH: usize = 16;
/// Datagrams that wait while the kernel's buffer is full; more are lost, as the network may.
const WAITING_MAX: usize = 1024;

/// A datagram with where it came from.
pub(crate) struct Datagram {
    pub(crate) link: Link,
    pub(crate) from: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// The daemon's sockets, in the order of its configuration.
pub(crate) struct Links {
    sockets: Vec<Socket>,
    batch: Batch,
    /// Datagrams that the kernel would not take, since the start.
    pub(crate) lost: u64,
}

struct Socket {
    udp: UdpSocket,
    outgoing: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Whether the last send found the kernel's buffer full.
    full: bool,
    /// Errors are reported when they change, not for each datagram.
    reported: Option<i32>,
}

impl Links {
    pub(crate) fn new(sockets: Vec<std::net::UdpSocket>) -> io::Result<Self> {
        let count = if sockets.is_empty() { 0 } else { BATCH };
        let socket = |udp: std::net::UdpSocket| {
            udp.set_nonblocking(true)?;
            let udp = UdpSocket::from_std(udp)?;
            Ok(Socket { udp, outgoing: VecDeque::new(), full: false, reported: None })
        };
        let sockets = sockets.into_iter().map(socket).collect::<io::Result<_>>()?;
        Ok(Self { sockets, batch: Batch::new(count, DATAGRAM_MAX), lost: 0 })
    }

    /// Waits until a socket can be read, or one with waiting datagrams written.
    pub(crate) async fn ready(&self) {
        std::future::poll_fn(|cx| {
            let mut ready = false;
            for socket in &self.sockets {
                ready |= socket.udp.poll_recv_ready(cx).is_ready();
                ready |= socket.full && socket.udp.poll_send_ready(cx).is_ready();
            }
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Up to one batch from each socket.
    pub(crate) fn receive(&mut self) -> Vec<Datagram> {
        let mut all = Vec::new();
        for (index, socket) in self.sockets.iter_mut().enumerate() {
            let link = Link(u8::try_from(index).unwrap_or(u8::MAX));
            let batch = &mut self.batch;
            let udp = &socket.udp;
            let got = udp.try_io(Interest::READABLE, || batch.receive(udp.as_fd(), BATCH));
            match got {
                Ok(got) => {
                    all.extend(got.into_iter().map(|(from, bytes)| Datagram { link, from, bytes }))
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => socket.report(link, "receive", &error),
            }
        }
        all
    }

    /// Queues a datagram for [`Links::flush`].
    pub(crate) fn send(&mut self, link: Link, to: SocketAddr, bytes: Vec<u8>) {
        match self.sockets.get_mut(usize::from(link.0)) {
            Some(socket) if socket.outgoing.len() < WAITING_MAX => {
                socket.outgoing.push_back((to, bytes))
            }
            Some(_) => self.lost += 1,
            None => {
                self.lost += 1;
                tracing::error!("There is no link {} to send by", link.0);
            }
        }
    }

    /// Hands what is queued to the kernel, as far as it takes it.
    pub(crate) fn flush(&mut self) {
        for (index, socket) in self.sockets.iter_mut().enumerate() {
            let link = Link(u8::try_from(index).unwrap_or(u8::MAX));
            if !socket.outgoing.is_empty() {
                self.lost += socket.flush(link);
            }
        }
    }
}

impl Socket {
    /// How many datagrams were given up because of an error.
    fn flush(&mut self, link: Link) -> u64 {
        let mut lost = 0;
        self.full = false;
        while !self.outgoing.is_empty() {
            let waiting = self.outgoing.make_contiguous();
            let some = &waiting[..waiting.len().min(BATCH)];
            // Not through try_io: its memory of an old "not writable" would cost
            // a turn of the loop, and a datagram in time is worth a system call.
            match sys::send_batch(self.udp.as_fd(), some) {
                Ok(sent) => {
                    self.outgoing.drain(..sent);
                    self.reported = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait_for_room();
                    return lost;
                }
                Err(error) => {
                    // The first one of the batch is to blame: the rest is tried again.
                    self.outgoing.pop_front();
                    lost += 1;
                    self.report(link, "send", &error);
                }
            }
        }
        lost
    }

    /// Clears tokio's idea that the socket can be written, so that `ready` waits.
    fn wait_for_room(&mut self) {
        self.full = true;
        let full = || Err::<(), _>(io::Error::from(ErrorKind::WouldBlock));
        let _ = self.udp.try_io(Interest::WRITABLE, full);
    }

    fn report(&mut self, link: Link, what: &str, error: &io::Error) {
        let number = error.raw_os_error();
        if self.reported != number {
            self.reported = number;
            tracing::warn!("Link {} cannot {what}: {error}", link.0);
        }
    }
}
