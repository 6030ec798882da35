//! Gathering: every node tells whom it thinks of as a member and whom as
//! failed, until all who are left say the same.

use std::collections::BTreeSet;

use ha_types::Node;
use sansio::Mono;
use sansio::edge::Level;

use super::commit::Commit;
use super::window::History;
use super::{ExitReason, Phase, Station, Timer};
use crate::message::{CommitToken, Join, MAX_NODES, Mcast};

/// Why a node gathers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    ConsensusTimeout,
    TokenLostInOperational,
    ConsensusTimeoutExpired,
    TokenLostInCommit,
    TokenLostInRecovery,
    FailedToReceive,
    ForeignMessage,
    ForeignMessageWhileGathering,
    Merge,
    MergeWhileGathering,
    Join,
    JoinInOperational,
    JoinInCommit,
    JoinInRecovery,
    InterfaceChange,
    Paused,
    Reconfigured,
}

impl Cause {
    fn text(self) -> &'static str {
        match self {
            Self::ConsensusTimeout => "some nodes did not agree in time",
            Self::TokenLostInOperational => "the token was lost",
            Self::ConsensusTimeoutExpired => "an agreed membership was not formed in time",
            Self::TokenLostInCommit => "the commit token was lost",
            Self::TokenLostInRecovery => "the token was lost in recovery",
            Self::FailedToReceive => "this node fails to receive",
            Self::ForeignMessage | Self::ForeignMessageWhileGathering => {
                "another ring was heard sending"
            }
            Self::Merge | Self::MergeWhileGathering => "another ring was detected",
            Self::Join => "a join changed the membership",
            Self::JoinInOperational => "a join came in",
            Self::JoinInCommit => "a member of the coming ring gathers again",
            Self::JoinInRecovery => "a member of the new ring gathers again",
            Self::InterfaceChange => "the interface came up",
            Self::Paused => "the process stood still",
            Self::Reconfigured => "the node list changed",
        }
    }
}

/// Whom a node thinks of as members of the next ring, and whom as failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lists {
    pub(crate) procs: BTreeSet<Node>,
    pub(crate) failed: BTreeSet<Node>,
}

impl Lists {
    pub(crate) fn of(members: &BTreeSet<Node>) -> Self {
        Self { procs: members.clone(), failed: BTreeSet::new() }
    }

    /// Who would be in the ring.
    pub(crate) fn candidates(&self) -> BTreeSet<Node> {
        self.procs.difference(&self.failed).copied().collect()
    }
}

/// The data of the phase.
#[derive(Clone, Debug)]
pub(crate) struct Gather {
    /// The last ring that stood.
    pub(crate) old: History,
    pub(crate) lists: Lists,
    /// Who has said the same as this node.
    consensus: BTreeSet<Node>,
}

impl Gather {
    /// Begins to gather. The other phases' timers end with them.
    pub(crate) fn enter(
        st: &mut Station,
        now: Mono,
        old: History,
        mut lists: Lists,
        cause: Cause,
    ) -> Phase {
        lists.procs.insert(st.me);
        for timer in Timer::OF_RINGS {
            st.timers.disarm(*timer);
        }
        st.arm(now, Timer::Consensus, st.timing.consensus_ms);
        st.stats.gather_entered += 1;
        if cause == Cause::ConsensusTimeoutExpired {
            st.stats.continuous_gather += 1;
        }
        st.log(Level::Debug, format!("entering GATHER state because {}", cause.text()));
        if st.stats.is_firewall_likely() {
            st.log(Level::Warning, FIREWALL);
        }
        let consensus = BTreeSet::from([st.me]);
        let gather = Self { old, lists, consensus };
        gather.tell(st, now);
        Phase::Gather(Box::new(gather))
    }

    /// Begins to gather because of a join, with what it tells.
    pub(crate) fn enter_on_join(
        st: &mut Station,
        now: Mono,
        old: History,
        lists: Lists,
        join: &Join,
        cause: Cause,
    ) -> Phase {
        let mut gather = Self { old, lists, consensus: BTreeSet::new() };
        gather.learn(st, join);
        match Self::enter(st, now, gather.old, gather.lists, cause) {
            Phase::Gather(gather) => gather.join(st, now, join),
            other => other,
        }
    }

