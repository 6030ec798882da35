//! Counting votes.

use std::collections::BTreeSet;

use ha_types::Node;
use ring_service::{MapValue, Output, QuorumView};
use sansio::edge::Level;

use crate::config::TieBreaker;
use crate::message::{Param, flags};
use crate::{FILE, NodeState, NodeVotes, VoteQuorum};

impl VoteQuorum {
    /// A node says how it or its device stands. False: it speaks for another.
    pub(crate) fn node_info(&mut self, from: Node, node: Node, told: NodeVotes) -> bool {
        if node.0 == 0 {
            return self.device_info(from, told.votes);
        }
        if node != from {
            return false;
        }
        let old = self.nodes.get(&node).copied();
        let leaving = told.flags & flags::LEAVING != 0;
        let theirs_acts = !self.quorate && told.flags & flags::QUORATE != 0;
        if theirs_acts {
            self.own_mut().expected_votes = told.expected_votes;
        }
        let believed = told.flags & flags::QUORATE != 0 || self.tracking;
        let expected = if believed { told.expected_votes } else { self.own().expected_votes };
        let state = if leaving { NodeState::Leaving } else { NodeState::Member };
        let new = NodeVotes { state, expected_votes: expected, ..told };
        self.nodes.insert(node, new);
        if self.last_man_standing && new.votes > 1 {
            self.stop_last_man();
        }
        if old != Some(new) || node == self.me || new.flags & flags::FIRST != 0 {
            self.recalculate(leaving || theirs_acts, leaving);
        }
        self.stop_waiting_with(&new);
        true
    }

    /// A member that acts and does not wait has seen all: nobody needs to wait.
    fn stop_waiting_with(&mut self, told: &NodeVotes) {
        let acts = told.flags & flags::QUORATE != 0 && told.flags & flags::WAIT_FOR_ALL == 0;
        if self.wait_for_all && acts {
            self.set_waiting(false);
        }
    }

    pub(crate) fn reconfigured(&mut self, from: Node, node: Node, value: u32, param: Param) {
        match param {
            Param::ExpectedVotes => {
                self.expect_of_members(value);
                self.tell_expected_votes();
                self.barrier = value;
                self.publish("ev_barrier", MapValue::U32(value));
                if self.tracking {
                    let tracked = self.tracked;
                    let own = self.own_mut();
                    own.expected_votes = own.expected_votes.max(tracked);
                }
                self.recalculate(true, false);
            }
            Param::NodeVotes => {
                let Some(known) = self.nodes.get_mut(&node) else { return };
                known.votes = value;
                self.recalculate(true, false);
            }
            Param::CancelWaitForAll => {
                self.set_waiting(false);
                self.log(Level::Info, format!("an administrator on {from} ends wait_for_all"));
                self.recalculate(false, false);
            }
        }
    }

    /// Counts anew and tells who must know. `may_shrink`: the quorum may become
    /// smaller; `by_members`: the members of now are all that is expected.
    pub(crate) fn recalculate(&mut self, may_shrink: bool, by_members: bool) {
        let (votes, members) = self.votes_with_device();
        if votes > self.own().expected_votes {
            self.own_mut().expected_votes = votes;
            self.tell_expected_votes();
        }
        self.track_expected_votes();
        let wanted = if by_members { members } else { 0 };
        let (quorum, votes) = self.calculate(may_shrink, wanted);
        self.quorum = quorum;
        self.expect_of_members(wanted);
        self.decide(votes);
    }

    /// All votes, a configured device's among them, and how many give them.
    fn votes_with_device(&self) -> (u32, u32) {
        let (votes, members) = self.member_votes();
        if self.device.votes == 0 {
            return (votes, members);
        }
        (votes.saturating_add(self.device.votes), members + 1)
    }

    fn member_votes(&self) -> (u32, u32) {
        let members = self.nodes.values().filter(|node| node.state == NodeState::Member);
        members.fold((0, 0), |(votes, n), node| (node.votes.saturating_add(votes), n + 1))
    }

    /// [VQ-6] The highest number ever expected is on disk before a partition
    /// that counts with it acts.
    fn track_expected_votes(&mut self) {
        let expected = self.own().expected_votes;
        if !self.tracking || expected <= self.tracked {
            return;
        }
        self.tracked = expected;
        self.publish("ev_tracking_barrier", MapValue::U32(expected));
        if sansio::mutant::active("VQ-6/remove") {
            return;
        }
        if !sansio::mutant::active("VQ-6/weaken") {
            self.unwritten += 1;
        }
        let bytes = expected.to_le_bytes().to_vec();
        self.out.push_back(Output::Persist { name: FILE, bytes });
    }

    /// [VQ-1] More than half of what is expected and of what is there. Returns
    /// the quorum and the votes that are there.
    pub(crate) fn calculate(&self, may_shrink: bool, wanted: u32) -> (u32, u32) {
        let floor = self.config.allow_downscale && may_shrink && wanted > 0;
        let wanted = if floor { wanted.max(self.barrier) } else { wanted };
        let (mut votes, mut members) = self.member_votes();
        if self.own().flags & flags::QDEVICE_CAST_VOTE != 0 {
            votes = votes.saturating_add(self.device.votes);
            members += 1;
        }
        let present = self.nodes.values().filter(|node| node.state == NodeState::Member);
        let expected = present.map(|node| node.expected_votes).max().unwrap_or(0);
        let expected = if wanted > 0 { wanted } else { expected };
        let half = |of: u32| of.saturating_add(2) / 2;
        let mut quorum = half(expected).max(half(votes));
        if sansio::mutant::active("VQ-1/remove") {
            quorum = 1;
        }
        if sansio::mutant::active("VQ-1/weaken") {
            quorum = expected.div_ceil(2).max(1);
        }
        if !may_shrink {
            quorum = quorum.max(self.quorum);
        }
        if self.two_node_counts(members) {
            quorum = 1;
        }
        (quorum, votes)
    }

