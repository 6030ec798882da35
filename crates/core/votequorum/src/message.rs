//! What the votequorum services of the nodes say to each other.

use ha_types::Node;
use ring_service::{Layout, Service, View};
use wire::Malformed;

const NODEINFO: u16 = 0;
const RECONFIGURE: u16 = 1;
const QDEVICE_REG: u16 = 2;
const QDEVICE_RECONFIGURE: u16 = 3;

/// Room for the name of a quorum device, with its NUL.
pub(crate) const DEVICE_NAME: usize = 255;

/// Flags of a node.
pub mod flags {
    /// It is in a quorate partition.
    pub const QUORATE: u32 = 1;
    /// It leaves in good order.
    pub const LEAVING: u32 = 2;
    /// It waits for all.
    pub const WAIT_FOR_ALL: u32 = 4;
    /// It has been alone since its start.
    pub const FIRST: u32 = 8;
    /// It has a quorum device.
    pub const QDEVICE_REGISTERED: u32 = 16;
    /// Its device has reported in time.
    pub const QDEVICE_ALIVE: u32 = 32;
    /// Its device gives it the vote.
    pub const QDEVICE_CAST_VOTE: u32 = 64;
    /// The device's vote decides alone.
    pub const QDEVICE_MASTER_WINS: u32 = 128;
}

/// What a reconfiguration changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// The votes of the whole cluster.
    ExpectedVotes,
    /// The votes of one node.
    NodeVotes,
    /// Nobody waits for all any more.
    CancelWaitForAll,
}

/// A message between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// How a node, or as node 0 the sender's quorum device, stands.
    NodeInfo {
        /// Whom it is about.
        node: Node,
        /// Its votes.
        votes: u32,
        /// What it thinks the whole cluster has.
        expected_votes: u32,
        /// See [`flags`].
        flags: u32,
    },
    /// An administrator changes something everywhere.
    Reconfigure {
        /// Whom it is about.
        node: Node,
        /// The new value.
        value: u32,
        /// What it is.
        param: Param,
    },
    /// A quorum device registers or goes.
    Device {
        /// Whether it registers.
        register: bool,
        /// Its name.
        name: String,
    },
    /// A quorum device changes its name.
    RenameDevice {
        /// The name it had.
        old: String,
        /// The name it will have.
        new: String,
    },
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// It is cut short, holds a value that does not exist, or nobody knows it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (id, view) = View::message(bytes)?;
        match u16::try_from(id & 0xffff).unwrap_or(u16::MAX) {
            NODEINFO => Ok(Self::NodeInfo {
                node: Node(view.u32(16, "a node")?),
                votes: view.u32(20, "votes")?,
                expected_votes: view.u32(24, "expected votes")?,
                flags: view.u32(28, "flags")?,
            }),
            RECONFIGURE => Ok(Self::Reconfigure {
                node: Node(view.u32(16, "a node")?),
                value: view.u32(20, "a value")?,
                param: param(view.u8(24, "a parameter")?)?,
            }),
            QDEVICE_REG => Ok(Self::Device {
                register: operation(view.u32(16, "an operation")?)?,
                name: view.text(20, DEVICE_NAME, "a device's name")?.into(),
            }),
            QDEVICE_RECONFIGURE => Ok(Self::RenameDevice {
                old: view.text(16, DEVICE_NAME, "a device's name")?.into(),
                new: view.text(16 + DEVICE_NAME, DEVICE_NAME, "a device's name")?.into(),
            }),
            _ => Err(Malformed { at: 0, wanted: "a message of votequorum" }),
        }
    }

    /// The message as it goes to the ring.
    pub fn encode(&self) -> Vec<u8> {
        let layout = |number, size| Layout::message(Service::VOTEQUORUM.message_id(number), size);
        match self {
            Self::NodeInfo { node, votes, expected_votes, flags } => layout(NODEINFO, 32)
                .u32(16, node.0)
                .u32(20, *votes)
                .u32(24, *expected_votes)
                .u32(28, *flags)
                .finish(),
            Self::Reconfigure { node, value, param } => layout(RECONFIGURE, 32)
                .u32(16, node.0)
                .u32(20, *value)
                .u8(24, param_number(*param))
                .finish(),
            Self::Device { register, name } => layout(QDEVICE_REG, 280)
                .u32(16, u32::from(*register))
                .text(20, DEVICE_NAME, name)
                .finish(),
            Self::RenameDevice { old, new } => layout(QDEVICE_RECONFIGURE, 528)
                .text(16, DEVICE_NAME, old)
                .text(16 + DEVICE_NAME, DEVICE_NAME, new)
                .finish(),
        }
    }
}

fn param(number: u8) -> Result<Param, Malformed> {
    match number {
        1 => Ok(Param::ExpectedVotes),
        2 => Ok(Param::NodeVotes),
        3 => Ok(Param::CancelWaitForAll),
        _ => Err(Malformed { at: 24, wanted: "a parameter" }),
    }
}

fn param_number(param: Param) -> u8 {
    match param {
        Param::ExpectedVotes => 1,
        Param::NodeVotes => 2,
        Param::CancelWaitForAll => 3,
    }
}

fn operation(number: u32) -> Result<bool, Malformed> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed { at: 16, wanted: "an operation" }),
    }
}
