//! A quorum device: a local process that gives this node a vote of its own.

use std::time::Duration;

use ha_types::{Node, RingId};
use ring_service::{MapValue, Status};
use sansio::Now;
use sansio::edge::{Conn, Level};

use crate::message::{Message, flags};
use crate::{NodeState, NodeVotes, Timer, VoteQuorum};

/// The device of the whole cluster, and this node's part in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceState {
    pub(crate) name: String,
    pub(crate) votes: u32,
    pub(crate) can_operate: bool,
    pub(crate) master_wins: bool,
    /// A client that waits for its registration to come back from the ring.
    pub(crate) registering: Option<Conn>,
    /// Synchronization waits for its next report.
    pub(crate) awaited: bool,
}

impl DeviceState {
    pub(crate) fn info(&self) -> NodeVotes {
        NodeVotes { state: NodeState::Member, votes: self.votes, expected_votes: 0, flags: 0 }
    }
}

/// A report of the device.
pub(crate) struct Poll<'a> {
    pub(crate) name: &'a str,
    pub(crate) cast_vote: bool,
    pub(crate) ring: RingId,
}

impl VoteQuorum {
    fn has_device(&self) -> bool {
        self.own().flags & flags::QDEVICE_REGISTERED != 0
    }

    /// Changes own flags, and says so if they have changed.
    fn set_device_flags(&mut self, change: impl FnOnce(&mut u32)) {
        let before = self.own().flags;
        change(&mut self.own_mut().flags);
        if self.own().flags != before {
            self.say_node_info(self.me);
        }
    }

    /// What a member says of the device's votes. False: it is not known itself.
    pub(crate) fn device_info(&mut self, from: Node, votes: u32) -> bool {
        let Some(sender) = self.nodes.get(&from) else { return false };
        let old = self.device.votes;
        let theirs_acts = !self.quorate && sender.flags & flags::QUORATE != 0;
        self.device.votes = if theirs_acts { votes } else { old.max(votes) };
        if self.device.votes != old {
            self.recalculate(false, false);
        }
        true
    }

    pub(crate) fn await_device(&mut self, now: Now) {
        let alive = flags::QDEVICE_REGISTERED | flags::QDEVICE_ALIVE;
        if self.own().flags & alive != alive {
            return;
        }
        let timeout_ms = self.config.device.unwrap_or_default().sync_timeout_ms;
        self.timers.arm(Timer::Device, now.mono + Duration::from_millis(timeout_ms.into()));
        self.device.awaited = true;
        let name = &self.device.name;
        let text = format!("waiting for quorum device {name} (at most {timeout_ms} ms)");
        self.log(Level::Info, text);
    }

    /// The device has not reported in time: its vote is gone.
    pub(crate) fn device_silent(&mut self) {
        self.device.awaited = false;
        if self.own().flags & flags::QDEVICE_ALIVE == 0 {
            return;
        }
        self.own_mut().flags &= !(flags::QDEVICE_ALIVE | flags::QDEVICE_CAST_VOTE);
        let text = format!("lost contact with quorum device {}", self.device.name);
        self.log(Level::Info, text);
        self.say_node_info(self.me);
    }

    pub(crate) fn master_wins(&self) -> bool {
        let wins = flags::QDEVICE_MASTER_WINS | flags::QDEVICE_CAST_VOTE;
        let members = self.nodes.values().filter(|node| node.state == NodeState::Member);
        self.device.master_wins && members.into_iter().any(|node| node.flags & wins == wins)
    }

    /// A registration or its end came back from the ring.
    pub(crate) fn device_message(&mut self, from: Node, register: bool, name: &str) {
        if !register {
            let has = |node: &NodeVotes| {
                node.state == NodeState::Member && node.flags & flags::QDEVICE_REGISTERED != 0
            };
            if !self.nodes.values().any(has) {
                self.device.name.clear();
            }
            return;
        }
        if from != self.me {
            if self.device.name.is_empty() {
                name.clone_into(&mut self.device.name);
            }
            return;
        }
        if !self.has_device() {
            self.registered(name);
        }
    }

