//! The Totem single ring protocol (Amir, Moser, Melliar-Smith, Agarwal and
//! Ciarfella, 1995) as Corosync 3 speaks it, with its process groups on top.
//!
//! [`Totem`] is one node: datagrams and messages of the local services go in;
//! datagrams, ordered messages and membership changes (extended virtual
//! synchrony) come out. It is a pure core: sockets, ciphers, files and clocks
//! are its driver's.
//!
//! ```text
//!  services ── submit ──▶ group::Lanes ── frames ──▶ ring ── datagrams ──▶ driver
//!  services ◀─ Deliver ── group::Assembler ◀─ ordered frames ── ring ◀──── driver
//! ```
//!
//! `docs/spec/totem.md` has the layouts, the requirements that the code cites,
//! and where this differs from the paper and from the reference. [`MUTANTS`]
//! lists the mistakes that a campaign plants.

mod group;
mod message;
mod ring;
mod seq;
mod stats;
mod timing;

pub use group::{Class, Delivery, Group, QueueLevel, SubmitError};
pub use ring::{Config, ExitReason, Input, Output, Timer, To, Totem};
pub use stats::{Averages, Stats};
pub use timing::{BadTiming, Timing};

/// The planted mistakes: two for each requirement marked safety.
pub const MUTANTS: &[&str] = &[
    "TOTEM-3/remove",
    "TOTEM-3/weaken",
    "TOTEM-4/remove",
    "TOTEM-4/weaken",
    "TOTEM-5/remove",
    "TOTEM-5/weaken",
    "TOTEM-6/remove",
    "TOTEM-6/weaken",
    "TOTEM-7/remove",
    "TOTEM-7/weaken",
    "TOTEM-8/remove",
    "TOTEM-8/weaken",
];
