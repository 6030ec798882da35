//! Ordered messages in a ring: the representative numbers them, everybody
//! delivers them by number, and what all have is forgotten.

use std::collections::{BTreeMap, VecDeque};

use observe::{Event, Node, RingId};
use sansio::Mono;
use sansio::edge::Output;

use super::Ring;
use super::message::{Beat, Body, Log, Message, Old, WINDOW};

/// How many of its own messages a node keeps until they are delivered.
pub(super) const PENDING: usize = 64;

/// A ring from the inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) ring: RingId,
    pub(super) members: BTreeMap<Node, u64>,
    /// When each member was last heard *in this ring*; this node's own entry is idle.
    pub(super) heard_at: BTreeMap<Node, Mono>,
    /// Up to where messages have been delivered here.
    pub(super) delivered: u64,
    /// Up to where everybody has delivered, as far as known here.
    pub(super) stable: u64,
    /// Ordered messages after `stable`; delivered ones and, beyond a gap, ones
    /// that wait.
    pub(super) log: Log,
    /// This node's messages that it has not seen delivered.
    pub(super) pending: VecDeque<Message>,
    /// Number of this node's first message in this ring.
    pub(super) first: u64,
    /// Representative: the last sequence given away.
    pub(super) last_seq: u64,
    /// Representative: each sender's next number.
    pub(super) next_number: BTreeMap<Node, u64>,
    /// Representative: up to where each member has delivered.
    pub(super) acks: BTreeMap<Node, u64>,
    /// Representative: for members that did not get it.
    pub(super) commit: Option<Body>,
}

impl View {
    pub(super) fn new(
        now: Mono,
        ring: RingId,
        members: BTreeMap<Node, u64>,
        first: u64,
        commit: Option<Body>,
    ) -> Self {
        let others = members.keys().copied();
        Self {
            heard_at: others.clone().map(|node| (node, now)).collect(),
            acks: others.map(|node| (node, 0)).collect(),
            ring,
            members,
            delivered: 0,
            stable: 0,
            log: Log::new(),
            pending: VecDeque::new(),
            first,
            last_seq: 0,
            next_number: BTreeMap::new(),
            commit,
        }
    }

    /// What is left of the ring for those who go on from it: nothing beyond a
    /// gap, which nobody here has delivered.
    pub(super) fn into_old(self) -> Old {
        let mut log = self.log;
        log.retain(|seq, _| *seq <= self.delivered);
        Old { ring: self.ring, delivered: self.delivered, log }
    }

    fn forget_stable(&mut self, stable: u64) {
        self.stable = self.stable.max(stable.min(self.delivered));
        let stable = self.stable;
        self.log.retain(|seq, _| *seq > stable);
    }
}

impl Ring {
    /// Takes a local client's message, if there is room for it.
    pub(super) fn submit(&mut self, bytes: Vec<u8>) -> Option<u64> {
        let view = self.phase.view_mut()?;
        if view.pending.len() >= PENDING {
            return None;
        }
        self.sent += 1;
        let (sender, epoch, number) = (self.node, self.epoch, self.sent);
        let message = Message { sender, epoch, number, bytes };
        view.pending.push_back(message.clone());
        self.forward(message);
        Some(number)
    }

    fn forward(&mut self, message: Message) {
        let Some(view) = self.phase.view() else { return };
        let (ring, first) = (view.ring, view.first);
        if ring.rep == self.node {
            self.order(self.node, ring, first, message);
        } else {
            self.send(ring.rep, Body::Forward { ring, first, message });
        }
    }

    /// Representative: gives the sender's next message its place.
    pub(super) fn order(&mut self, sender: Node, ring: RingId, first: u64, message: Message) {
        let node = self.node;
        let Some(view) = self.phase.view_mut() else { return };
        let member = view.members.get(&sender) == Some(&message.epoch);
        if ring != view.ring || ring.rep != node || !member || sender != message.sender {
            return;
        }
        // Each sender has a share of the window, or those who are quick to send
        // again would leave nothing to the others for ever.
        let share = (WINDOW / view.members.len()).max(1);
        let unstable = view.log.values().filter(|unstable| unstable.sender == sender).count();
        let room = view.last_seq - view.stable < WINDOW as u64 && unstable < share;
        let expected = view.next_number.entry(sender).or_insert(first);
        if message.number != *expected || !room {
            return;
        }
        *expected += 1;
        view.last_seq += 1;
        let seq = view.last_seq;
        let others: Vec<Node> = view.members.keys().copied().collect();
        let data = Body::Data { ring, seq, message: message.clone() };
        self.send_all(others, &data);
        self.take(seq, message);
    }

