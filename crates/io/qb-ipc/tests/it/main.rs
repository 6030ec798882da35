//! The crate against the C library itself, and against hostile peers.
//!
//! Needs root, a C compiler and Debian's `libqb-dev` and `pacemaker`; without
//! them the tests fail and say so.

mod against_c;
mod hostile;
mod support;
mod users;
