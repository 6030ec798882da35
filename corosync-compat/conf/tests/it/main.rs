//! Our reading of files beside Debian's corosync reading the same files.
//!
//! Needs root (namespaces) and Debian's package `corosync`; a test says so when
//! it has them not.

mod reference;

mod errors;
mod keys;
