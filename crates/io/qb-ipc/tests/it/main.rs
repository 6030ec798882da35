//! The crate against the C library itself, and against hostile peers.
//!
//! Needs root, a C compiler and Debian's `libqb-dev`; without them the tests
//! fail and say so.

mod against_c;
mod support;
