//! Rings of several cores in one process, and one shared with Corosync.

mod forming;
mod hostile;
mod messages;
#[cfg(feature = "mutants")]
mod mutants;
mod net;
mod order;
mod wire;
