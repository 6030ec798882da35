//! The single ring protocol: membership by phases, order by a token.
//!
//! ```text
//!             all agree, the lowest forms            the commit token is back
//!  GATHER ───────────────────────────────▶ COMMIT ───────────────────────────▶ RECOVERY
//!    ▲ ▲   or its commit token comes         │ token lost, join                  │   │
//!    │ └─────────────────────────────────────┴───────────────────────────────────┘   │ all have
//!    │      token lost, join, another ring is heard                                  │ everything
//!    └──────────────────────────────── OPERATIONAL ◀─────────────────────────────────┘
//! ```
//!
//! Each phase owns its data in a module of its own and takes what happens to it
//! with a mutable view of the [`Station`]: what a node has in every phase. The
//! old ring's [`window::History`] goes from phase to phase until the next ring
//! is installed.
//!
//! Requirements: docs/spec/totem.md, TOTEM-1 to TOTEM-12.

mod circulation;
mod commit;
mod gather;
mod operational;
mod recovery;
mod reserve;
mod station;
mod vocabulary;
mod window;

use std::collections::BTreeSet;

use bytes::Bytes;
use ha_types::{Node, RingId};
use sansio::edge::{Level, PersistId};
use sansio::{Core, Inspect, Mono, Now, TimerId};

use crate::group::{Class, Group, Submission, SubmitError};
use crate::message::{Join, Message};
use crate::stats::Stats;
use crate::timing::Timing;
pub use vocabulary::{Config, ExitReason, Input, Output, Timer, To};

use commit::Commit;
use gather::{Cause, Gather, Lists};
use operational::Operational;
use recovery::Recovery;
use reserve::Reserve;
use station::Station;
use window::History;

/// A node's phase.
#[derive(Clone, Debug)]
enum Phase {
    /// The first reservation is not durable, or the interface is not up.
    Starting(Box<History>),
    Gather(Box<Gather>),
    Commit(Box<Commit>),
    Recovery(Box<Recovery>),
    Operational(Box<Operational>),
    Stopped,
}

/// One node of a Totem ring.
#[derive(Clone, Debug)]
pub struct Totem {
    st: Station,
    phase: Phase,
    last_timer: Option<Timer>,
}

impl Totem {
    /// A node that has just started; its interface is down.
    pub fn new(now: Now, config: Config) -> Self {
        let mut st = Station::new(config);
        st.reserve_ahead();
        st.arm(now.mono, Timer::Reserve, st.timing.consensus_ms.saturating_mul(2));
        let phase = Phase::Starting(Box::new(History::none(st.ring)));
        Self { st, phase, last_timer: None }
    }

    /// Queues a message, or says why not. What it is part of is drained and
    /// timed as after an input.
    pub fn submit(
        &mut self,
        now: Now,
        (group, class, safe): (Group, Class, bool),
        bytes: Bytes,
    ) -> Result<(), SubmitError> {
        if matches!(self.phase, Phase::Stopped) {
            return Err(SubmitError::Stopped);
        }
        self.st.lanes.submit(class, Submission { group, safe, bytes })?;
        if let Phase::Operational(operational) = &mut self.phase {
            operational.circulation.hurry(&mut self.st, now.mono);
        }
        self.tell_level();
        Ok(())
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.st.stats
    }

    /// Sets every counter to zero (`stats.clear.totem`).
    pub fn clear_stats(&mut self) {
        self.st.stats = Stats::default();
    }

    /// The ring this node is in, or was committed to last.
    pub fn ring_id(&self) -> RingId {
        self.st.ring
    }

    /// The members of the standing ring.
    pub fn members(&self) -> Option<&BTreeSet<Node>> {
        match &self.phase {
            Phase::Operational(operational) => Some(&operational.ring.members),
            _ => None,
        }
    }

    fn tell_level(&mut self) {
        if let Some(level) = self.st.lanes.level_change() {
            self.st.out.push(Output::Level(level));
        }
    }

    fn dispatch(&mut self, now: Mono, step: impl FnOnce(Phase, &mut Station, Mono) -> Phase) {
        let phase = std::mem::replace(&mut self.phase, Phase::Stopped);
        self.phase = step(phase, &mut self.st, now);
        self.tell_level();
    }

