//! Forming a ring: gather, propose, promise, commit, and when to do it again.

use std::collections::BTreeMap;

use observe::{Event, Node, RingId};
use sansio::Mono;
use sansio::edge::{Level, Output, PersistId};

use super::message::{Accept, Beat, Body, Log, Old};
use super::order::View;
use super::{AHEAD_MAX, CONSENSUS, LOST, MERGE, Ring, Timer, newer, node_set, show};

/// Where a node stands. Each phase owns what exists only in it; `old` is what
/// the node knows of the last ring it was in, until the next one is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// In no ring, waiting to hear who is there.
    Gather { old: Option<Old> },
    /// Has proposed a ring and collects consent.
    Propose {
        ring: RingId,
        members: BTreeMap<Node, u64>,
        accepts: BTreeMap<Node, Option<Old>>,
        old: Option<Old>,
        /// Still being made durable; the proposal waits for it.
        writing: Option<PersistId>,
    },
    /// Has promised to enter a ring and waits for its commit.
    Promise {
        ring: RingId,
        /// Who was invited; a commit for others is not the one that was promised.
        members: BTreeMap<Node, u64>,
        old: Option<Old>,
        writing: Option<PersistId>,
    },
    /// In a ring.
    Member(Box<View>),
}

impl Phase {
    pub(super) fn view(&self) -> Option<&View> {
        match self {
            Phase::Member(view) => Some(view),
            Phase::Gather { .. } | Phase::Propose { .. } | Phase::Promise { .. } => None,
        }
    }

    pub(super) fn view_mut(&mut self) -> Option<&mut View> {
        match self {
            Phase::Member(view) => Some(view),
            Phase::Gather { .. } | Phase::Propose { .. } | Phase::Promise { .. } => None,
        }
    }

    /// The end of the ring that the node leaves, or had left before.
    fn into_old(self) -> Option<Old> {
        match self {
            Phase::Gather { old } | Phase::Propose { old, .. } | Phase::Promise { old, .. } => old,
            Phase::Member(view) => Some(view.into_old()),
        }
    }
}

impl Ring {
    /// Leaves whatever phase it is in; from now on nothing is delivered.
    fn leave(&mut self) -> Option<Old> {
        if let Some(view) = self.phase.view() {
            let event = Event::Quorum { ring: view.ring, quorate: false };
            self.out.push(Output::Observe(event));
            self.tell_gathering();
        }
        std::mem::replace(&mut self.phase, Phase::Gather { old: None }).into_old()
    }

    pub(super) fn gather(&mut self, now: Mono, why: &str) {
        self.log(Level::Notice, format!("Gathering because {why}"));
        let old = self.leave();
        self.phase = Phase::Gather { old };
        self.arm_gathering(now);
    }

    pub(super) fn formation_due(&mut self, now: Mono) {
        match &self.phase {
            Phase::Gather { .. } => self.propose_if_lowest(now),
            Phase::Propose { ring, .. } => {
                let why = format!("not all accepted ring {ring} in time");
                self.gather(now, &why);
            }
            Phase::Promise { ring, .. } => {
                let why = format!("ring {ring} was not committed in time");
                self.gather(now, &why);
            }
            Phase::Member(_) => {}
        }
    }

    fn propose_if_lowest(&mut self, now: Mono) {
        let members = self.hearing_each_other();
        if members.keys().next() == Some(&self.node) {
            self.propose(now, members);
        } else {
            self.arm_gathering(now);
        }
    }

    fn propose(&mut self, now: Mono, members: BTreeMap<Node, u64>) {
        let old = self.leave();
        let promises = self.peers.values().map(|peer| peer.promised);
        let promises = promises.filter(|seq| self.is_credible(*seq));
        self.promised = promises.fold(self.promised, u64::max) + 1;
        let ring = RingId { seq: self.promised, rep: self.node };
        self.log(Level::Info, format!("Proposing ring {ring} of {}", show(&members)));
        let writing = Some(self.persist());
        let accepts = BTreeMap::from([(self.node, old.clone())]);
        self.phase = Phase::Propose { ring, members, accepts, old, writing };
        self.timers.arm(Timer::Formation, now + CONSENSUS);
        self.timers.disarm(Timer::Merge);
        self.skip_waiting_for_disk(now);
    }

