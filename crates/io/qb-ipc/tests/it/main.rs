//! The crate against the C library itself, and against hostile peers.
//!
//! Needs root, a C compiler and Debian's `libqb-dev` and `pacemaker`; without
//! them the tests fail and say so.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::needless_pass_by_value,
    reason = "small numbers and short-lived values that the tests make themselves"
)]

mod against_c;
mod corpus;
mod fake_server;
mod filesystem;
mod hostile;
mod support;
mod users;
