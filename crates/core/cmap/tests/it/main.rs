//! The service against Debian's `libcmap`.
