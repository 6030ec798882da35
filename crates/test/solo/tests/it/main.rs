//! Unmodified clients on our services and on the reference's daemon, compared.

mod kit;
mod map;
mod tools;
mod transcripts;