    fn registered(&mut self, name: &str) {
        let Some(conn) = self.device.registering.take() else { return };
        if self.device.name.is_empty() {
            name.clone_into(&mut self.device.name);
        }
        if self.device.name != name {
            let text = format!("quorum device {name} refused: {} is there", self.device.name);
            self.log(Level::Warning, text);
            return self.answer(conn, Status::Exist);
        }
        self.own_mut().flags |= flags::QDEVICE_REGISTERED;
        self.say_node_info(Node(0));
        self.say_node_info(self.me);
        self.answer(conn, Status::Ok);
    }

    pub(crate) fn rename_device(&mut self, old: &str, new: String) {
        if self.device.name == old {
            self.device.name = new;
        }
    }

    /// None: answered when the registration comes back.
    pub(crate) fn register_device(&mut self, conn: Conn, name: &str) -> Option<Status> {
        if !self.device.can_operate {
            return Some(Status::Access);
        }
        if self.has_device() {
            let same = self.device.name == name;
            return Some(if same { Status::Ok } else { Status::Exist });
        }
        if self.device.registering.is_some() {
            return Some(Status::TryAgain);
        }
        self.device.registering = Some(conn);
        self.say(&Message::Device { register: true, name: name.into() });
        None
    }

    pub(crate) fn unregister_device(&mut self, name: &str) -> Status {
        if let Err(status) = self.check_device(name) {
            return status;
        }
        self.timers.disarm(Timer::Device);
        self.device.awaited = false;
        self.own_mut().flags &= !(flags::QDEVICE_REGISTERED
            | flags::QDEVICE_ALIVE
            | flags::QDEVICE_CAST_VOTE
            | flags::QDEVICE_MASTER_WINS);
        self.say_node_info(self.me);
        self.say(&Message::Device { register: false, name: name.into() });
        Status::Ok
    }

    fn check_device(&self, name: &str) -> Result<(), Status> {
        match () {
            () if !self.has_device() => Err(Status::NotExist),
            () if self.device.name != name => Err(Status::InvalidParam),
            () => Ok(()),
        }
    }

    pub(crate) fn update_device(&mut self, old: &str, new: &str) -> Status {
        if let Err(status) = self.check_device(old) {
            return status;
        }
        self.say(&Message::RenameDevice { old: old.into(), new: new.into() });
        Status::Ok
    }

    /// The device reports; a report for another ring does not count.
    pub(crate) fn poll_device(&mut self, now: Now, poll: &Poll<'_>) -> Status {
        if !self.device.can_operate {
            return Status::Access;
        }
        if !self.has_device() {
            return Status::NotExist;
        }
        if poll.ring != self.ring {
            return Status::MessageError;
        }
        if let Err(status) = self.check_device(poll.name) {
            return status;
        }
        self.set_device_flags(|own| {
            *own |= flags::QDEVICE_ALIVE;
            *own &= !flags::QDEVICE_CAST_VOTE;
            if poll.cast_vote {
                *own |= flags::QDEVICE_CAST_VOTE;
            }
        });
        let timeout_ms = self.config.device.unwrap_or_default().timeout_ms;
        self.timers.arm(Timer::Device, now.mono + Duration::from_millis(timeout_ms.into()));
        self.device.awaited = false;
        Status::Ok
    }

    pub(crate) fn set_master_wins(&mut self, name: &str, allow: bool) -> Status {
        if !self.device.can_operate {
            return Status::Access;
        }
        if let Err(status) = self.check_device(name) {
            return status;
        }
        self.set_device_flags(|own| {
            *own &= !flags::QDEVICE_MASTER_WINS;
            if allow {
                *own |= flags::QDEVICE_MASTER_WINS;
            }
        });
        self.device.master_wins = allow;
        self.publish("qdevice_master_wins", MapValue::U8(allow.into()));
        Status::Ok
    }
}
