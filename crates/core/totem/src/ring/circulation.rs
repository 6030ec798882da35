//! The token's way through a node: the same in recovery and in a standing ring.

use std::collections::BTreeSet;

use bytes::Bytes;
use ha_types::{Node, RingId};
use sansio::Mono;
use sansio::edge::Level;

use super::window::{SPAN, Window};
use super::{Station, Timer};
use crate::message::{HoldCancel, MAX_RETRANSMITS, Mcast, OrfToken, RetransmitItem};
use crate::seq::{before, before_or_at};

/// What a node remembers of the token between two visits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Circulation {
    pub(crate) ring: RingId,
    /// Who gets the token from this node.
    next: Node,
    /// Number of the token's last step that was taken here.
    token_seq: u32,
    /// The token's sequence at the last visit.
    last_seq: u32,
    /// Visits without a new message.
    unchanged: u32,
    /// Whether the token is held, here or (as this node guesses) by the representative.
    held: bool,
    /// The aru that the token had when it came last.
    pub(crate) last_aru: u32,
    /// Visits at which the aru did not move because somebody lacks something.
    aru_count: u32,
    /// The token as it went on, for sending it again.
    sent: Bytes,
    /// What this node added to the token's flow control at the last visit.
    sent_last: u32,
    backlog_last: u32,
}

/// How a visit ended.
pub(crate) enum Visit {
    /// The token is to go on (or to be held).
    GoesOn(OrfToken),
    /// This node has missed too much for too long.
    FailedToReceive,
    /// The token was not believed.
    Refused,
}

/// Where the new messages of a visit come from.
pub(crate) trait Source {
    /// How many wait.
    fn backlog(&self, st: &Station) -> u32;
    /// The next one, with the sequence that it gets.
    fn next(&mut self, st: &mut Station, ring: RingId, seq: u32) -> Option<Mcast>;
}

impl Circulation {
    pub(crate) fn new(ring: RingId, next: Node, sent: Bytes) -> Self {
        Self {
            ring,
            next,
            token_seq: u32::MAX,
            last_seq: 0,
            unchanged: 0,
            held: false,
            last_aru: 0,
            aru_count: 0,
            sent,
            sent_last: 0,
            backlog_last: 0,
        }
    }

    /// The first token of a ring.
    pub(crate) fn start(&mut self, st: &mut Station, now: Mono, retrans_flg: bool) {
        let token = OrfToken {
            seq: 0,
            token_seq: 0,
            aru: u32::MAX,
            aru_addr: st.me.0,
            ring: self.ring,
            backlog: 0,
            fcc: 0,
            retrans_flg,
            retransmits: Vec::new(),
        };
        self.send(st, now, &token, true);
        st.arm_token(now);
        st.arm_retransmit(now);
    }

    /// Whether the token is this ring's and not a repetition. Says true once
    /// for each of its steps, and notices whether the ring is idle.
    pub(crate) fn accept(&mut self, st: &mut Station, now: Mono, token: &OrfToken) -> bool {
        let stale = before_or_at(token.token_seq, self.token_seq);
        if token.ring != self.ring || stale {
            return false;
        }
        if token.seq == self.last_seq {
            self.unchanged = self.unchanged.saturating_add(1);
            let merge = std::time::Duration::from_millis(st.timing.merge_ms.into());
            st.timers.arm_if_idle(Timer::Merge, now + merge);
        } else {
            self.unchanged = 0;
            st.timers.disarm(Timer::Merge);
            st.timers.disarm(Timer::Hold);
        }
        self.last_seq = token.seq;
        let limit = st.timing.seqno_unchanged_const;
        let represents = self.ring.rep == st.me;
        self.held = if represents { self.unchanged > limit } else { self.unchanged >= limit };
        true
    }

