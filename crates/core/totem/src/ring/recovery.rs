//! Recovery: the new ring's token goes round, and the nodes that come from the
//! same old ring give each other what they have of it. Then all install it.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use ha_types::ring::{Configuration, ConfigurationKind};
use ha_types::{Node, RingId};
use sansio::Mono;
use sansio::edge::Level;

use super::circulation::{Circulation, Source, Visit};
use super::commit::Commit;
use super::gather::{Cause, Gather, Lists};
use super::operational::Operational;
use super::station::Upward;
use super::window::{History, Window};
use super::{Phase, Station, Timer};
use crate::message::{CommitEntry, CommitToken, Join, MCAST_LEN, Mcast, OrfToken, Place};
use crate::seq::{before, before_or_at, earlier};

/// The data of the phase.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    pub(crate) old: History,
    pub(crate) lists: Lists,
    pub(crate) members: BTreeSet<Node>,
    /// Who comes along from the old ring.
    together: BTreeSet<Node>,
    /// The new ring's messages: those of the old ring, wrapped.
    window: Window,
    /// What this node has still to send.
    queue: Wrapped,
    pub(crate) circulation: Circulation,
    /// Whether the first token has been sent (by the representative).
    started: bool,
    /// Whether this node has raised the token's retransmission flag.
    raised_flag: bool,
    /// Visits at which nobody had anything to send.
    quiet_visits: u32,
    /// The last sequence that recovery used.
    install_seq: u32,
    /// Visits at which everybody had everything.
    complete_visits: u32,
}

/// Messages of the old ring, each to be wrapped in one of the new.
#[derive(Clone, Debug, Default)]
struct Wrapped(VecDeque<Bytes>);

impl Source for Wrapped {
    fn backlog(&self, _: &Station) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    fn next(&mut self, st: &mut Station, ring: RingId, seq: u32) -> Option<Mcast> {
        let old = self.0.pop_front()?;
        let number = st.number;
        st.number = number.wrapping_add(1);
        let place = Place { node: st.me, ring, seq, number, safe: false, encapsulated: true };
        Some(Mcast::compose(&place, old.len(), |raw| raw.extend_from_slice(&old)))
    }
}

impl Recovery {
    /// Passes the complete commit token on and gets ready for the first token.
    pub(crate) fn enter(st: &mut Station, now: Mono, commit: Commit, token: CommitToken) -> Phase {
        let Commit { old, lists, members, next, .. } = commit;
        let mut onward = token;
        onward.token_seq = onward.token_seq.wrapping_add(1);
        let sent = onward.encode(st.me, next);
        st.stats.memb_commit_token_tx += 1;
        st.send_node(now, next, sent.clone());
        let entries: Vec<(Node, CommitEntry)> =
            members.iter().copied().zip(onward.entries).collect();
        let old_members = &old.members;
        let together = entries
            .iter()
            .filter(|(node, entry)| entry.ring == old.id && old_members.contains(node));
        let (together, theirs): (BTreeSet<Node>, Vec<CommitEntry>) = together.copied().unzip();
        let queue = to_recover(st.me, &old, &theirs);
        st.arm_token(now);
        st.arm_retransmit(now);
        st.stats.recovery_entered += 1;
        let text = format!("entering RECOVERY state with {} old messages", queue.0.len());
        st.log(Level::Debug, text);
        Phase::Recovery(Box::new(Self {
            old,
            lists,
            members: members.into_iter().collect(),
            together,
            window: Window::default(),
            queue,
            circulation: Circulation::new(st.ring, next, sent),
            started: false,
            raised_flag: false,
            quiet_visits: 0,
            install_seq: 0,
            complete_visits: 0,
        }))
    }

    /// The commit token is back a second time: everybody is in recovery.
    pub(crate) fn commit_token(&mut self, st: &mut Station, now: Mono, token: &CommitToken) {
        let complete = token.filled == token.members.len();
        if token.ring != st.ring || st.ring.rep != st.me || self.started || !complete {
            return;
        }
        self.started = true;
        self.raised_flag = !self.queue.0.is_empty();
        self.circulation.start(st, now, self.raised_flag);
    }

    pub(crate) fn timeout(self: Box<Self>, st: &mut Station, now: Mono, timer: Timer) -> Phase {
        match timer {
            Timer::Token | Timer::Heartbeat => {
                st.stats.recovery_token_lost += 1;
                return Gather::enter(st, now, self.old, self.lists, Cause::TokenLostInRecovery);
            }
            Timer::Retransmit => {
                self.circulation.send_last(st, now);
                st.arm_retransmit(now);
            }
            Timer::Hold => self.circulation.send_last(st, now),
            _ => {}
        }
        Phase::Recovery(self)
    }

    /// A member that gathers again will not take part.
    pub(crate) fn join(self: Box<Self>, st: &mut Station, now: Mono, join: &Join) -> Phase {
        if !self.members.contains(&join.from) || join.ring_seq < st.ring.seq {
            return Phase::Recovery(self);
        }
        st.stats.recovery_token_lost += 1;
        Gather::enter_on_join(st, now, self.old, self.lists, join, Cause::JoinInRecovery)
    }

    /// A message of the new ring: one of the old wrapped, or already one of its
    /// own, from a member that has installed it earlier. Both count from one.
    pub(crate) fn mcast(&mut self, st: &mut Station, mcast: Mcast) {
        if mcast.ring == st.ring {
            self.window.insert(mcast);
        } else {
            st.stats.rx_msg_dropped += 1;
        }
    }

