//! What the cfg services of the nodes say to each other.

use ha_types::Node;
use ring_service::{Layout, Service, View};
use sansio::edge::Conn;
use wire::Malformed;

const RING_REENABLE: u16 = 0;
const KILL_NODE: u16 = 1;
const SHUTDOWN: u16 = 2;
const RELOAD: u16 = 3;
const CRYPTO: u16 = 4;

/// Room for a reason.
pub(crate) const REASON_MAX: usize = 256;

/// A message between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Of former times; nobody acts on it.
    RingReenable,
    /// A node must end.
    KillNode {
        /// The node.
        node: Node,
        /// Why.
        reason: String,
    },
    /// The sender is about to end in good order.
    Shutdown,
    /// Every node reads its configuration again.
    Reload {
        /// The sender's client that asked.
        asker: Conn,
    },
    /// A phase of a change of keys.
    Crypto {
        /// 1 use the new keys, 2 forget the old ones.
        phase: u32,
    },
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// It is cut short, its lengths do not fit, or nobody knows it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (id, view) = View::message(bytes)?;
        match u16::try_from(id & 0xffff).unwrap_or(u16::MAX) {
            RING_REENABLE => Ok(Self::RingReenable),
            KILL_NODE => {
                let node = Node(view.u32(16, "a node")?);
                let len = view.raw(24, 2, "a length")?;
                let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
                let value = view.raw(32, REASON_MAX, "a reason")?;
                Ok(Self::KillNode { node, reason: reason(value, len)? })
            }
            SHUTDOWN => Ok(Self::Shutdown),
            RELOAD => Ok(Self::Reload { asker: Conn(view.u64(24, "a client")?) }),
            CRYPTO => Ok(Self::Crypto { phase: view.u32(16, "a phase")? }),
            _ => Err(Malformed { at: 0, wanted: "a message of cfg" }),
        }
    }

    /// The message as it goes to the ring.
    pub fn encode(&self, me: Node) -> Vec<u8> {
        let layout = |number, size| Layout::message(Service::CFG.message_id(number), size);
        match self {
            Self::RingReenable => layout(RING_REENABLE, 32).u32(16, me.0).finish(),
            Self::KillNode { node, reason } => {
                let len = reason.len().min(REASON_MAX - 1);
                let layout = layout(KILL_NODE, 288).u32(16, node.0).count(24, len);
                layout.text(32, REASON_MAX, reason).finish()
            }
            Self::Shutdown => layout(SHUTDOWN, 16).finish(),
            Self::Reload { asker } => layout(RELOAD, 32).u32(16, me.0).u64(24, asker.0).finish(),
            Self::Crypto { phase } => layout(CRYPTO, 24).u32(16, *phase).finish(),
        }
    }
}

/// A reason of `len` bytes, shown up to its first NUL.
pub(crate) fn reason(value: &[u8], len: usize) -> Result<String, Malformed> {
    let text = value.get(..len).ok_or(Malformed { at: 24, wanted: "at most 256 bytes" })?;
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(len);
    Ok(String::from_utf8_lossy(&text[..end]).into_owned())
}
