//! Unmodified clients on our services and on the reference's daemon, compared.

mod kit;
mod tools;
mod transcripts;