    /// Uses the token: sends again what others lack, asks for what this node
    /// lacks, sends what is new, and accounts for it all.
    pub(crate) fn visit(
        &mut self,
        st: &mut Station,
        now: Mono,
        mut token: OrfToken,
        (members, window): (&BTreeSet<Node>, &mut Window),
        source: &mut impl Source,
    ) -> Visit {
        if token.seq.wrapping_sub(window.aru) >= SPAN {
            st.drop_message("a token whose sequence is out of this ring's window");
            return Visit::Refused;
        }
        self.mend(&mut token, members, window);
        let last_aru = std::mem::replace(&mut self.last_aru, token.aru);
        let backlog = source.backlog(st);
        st.stats.token_received(now, backlog);
        let mut allowed = self.allowance(st, &token, backlog);
        let again = self.send_again(st, now, &mut token, window, allowed);
        allowed -= again;
        self.ask_again(st, &mut token, window);
        let cancel = st.timing.cancel_token_hold_on_retransmit;
        if cancel && (again > 0 || !token.retransmits.is_empty()) {
            self.held = false;
        }
        allowed = within_window(st, &token, window, allowed);
        let new = self.send_new(st, now, &mut token, window, source, allowed);
        self.account(&mut token, again + new, backlog);
        if self.settle_aru(st, &mut token, window.aru, last_aru) {
            return Visit::FailedToReceive;
        }
        self.token_seq = token.token_seq;
        token.token_seq = token.token_seq.wrapping_add(1);
        Visit::GoesOn(token)
    }

    /// Takes out of the token what no member can have put there, and none would
    /// ever take out: it would hold this ring up for good [TOTEM-2].
    fn mend(&self, token: &mut OrfToken, members: &BTreeSet<Node>, window: &Window) {
        if !members.contains(&Node(token.aru_addr)) {
            token.aru_addr = 0;
        }
        token.retransmits.retain(|item| {
            let may_be_missing =
                before(window.released(), item.seq) && before_or_at(item.seq, token.seq);
            item.ring == self.ring && may_be_missing
        });
        // Honest members stay within a window, and rotations without a message
        // leave nothing to account for.
        if self.unchanged > 2 && token.fcc > SPAN {
            token.fcc = self.sent_last;
        }
    }

    /// How much may be sent: what the window of all members leaves, and of it a
    /// share by how much waits here and elsewhere.
    fn allowance(&self, st: &Station, token: &OrfToken, backlog: u32) -> u32 {
        let window_size = st.timing.window_size;
        // Below zero (as it is written) after it was mended.
        let in_flight = if token.fcc > u32::MAX - SPAN { 0 } else { token.fcc };
        let allowed = st.timing.max_messages.min(window_size.saturating_sub(in_flight));
        let total = token.backlog.wrapping_add(backlog).wrapping_sub(self.backlog_last);
        if total == 0 {
            return allowed;
        }
        let share = u64::from(window_size) * u64::from(self.backlog_last) / u64::from(total);
        match u32::try_from(share) {
            Ok(share) if share > 0 => allowed.min(share),
            _ => allowed,
        }
    }

    fn send_again(
        &self,
        st: &mut Station,
        now: Mono,
        token: &mut OrfToken,
        window: &Window,
        allowed: u32,
    ) -> u32 {
        if token.retransmits.is_empty() {
            return 0;
        }
        let list: Vec<String> = token.retransmits.iter().map(|i| format!("{:x}", i.seq)).collect();
        st.log(Level::Notice, format!("Retransmit List: {}", list.join(" ")));
        let mut again = 0;
        token.retransmits.retain(|item| {
            let message = if again < allowed { window.message(item.seq) } else { None };
            if let Some(message) = message {
                st.stats.mcast_retx += 1;
                st.send_ring(now, message.raw.clone());
                again += 1;
            }
            message.is_none()
        });
        again
    }

    /// Asks for what is missing, when it has been for some rotations: it may
    /// only be late.
    fn ask_again(&self, st: &Station, token: &mut OrfToken, window: &mut Window) {
        let mut seq = window.aru;
        while token.retransmits.len() < MAX_RETRANSMITS && before(seq, token.seq) {
            seq = seq.wrapping_add(1);
            if !window.spans(seq) {
                break;
            }
            let missing = window.message(seq).is_none();
            if !missing || window.miss(seq) < st.timing.miss_count_const {
                continue;
            }
            if !token.retransmits.iter().any(|item| item.seq == seq) {
                token.retransmits.push(RetransmitItem { ring: self.ring, seq });
            }
        }
    }

