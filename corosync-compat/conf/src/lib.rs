//! corosync.conf.
//!
//! Reads what Corosync 3.1 reads, to the same keys with the same types, and
//! what 1.x read and 3.x no longer does. Nothing here touches a file or asks the
//! operating system: the texts and what the host knows come in as data.
//!
//! ```text
//!  texts ── read ──> Keys ── configure(Host) ──> Config ── startable ──> the daemon runs on it
//!              \                 │                  └── reload::plan(running, new)
//!               wanted names ────┘
//! ```
//!
//! `docs/spec/config.md` numbers the requirements that the code cites.
//!
//! Invariants: a text is refused with file, line where there is one, and
//! reason, never with a panic; a [`Config`] has passed every check that does not
//! need the outside world.

mod configure;
mod grammar;
pub mod host;
mod keys;
mod known;
pub mod legacy;
pub mod link;
pub mod logging;
mod number;
pub mod quorum;
mod refused;
pub mod reload;
mod schema;
pub mod secrets;
mod startable;
pub mod system;
pub mod timing;
pub mod totem;
pub mod verdict;

pub use configure::{Config, LocalNode, NodeEntry, configure};
pub use host::{Host, Interface, Wanted};
pub use keys::Keys;
pub use refused::{Kind, Refused};
pub use schema::{Document, Files, Text, read};
pub use startable::startable;