    pub(super) fn proposed(
        &mut self,
        now: Mono,
        rep: Node,
        ring: RingId,
        members: &BTreeMap<Node, u64>,
    ) {
        let invited = members.get(&self.node) == Some(&self.epoch);
        let known = members.keys().all(|node| self.nodes.contains_key(node));
        if ring.rep != rep || !invited || !known || !self.may_follow(rep, ring, members) {
            return;
        }
        let old = self.leave();
        self.promised = ring.seq;
        let writing = Some(self.persist());
        self.phase = Phase::Promise { ring, members: members.clone(), old, writing };
        self.timers.arm(Timer::Formation, now + CONSENSUS);
        self.timers.disarm(Timer::Merge);
        self.skip_waiting_for_disk(now);
    }

    /// Whether another node can have got to this sequence: one that lies must
    /// not use up all sequences there are.
    fn is_credible(&self, seq: u64) -> bool {
        seq.saturating_sub(self.promised) <= AHEAD_MAX
    }

    /// A ring is left for a proposal only when that keeps all of its members.
    fn may_follow(&self, rep: Node, ring: RingId, members: &BTreeMap<Node, u64>) -> bool {
        if !newer(ring, self.promised) || !self.is_credible(ring.seq) {
            return false;
        }
        match &self.phase {
            Phase::Gather { .. } | Phase::Promise { .. } => true,
            Phase::Propose { .. } => rep < self.node,
            Phase::Member(view) => view.members.iter().all(|(n, e)| members.get(n) == Some(e)),
        }
    }

    /// Mutants of [MIN-1] send before the disk has answered, or without asking it.
    fn skip_waiting_for_disk(&mut self, now: Mono) {
        if sansio::mutant::active("MIN-1/weaken") || sansio::mutant::active("MIN-1/remove") {
            self.persisted(now, PersistId(self.persists));
        }
    }

    /// [MIN-1] The sequence is durable: now others may hear of it.
    pub(super) fn persisted(&mut self, now: Mono, id: PersistId) {
        match &mut self.phase {
            Phase::Propose { writing, .. } if *writing == Some(id) => {
                *writing = None;
                self.send_formation_again();
                self.commit_if_all_accepted(now);
            }
            Phase::Promise { writing, .. } if *writing == Some(id) => {
                *writing = None;
                self.send_formation_again();
            }
            Phase::Gather { .. }
            | Phase::Propose { .. }
            | Phase::Promise { .. }
            | Phase::Member(_) => {}
        }
    }

    pub(super) fn persist_failed(&mut self, now: Mono, id: PersistId, errno: i32) {
        let text = format!(
            "Cannot write {} (error {errno}): this node stays out of any ring until it can; \
             check its disk",
            super::FILE
        );
        self.log(Level::Error, text);
        let waits = match &self.phase {
            Phase::Propose { writing, .. } | Phase::Promise { writing, .. } => *writing == Some(id),
            Phase::Gather { .. } | Phase::Member(_) => false,
        };
        if waits {
            self.gather(now, "its promise could not be written");
        }
    }

    /// Sends the proposal or the consent, again at each beat, but never before
    /// it is durable.
    pub(super) fn send_formation_again(&mut self) {
        match &self.phase {
            Phase::Propose { ring, members, writing: None, .. } => {
                let others: Vec<Node> = members.keys().copied().collect();
                let body = Body::Propose { ring: *ring, members: members.clone() };
                self.send_all(others, &body);
            }
            Phase::Promise { ring, old, writing: None, .. } => {
                let (rep, ring, old) = (ring.rep, *ring, old.clone());
                self.send(rep, Body::Accept(Accept { ring, old }));
            }
            Phase::Gather { .. }
            | Phase::Propose { .. }
            | Phase::Promise { .. }
            | Phase::Member(_) => {}
        }
    }

    pub(super) fn accepted(&mut self, now: Mono, sender: Node, epoch: u64, accept: Accept) {
        let Phase::Propose { ring, members, accepts, .. } = &mut self.phase else { return };
        if accept.ring == *ring && members.get(&sender) == Some(&epoch) {
            accepts.insert(sender, accept.old);
            self.commit_if_all_accepted(now);
        }
    }

    fn commit_if_all_accepted(&mut self, now: Mono) {
        let Phase::Propose { ring, members, accepts, writing: None, .. } = &self.phase else {
            return;
        };
        if accepts.len() < members.len() {
            return;
        }
        let flush = flush_of(self.node, accepts);
        let (ring, members) = (*ring, members.clone());
        let commit = Body::Commit { ring, members: members.clone(), flush: flush.clone() };
        let others: Vec<Node> = members.keys().copied().collect();
        self.send_all(others, &commit);
        self.install(now, ring, members, &flush, Some(commit));
    }