    /// A message with its place has come from the representative.
    pub(super) fn ordered(&mut self, sender: Node, ring: RingId, seq: u64, message: Message) {
        let Some(view) = self.phase.view_mut() else { return };
        if ring != view.ring || sender != ring.rep || seq <= view.delivered {
            return;
        }
        if seq > view.delivered + WINDOW as u64 {
            return; // no representative gives that many away at once
        }
        // It would not have been ordered unless all were at most a window behind.
        view.forget_stable(seq.saturating_sub(WINDOW as u64));
        self.take(seq, message);
    }

    /// [MIN-3] Delivers by number, never past a gap.
    fn take(&mut self, seq: u64, message: Message) {
        let Some(view) = self.phase.view_mut() else { return };
        if sansio::mutant::active("MIN-3/remove") && seq > view.delivered {
            // As it comes, whatever is missing before it.
            view.delivered = seq;
            return self.deliver(message);
        }
        if sansio::mutant::active("MIN-3/weaken") && seq == view.delivered + 2 {
            // Over a gap of one.
            view.delivered = seq - 1;
        }
        view.log.insert(seq, message);
        while let Some(view) = self.phase.view_mut()
            && let Some(next) = view.log.get(&(view.delivered + 1)).cloned()
        {
            view.delivered += 1;
            self.deliver(next);
        }
        self.own_acknowledgement();
    }

    fn own_acknowledgement(&mut self) {
        let node = self.node;
        let Some(view) = self.phase.view_mut() else { return };
        view.acks.insert(node, view.delivered);
        if view.ring.rep == node {
            let stable = view.acks.values().min().copied().unwrap_or(0);
            view.forget_stable(stable);
        }
    }

    fn deliver(&mut self, message: Message) {
        let Some(view) = self.phase.view_mut() else { return };
        let ring = view.ring;
        if message.sender == self.node {
            view.pending.retain(|mine| mine.number > message.number);
        }
        self.hand_out(ring, message);
    }

    /// [MIN-4] Delivers what others of the old ring have delivered and this
    /// node has not, before it enters the new one.
    pub(super) fn deliver_rest(&mut self, old: &Old, flush: &[(RingId, Log)]) {
        let Some((ring, log)) = flush.iter().find(|(ring, _)| *ring == old.ring) else { return };
        let rest = log.range(old.delivered + 1..).map(|(_, message)| message.clone());
        for message in rest.collect::<Vec<_>>() {
            self.hand_out(*ring, message);
        }
    }

    fn hand_out(&mut self, ring: RingId, message: Message) {
        self.out.push(Output::Observe(Event::Deliver {
            ring,
            group: super::SERVICE.into(),
            sender: message.sender,
            number: message.number,
            epoch: message.epoch,
        }));
        self.tell_delivery(ring, message.sender, message.bytes);
    }

    /// A member tells up to where it has delivered.
    pub(super) fn acknowledged(&mut self, sender: Node, beat: &Beat) {
        let node = self.node;
        let Some(view) = self.phase.view_mut() else { return };
        if view.ring.rep == node {
            let delivered = beat.delivered.min(view.last_seq);
            let ack = view.acks.entry(sender).or_default();
            *ack = delivered.max(*ack);
            self.own_acknowledgement();
        } else if view.ring.rep == sender {
            view.forget_stable(beat.stable);
        }
    }

    /// At each beat: own messages that have not come back, and, from the
    /// representative, what a member has not acknowledged.
    pub(super) fn send_messages_again(&mut self) {
        let node = self.node;
        let Some(view) = self.phase.view() else { return };
        let ring = view.ring;
        let mine: Vec<Message> = view.pending.iter().take(WINDOW).cloned().collect();
        let mut missing = Vec::new();
        if ring.rep == node {
            for (member, ack) in &view.acks {
                let lacks = view.log.range(ack + 1..).map(|(seq, m)| (*member, *seq, m.clone()));
                missing.extend(lacks);
            }
        }
        for message in mine {
            self.forward(message);
        }
        for (member, seq, message) in missing {
            self.send(member, Body::Data { ring, seq, message });
        }
    }
}
