//! When requests of clients are served.

use ring_service::{Output, Service, Status, response};
use sansio::edge::{Conn, Level};

use crate::Services;

/// The one request that nobody waits for an answer to.
const CPG_MCAST: i32 = 2;

impl Services {
    /// A request that does not exist is a mistake of the client; one that
    /// sends must wait for the ring.
    pub(crate) fn may_serve(&self, service: Service, id: i32) -> Result<(), Status> {
        let (count, waits) = match service {
            Service::CFG => (ring_cfg::REQUESTS, ring_cfg::flow_controlled(id)),
            Service::CPG => (cpg::ALL_GROUPS_REQUESTS, cpg::flow_controlled(id)),
            Service::QUORUM => (votequorum::QUORUM_REQUESTS, false),
            Service::VOTEQUORUM => (votequorum::REQUESTS, false),
            _ => (0, false),
        };
        if !(0..count).contains(&id) {
            return Err(Status::InvalidParam);
        }
        if waits && (self.synchronizing || self.ring_full) {
            return Err(Status::TryAgain);
        }
        Ok(())
    }

    pub(crate) fn refuse(&mut self, conn: Conn, service: Service, id: i32, status: Status) {
        if service == Service::CPG && id == CPG_MCAST {
            let text = "a cpg message came while the ring takes none: dropped".into();
            return self.out.push_back(Output::Log { level: Level::Warning, text });
        }
        self.out.push_back(response(conn, 0, status, Vec::new()));
    }

    /// libqb's level for the clients of a service.
    pub(crate) fn level(&self, service: Service) -> u8 {
        let held = self.ring_full || (self.synchronizing && service != Service::VOTEQUORUM);
        if held { 2 } else { 0 }
    }

    /// Tells all clients whether they are served.
    pub(crate) fn regulate(&mut self) {
        for (conn, service) in self.clients.clone() {
            let level = self.level(service);
            self.out.push_back(Output::FlowControl { conn, level });
        }
    }
}