    fn datagram(&mut self, now: Mono, bytes: &Bytes, own: bool) {
        let message = match Message::decode(bytes) {
            Ok(message) => message,
            Err(why) => return self.st.drop_message(why),
        };
        count(&mut self.st.stats, &message);
        if !own && !is_believable(&self.st, &message) {
            return self.st.drop_message("its sender is this node or not in the node list");
        }
        self.dispatch(now, |phase, st, now| phase.message(st, now, message));
    }

    fn loop_back(&mut self, now: Mono) {
        let Some(bytes) = self.st.loopback.pop_front() else { return };
        self.datagram(now, &bytes, true);
        if !self.st.loopback.is_empty() {
            self.st.timers.arm(Timer::Loopback, now);
        }
    }

    fn warn(&mut self, now: Mono) {
        let since = self.st.stats.token_received_at().map_or(0, |at| (now - at).as_millis());
        self.st.log(Level::Notice, format!("Token has not been received in {since} ms "));
        if let Some(after) = self.st.timing.warning() {
            self.st.timers.arm(Timer::Warning, now + after);
        }
    }

    /// After a long pause the others have gone on: what this node believes of
    /// the ring is over, and so are the joins that wait in the socket.
    fn paused(&mut self, now: Mono, ms: u64) {
        let token_ms = u64::from(self.st.timing.token_ms);
        if ms <= token_ms / 2 {
            return;
        }
        let text = format!("Process pause detected for {ms} ms, flushing membership messages.");
        self.st.log(Level::Notice, text);
        let settle_ms = self.st.timing.join_ms;
        self.st.arm(now, Timer::Settle, settle_ms);
        if ms >= token_ms {
            self.dispatch(now, |phase, st, now| {
                phase.gather_again(st, now, Cause::Paused, &BTreeSet::new())
            });
        }
    }

    fn interface(&mut self, now: Mono, up: bool) {
        let was_up = std::mem::replace(&mut self.st.connected, up);
        if up && !was_up {
            self.dispatch(now, |phase, st, now| match phase {
                Phase::Starting(_) => phase.start(st, now),
                _ => phase.gather_again(st, now, Cause::InterfaceChange, &BTreeSet::new()),
            });
        }
    }

    fn reconfigure(&mut self, now: Mono, timing: Timing, nodes: Option<BTreeSet<Node>>) {
        self.st.timing = timing;
        self.st.nodes = nodes;
        let Phase::Operational(operational) = &self.phase else { return };
        let members = operational.ring.members.iter();
        let gone: BTreeSet<Node> = members
            .filter(|node| **node != self.st.me && !self.st.listens_to(**node))
            .copied()
            .collect();
        if !gone.is_empty() {
            self.dispatch(now, |phase, st, now| {
                phase.gather_again(st, now, Cause::Reconfigured, &gone)
            });
        }
    }

    fn persist_failed(&mut self, id: PersistId, errno: i32) {
        self.st.reserve.failed(id);
        let file = Reserve::file_name(self.st.me);
        let text = format!("cannot write {file} in the state directory (error {errno})");
        self.st.log(Level::Error, text);
        if matches!(self.phase, Phase::Starting(_)) {
            self.st.exit(ExitReason::RingIdNotStored);
            self.phase = Phase::Stopped;
        }
        // Else it is asked for again at the next join or membership.
    }

    fn leave(&mut self, now: Mono) {
        let phase = std::mem::replace(&mut self.phase, Phase::Stopped);
        if let Some((_, lists)) = phase.take_apart() {
            let me = self.st.me;
            let others = |set: &BTreeSet<Node>| set.iter().filter(|n| **n != me).copied().collect();
            // The one who leaves stands last in the failed list.
            let mut failed_list: Vec<Node> = others(&lists.failed);
            failed_list.push(me);
            let proc_list = others(&lists.procs);
            let ring_seq = self.st.ring.seq;
            let join = Join { from: me, leaving: true, ring_seq, proc_list, failed_list };
            self.st.stats.memb_join_tx += 1;
            self.st.send_all(now, join.encode());
            // Nothing more will be used of the reservation.
            let request = self.st.reserve.give_back(self.st.seq_seen);
            self.st.persist(Some(request));
        }
        self.st.exit(ExitReason::Left);
    }
}

