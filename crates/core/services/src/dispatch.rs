//! Who gets what comes in.

use ha_types::Node;
use ha_types::ring::Configuration;
use ring_service::{Group, Output, Service, Status, View};
use sansio::Now;
use sansio::edge::{Conn, Frame, Level};

use crate::Services;

/// What can happen to the services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The membership changed.
    Configuration(Configuration),
    /// An ordered message.
    Deliver {
        /// Its group.
        group: Group,
        /// Its sender.
        from: Node,
        /// It, with its header.
        bytes: Vec<u8>,
    },
    /// A client has connected to one of the services; cmap's clients are the
    /// daemon's.
    Accepted {
        /// The connection.
        conn: Conn,
        /// The service.
        service: Service,
    },
    /// A client's request.
    Frame {
        /// The client.
        conn: Conn,
        /// The request.
        frame: Frame,
    },
    /// A client has gone.
    Closed(Conn),
    /// The ring can, or cannot, take more messages now.
    RingFull(bool),
    /// The oldest file to be written is, or is not, on disk.
    Persisted {
        /// Whether it is.
        written: bool,
    },
    /// A client's reload has ended.
    Reloaded {
        /// The client.
        asker: Conn,
        /// How.
        status: Status,
    },
    /// The log files that a client wanted opened anew are.
    LogsReopened {
        /// The client.
        asker: Conn,
        /// How it went.
        status: Status,
    },
    /// The process stood still for too long.
    Paused,
}

impl Services {
    pub(crate) fn take(&mut self, now: Now, input: Input) {
        match input {
            Input::Configuration(configuration) => self.configuration(now, &configuration),
            Input::Deliver { group: Group::Sync, from, bytes } => {
                self.barrier.deliver(from, &bytes);
            }
            Input::Deliver { group: Group::Services, from, bytes } => self.deliver(from, bytes),
            Input::Accepted { conn, service } => self.accepted(conn, service),
            Input::Frame { conn, frame } => self.frame(now, conn, &frame),
            Input::Closed(conn) => self.closed(conn),
            Input::RingFull(full) => {
                self.ring_full = full;
                self.regulate();
            }
            Input::Persisted { written } => {
                if let Some(votes) = &mut self.votes {
                    votes.persisted(written);
                }
            }
            Input::Reloaded { asker, status } => self.cfg.reloaded(asker, status),
            Input::LogsReopened { asker, status } => self.cfg.logs_reopened(asker, status),
            Input::Paused => {
                if let Some(votes) = &mut self.votes {
                    votes.paused();
                }
            }
        }
    }

    fn deliver(&mut self, from: Node, bytes: Vec<u8>) {
        let service = View::message(&bytes).map(|(id, _)| id >> 16);
        let service = service.ok().and_then(|number| u16::try_from(number).ok()).map(Service);
        match service {
            Some(Service::CMAP) => {
                self.out.push_back(Output::Deliver { service: Service::CMAP, from, bytes });
            }
            Some(Service::CFG) => self.cfg.deliver(from, &bytes),
            Some(Service::CPG) => self.cpg.deliver(from, &bytes),
            Some(Service::VOTEQUORUM) => {
                if let Some(votes) = &mut self.votes {
                    votes.deliver(from, &bytes);
                }
            }
            // A service that only others have.
            Some(_) => {}
            None => {
                self.dropped += 1;
                let text = format!("malformed message of {from} dropped");
                self.out.push_back(Output::Log { level: Level::Warning, text });
            }
        }
    }

    fn accepted(&mut self, conn: Conn, service: Service) {
        match service {
            Service::CFG => self.cfg.accepted(conn),
            Service::CPG => self.cpg.accepted(conn),
            Service::QUORUM => self.quorum.accepted(conn),
            Service::VOTEQUORUM => {
                if let Some(votes) = &mut self.votes {
                    votes.accepted(conn);
                }
            }
            _ => {}
        }
        self.clients.insert(conn, service);
        let level = self.level(service);
        if level > 0 {
            self.out.push_back(Output::FlowControl { conn, level });
        }
    }

    fn closed(&mut self, conn: Conn) {
        match self.clients.remove(&conn) {
            Some(Service::CFG) => self.cfg.closed(conn),
            Some(Service::CPG) => self.cpg.closed(conn),
            Some(Service::QUORUM) => self.quorum.closed(conn),
            Some(Service::VOTEQUORUM) => {
                if let Some(votes) = &mut self.votes {
                    votes.closed(conn);
                }
            }
            _ => {}
        }
    }

    fn frame(&mut self, now: Now, conn: Conn, frame: &Frame) {
        let Some(service) = self.clients.get(&conn).copied() else { return };
        if let Err(status) = self.may_serve(service, frame.id) {
            return self.refuse(conn, service, frame.id, status);
        }
        match service {
            Service::CFG => self.cfg.request(now, conn, frame),
            Service::CPG => self.cpg.request(conn, frame),
            Service::QUORUM => self.quorum.request(conn, frame),
            Service::VOTEQUORUM => {
                if let Some(votes) = &mut self.votes {
                    votes.request(now, conn, frame);
                }
            }
            _ => {}
        }
    }
}