    fn send_new(
        &self,
        st: &mut Station,
        now: Mono,
        token: &mut OrfToken,
        window: &mut Window,
        source: &mut impl Source,
        allowed: u32,
    ) -> u32 {
        for sent in 0..allowed {
            let seq = token.seq.wrapping_add(1);
            let Some(mcast) = source.next(st, self.ring, seq) else { return sent };
            token.seq = seq;
            st.stats.mcast_tx += 1;
            st.send_ring(now, mcast.raw.clone());
            window.put(mcast);
        }
        allowed
    }

    fn account(&mut self, token: &mut OrfToken, sent: u32, backlog: u32) {
        token.fcc = token.fcc.wrapping_add(sent).wrapping_sub(self.sent_last);
        token.backlog = token.backlog.wrapping_add(backlog).wrapping_sub(self.backlog_last);
        self.sent_last = sent;
        self.backlog_last = backlog;
    }

    /// Lowers or raises the token's aru to what this node has. True: it is this
    /// node that holds it up, and has for too long.
    fn settle_aru(&mut self, st: &Station, token: &mut OrfToken, aru: u32, last_aru: u32) -> bool {
        if before(aru, token.aru) || token.aru_addr == st.me.0 || token.aru_addr == 0 {
            token.aru = aru;
            token.aru_addr = if aru == token.seq { 0 } else { st.me.0 };
        }
        let stuck = token.aru == last_aru && token.aru_addr != 0;
        self.aru_count = if stuck { self.aru_count + 1 } else { 0 };
        self.aru_count > st.timing.fail_recv_const && token.aru_addr == st.me.0
    }

    /// Passes the token on, unless this node represents an idle ring and holds it.
    pub(crate) fn pass(&mut self, st: &mut Station, now: Mono, token: &OrfToken) {
        let holds = self.held && self.ring.rep == st.me;
        self.send(st, now, token, !holds);
        st.arm_token(now);
        st.arm_retransmit(now);
        if holds {
            st.arm(now, Timer::Hold, st.timing.hold_ms);
        }
        match st.timing.heartbeat().filter(|_| !holds) {
            Some(silence) => st.timers.arm(Timer::Heartbeat, now + silence),
            None => st.timers.disarm(Timer::Heartbeat),
        }
    }

    fn send(&mut self, st: &mut Station, now: Mono, token: &OrfToken, forward: bool) {
        self.sent = token.encode(st.me, self.next);
        st.stats.token_sent(now);
        if forward {
            st.send_node(now, self.next, self.sent.clone());
        }
    }

    /// Sends the last token again: it may have been lost, or was held.
    pub(crate) fn send_last(&self, st: &mut Station, now: Mono) {
        st.send_node(now, self.next, self.sent.clone());
    }

    /// Something is to be sent: whoever holds the token shall pass it on.
    pub(crate) fn hurry(&mut self, st: &mut Station, now: Mono) {
        if !self.held {
            return;
        }
        self.held = false;
        st.stats.token_hold_cancel_tx += 1;
        let cancel = HoldCancel { ring: self.ring }.encode(st.me);
        st.send_all_and_self(now, cancel);
    }

    /// Somebody has something to send.
    pub(crate) fn hold_cancelled(&mut self, st: &mut Station, now: Mono, ring: RingId) {
        if ring != self.ring {
            return;
        }
        self.unchanged = 0;
        if self.ring.rep == st.me {
            self.send_last(st, now);
            st.arm_retransmit(now);
        }
    }
}

/// No more than what keeps the window of the slowest member from overflowing.
fn within_window(st: &Station, token: &OrfToken, window: &Window, allowed: u32) -> u32 {
    let reserve = allowed.saturating_add(st.timing.window_size);
    let end = window.released().wrapping_add(SPAN.saturating_sub(reserve));
    if before(end, token.seq) { 0 } else { allowed }
}