impl Phase {
    /// The first gathering, once a ring id may be used and the network is there.
    fn start(self, st: &mut Station, now: Mono) -> Phase {
        match self {
            Phase::Starting(none) if st.connected && st.is_reserved() => {
                st.timers.disarm(Timer::Reserve);
                Gather::enter(st, now, *none, Lists::default(), Cause::InterfaceChange)
            }
            other => other,
        }
    }

    /// The last ring that stood and the lists, whatever the phase.
    fn take_apart(self) -> Option<(History, Lists)> {
        match self {
            Phase::Gather(gather) => Some((gather.old, gather.lists)),
            Phase::Commit(commit) => Some((commit.old, commit.lists)),
            Phase::Recovery(recovery) => Some((recovery.old, recovery.lists)),
            Phase::Operational(operational) => {
                let lists = Lists::of(&operational.ring.members);
                Some((operational.ring, lists))
            }
            Phase::Starting(_) | Phase::Stopped => None,
        }
    }

    /// Gathers from any phase that has been in the network, without `gone`.
    fn gather_again(
        self,
        st: &mut Station,
        now: Mono,
        cause: Cause,
        gone: &BTreeSet<Node>,
    ) -> Phase {
        if matches!(self, Phase::Starting(_) | Phase::Stopped | Phase::Gather(_)) {
            return self;
        }
        let Some((old, mut lists)) = self.take_apart() else { return Phase::Stopped };
        lists.failed.extend(gone);
        Gather::enter(st, now, old, lists, cause)
    }

    fn timeout(self, st: &mut Station, now: Mono, timer: Timer) -> Phase {
        match self {
            Phase::Starting(_) if timer == Timer::Reserve => {
                st.log(Level::Error, "the state directory does not take the ring id");
                st.exit(ExitReason::RingIdNotStored);
                Phase::Stopped
            }
            Phase::Gather(gather) => gather.timeout(st, now, timer),
            Phase::Commit(commit) => commit.timeout(st, now, timer),
            Phase::Recovery(recovery) => recovery.timeout(st, now, timer),
            Phase::Operational(operational) => operational.timeout(st, now, timer),
            Phase::Starting(_) | Phase::Stopped => self,
        }
    }

    fn message(self, st: &mut Station, now: Mono, message: Message) -> Phase {
        match message {
            Message::Join(join) => self.join(st, now, &join),
            Message::Token(token) => match self {
                Phase::Operational(operational) => operational.token(st, now, token),
                Phase::Recovery(recovery) => recovery.token(st, now, token),
                other => other,
            },
            Message::Mcast(mcast) => match self {
                Phase::Operational(operational) => operational.mcast(st, now, mcast),
                Phase::Recovery(mut recovery) => {
                    recovery.mcast(st, mcast);
                    Phase::Recovery(recovery)
                }
                Phase::Gather(gather) => gather.mcast(st, now, mcast),
                Phase::Commit(_) => {
                    st.stats.rx_msg_dropped += 1;
                    self
                }
                Phase::Starting(_) | Phase::Stopped => self,
            },
            Message::MergeDetect(detect) => match self {
                Phase::Operational(operational) => operational.merge_detect(st, now, &detect),
                Phase::Gather(gather) if detect.ring != st.ring => {
                    gather.foreign(st, now, detect.from, Cause::MergeWhileGathering)
                }
                other => other,
            },
            Message::Commit(token) => match self {
                Phase::Gather(gather) => gather.commit_token(st, now, token),
                Phase::Commit(commit) => commit.commit_token(st, now, token),
                Phase::Recovery(mut recovery) => {
                    recovery.commit_token(st, now, &token);
                    Phase::Recovery(recovery)
                }
                other => other,
            },
            Message::HoldCancel(cancel) => {
                let mut phase = self;
                if let Phase::Operational(operational) = &mut phase {
                    operational.circulation.hold_cancelled(st, now, cancel.ring);
                }
                if let Phase::Recovery(recovery) = &mut phase {
                    recovery.circulation.hold_cancelled(st, now, cancel.ring);
                }
                phase
            }
        }
    }

