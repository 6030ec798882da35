//! The barrier behind which the services of a new ring synchronize.
//!
//! In a new ring nobody is served before all members know what the others know.
//! Each member names its services; then, service by service in ascending order,
//! each says what the others must know and after that a barrier message; when
//! the barrier messages of all members have been delivered, the service acts on
//! what it has heard. Another configuration aborts all that.
//!
//! ```text
//!  IDLE ──regular──▶ NAMING ──all have named──▶ PROCESS ──processed──▶ BARRIER
//!    ▲                  ▲                          ▲                      │
//!    │                  └── any configuration ─────┴── next service ──────┤
//!    └──────────────────────────── last service ─────────────────────────┘
//! ```
//!
//! Messages travel in the group `sync` and carry the ring's identity: those of
//! an older ring change nothing. Source: behaviour of Corosync 3.1.7 as its
//! `exec/sync.c` lays the messages out.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ha_types::ring::{Configuration, ConfigurationKind};
use ha_types::{Node, RingId};
use ring_service::{Layout, Service, SyncStart, View};

/// Message number of a barrier.
pub const BARRIER: i32 = 0;
/// Message number of a list of services.
pub const SERVICE_BUILD: i32 = 1;

const BARRIER_LEN: usize = 32;
const SERVICE_BUILD_LEN: usize = 552;
const LISTED_MAX: usize = 128;
/// Highest number of services that there can be.
const SERVICES_MAX: u16 = 64;

/// What the barrier wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this in the group `sync`.
    Mcast(Vec<u8>),
    /// Tell every own service, in ascending order, of the new ring.
    Init(SyncStart),
    /// Let the service say what others must know, then call [`Barrier::processed`].
    Process(Service),
    /// All members have said theirs.
    Activate(Service),
    /// The ring has gone while the service was being processed.
    Abort(Service),
    /// All services are through.
    Completed(RingId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Naming,
    Processing(Service),
    Waiting(Service),
}

/// One node's part in the synchronization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barrier {
    own: BTreeSet<Service>,
    /// Own services and those that other members have named.
    services: BTreeSet<Service>,
    phase: Phase,
    /// None: messages of no ring are ours.
    ring: Option<RingId>,
    /// Each member, and whether its message of this phase has come.
    heard: BTreeMap<Node, bool>,
    came_along: BTreeSet<Node>,
    dropped: u64,
    out: VecDeque<Output>,
}

impl Barrier {
    /// The barrier of a node that has these services with something to say.
    pub fn new(own: impl IntoIterator<Item = Service>) -> Self {
        Self {
            own: own.into_iter().collect(),
            services: BTreeSet::new(),
            phase: Phase::Idle,
            ring: None,
            heard: BTreeMap::new(),
            came_along: BTreeSet::new(),
            dropped: 0,
            out: VecDeque::new(),
        }
    }

    /// The membership changed. Whatever was under way ends; a regular
    /// configuration starts anew.
    pub fn configuration(&mut self, configuration: &Configuration) {
        self.abort();
        match configuration.kind {
            ConfigurationKind::Transitional => {
                self.came_along.clone_from(&configuration.members);
            }
            ConfigurationKind::Regular => self.start(configuration),
        }
    }

    /// A message of the group `sync` was delivered.
    pub fn deliver(&mut self, from: Node, bytes: &[u8]) {
        if self.take(from, bytes).is_none() {
            self.dropped += 1;
        }
    }

    /// The service has said what others must know.
    pub fn processed(&mut self, service: Service) {
        let (Phase::Processing(current), Some(ring)) = (self.phase, self.ring) else { return };
        if current == service {
            self.phase = Phase::Waiting(service);
            let message = Layout::message(BARRIER, BARRIER_LEN).packed_ring(16, ring);
            self.out.push_back(Output::Mcast(message.finish()));
        }
    }

    /// The service whose turn it is to say something, if it has not finished.
    pub fn processing(&self) -> Option<Service> {
        match self.phase {
            Phase::Processing(service) => Some(service),
            Phase::Idle | Phase::Naming | Phase::Waiting(_) => None,
        }
    }

    /// How many messages were malformed or did not belong where they came.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    fn abort(&mut self) {
        if let Phase::Processing(service) = self.phase {
            self.out.push_back(Output::Abort(service));
        }
        self.phase = Phase::Idle;
        self.ring = None;
    }

    fn start(&mut self, configuration: &Configuration) {
        self.ring = Some(configuration.ring);
        self.phase = Phase::Naming;
        self.services = self.own.clone();
        self.heard = configuration.members.iter().map(|node| (*node, false)).collect();
        self.came_along = &self.came_along & &configuration.members;
        self.out.push_back(Output::Mcast(service_build(configuration.ring, &self.own)));
        self.out.push_back(Output::Init(SyncStart {
            ring: configuration.ring,
            members: configuration.members.clone(),
            came_along: self.came_along.clone(),
        }));
    }

    /// None: the message does not count.
    fn take(&mut self, from: Node, bytes: &[u8]) -> Option<()> {
        let (id, view) = View::message(bytes).ok()?;
        let ring = view.packed_ring(16).ok()?;
        if self.ring != Some(ring) || !self.heard.contains_key(&from) {
            return None;
        }
        match (id, self.phase) {
            (SERVICE_BUILD, Phase::Naming) => {
                self.services.extend(named(&view)?);
                if self.all_heard(from) {
                    self.enter(self.services.first().copied());
                }
                Some(())
            }
            (BARRIER, Phase::Processing(_)) => {
                // Its sender is ahead of us, or it is our own and forged.
                self.all_heard(from);
                Some(())
            }
            (BARRIER, Phase::Waiting(service)) => {
                if self.all_heard(from) {
                    self.out.push_back(Output::Activate(service));
                    self.enter(self.services.range(Service(service.0 + 1)..).next().copied());
                }
                Some(())
            }
            _ => None,
        }
    }

    fn all_heard(&mut self, from: Node) -> bool {
        self.heard.insert(from, true);
        self.heard.values().all(|heard| *heard)
    }

    /// Takes up a service, or ends when there is none left.
    fn enter(&mut self, service: Option<Service>) {
        self.heard.values_mut().for_each(|heard| *heard = false);
        let Some(service) = service else {
            self.phase = Phase::Idle;
            self.out.extend(self.ring.map(Output::Completed));
            return;
        };
        self.phase = Phase::Processing(service);
        if self.own.contains(&service) {
            self.out.push_back(Output::Process(service));
        } else {
            self.processed(service);
        }
    }
}

fn service_build(ring: RingId, own: &BTreeSet<Service>) -> Vec<u8> {
    let message = Layout::message(SERVICE_BUILD, SERVICE_BUILD_LEN).packed_ring(16, ring);
    let list = own.iter().enumerate();
    let write = |m: Layout, (i, service): (usize, &Service)| m.u32(40 + 4 * i, service.0.into());
    list.fold(message.count(32, own.len()), write).finish()
}

/// The services that a message names; none if one of them cannot exist.
fn named(view: &View<'_>) -> Option<Vec<Service>> {
    let count = usize::try_from(view.u32(32, "a number of services").ok()?).ok()?;
    if count > LISTED_MAX {
        return None;
    }
    let read = |i: usize| {
        let number = u16::try_from(view.u32(40 + 4 * i, "a service").ok()?).ok()?;
        (number < SERVICES_MAX).then_some(Service(number))
    };
    (0..count).map(read).collect()
}
