//! A standing ring: messages are sent, ordered and delivered.

use ha_types::{Node, RingId};
use sansio::Mono;
use sansio::edge::Level;

use super::circulation::{Circulation, Source, Visit};
use super::gather::{Cause, Gather, Lists};
use super::station::Upward;
use super::window::History;
use super::{Phase, Station, Timer};
use crate::message::{Join, Mcast, MergeDetect, OrfToken, Place};
use crate::seq::earlier;

/// The data of the phase.
#[derive(Clone, Debug)]
pub(crate) struct Operational {
    pub(crate) ring: History,
    pub(crate) circulation: Circulation,
}

/// New messages come out of the queues of the services.
struct Queues;

impl Source for Queues {
    fn backlog(&self, st: &Station) -> u32 {
        st.lanes.backlog()
    }

    fn next(&mut self, st: &mut Station, ring: RingId, seq: u32) -> Option<Mcast> {
        let frame = st.lanes.next_frame()?;
        let number = st.number;
        st.number = number.wrapping_add(1);
        let place = Place { node: st.me, ring, seq, number, safe: frame.safe, encapsulated: false };
        Some(Mcast::compose(&place, frame.body.len(), |raw| raw.extend_from_slice(&frame.body)))
    }
}

impl Operational {
    pub(crate) fn enter(st: &mut Station, ring: History, circulation: Circulation) -> Phase {
        st.stats.operational_entered += 1;
        st.stats.continuous_gather = 0;
        st.log(Level::Debug, "entering OPERATIONAL state");
        let mut operational = Self { ring, circulation };
        operational.deliver(st);
        Phase::Operational(Box::new(operational))
    }

    fn gather(self, st: &mut Station, now: Mono, cause: Cause) -> Phase {
        let lists = Lists::of(&self.ring.members);
        Gather::enter(st, now, self.ring, lists, cause)
    }

    /// Gathers with a node that is in another ring.
    fn gather_with(self, st: &mut Station, now: Mono, from: Node, cause: Cause) -> Phase {
        let mut lists = Lists::of(&self.ring.members);
        lists.procs.insert(from);
        Gather::enter(st, now, self.ring, lists, cause)
    }

    pub(crate) fn timeout(self: Box<Self>, st: &mut Station, now: Mono, timer: Timer) -> Phase {
        match timer {
            Timer::Token | Timer::Heartbeat => {
                st.stats.operational_token_lost += 1;
                let (token_ms, consensus_ms) = (st.timing.token_ms, st.timing.consensus_ms);
                st.log(
                    Level::Notice,
                    format!(
                        "A processor failed, forming new configuration: token timed out \
                         ({token_ms}ms), waiting {consensus_ms}ms for consensus."
                    ),
                );
                return self.gather(st, now, Cause::TokenLostInOperational);
            }
            Timer::Retransmit => {
                self.circulation.send_last(st, now);
                st.arm_retransmit(now);
            }
            Timer::Hold => self.circulation.send_last(st, now),
            Timer::Merge => self.detect_others(st, now),
            _ => {}
        }
        Phase::Operational(self)
    }

    fn detect_others(&self, st: &mut Station, now: Mono) {
        if self.ring.id.rep == st.me {
            st.stats.memb_merge_detect_tx += 1;
            let detect = MergeDetect { from: st.me, ring: self.ring.id };
            st.send_all(now, detect.encode());
        }
    }

    pub(crate) fn token(
        mut self: Box<Self>,
        st: &mut Station,
        now: Mono,
        token: OrfToken,
    ) -> Phase {
        if !self.circulation.accept(st, now, &token) {
            return Phase::Operational(self);
        }
        self.settle_safe(token.aru);
        let ring = (&self.ring.members, &mut self.ring.window);
        match self.circulation.visit(st, now, token, ring, &mut Queues) {
            Visit::GoesOn(token) => {
                // Passing it on before delivery keeps the ring fast.
                self.circulation.pass(st, now, &token);
                self.deliver(st);
            }
            Visit::Refused => {}
            Visit::FailedToReceive => {
                let lists = Lists::of(&self.ring.members);
                return Gather::failed_to_receive(st, now, self.ring, lists);
            }
        }
        Phase::Operational(self)
    }

    /// [TOTEM-5] What the token said at two visits everybody has: in between it
    /// was with every member, and each lowers it to what it has. That much
    /// nobody will ask for again.
    fn settle_safe(&mut self, aru: u32) {
        let weak = sansio::mutant::active("TOTEM-5/weaken");
        let both = if weak { aru } else { earlier(aru, self.circulation.last_aru) };
        let safe = earlier(both, self.ring.window.aru);
        if crate::seq::before(self.ring.safe, safe) {
            self.ring.safe = safe;
        }
        self.ring.window.release_to(earlier(self.ring.safe, self.ring.delivered));
    }

    fn deliver(&mut self, st: &mut Station) {
        while let Some(mcast) = self.ring.next_in_order() {
            st.hand_up(Upward::Message(mcast));
        }
    }

    pub(crate) fn mcast(mut self: Box<Self>, st: &mut Station, now: Mono, mcast: Mcast) -> Phase {
        if mcast.ring != self.ring.id {
            if mcast.from == st.me || self.is_stale(mcast.from, mcast.ring) {
                st.stats.rx_msg_dropped += 1;
                return Phase::Operational(self);
            }
            return self.gather_with(st, now, mcast.from, Cause::ForeignMessage);
        }
        if !mcast.encapsulated && self.ring.window.insert(mcast) {
            self.deliver(st);
        }
        Phase::Operational(self)
    }

    pub(crate) fn merge_detect(
        self: Box<Self>,
        st: &mut Station,
        now: Mono,
        detect: &MergeDetect,
    ) -> Phase {
        if detect.ring == self.ring.id || self.is_stale(detect.from, detect.ring) {
            return Phase::Operational(self);
        }
        self.gather_with(st, now, detect.from, Cause::Merge)
    }

    /// Whether a member sent this before it came into this ring: late or
    /// repeated, and no sign of another ring.
    fn is_stale(&self, from: Node, ring: RingId) -> bool {
        self.ring.members.contains(&from) && ring.seq < self.ring.id.seq
    }

    /// A node gathers. Who takes this node for failed forms a ring without it,
    /// and finds this one later by merge detection.
    pub(crate) fn join(self: Box<Self>, st: &mut Station, now: Mono, join: &Join) -> Phase {
        let late = self.ring.members.contains(&join.from) && join.ring_seq < self.ring.id.seq;
        if join.failed_list.contains(&st.me) || late {
            return Phase::Operational(self);
        }
        let lists = Lists::of(&self.ring.members);
        Gather::enter_on_join(st, now, self.ring, lists, join, Cause::JoinInOperational)
    }
}
