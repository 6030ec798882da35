//! The configuration map.
//!
//! Everything that Corosync knows about itself is a key with a typed value:
//! what the administrator wrote, what the daemon computed from it, and what
//! tools set to ask for something. [`Store`] holds them and says who is told of
//! a change; [`service::Service`] answers the clients of `libcmap`; [`sync`]
//! compares the configuration's version with the other nodes'.
//!
//! `docs/spec/cmap.md` numbers the requirements that the code cites.
//!
//! Invariants: keys are iterated in the order of their bytes; a value never
//! exceeds [`value::MAX_LEN`]; nothing that a client sends can make the service
//! panic or hold more than its bounds.

pub mod access;
pub mod name;
pub mod service;
pub mod stats;
mod status;
mod store;
pub mod sync;
pub mod value;

pub use status::Status;
pub use store::{Event, Notice, PREFIX, Store, Tracker, WANTED_ALL, Wanted};
pub use value::{Type, Value};