    /// Gathers to be alone: this node holds the others up.
    pub(crate) fn failed_to_receive(
        st: &mut Station,
        now: Mono,
        old: History,
        mut lists: Lists,
    ) -> Phase {
        st.log(Level::Error, "FAILED TO RECEIVE");
        st.failed_to_receive = true;
        lists.failed.insert(st.me);
        Self::enter(st, now, old, lists, Cause::FailedToReceive)
    }

    /// Sends the join, now or after the random delay against bursts, and
    /// sees to it that it is sent again.
    fn tell(&self, st: &mut Station, now: Mono) {
        st.arm(now, Timer::Join, st.timing.join_ms);
        if st.timing.send_join_ms == 0 {
            return self.send_join(st, now);
        }
        let delay_ms = st.rng.below(st.timing.send_join_ms.into());
        st.arm(now, Timer::SendJoin, u32::try_from(delay_ms).unwrap_or(0));
    }

    /// [TOTEM-3] A node says nothing to a membership that its reservation does
    /// not cover: the others go on without it rather than wait for its disk.
    fn send_join(&self, st: &mut Station, now: Mono) {
        st.reserve_ahead();
        if !st.is_reserved() {
            let patience_ms = st.timing.consensus_ms.saturating_mul(2);
            let at = now + std::time::Duration::from_millis(patience_ms.into());
            return st.timers.arm_if_idle(Timer::Reserve, at);
        }
        st.timers.disarm(Timer::Reserve);
        let join = Join {
            from: st.me,
            leaving: false,
            ring_seq: st.ring.seq,
            proc_list: self.lists.procs.iter().copied().collect(),
            failed_list: self.lists.failed.iter().copied().collect(),
        };
        st.stats.memb_join_tx += 1;
        st.send_all_and_self(now, join.encode());
    }

    pub(crate) fn timeout(mut self: Box<Self>, st: &mut Station, now: Mono, timer: Timer) -> Phase {
        match timer {
            Timer::Join => self.tell(st, now),
            Timer::SendJoin => self.send_join(st, now),
            Timer::Consensus => return self.consensus_due(st, now),
            Timer::Token => {
                st.stats.gather_token_lost += 1;
                st.stats.consensus_timeouts += 1;
                self.exclude_silent(st);
                let cause = Cause::ConsensusTimeoutExpired;
                return Self::enter(st, now, self.old, self.lists, cause);
            }
            Timer::Reserve => return Self::reservation_ended(st),
            _ => {}
        }
        Phase::Gather(self)
    }

    fn reservation_ended(st: &mut Station) -> Phase {
        let text = "the state directory does not take the ring id: the write has not ended; \
                    this node leaves so that the others go on without it. Check the disk";
        st.log(Level::Error, text);
        st.exit(ExitReason::RingIdNotStored);
        Phase::Stopped
    }

    /// Agreement had its time: who has not agreed has failed.
    fn consensus_due(mut self: Box<Self>, st: &mut Station, now: Mono) -> Phase {
        st.stats.consensus_timeouts += 1;
        if self.is_agreed(st) {
            self.consensus = BTreeSet::from([st.me]);
            st.arm(now, Timer::Token, st.timing.token_ms);
            return Phase::Gather(self);
        }
        self.exclude_silent(st);
        Self::enter(st, now, self.old, self.lists, Cause::ConsensusTimeout)
    }

    fn exclude_silent(&mut self, st: &Station) {
        if self.is_agreed(st) {
            return;
        }
        let silent = self.lists.procs.difference(&self.consensus);
        self.lists.failed.extend(silent.copied());
    }

    /// Whether all who would be in the ring say the same.
    fn is_agreed(&self, st: &Station) -> bool {
        let candidates = self.lists.candidates();
        (!candidates.is_empty() || st.failed_to_receive) && candidates.is_subset(&self.consensus)
    }

    /// Another node's view.
    pub(crate) fn join(mut self: Box<Self>, st: &mut Station, now: Mono, join: &Join) -> Phase {
        let same = |list: &[Node], set: &BTreeSet<Node>| {
            list.len() == set.len() && list.iter().all(|node| set.contains(node))
        };
        if same(&join.proc_list, &self.lists.procs) && same(&join.failed_list, &self.lists.failed) {
            if !join.leaving {
                self.consensus.insert(join.from);
            }
            return self.agree(st, now);
        }
        if !self.learn(st, join) {
            return Phase::Gather(self);
        }
        Self::enter(st, now, self.old, self.lists, Cause::Join)
    }

