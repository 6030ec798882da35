//! A cluster in miniature.
//!
//! The worked example that every later daemon follows, and the first citizen of
//! simulator, recorder and process driver: [`ring::Ring`] is a membership
//! daemon, [`keeper::Keeper`] keeps one resource running on one node. They are
//! small enough to read in one sitting and still have what makes the real ones
//! hard: views agreed by promise and commit, a sequence made durable before it
//! is used, ordered messages that nodes going together deliver alike, quorum,
//! fencing before anything starts elsewhere, slow work beside the loop.
//!
//! `docs/spec/miniature.md` numbers the requirements that the code cites, and
//! [`MUTANTS`] lists the mistakes that the campaign plants in it.
//!
//! ```text
//!  keeper n1 ──libqb── ring n1 ──datagrams── ring n2 ──libqb── keeper n2
//!     │ agents, fence agent                       agents, fence agent │
//! ```

pub mod ipc;
pub mod keeper;
pub mod ring;
mod setup;

/// The planted mistakes: two for each requirement marked safety.
pub const MUTANTS: &[&str] = &[
    "MIN-1/remove",
    "MIN-1/weaken",
    "MIN-2/remove",
    "MIN-2/weaken",
    "MIN-3/remove",
    "MIN-3/weaken",
    "MIN-4/remove",
    "MIN-4/weaken",
    "MIN-5/remove",
    "MIN-5/weaken",
    "MIN-6/remove",
    "MIN-6/weaken",
    "MIN-7/remove",
    "MIN-7/weaken",
    "MIN-8/remove",
    "MIN-8/weaken",
    "MIN-9/remove",
    "MIN-9/weaken",
];