    pub(crate) fn token(
        mut self: Box<Self>,
        st: &mut Station,
        now: Mono,
        token: OrfToken,
    ) -> Phase {
        if !self.circulation.accept(st, now, &token) {
            return Phase::Recovery(self);
        }
        let ring = (&self.members, &mut self.window);
        let mut token = match self.circulation.visit(st, now, token, ring, &mut self.queue) {
            Visit::GoesOn(token) => token,
            Visit::Refused => return Phase::Recovery(self),
            Visit::FailedToReceive => {
                return Gather::failed_to_receive(st, now, self.old, self.lists);
            }
        };
        let done = self.is_complete(&mut token);
        self.circulation.pass(st, now, &token);
        if done { self.install(st) } else { Phase::Recovery(self) }
    }

    /// Counts the rotations that show that nobody has anything to send, and
    /// then those that show that everybody has everything: two of each, as one
    /// may have begun before the last message was sent.
    fn is_complete(&mut self, token: &mut OrfToken) -> bool {
        if !self.queue.0.is_empty() {
            self.raised_flag |= !token.retrans_flg;
            token.retrans_flg = true;
        } else if token.retrans_flg && self.raised_flag {
            token.retrans_flg = false;
            self.raised_flag = false;
        }
        self.quiet_visits = if token.retrans_flg { 0 } else { self.quiet_visits + 1 };
        if self.quiet_visits == 2 {
            self.install_seq = token.seq;
        }
        let complete = self.quiet_visits >= 3 && before_or_at(self.install_seq, token.aru);
        self.complete_visits = if complete { self.complete_visits + 1 } else { 0 };
        self.complete_visits == 2
    }

    /// Delivers what is left of the old ring, around the transitional
    /// configuration, and then the new one.
    fn install(self: Box<Self>, st: &mut Station) -> Phase {
        let Self { mut old, members, together, mut window, mut circulation, install_seq, .. } =
            *self;
        unwrap_into(st, &window, install_seq, &mut old);
        while let Some(mcast) = old.next_in_order() {
            st.hand_up(Upward::Message(mcast));
        }
        let left: BTreeSet<Node> = old.members.difference(&together).copied().collect();
        let joined: BTreeSet<Node> = members.difference(&together).copied().collect();
        st.hand_up(Upward::Configuration(Configuration {
            kind: ConfigurationKind::Transitional,
            ring: old.id,
            members: together.clone(),
            left: left.clone(),
            joined: BTreeSet::new(),
        }));
        // A safe message that waited is with all who are left: up to the first
        // gap they have the same, whoever sent it. Behind it only of each other.
        old.safe = old.window.high;
        while let Some(mcast) = old.next_in_order() {
            st.hand_up(Upward::Message(mcast));
        }
        while let Some(mcast) = old.next_of(&together) {
            st.hand_up(Upward::Message(mcast));
        }
        st.hand_up(Upward::Configuration(Configuration {
            kind: ConfigurationKind::Regular,
            ring: st.ring,
            members: members.clone(),
            left: BTreeSet::new(),
            joined: joined.clone(),
        }));
        announce(st, &joined, &left);
        window.release_to(install_seq);
        circulation.last_aru = install_seq;
        let (id, delivered) = (st.ring, install_seq);
        Operational::enter(
            st,
            History { id, members, window, delivered, safe: install_seq },
            circulation,
        )
    }
}

/// [TOTEM-6] What this node has of the old ring and one of those who come along
/// may lack.
fn to_recover(me: Node, old: &History, theirs: &[CommitEntry]) -> Wrapped {
    if theirs.iter().all(|entry| entry.received) || sansio::mutant::active("TOTEM-6/remove") {
        return Wrapped::default();
    }
    let window = &old.window;
    let low = theirs.iter().fold(window.high, |low, entry| earlier(low, entry.aru));
    // Nobody lacks what was let go: an entry that says so is not believed.
    let mut seq = if before(low, window.released()) { window.released() } else { low };
    let mut queue = VecDeque::new();
    while before(seq, window.high) {
        seq = seq.wrapping_add(1);
        let message = window.message(seq);
        let own_only = sansio::mutant::active("TOTEM-6/weaken");
        queue.extend(message.filter(|m| !own_only || m.from == me).map(|m| m.raw.clone()));
    }
    Wrapped(queue)
}

/// Takes what came wrapped into the old ring's window.
fn unwrap_into(st: &mut Station, new: &Window, install_seq: u32, old: &mut History) {
    let end = earlier(new.aru, install_seq);
    let mut seq = 0;
    while before(seq, end) {
        seq += 1;
        let Some(outer) = new.message(seq).filter(|outer| outer.encapsulated) else { continue };
        match Mcast::decode(&outer.raw.slice(MCAST_LEN..)) {
            Ok(inner) if inner.ring == old.id && !old.members.is_empty() => {
                old.window.insert(inner);
            }
            Ok(_) => {}
            Err(why) => st.drop_message(format_args!("recovered message: {why}")),
        }
    }
}

fn announce(st: &mut Station, joined: &BTreeSet<Node>, left: &BTreeSet<Node>) {
    let list = |label: &str, nodes: &BTreeSet<Node>| {
        let ids: String = nodes.iter().map(|node| format!(" {}", node.0)).collect();
        if ids.is_empty() { ids } else { format!(" {label}:{ids}") }
    };
    let RingId { rep, seq } = st.ring;
    let (joined, gone) = (list("joined", joined), list("left", left));
    let text = format!("A new membership ({:x}.{seq:x}) was formed. Members{joined}{gone}", rep.0);
    st.log(Level::Notice, text);
    let said_goodbye = std::mem::take(&mut st.said_goodbye);
    let failed = list("failed", &left.difference(&said_goodbye).copied().collect());
    if !failed.is_empty() {
        st.log(Level::Notice, format!("Failed to receive the leave message.{failed}"));
    }
}
