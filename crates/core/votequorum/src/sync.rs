//! What a new ring changes.

use std::time::Duration;

use ring_service::SyncStart;
use sansio::Now;
use sansio::edge::Level;

use crate::config::TieBreaker;
use crate::message::{Message, flags};
use crate::{NodeState, Timer, VoteQuorum};
use ha_types::Node;

impl VoteQuorum {
    /// A new ring: who is not in it is dead until it says something.
    pub fn sync_init(&mut self, now: Now, start: &SyncStart) {
        self.synchronizing = true;
        self.said = false;
        self.device.awaited = false;
        if start.members.len() > 1 {
            self.own_mut().flags &= !flags::FIRST;
        }
        let mut lost = false;
        for node in &self.members - &start.members {
            lost = true;
            if let Some(known) = self.nodes.get_mut(&node) {
                known.state = NodeState::Dead;
            }
        }
        self.arm_last_man(now, start.members.len(), lost);
        self.previous_members = std::mem::replace(&mut self.members, start.members.clone());
        self.ring = start.ring;
        self.await_device(now);
    }

    /// [VQ-5] A partition that still has the quorum may count anew without the
    /// lost ones, but not before they have had time to be fenced.
    fn arm_last_man(&mut self, now: Now, members: usize, lost: bool) {
        if !self.last_man_standing {
            return;
        }
        let members = u32::try_from(members).unwrap_or(u32::MAX);
        let majority = members >= self.quorum && lost;
        let tie =
            members <= self.quorum && self.tie_breaker != TieBreaker::None && self.lowest_is_here();
        let anyway = sansio::mutant::active("VQ-5/remove");
        if !majority && !tie && !anyway {
            return;
        }
        let window = Duration::from_millis(self.config.last_man_standing_window_ms.into());
        self.timers.arm(Timer::LastMan, now.mono + window);
    }

    pub(crate) fn last_man_window_over(&mut self) {
        let anyway = sansio::mutant::active("VQ-5/remove") || sansio::mutant::active("VQ-5/weaken");
        if self.quorate || anyway {
            self.recalculate(true, true);
        }
    }

    pub(crate) fn stop_last_man(&mut self) {
        self.last_man_standing = false;
        self.timers.disarm(Timer::LastMan);
        let text = "last_man_standing is disabled: a node has more than one vote";
        self.log(Level::Warning, text.into());
    }

    /// Says how this node stands. False: the quorum device must report first.
    pub fn sync_process(&mut self) -> bool {
        if !self.said {
            self.said = true;
            self.say_node_info(self.me);
            self.say_node_info(Node(0));
            if !self.device.name.is_empty() {
                let name = self.device.name.clone();
                self.say(&Message::Device { register: true, name });
            }
            self.tell_nodelist();
        }
        let registered = self.own().flags & flags::QDEVICE_REGISTERED != 0;
        !(registered && self.device.awaited)
    }

    /// All have said how they stand.
    pub fn sync_activate(&mut self) {
        self.stale = false;
        self.recalculate(false, false);
        self.tell_decision();
        self.synchronizing = false;
    }

    /// The process stood still for longer than the others wait for it: what it
    /// knows is old [VQ-7].
    pub fn paused(&mut self) {
        if sansio::mutant::active("VQ-7/remove") {
            return;
        }
        self.stale = !sansio::mutant::active("VQ-7/weaken");
        if self.quorate {
            self.quorate = false;
            self.own_mut().flags &= !flags::QUORATE;
            let text = "not quorate until a ring has formed: this process stood still";
            self.log(Level::Warning, text.into());
            self.tell_decision();
        }
    }
}