    fn join(self, st: &mut Station, now: Mono, join: &Join) -> Phase {
        if join.leaving {
            st.said_goodbye.extend(join.failed_list.last());
        }
        if st.timers.deadline(Timer::Settle).is_some() && join.from != st.me {
            st.stats.rx_msg_dropped += 1;
            return self;
        }
        if matches!(self, Phase::Starting(_) | Phase::Stopped) {
            return self;
        }
        st.seq_seen = st.seq_seen.max(join.ring_seq);
        match self {
            Phase::Gather(gather) => gather.join(st, now, join),
            Phase::Commit(commit) => commit.join(st, now, join),
            Phase::Recovery(recovery) => recovery.join(st, now, join),
            Phase::Operational(operational) => operational.join(st, now, join),
            Phase::Starting(_) | Phase::Stopped => self,
        }
    }
}

/// Whether a message from the network can be meant: its sender is another node,
/// and one to listen to.
fn is_believable(st: &Station, message: &Message) -> bool {
    let from = match message {
        // Own ones come back when somebody else lacked them.
        Message::Mcast(mcast) => return st.listens_to(mcast.from) || mcast.from == st.me,
        Message::MergeDetect(detect) => detect.from,
        Message::Join(join) => join.from,
        Message::Token(_) | Message::Commit(_) | Message::HoldCancel(_) => return true,
    };
    from != st.me && st.listens_to(from)
}

fn count(stats: &mut Stats, message: &Message) {
    match message {
        Message::Token(_) => stats.orf_token_rx += 1,
        Message::Mcast(_) => stats.mcast_rx += 1,
        Message::MergeDetect(_) => stats.memb_merge_detect_rx += 1,
        Message::Join(_) => stats.memb_join_rx += 1,
        Message::Commit(_) => stats.memb_commit_token_rx += 1,
        Message::HoldCancel(_) => stats.token_hold_cancel_rx += 1,
    }
}

impl Core for Totem {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Now, input: Input) {
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        let mono = now.mono;
        match input {
            Input::Datagram(bytes) => self.datagram(mono, &bytes, false),
            Input::Submit { group, class, safe, bytes } => {
                if let Err(why) = self.submit(now, (group, class, safe), bytes) {
                    self.st.log(Level::Warning, format!("message not sent: {why}"));
                }
            }
            Input::SyncDone => {
                self.st.lanes.sync_done();
                self.st.assembler.syncing = false;
                if let Phase::Operational(operational) = &mut self.phase {
                    operational.circulation.hurry(&mut self.st, mono);
                }
            }
            Input::Persisted(id) => {
                let request = self.st.reserve.persisted(id);
                self.st.persist(request);
                self.dispatch(mono, Phase::start);
            }
            Input::PersistFailed { id, errno } => self.persist_failed(id, errno),
            Input::Paused { ms } => self.paused(mono, ms),
            Input::Interface { up } => self.interface(mono, up),
            Input::Reconfigure { timing, nodes } => self.reconfigure(mono, *timing, nodes),
            Input::Leave => self.leave(mono),
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        let Some(timer) = self.st.timers.pop_due(now.mono) else { return };
        self.last_timer = Some(timer);
        match timer {
            Timer::Deliver => self.st.resume(),
            Timer::Loopback => self.loop_back(now.mono),
            Timer::Warning => self.warn(now.mono),
            Timer::Settle => {}
            _ => self.dispatch(now.mono, |phase, st, now| phase.timeout(st, now, timer)),
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.st.out.pop()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.st.timers.next()
    }

    fn pause_limit(&self) -> Option<std::time::Duration> {
        Some(std::time::Duration::from_millis(u64::from(self.st.timing.token_ms) / 2))
    }
}

impl Inspect for Totem {
    fn states() -> &'static [&'static str] {
        &["starting", "gather", "commit", "recovery", "operational", "stopped"]
    }

    fn timers() -> Vec<&'static str> {
        Timer::ALL.iter().map(|timer| timer.name()).collect()
    }

    fn state(&self) -> &'static str {
        match &self.phase {
            Phase::Starting(_) => "starting",
            Phase::Gather(_) => "gather",
            Phase::Commit(_) => "commit",
            Phase::Recovery(_) => "recovery",
            Phase::Operational(_) => "operational",
            Phase::Stopped => "stopped",
        }
    }

    fn last_timer(&self) -> Option<&'static str> {
        self.last_timer.map(TimerId::name)
    }
}

#[cfg(test)]
mod tests;