    /// Takes another view over, as far as it binds this node. Says whether it
    /// told something new; when not, the deadline of agreement stands.
    fn learn(&mut self, st: &mut Station, join: &Join) -> bool {
        let mut lists = self.lists.clone();
        lists.procs.insert(st.me);
        if lists.failed.contains(&join.from) {
            return false;
        }
        lists.procs.extend(&join.proc_list);
        if join.failed_list.contains(&st.me) {
            // Who takes this node for failed will not be in a ring with it.
            lists.failed.insert(join.from);
        } else if self.old.members.contains(&join.from) {
            lists.failed.extend(&join.failed_list);
        }
        if lists.procs.len() > MAX_NODES || lists.failed.len() > MAX_NODES {
            st.drop_message("a join with more nodes than a cluster has");
            return false;
        }
        std::mem::replace(&mut self.lists, lists) != self.lists
    }

    /// The lowest of those who agree forms the ring.
    fn agree(mut self: Box<Self>, st: &mut Station, now: Mono) -> Phase {
        if !self.is_agreed(st) || !st.is_reserved() {
            return Phase::Gather(self);
        }
        if st.failed_to_receive {
            st.failed_to_receive = false;
            self.lists = Lists::of(&BTreeSet::from([st.me]));
        }
        let members = self.lists.candidates();
        if members.first() != Some(&st.me) {
            return Phase::Gather(self);
        }
        st.log(Level::Debug, "all agree, and this node is the representative");
        let token = Commit::create(st, members);
        Commit::enter(st, now, self.old, self.lists, token)
    }

    /// The representative forms the ring [TOTEM-7]: with just the members that
    /// this node agreed to, and a ring id that is new.
    pub(crate) fn commit_token(
        self: Box<Self>,
        st: &mut Station,
        now: Mono,
        token: CommitToken,
    ) -> Phase {
        let members: BTreeSet<Node> = token.members.iter().copied().collect();
        let agreed = match () {
            () if sansio::mutant::active("TOTEM-7/remove") => members.contains(&st.me),
            () if sansio::mutant::active("TOTEM-7/weaken") => {
                members.is_subset(&self.lists.candidates())
            }
            () => members == self.lists.candidates(),
        };
        let my_turn = token.members.get(token.filled) == Some(&st.me);
        let ordered = token.members.is_sorted() && members.len() == token.members.len();
        if !agreed || !my_turn || !ordered || token.ring.seq <= st.ring.seq {
            return Phase::Gather(self);
        }
        if token.members[0] != token.ring.rep || token.filled == 0 {
            st.drop_message("a commit token that is not of its representative");
            return Phase::Gather(self);
        }
        if !st.reserve.covers(token.ring.seq) {
            st.seq_seen = st.seq_seen.max(token.ring.seq);
            st.reserve_ahead();
            return Phase::Gather(self);
        }
        Commit::enter(st, now, self.old, self.lists, token)
    }

    /// Late messages of the last ring count still; those of others show that
    /// their senders are there.
    pub(crate) fn mcast(mut self: Box<Self>, st: &mut Station, now: Mono, mcast: Mcast) -> Phase {
        if mcast.from == st.me {
            return Phase::Gather(self);
        }
        if mcast.ring != st.ring {
            return self.foreign(st, now, mcast.from, Cause::ForeignMessageWhileGathering);
        }
        if mcast.ring == self.old.id && !mcast.encapsulated {
            self.old.window.insert(mcast);
        }
        Phase::Gather(self)
    }

    /// Something of another ring came in: its sender may be a member.
    pub(crate) fn foreign(
        mut self: Box<Self>,
        st: &mut Station,
        now: Mono,
        from: Node,
        cause: Cause,
    ) -> Phase {
        if self.lists.procs.len() >= MAX_NODES || !self.lists.procs.insert(from) {
            return Phase::Gather(self);
        }
        Self::enter(st, now, self.old, self.lists, cause)
    }
}

const FIREWALL: &str = "Totem is unable to form a cluster because of an operating system or network fault (reason: totem is continuously in gather state). The most common cause of this message is that the local firewall is configured improperly.";
