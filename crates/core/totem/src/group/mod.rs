//! Process groups over the ring: packing, fragments, and who a message is for.

mod address;
mod assemble;
mod pack;

pub use address::Group;
pub(crate) use assemble::Assembler;
pub use assemble::Delivery;
pub use pack::{Class, QueueLevel, SubmitError};
pub(crate) use pack::{Lanes, Submission};

/// What stands before the lengths of the packed messages: version, type,
/// fragment marks and count.
const FRAME_LEN: usize = 8;

/// The longest message that is put together from fragments; a sender whose
/// message grows beyond this is not believed.
const ASSEMBLY_MAX: usize = 16 << 20;

/// What remains of a network MTU for ordered messages with their headers: the
/// reference takes off the IP and UDP headers and room for two of its own, so
/// that a message still fits when recovery wraps it in another.
pub(crate) fn frame_room(netmtu: usize, ipv6: bool) -> usize {
    let network = if ipv6 { 48 } else { 28 };
    netmtu.saturating_sub(network + 2 * crate::message::MCAST_LEN).max(FRAME_LEN + 256)
}
