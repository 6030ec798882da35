//! Committing: the commit token goes round and collects what each member has
//! of its old ring. From here on the new ring's id is this node's.

use std::collections::BTreeSet;

use bytes::Bytes;
use ha_types::{Node, RingId};
use sansio::Mono;
use sansio::edge::Level;

use super::gather::{Cause, Gather, Lists};
use super::recovery::Recovery;
use super::window::History;
use super::{Phase, Station, Timer};
use crate::message::{CommitEntry, CommitToken, Join};
use crate::seq::before;

/// The data of the phase.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) old: History,
    pub(crate) lists: Lists,
    /// The members in the order of the ring.
    pub(crate) members: Vec<Node>,
    /// Who gets the token from this node.
    pub(crate) next: Node,
    /// The token as it was sent, for sending it again.
    pub(crate) sent: Bytes,
}

impl Commit {
    /// The token of a ring that this node forms.
    pub(crate) fn create(st: &Station, members: BTreeSet<Node>) -> CommitToken {
        let members: Vec<Node> = members.into_iter().collect();
        let entries = vec![CommitEntry::EMPTY; members.len()];
        let ring = RingId { rep: st.me, seq: st.seq_seen + 4 };
        CommitToken { token_seq: 0, ring, retrans_flg: 0, filled: 0, members, entries }
    }

    /// Fills in this node's entry and passes the token on.
    pub(crate) fn enter(
        st: &mut Station,
        now: Mono,
        old: History,
        lists: Lists,
        mut token: CommitToken,
    ) -> Phase {
        fill_in(&mut token, &old);
        token.token_seq = token.token_seq.wrapping_add(1);
        st.ring = token.ring;
        st.seq_seen = st.seq_seen.max(token.ring.seq);
        st.reserve_ahead();
        for timer in Timer::OF_GATHERING {
            st.timers.disarm(*timer);
        }
        st.arm_token(now);
        st.arm_retransmit(now);
        st.stats.commit_entered += 1;
        st.stats.continuous_gather = 0;
        st.log(Level::Debug, format!("entering COMMIT state of ring {}", token.ring));
        let next = token.members[token.filled % token.members.len()];
        let sent = token.encode(st.me, next);
        let commit = Self { old, lists, members: token.members, next, sent };
        commit.send(st, now);
        Phase::Commit(Box::new(commit))
    }

    fn send(&self, st: &mut Station, now: Mono) {
        st.stats.memb_commit_token_tx += 1;
        st.send_node(now, self.next, self.sent.clone());
    }

    pub(crate) fn timeout(self: Box<Self>, st: &mut Station, now: Mono, timer: Timer) -> Phase {
        match timer {
            Timer::Token => {
                st.stats.commit_token_lost += 1;
                return Gather::enter(st, now, self.old, self.lists, Cause::TokenLostInCommit);
            }
            Timer::Retransmit => {
                self.send(st, now);
                st.arm_retransmit(now);
            }
            _ => {}
        }
        Phase::Commit(self)
    }

    /// The token comes again when all have filled in theirs; anything else is a
    /// repetition.
    pub(crate) fn commit_token(
        self: Box<Self>,
        st: &mut Station,
        now: Mono,
        token: CommitToken,
    ) -> Phase {
        let complete = token.filled == token.members.len() && token.members == self.members;
        if token.ring != st.ring || !complete {
            return Phase::Commit(self);
        }
        Recovery::enter(st, now, *self, token)
    }

    /// A member that gathers again will not take part.
    pub(crate) fn join(self: Box<Self>, st: &mut Station, now: Mono, join: &Join) -> Phase {
        if !self.members.contains(&join.from) || join.ring_seq < st.ring.seq {
            return Phase::Commit(self);
        }
        Gather::enter_on_join(st, now, self.old, self.lists, join, Cause::JoinInCommit)
    }
}

/// Tells in the token what this node has of its old ring, and finds out who
/// lacks something that an earlier member of the same ring has.
fn fill_in(token: &mut CommitToken, old: &History) {
    let index = token.filled;
    let window = &old.window;
    let received = window.aru == window.high;
    let (ring, aru, high_delivered) = (old.id, window.aru, old.delivered);
    token.entries[index] = CommitEntry { ring, aru, high_delivered, received };
    token.filled += 1;
    let together = || token.entries[..=index].iter().filter(|entry| entry.ring == ring);
    let high = together().fold(aru, |high, e| if before(high, e.aru) { e.aru } else { high });
    for entry in token.entries[..=index].iter_mut().filter(|entry| entry.ring == ring) {
        entry.received &= !before(entry.aru, high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(aru: u32, high: u32) -> History {
        let mut history = History::none(RingId { rep: Node(1), seq: 4 });
        (history.window.aru, history.window.high) = (aru, high);
        history
    }

    #[test]
    fn who_lacks_something_is_marked() {
        let ring = RingId { rep: Node(1), seq: 8 };
        let members = vec![Node(1), Node(2), Node(3)];
        let entries = vec![CommitEntry::EMPTY; 3];
        let mut token =
            CommitToken { token_seq: 0, ring, retrans_flg: 0, filled: 0, members, entries };
        fill_in(&mut token, &history(5, 5));
        assert!(token.entries[0].received);
        fill_in(&mut token, &history(9, 9));
        fill_in(&mut token, &history(7, 8));
        let received: Vec<bool> = token.entries.iter().map(|entry| entry.received).collect();
        assert_eq!(received, [false, true, false]);
        assert_eq!(token.filled, 3);
    }
}