    /// [VQ-3] One of two is enough, as long as there have been no more.
    fn two_node_counts(&self, members: u32) -> bool {
        if sansio::mutant::active("VQ-3/remove") {
            return members <= 2;
        }
        let most = if sansio::mutant::active("VQ-3/weaken") { 3 } else { 2 };
        self.two_node && members <= most
    }

    pub(crate) fn expect_of_members(&mut self, expected: u32) {
        if expected == 0 {
            return;
        }
        for node in self.nodes.values_mut().filter(|node| node.state == NodeState::Member) {
            node.expected_votes = expected;
        }
    }

    /// Whether the votes that are there suffice.
    fn decide(&mut self, votes: u32) {
        if self.stale || self.must_wait(votes) {
            return;
        }
        let mut quorate = self.quorum <= votes;
        if quorate {
            self.note_extremes();
        }
        quorate = quorate || self.wins_tie(votes) || self.master_wins();
        if quorate && !self.quorate && self.unwritten > 0 {
            let text = format!("quorate as soon as {FILE} is on disk");
            return self.log(Level::Notice, text);
        }
        self.install(quorate);
    }

    /// [VQ-2] After a start nobody acts before all expected votes were there.
    fn must_wait(&mut self, votes: u32) -> bool {
        if !self.wait_for_all || !self.waiting || sansio::mutant::active("VQ-2/remove") {
            return false;
        }
        let expected = self.own().expected_votes;
        let enough = sansio::mutant::active("VQ-2/weaken") && votes > expected / 2;
        if votes == expected || enough {
            self.set_waiting(false);
            return false;
        }
        let text = format!("waiting for all cluster members: {votes} of {expected} votes are here");
        self.log(Level::Notice, text);
        true
    }

    fn install(&mut self, quorate: bool) {
        let changed = quorate != self.quorate;
        self.quorate = quorate;
        let own = self.own_mut();
        own.flags &= !flags::QUORATE;
        if quorate {
            own.flags |= flags::QUORATE;
        }
        if self.wait_for_all {
            self.set_waiting(!quorate);
        }
        if changed && !self.synchronizing {
            self.tell_decision();
        }
    }

    pub(crate) fn tell_decision(&mut self) {
        self.out.push_back(Output::Quorum(QuorumView {
            members: self.members.clone(),
            quorate: self.quorate,
            ring: self.ring,
        }));
        self.tell_quorum();
    }

    /// Remembers the extreme members of the last partition that had a majority.
    fn note_extremes(&mut self) {
        // Node numbers above 2^31 are negative to the reference, and whoever
        // breaks ties must not differ between nodes of one cluster.
        let members = self.nodes.iter().filter(|(_, node)| node.state == NodeState::Member);
        let mut members: Vec<Node> = members.map(|(node, _)| *node).chain([self.me]).collect();
        members.sort_by_key(|node| node.0.cast_signed());
        (self.lowest, self.highest) = (members.first().copied(), members.last().copied());
        for (key, node) in [("lowest_node_id", self.lowest), ("highest_node_id", self.highest)] {
            let node = node.unwrap_or(self.me);
            self.publish(key, MapValue::U32(node.0));
        }
    }

    /// [VQ-4] Of two equal halves the one with the tie breaker acts, unless the
    /// other side could have a majority without us.
    fn wins_tie(&self, votes: u32) -> bool {
        if self.tie_breaker == TieBreaker::None || votes != self.own().expected_votes / 2 {
            return false;
        }
        let (before, now) = (self.previous_members.len(), self.members.len());
        let gone = i64::try_from(before).unwrap_or(0) - i64::try_from(now).unwrap_or(0);
        if gone >= i64::from(self.quorum) && !sansio::mutant::active("VQ-4/weaken") {
            return false;
        }
        sansio::mutant::active("VQ-4/remove") || self.has_tie_breaker()
    }

    pub(crate) fn has_tie_breaker(&self) -> bool {
        match &self.tie_breaker {
            TieBreaker::None => false,
            TieBreaker::Lowest => self.lowest.is_some_and(|node| self.is_member(node)),
            TieBreaker::Highest => self.highest.is_some_and(|node| self.is_member(node)),
            TieBreaker::List(list) => first_there(list, &self.members, &self.previous_members),
        }
    }

    pub(crate) fn lowest_is_here(&self) -> bool {
        self.lowest.is_some_and(|node| self.is_member(node))
    }

    fn is_member(&self, node: Node) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.state == NodeState::Member)
    }
}

/// Whether a listed node is here and none listed before it has been lost since
/// the ring before.
fn first_there(list: &[u32], here: &BTreeSet<Node>, before: &BTreeSet<Node>) -> bool {
    let Some(first) = list.iter().position(|node| here.contains(&Node(*node))) else {
        return false;
    };
    !list[..first].iter().any(|node| before.contains(&Node(*node)))
}