    pub(super) fn committed(
        &mut self,
        now: Mono,
        sender: Node,
        ring: RingId,
        members: BTreeMap<Node, u64>,
        flush: &[(RingId, Log)],
    ) {
        let promised = matches!(&self.phase, Phase::Promise { ring: r, members: m, writing: None, .. } if *r == ring && *m == members);
        if promised && sender == ring.rep && members.get(&self.node) == Some(&self.epoch) {
            self.install(now, ring, members, flush, None);
        }
    }

    fn install(
        &mut self,
        now: Mono,
        ring: RingId,
        members: BTreeMap<Node, u64>,
        flush: &[(RingId, Log)],
        commit: Option<Body>,
    ) {
        let old = std::mem::replace(&mut self.phase, Phase::Gather { old: None }).into_old();
        if let Some(old) = old {
            self.deliver_rest(&old, flush);
        }
        let quorate = self.is_quorate(members.len());
        let text = format!("Members of ring {ring}: {} (quorate: {quorate})", show(&members));
        self.log(Level::Notice, text);
        self.out.push(Output::Observe(Event::View { ring, members: node_set(&members) }));
        self.out.push(Output::Observe(Event::Quorum { ring, quorate }));
        self.phase = Phase::Member(Box::new(View::new(now, ring, members, self.sent + 1, commit)));
        self.timers.disarm(Timer::Formation);
        self.tell_view();
    }

    /// Takes note that a member is in the ring, or sends it the commit again.
    pub(super) fn heard_in_view(&mut self, now: Mono, sender: Node, beat: &Beat) {
        let Some(view) = self.phase.view_mut() else { return };
        if !view.members.contains_key(&sender) {
            return;
        }
        if beat.view == Some(view.ring) {
            view.heard_at.insert(sender, now);
            self.acknowledged(sender, beat);
        } else if beat.promised == view.ring.seq
            && let Some(commit) = view.commit.clone()
        {
            self.send(sender, commit);
        }
    }

    pub(super) fn lost(&mut self, now: Mono, node: Node, why: &str) {
        if self.phase.view().is_some_and(|view| view.members.contains_key(&node)) {
            self.gather(now, &format!("{node} is lost: {why}"));
        }
    }

    /// A member that is silent, or speaks but is not in the ring, is lost.
    pub(super) fn look_for_lost(&mut self, now: Mono) {
        let Some(view) = self.phase.view() else { return };
        let mut others = view.heard_at.iter().filter(|(node, _)| **node != self.node);
        let silent = others.find(|(_, at)| now - **at >= LOST);
        if let Some((node, _)) = silent {
            let (node, why) = (*node, format!("not heard in the ring for {} ms", LOST.as_millis()));
            self.lost(now, node, &why);
        }
    }

    /// Whoever could be a member and is none, when this node is the one to ask.
    fn others(&self) -> Option<BTreeMap<Node, u64>> {
        let view = self.phase.view()?;
        let mut all = self.hearing_each_other();
        if all.iter().all(|(node, epoch)| view.members.get(node) == Some(epoch)) {
            return None;
        }
        all.extend(view.members.iter().map(|(node, epoch)| (*node, *epoch)));
        (all.keys().next() == Some(&self.node)).then_some(all)
    }

    pub(super) fn look_for_others(&mut self, now: Mono) {
        match self.others() {
            Some(_) => self.timers.arm_if_idle(Timer::Merge, now + MERGE),
            None => self.timers.disarm(Timer::Merge),
        }
    }

    pub(super) fn merge_due(&mut self, now: Mono) {
        if let Some(all) = self.others() {
            self.propose(now, all);
        }
    }
}

/// [MIN-4] For each old ring of the members, what the one that got furthest has
/// and others may lack.
fn flush_of(rep: Node, accepts: &BTreeMap<Node, Option<Old>>) -> Vec<(RingId, Log)> {
    let mut furthest: BTreeMap<RingId, &Old> = BTreeMap::new();
    if sansio::mutant::active("MIN-4/remove") {
        return Vec::new();
    }
    for (node, old) in accepts {
        let Some(old) = old else { continue };
        if sansio::mutant::active("MIN-4/weaken") && *node != rep {
            continue;
        }
        let best = furthest.entry(old.ring).or_insert(old);
        if old.delivered > best.delivered {
            *best = old;
        }
    }
    furthest.into_iter().map(|(ring, old)| (ring, old.log.clone())).collect()
}
