//! Calls of Corosync's local services, as its tools make them.
//!
//! One type per service: [`Cmap`], [`Cfg`], [`Quorum`], [`Votequorum`], [`Cpg`].
//! A call sends one request and waits for its response; what a service tells on
//! its own arrives as events of the same connection. Each call that fails gives
//! the [`CsError`] that the reference's library returns in the same case, so that
//! a tool can print the same number or name.
//!
//! Layouts: `include/corosync/ipc_*.h` of Corosync 3.1.7. Every field begins at a
//! multiple of eight bytes unless its comment says otherwise; the header of libqb
//! is not part of what is written down here, offsets are those of the body (16
//! bytes less than in a request, 24 less than in a response).

mod cfg;
mod clock;
mod cmap;
mod connection;
mod cpg;
mod error;
mod names;
mod quorum;
mod votequorum;

pub use cfg::{Cfg, LinkStatus, MAX_LINKS, NodeStatus, Shutdown, ShutdownAnswer};
pub use clock::{LocalTime, local_time};
pub use cmap::{Change, Cmap, Entry, Kind, MAX_KEY_LEN, Map, Track, Value};
pub use cpg::{Cpg, Iteration, Member};
pub use error::CsError;
pub use names::{Lookup, host_name};
pub use quorum::{Quorum, QuorumKind, View};
pub use votequorum::{Flags, NodeInfo, RingId, Votequorum};
