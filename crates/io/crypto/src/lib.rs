//! Keys, ciphers and MACs of datagrams.
//!
//! [`suite`] has the primitives under the names of corosync.conf (`crypto_hash`,
//! `crypto_cipher`), in a form that knet's own datagrams can use as well;
//! [`envelope`] is the construction for udp and udpu, encrypt-then-MAC with the
//! sender's stamp under the MAC; [`authkey`] loads and judges the key file.
//! Construction, key derivation and limits: docs/spec/crypto.md.
//!
//! Freshness is not judged here: a verified stamp goes to the core
//! `datagram-guard`.

pub mod authkey;
pub mod envelope;
pub mod suite;

pub use authkey::{Authkey, KeyError};
pub use envelope::{Envelope, OpenError};
pub use suite::{Cipher, Hash};
